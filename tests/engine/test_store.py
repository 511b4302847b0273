"""The one mutable reference."""

from __future__ import annotations

import asyncio

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.events import ModeChosen, TargetsFound
from sollol_tui.core.ids import NodeUrl
from sollol_tui.core.reports import FoundNode
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.engine import store as stores
from sollol_tui.engine.store import Store


def make() -> Store:
    return Store(ClusterSnapshot(), lambda: 5.0)


async def test_many_changes_wake_the_consumer_once() -> None:
    store = make()
    store.apply(ModeChosen(Mode.BOTH))
    store.apply(ModeChosen(Mode.MODEL))
    changes = store.changes()
    first = await anext(changes)
    assert first.mode is Mode.MODEL
    waiting = asyncio.ensure_future(anext(changes))
    done, _ = await asyncio.wait({waiting}, timeout=0)
    assert not done, "nothing changed since"
    store.apply(ModeChosen(Mode.TASK))
    assert (await waiting).mode is Mode.TASK


def test_an_event_that_changes_nothing_tells_nobody() -> None:
    store = make()
    heard: list[ClusterSnapshot] = []
    store.listeners.append(lambda _, after: heard.append(after))
    found = TargetsFound("config", (FoundNode(NodeUrl("http://a:1"), "config"),))
    store.apply(found)
    store.apply(found)
    assert len(heard) == 1


def test_the_journal_gives_what_is_new_and_keeps_its_bound() -> None:
    store = make()
    for number in range(stores.JOURNAL_ENTRIES + 10):
        store.log("info", "app", "", f"line {number}")
    fresh = store.entries_after(stores.JOURNAL_ENTRIES + 7)
    assert [e.text for e in fresh] == [f"line {stores.JOURNAL_ENTRIES + n}" for n in (7, 8, 9)]
    everything = store.entries_after(0)
    assert len(everything) == stores.JOURNAL_ENTRIES
    assert store.entries_after(everything[-1].number) == []


def test_decisions_are_kept_with_their_line_and_bounded() -> None:
    store = make()
    for number in range(stores.DECISIONS + 1):
        decision = RouteDecision(f"d{number}", "m", Mode.TASK, None, None, "", "why", ())
        store.log("info", "route", "", "routed", decision)
    assert store.decision("d0") is None
    assert store.decision("d1") is not None
    assert store.entries_after(0)[-1].decision_id == f"d{stores.DECISIONS}"
