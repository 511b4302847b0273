"""The engine over the real thing: its picture equals what the servers say, every mode answers."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    ChatOptions,
    Delta,
    Finished,
    Routed,
)
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.holding import may_probe
from sollol_tui.core.ids import BackendAddress, parse_coordinator_url, parse_node_url
from sollol_tui.core.settings import CoordinatorSetting, NodeSetting, Settings
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorStatus,
    Mode,
    NodeStatus,
    Owner,
    RegistryStatus,
)
from sollol_tui.core.status_json import status_json
from sollol_tui.engine.engine import Engine
from sollol_tui.io.rpc import Prober
from tests import fakes
from tests.engine.support import until

from .lab import Lab
from .servers import (
    Coordinator,
    OllamaNode,
    RedisServer,
    RpcBackend,
    free_port,
    get_json,
    make_store,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("engine"),
]

LOOKS = 10_000
BACKENDS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
NODES = ("127.0.0.5", "127.0.0.6")
SMALL, LARGE = "smol:135m", "smol:241m"
THRESHOLD = 200e6


class Cluster(NamedTuple):
    """The real servers of these tests."""

    redis: RedisServer
    held: tuple[RpcBackend, RpcBackend]
    free: RpcBackend
    coordinator: Coordinator
    nodes: tuple[OllamaNode, OllamaNode]


@pytest.fixture(scope="module")
def cluster(ollama_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    lab, port, node_port = ollama_lab, free_port(*BACKENDS), free_port(*NODES)
    stores = tmp_path_factory.mktemp("stores")
    small = make_store(stores / "small", {SMALL: lab.model_small})
    both = make_store(stores / "both", {SMALL: lab.model_small, LARGE: lab.model_large})
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(lab))
        one, two, free = (stack.enter_context(RpcBackend(lab, h, port)) for h in BACKENDS)
        coordinator = stack.enter_context(
            Coordinator(lab, lab.model_large, [one, two], extra_args=["--alias", LARGE])
        )
        nodes = (
            stack.enter_context(OllamaNode(lab, small, NODES[0], node_port)),
            stack.enter_context(OllamaNode(lab, both, NODES[1], node_port)),
        )
        _register(redis, nodes, (one, two, free))
        yield Cluster(redis, (one, two), free, coordinator, nodes)


def _register(
    redis: RedisServer,
    nodes: tuple[OllamaNode, OllamaNode],
    backends: tuple[RpcBackend, ...],
) -> None:
    """What a running SOLLOL leaves in Redis, in its own shapes (router metadata, rpc node, gpu)."""
    metadata = {
        "nodes": [{"host": n.host, "port": str(n.port)} for n in nodes],
        "rpc_backends": [{"host": b.host, "port": b.port} for b in backends[:2]]
        + [{"host": "coordinator", "port": 0}],
        "metrics": {"router_type": "ray_hybrid"},
    }
    worker = {
        "has_gpu": True,
        "gpu_devices": ["cuda:0"],
        "gpu_vram_mb": [19660],
        "gpu_names": ["NVIDIA GeForce RTX 3090"],
        "cpu_ram_mb": 12000,
        "device_config": "cpu,cuda:0",
        "memory_config": "12000,19660",
        "total_parallel_workers": 2,
    }
    free = backends[2]
    redis.ask(f"SET sollol:router:metadata '{json.dumps(metadata)}'")
    redis.ask(f"SET sollol:rpc:node:{free.host}:{free.port} '{json.dumps(worker)}' EX 3600")


def settings_of(cluster: Cluster) -> Settings:
    """Only the coordinator and Redis are configured: the rest has to be discovered."""
    return Settings(
        coordinators=(CoordinatorSetting(parse_coordinator_url(cluster.coordinator.url)),),
        redis_url=cluster.redis.url,
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.5,
        timeout_s=5.0,
        threshold_parameters=THRESHOLD,
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Engine]:
    engine = Engine(settings)
    async with engine.running():
        await until(engine, lambda s: s.looked)
        await until(engine, _all_known)
        yield engine


def _all_known(snapshot: ClusterSnapshot) -> bool:
    return all(b.status is not BackendStatus.UNKNOWN for b in snapshot.backends)


async def test_status_equals_what_the_servers_say(cluster: Cluster) -> None:
    snapshot = await Engine(settings_of(cluster)).look_once()
    said = status_json(snapshot, 0.0)
    (coordinator,) = snapshot.coordinators
    props = get_json(cluster.coordinator.url + "/props")
    model = get_json(cluster.coordinator.url + "/v1/models")["data"][0]
    assert coordinator.status is CoordinatorStatus.READY
    assert (coordinator.owner, coordinator.pid) == (Owner.ADOPTED, cluster.coordinator.pid)
    assert coordinator.model == model["id"]
    assert coordinator.parameters == model["meta"]["n_params"]
    assert coordinator.context_tokens == props["default_generation_settings"]["n_ctx"]
    assert coordinator.slots_total == props["total_slots"]
    assert set(coordinator.backends) == {b.address for b in cluster.held}
    for node in cluster.nodes:
        state = snapshot.node(parse_node_url(node.url))
        assert state is not None
        assert state.status is NodeStatus.UP
        tags = get_json(node.url + "/api/tags")["models"]
        assert [m.name for m in state.models] == [m["name"] for m in tags]
        assert state.version == get_json(node.url + "/api/version")["version"]
    statuses = {b.address: b.status for b in snapshot.backends}
    assert statuses == {
        **{b.address: BackendStatus.ATTACHED for b in cluster.held},
        cluster.free.address: BackendStatus.IDLE,
    }
    free = snapshot.backend(BackendAddress(cluster.free.address))
    assert free is not None
    assert free.protocol == "7.0.0"
    assert "RTX 3090" in free.told
    assert free.sources == ("redis",)
    assert snapshot.registry is not None
    assert snapshot.registry.status is RegistryStatus.UP
    assert said["schema"] == 1


@pytest.mark.parametrize(
    ("mode", "model", "kind"),
    [
        (Mode.TASK, SMALL, "node"),
        (Mode.MODEL, LARGE, "coordinator"),
        (Mode.BOTH, SMALL, "node"),
        (Mode.BOTH, LARGE, "coordinator"),
        (Mode.OFF, SMALL, "node"),
    ],
)
async def test_a_chat_in_every_mode_answers(
    cluster: Cluster, mode: Mode, model: str, kind: str
) -> None:
    async with running(settings_of(cluster)) as engine:
        engine.choose_mode(mode, cluster.nodes[0].url if mode is Mode.OFF else "")
        events = await asked(engine, model)
        assert routed(events).decision.kind == kind
        assert text(events)
        assert isinstance(events[-1], Finished)
        assert events[-1].usage.completion_tokens


async def asked(engine: Engine, model: str, tokens: int = 12) -> list[AskEvent]:
    options = ChatOptions(temperature=0, max_tokens=tokens, seed=1)
    request = AskRequest(model, (ChatMessage("user", "Say hello in five words."),), options)
    return [event async for event in engine.ask(request)]


def routed(events: list[AskEvent]) -> Routed:
    return next(e for e in events if isinstance(e, Routed))


def text(events: list[AskEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, Delta))


async def test_ten_thousand_probes_of_a_free_backend_harm_nothing(cluster: Cluster) -> None:
    """None kills it, none calls it DOWN."""
    prober, address = Prober(), BackendAddress(cluster.free.address)
    statuses: dict[BackendStatus, int] = {}
    for _ in range(LOOKS):
        report = await prober.probe(address)
        statuses[report.status] = statuses.get(report.status, 0) + 1
    assert statuses == {BackendStatus.IDLE: LOOKS}
    assert cluster.free.running


async def test_ten_thousand_looks_at_attached_backends_never_call_them_down(
    cluster: Cluster,
) -> None:
    """The pollers' own look: while a coordinator holds a backend, nothing is sent to it at all."""
    async with running(settings_of(cluster)) as engine:
        runtime = engine.runtime
        addresses = [BackendAddress(b.address) for b in cluster.held]
        seen: set[BackendStatus] = set()
        for turn in range(LOOKS):
            address = addresses[turn % 2]
            await runtime.looks.backend(address)
            if turn % 100 == 0:
                await runtime.looks.processes()
            state = engine.store.snapshot.backend(address)
            assert state is not None
            seen.add(state.status)
            assert not may_probe(engine.store.snapshot, address)
        assert seen == {BackendStatus.ATTACHED}
        assert all(b.running for b in cluster.held)
        events = await asked(engine, LARGE)
        assert isinstance(events[-1], Finished), "and they still serve"


async def test_dead_nodes_never_delay_the_row_of_a_live_one(cluster: Cluster) -> None:
    """Refused, black-holed and stopped: the live node is looked at again within one interval."""
    stopped = cluster.nodes[0]
    async with fakes.dead_url() as refused, fakes.black_hole() as hole:
        urls = [refused, hole, *(n.url for n in cluster.nodes)]
        settings = settings_of(cluster)._replace(
            nodes=tuple(NodeSetting(parse_node_url(u)) for u in urls), timeout_s=2.0
        )
        engine = Engine(settings)
        live = parse_node_url(cluster.nodes[1].url)
        os.kill(stopped.pid, signal.SIGSTOP)
        try:
            async with engine.running():
                at_s = [await _seen_after(engine, live, 0.0)]
                for _ in range(6):
                    at_s.append(await _seen_after(engine, live, at_s[-1]))
        finally:
            os.kill(stopped.pid, signal.SIGCONT)
    gaps = [later - earlier for earlier, later in pairwise(at_s)]
    assert max(gaps) <= 2 * settings.poll_interval_s, gaps


async def _seen_after(engine: Engine, url: str, at_s: float) -> float:
    snapshot = await until(engine, lambda s: _seen(s, url) > at_s)
    return _seen(snapshot, url)


def _seen(snapshot: ClusterSnapshot, url: str) -> float:
    node = snapshot.node(url)
    return (node.seen_at_s or 0.0) if node is not None else 0.0


async def test_a_stream_that_the_server_breaks_is_told_as_failure(
    ollama_lab: Lab, tmp_path: Path
) -> None:
    """Ollama killed in mid-answer: what came stays, and no answer is called complete."""
    store = make_store(tmp_path / "store", {SMALL: ollama_lab.model_small})
    with OllamaNode(ollama_lab, store) as node:
        settings = Settings(
            nodes=(NodeSetting(parse_node_url(node.url)),), redis_url="", look_at_localhost=False
        )
        engine = Engine(settings)
        async with engine.running():
            options = ChatOptions(temperature=0, max_tokens=400)
            question = AskRequest(
                SMALL, (ChatMessage("user", "Count from one to two hundred."),), options
            )
            events: list[AskEvent] = []
            async for event in engine.ask(question):
                events.append(event)
                if isinstance(event, Delta) and len(text(events)) > 20 and node.running:
                    await asyncio.to_thread(node.kill_group, signal.SIGKILL)
        failed = events[-1]
        assert not isinstance(failed, Finished)
        assert failed.kept_chars == len(text(events)) > 20  # type: ignore[union-attr]
        assert failed.fault.kind in {FaultKind.CUT, FaultKind.SERVER}  # type: ignore[union-attr]
