"""Draining a node from the screen: by key, by command, by the row's menu; and how it looks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from sollol_tui.core.events import RequestClaimed, RequestEnded
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.commands import BY_NAME
from sollol_tui.ui.live_keys import live_keys
from sollol_tui.ui.node_commands import drained_choices, undrained_choices
from tests.ui.clusters import FULL, LLAMA, NAS, NOW_S, RIG, SPARK
from tests.ui.stand_in import StillEngine, shown, until, until_shown

QUIET = FULL._replace(nodes=tuple(node._replace(in_flight=0) for node in FULL.nodes), requests=())


@asynccontextmanager
async def screen(
    snapshot: ClusterSnapshot = FULL,
    first: str = "gpu-rig",
    settings: Settings | None = None,
) -> AsyncIterator[tuple[SollolApp, Pilot[None]]]:
    app = SollolApp(StillEngine(snapshot, settings))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, first, "first entry")
        yield app, pilot


def drained(app: SollolApp) -> list[str]:
    return [node.name for node in app.snapshot.nodes if node.drained]


async def test_the_key_drains_the_node_under_the_cursor_and_takes_it_back() -> None:
    async with screen() as (app, pilot):
        await pilot.press("d")
        await until_shown(pilot, "◐ draining", "draining · 2 running")
        await until_shown(pilot, "takes no new requests, 2 still running")  # the event log
        assert drained(app) == ["gpu-rig"]
        await pilot.press("d")
        await until_shown(pilot, "gpu-rig takes requests again")
        assert drained(app) == []
        assert "◐ draining" not in shown(app)


@pytest.mark.parametrize("start", [":", "ctrl+p"])
async def test_commands_drain_a_node_by_its_name(start: str) -> None:
    async with screen() as (app, pilot):
        if start == ":":
            await pilot.press(*":node drain spark", "enter")
        else:
            await pilot.press("ctrl+p", *"drain a node")
            await until_shown(pilot, "Drain a node")
            await pilot.press("enter")
            await until_shown(pilot, "node drain")
            await pilot.press(*"spark", "enter")
        await until(pilot, lambda: drained(app) == ["spark"])
        await pilot.press(*":node undrain spark", "enter")
        await until(pilot, lambda: drained(app) == [])


async def test_the_rows_menu_offers_what_can_be_done() -> None:
    async with screen() as (app, pilot):
        await pilot.press("a")
        await until_shown(pilot, "Drain it: nothing new goes there")
        await pilot.press("escape", "d", "a")
        await until_shown(pilot, "Give it new requests again")
        assert "Drain it" not in shown(app)


async def test_what_ends_there_is_waited_for_and_its_end_is_told() -> None:
    async with screen(QUIET) as (app, pilot):
        store = app.engine.store
        store.apply(RequestClaimed("x", RIG, LLAMA.name, NOW_S))
        await pilot.press("d")
        await until_shown(pilot, "◐ draining", "draining · 1 running")
        store.apply(RequestEnded("x", RIG, NOW_S + 1, 9))
        await until_shown(pilot, "○ drained", "the last request there has ended")
        assert "running ·" not in shown(app)


async def test_a_command_about_no_node_or_one_that_is_drained_says_so() -> None:
    async with screen() as (_, pilot):
        await pilot.press(*":node drain nowhere", "enter")
        await until_shown(pilot, "There is no node “nowhere”.")
        await pilot.press("escape", *":node undrain nas", "enter")
        await until_shown(pilot, "nas is not drained.")
        await pilot.press(*":node drain nas", "enter", *":node drain nas", "enter")
        await until_shown(pilot, "nas is drained already.")
        await pilot.press("3", *":drain", "enter")
        await until_shown(pilot, "There is no node here")


async def test_who_only_looks_drains_nothing() -> None:
    async with screen(settings=Settings(read_only=True)) as (app, pilot):
        await pilot.press("d")
        await pilot.press(*":node drain spark", "enter")
        await until_shown(pilot, "“node drain” changes something, and this is for looking only.")
        assert drained(app) == []
        assert "drain" not in {key.id for key in live_keys(app.dashboard)}


async def test_the_key_is_there_where_nodes_are_and_in_the_help() -> None:
    async with screen() as (app, pilot):
        assert "drain" in {key.id for key in live_keys(app.dashboard)}
        await pilot.press("question_mark")
        await until_shown(pilot, BY_NAME["drain"].help)
        await pilot.press("escape", "3")
        await until(pilot, lambda: "drain" not in {k.id for k in live_keys(app.dashboard)})


async def test_the_router_gives_a_drained_node_nothing_and_the_detail_says_so() -> None:
    async with screen() as (app, pilot):
        await pilot.press("d")
        decision = app.engine.weigh(LLAMA.name)
        assert decision.target in (SPARK, NAS)
        assert {c.target: c.rejected for c in decision.candidates}[RIG] == "drained"
        await pilot.press("enter")
        await until_shown(pilot, "draining: takes nothing new", "gets nothing: drained")


def test_only_what_makes_sense_is_offered_for_completion() -> None:
    rig, *others = FULL.nodes
    snapshot = FULL._replace(nodes=(rig._replace(drained=True), *others))
    assert drained_choices(snapshot) == ("gpu-rig",)
    assert undrained_choices(snapshot) == ("nas", "spark")


async def test_the_key_is_offered_as_soon_as_there_is_a_node() -> None:
    async with screen(ClusterSnapshot(looked=True), "No Ollama node is known") as (app, pilot):
        assert "d Drain" not in shown(app)
        assert isinstance(app.engine, StillEngine)
        app.engine.show(FULL)
        await until_shown(pilot, "gpu-rig", "d Drain")
