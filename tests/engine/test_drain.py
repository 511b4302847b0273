"""Draining a node: nothing new goes there, what runs finishes, and the next run remembers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sollol_tui.core.asks import AskEvent, Finished, Routed
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import running, settings_for, until
from tests.engine.test_requests import asked, question, those


def target(events: list[AskEvent]) -> str | None:
    return those(events, Routed)[0].decision.target


async def test_a_drained_node_gets_nothing_new_and_can_be_taken_back() -> None:
    async with (
        fakes.node() as one,
        fakes.node() as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        engine.drain(one.url)
        assert {target(await asked(engine)) for _ in range(4)} == {two.url}
        engine.drain(one.url, drained=False)
        engine.drain(two.url)
        assert target(await asked(engine)) == one.url
        texts = [entry.text for entry in engine.store.entries_after(0)]
        assert any("takes no new requests" in text for text in texts)
        assert any("takes requests again" in text for text in texts)


async def test_what_runs_there_finishes() -> None:
    async with (
        fakes.node(tokens_per_s=100, answer="word " * 30) as node,
        running(settings_for((node.url,))) as engine,
    ):
        running_request = asyncio.create_task(asked(engine))
        await until(engine, lambda s: s.nodes[0].in_flight == 1)
        engine.drain(node.url)
        refused = await asked(engine)
        assert "drained" in str(refused[-1])
        events = await running_request
        assert isinstance(events[-1], Finished)
        assert engine.store.snapshot.nodes[0].in_flight == 0


async def test_a_node_that_was_asked_for_by_name_answers_all_the_same() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        engine.drain(node.url)
        assert target(await asked(engine, question(target=node.url))) == node.url


async def test_the_next_run_remembers(tmp_path: Path) -> None:
    async with fakes.node() as one, fakes.node() as two:
        settings = settings_for((one.url, two.url))
        async with running(settings, tmp_path) as engine:
            engine.drain(one.url)
        async with running(settings, tmp_path) as engine:
            assert [n.url for n in engine.store.snapshot.nodes if n.drained] == [one.url]
            assert target(await asked(engine)) == two.url
            engine.drain(one.url, drained=False)
        async with running(settings, tmp_path) as engine:
            assert not any(n.drained for n in engine.store.snapshot.nodes)


async def test_a_node_that_is_found_later_is_drained_from_the_first_moment(tmp_path: Path) -> None:
    async with fakes.node() as node:
        async with running(settings_for((node.url,)), tmp_path) as engine:
            engine.drain(node.url)
        async with running(settings_for(), tmp_path) as engine:
            seen: list[bool] = []
            engine.store.listeners.append(lambda _, now: seen.extend(n.drained for n in now.nodes))
            engine.add_node(node.url)
            await until(engine, lambda s: s.nodes[0].seen_at_s is not None)
            assert set(seen) == {True}


async def test_only_a_known_node_can_be_drained() -> None:
    engine = Engine(settings_for())
    with pytest.raises(ValueError, match="no node that is known"):
        engine.drain("http://nowhere:11434")
