"""The engine's picture of the cluster, over servers that can be broken."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import (
    BackendStatus,
    CoordinatorStatus,
    Mode,
    NodeStatus,
    Owner,
    RegistryStatus,
)
from sollol_tui.demo.cluster import Cluster
from sollol_tui.demo.faults import Faults
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import running, settings_for, until


def _often(settings: Settings) -> Settings:
    return settings._replace(poll_interval_s=0.1, timeout_s=1.0)


async def test_the_first_look_tells_live_from_dead_and_silent() -> None:
    async with (
        fakes.node(name="rig") as node,
        fakes.dead_url() as dead,
        fakes.silent() as silent,
        fakes.black_hole() as hole,
        running(settings_for((node.url, dead, silent, hole))) as engine,
    ):
        snapshot = engine.store.snapshot
        seen = {url: snapshot.node(parse_node_url(url)) for url in (node.url, dead, silent, hole)}
        statuses = [state.status if state else None for state in seen.values()]
        assert statuses == [
            NodeStatus.UP,
            NodeStatus.DOWN,
            NodeStatus.STARTING,
            NodeStatus.DOWN,
        ]
        up = snapshot.node(parse_node_url(node.url))
        assert up is not None
        assert up.version == "0.32.15"
        assert {m.name for m in up.models} == {"llama3.2:3b", "qwen3:8b"}


async def test_silent_nodes_delay_nobody() -> None:
    async with AsyncExitStack() as stack:
        holes = [await stack.enter_async_context(fakes.black_hole()) for _ in range(3)]
        node = await stack.enter_async_context(fakes.node())
        settings = settings_for((*holes, node.url), timeout_s=5.0)
        engine = Engine(settings)
        await stack.enter_async_context(engine.running())
        snapshot = await until(engine, lambda s: any(n.status == "up" for n in s.nodes))
        assert not snapshot.looked, "the silent ones are still being waited for"
        await until(engine, lambda s: len(node.requests) >= 9), "and the live one is polled on"


async def test_a_node_that_dies_and_comes_back_is_followed() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        node.faults = Faults(refuse=True)
        await until(engine, lambda s: s.nodes[0].status is NodeStatus.DOWN)
        node.faults = Faults()
        await until(engine, lambda s: s.nodes[0].status is NodeStatus.UP)
        texts = [e.text for e in engine.store.entries_after(0)]
        assert any("is down · connection refused" in t for t in texts)


@pytest.mark.parametrize(
    ("status", "shown"),
    [(401, NodeStatus.UNAUTHORIZED), (403, NodeStatus.UNAUTHORIZED), (429, NodeStatus.SATURATED)],
)
async def test_refusals_by_policy_are_shown_as_such(status: int, shown: NodeStatus) -> None:
    async with (
        fakes.node(faults=Faults(status=status)) as node,
        running(settings_for((node.url,))) as engine,
    ):
        assert engine.store.snapshot.nodes[0].status is shown


async def test_backends_of_a_coordinator_here_are_attached_and_never_probed() -> None:
    async with Cluster() as cluster, running(_often(cluster.settings())) as engine:
        snapshot = await until(
            engine, lambda s: all(b.status is not BackendStatus.UNKNOWN for b in s.backends)
        )
        state = snapshot.coordinators[0]
        assert (state.status, state.owner) == (CoordinatorStatus.READY, Owner.ADOPTED)
        assert state.pid is not None
        attached = [b for b in snapshot.backends if b.status is BackendStatus.ATTACHED]
        assert {b.address for b in attached} == set(state.backends)
        assert {b.attached_to for b in attached} == {state.url}
        (idle,) = [b for b in snapshot.backends if b not in attached]
        assert (idle.status, idle.protocol) == (BackendStatus.IDLE, "7.0.0")
        assert idle.devices


async def test_the_end_of_a_coordinator_here_is_seen_and_frees_its_backends() -> None:
    async with Cluster() as cluster, running(_often(cluster.settings())) as engine:
        await cluster.kill("coordinator")
        snapshot = await until(
            engine, lambda s: all(b.status is BackendStatus.IDLE for b in s.backends)
        )
        assert snapshot.coordinators[0].status is CoordinatorStatus.STOPPED


async def test_a_coordinator_that_is_not_there_is_stopped_and_has_no_owner() -> None:
    async with fakes.dead_url() as dead, running(settings_for((), (dead,))) as engine:
        state = engine.store.snapshot.coordinators[0]
        assert (state.status, state.owner) == (CoordinatorStatus.STOPPED, None)


async def test_a_loading_coordinator_becomes_ready_by_itself() -> None:
    async with (
        fakes.coordinator(load_s=0.4) as coordinator,
        running(settings_for((), (coordinator.url,))) as engine,
    ):
        assert engine.store.snapshot.coordinators[0].status is CoordinatorStatus.LOADING
        await until(engine, lambda s: s.coordinators[0].status is CoordinatorStatus.READY)


async def test_without_a_registry_everything_else_works() -> None:
    async with (
        fakes.node() as node,
        fakes.dead_url() as dead,
        running(settings_for((node.url,), redis_url=dead.replace("http", "redis"))) as engine,
    ):
        snapshot = engine.store.snapshot
        assert snapshot.registry is not None
        assert snapshot.registry.status is RegistryStatus.DOWN
        assert snapshot.nodes[0].status is NodeStatus.UP


async def test_the_very_first_mode_is_both_when_a_coordinator_serves_else_task(
    tmp_path: Path,
) -> None:
    async with fakes.coordinator() as coordinator:
        settings = settings_for((), (coordinator.url,))
        async with running(settings, tmp_path / "one") as engine:
            assert engine.store.snapshot.mode is Mode.BOTH
    async with fakes.node() as node, running(settings_for((node.url,)), tmp_path / "two") as engine:
        assert engine.store.snapshot.mode is Mode.TASK


async def test_who_has_a_coordinator_started_with_the_program_begins_with_both(
    tmp_path: Path,
) -> None:
    wanted = CoordinatorSetting(parse_coordinator_url("127.0.0.1:9"), start=True)
    settings = settings_for((), ())._replace(coordinators=(wanted,))
    for changed, mode in (
        (settings, Mode.BOTH),
        (settings._replace(mode=Mode.TASK), Mode.TASK),
        (settings._replace(read_only=True), Mode.TASK),
    ):
        async with running(changed, tmp_path / mode) as engine:
            assert engine.store.snapshot.mode is mode


async def test_a_chosen_mode_and_hand_added_targets_survive_a_restart(tmp_path: Path) -> None:
    async with fakes.node() as node, fakes.coordinator() as coordinator:
        settings = settings_for((), (coordinator.url,))
        async with running(settings, tmp_path) as engine:
            engine.choose_mode(Mode.TASK)
            url = engine.add_node(node.url)
            await until(engine, lambda s: any(n.status is NodeStatus.UP for n in s.nodes))
        async with running(settings, tmp_path) as engine:
            snapshot = engine.store.snapshot
            assert snapshot.mode is Mode.TASK
            assert [n.url for n in snapshot.nodes] == [url]
            assert snapshot.nodes[0].sources == ("hand",)
            assert engine.remove(url)
            assert not engine.remove(url)
            assert engine.store.snapshot.nodes == ()


async def test_a_state_directory_that_cannot_be_written_is_said_and_does_no_harm(
    tmp_path: Path,
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    async with running(settings_for(), blocked / "state") as engine:
        engine.choose_mode(Mode.BOTH)
        assert "cannot keep" in engine.store.entries_after(0)[-1].text


async def test_looking_once_ends_with_everything_looked_at_and_no_task_left() -> None:
    async with fakes.node() as node, fakes.dead_url() as dead, fakes.black_hole() as hole:
        snapshot = await Engine(settings_for((node.url, dead, hole))).look_once()
    assert snapshot.looked
    assert all(n.status is not NodeStatus.UNKNOWN for n in snapshot.nodes)


async def test_pausing_holds_the_looks_and_refresh_looks_now() -> None:
    settings = settings_for(poll_interval_s=60.0)
    async with fakes.node() as node, running(settings) as engine:
        engine.pause(True)
        url = engine.add_node(node.url)
        assert not node.requests
        engine.pause(False)
        await until(engine, lambda s: s.nodes[0].status is NodeStatus.UP)
        seen = len(node.requests)
        engine.refresh(url)
        await until(engine, lambda _: len(node.requests) > seen)
