"""Real Redis, real nodes: what SOLLOL's programs would read of us, and what we hear of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions, Finished
from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.registry_shapes import METADATA_KEY
from sollol_tui.core.settings import CoordinatorSetting, NodeSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, Mode, RegistryStatus
from sollol_tui.engine import publisher
from sollol_tui.engine.engine import Engine
from sollol_tui.io.registry_listen import RegistryListener
from tests.engine.support import until

from .lab import Lab
from .servers import Coordinator, OllamaNode, RedisServer, RpcBackend, free_port, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("engine"),
]

SMALL, LARGE = "smol:135m", "smol:241m"
FOREIGN = {
    "nodes": [{"host": "10.9.66.45", "port": "11434"}],
    "rpc_backends": [{"host": "10.9.66.48", "port": 50052}, {"host": "coordinator", "port": 0}],
    "metrics": {"router_type": "ray_hybrid", "ray_pools": {"num_pools": 0}},
}
SELECTED = {"timestamp", "instance_id", "hostname", "pid", "event_type", "model", "backend"}


class Cluster(NamedTuple):
    redis: RedisServer
    node: OllamaNode
    coordinator: Coordinator


@pytest.fixture
def cluster(ollama_lab: Lab, tmp_path: Path) -> Iterator[Cluster]:
    store = make_store(tmp_path / "store", {SMALL: ollama_lab.model_small})
    port = free_port("127.0.0.2")
    with (
        RedisServer(ollama_lab) as redis,
        RpcBackend(ollama_lab, "127.0.0.2", port) as backend,
        OllamaNode(ollama_lab, store) as node,
        Coordinator(
            ollama_lab, ollama_lab.model_large, [backend], extra_args=["--alias", LARGE]
        ) as coordinator,
    ):
        yield Cluster(redis, node, coordinator)


def settings_of(cluster: Cluster) -> Settings:
    return Settings(
        nodes=(NodeSetting(parse_node_url(cluster.node.url)),),
        coordinators=(CoordinatorSetting(parse_coordinator_url(cluster.coordinator.url)),),
        redis_url=cluster.redis.url,
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.5,
        timeout_s=5.0,
    )


@asynccontextmanager
async def client(redis: RedisServer) -> AsyncIterator[Redis]:
    """A client as SOLLOL's programs have one."""
    async with Redis.from_url(redis.url, decode_responses=True, protocol=2) as connected:
        yield connected


def is_up(snapshot: ClusterSnapshot) -> bool:
    registry = snapshot.registry
    return snapshot.looked and registry is not None and registry.status is RegistryStatus.UP


async def answered(engine: Engine, model: str) -> None:
    options = ChatOptions(temperature=0, max_tokens=8, seed=1)
    request = AskRequest(model, (ChatMessage("user", "Say hello."),), options)
    events = [event async for event in engine.ask(request)]
    assert isinstance(events[-1], Finished)


async def stream(redis: Redis) -> list[dict[str, Any]]:
    """The events in the stream, as routing_viewer reads them."""
    entries: Any = await redis.xrange("sollol:routing_stream")
    return [json.loads(fields["event"]) for _, fields in entries]


async def metadata(redis: Redis) -> dict[str, Any]:
    return dict(json.loads(str(await redis.get(METADATA_KEY))))


async def holds(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.to_thread(time.sleep, 0)


async def test_our_requests_can_be_read_back_in_sollols_shapes(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher.Publisher.__init__, "__kwdefaults__", {"heartbeat_s": 0.2})
    engine = Engine(settings_of(cluster))
    async with client(cluster.redis) as redis:
        await redis.set(METADATA_KEY, json.dumps(FOREIGN), ex=3600)
        await tells(engine, redis, cluster)
        assert await metadata(redis) == FOREIGN
        assert 3000 < await redis.ttl(METADATA_KEY) <= 3600


async def tells(engine: Engine, redis: Redis, cluster: Cluster) -> None:
    async with engine.running():
        await until(engine, is_up)
        engine.choose_mode(Mode.TASK)
        await answered(engine, SMALL)
        engine.choose_mode(Mode.MODEL)
        await answered(engine, LARGE)

        async def told() -> bool:
            return len(await stream(redis)) >= 4

        await holds(told)
        events = await stream(redis)
        assert [e["event_type"] for e in events] == [
            "OLLAMA_NODE_SELECTED",
            "TASK_COMPLETE",
            "ROUTE_DECISION",
            "TASK_COMPLETE",
        ]
        assert all(set(e) >= SELECTED for e in events)
        assert [e["backend"] for e in events] == ["ollama", "ollama", "rpc", "rpc"]
        assert events[0]["node_url"] == f"{cluster.node.host}:{cluster.node.port}"
        assert all(e["success"] and e["duration"] > 0 for e in events[1::2])

        async def merged() -> bool:
            return "sollol_tui" in await metadata(redis)

        await holds(merged)
        document = await metadata(redis)
        assert document["rpc_backends"][:2] == FOREIGN["rpc_backends"]
        assert document["nodes"][0] == FOREIGN["nodes"][0]  # type: ignore[index]
        assert document["metrics"]["router_type"] == "ray_hybrid"
        assert document["nodes"][1]["url"] == cluster.node.url
        assert document["metrics"]["analytics"]["total_requests"] >= 1
        assert 3000 < await redis.ttl(METADATA_KEY) <= 3600


async def test_what_others_publish_is_heard_also_after_redis_was_gone(cluster: Cluster) -> None:
    server = cluster.redis
    engine = Engine(settings_of(cluster))

    def heard() -> str:
        entries = engine.store.entries_after(0)
        return "\n".join(e.text for e in entries if e.area == "sollol")

    async def say(reason: str) -> None:
        event = {"event_type": "ROUTE_DECISION", "model": "m", "backend": "rpc", "reason": reason}
        async with client(server) as redis:
            await redis.publish("sollol:routing_events", json.dumps(event))

    async def is_heard(reason: str) -> None:
        async def comes() -> bool:
            await say(reason)
            return reason in heard()

        await holds(comes)

    async with engine.running():
        await until(engine, is_up)
        await is_heard("before")
        await asyncio.to_thread(server.stop)
        await until(engine, lambda s: not is_up(s))
        await asyncio.to_thread(server.start)
        await until(engine, is_up)
        await is_heard("after")


async def test_listening_costs_nothing_while_nothing_is_said(lab: Lab) -> None:
    """A second of waiting on both connections: no command is sent, hardly any CPU is used."""
    with RedisServer(lab) as server:
        listener = RegistryListener(server.url)
        async with client(server) as redis:
            listening = asyncio.create_task(listener.listen(lambda _: None))

            async def attends() -> bool:
                doing = {c["cmd"] for c in await redis.client_list()}
                return doing >= {"subscribe", "xread"}

            await holds(attends)
            before = await redis.info("stats")
            used_s = time.process_time()
            await asyncio.wait({listening}, timeout=1.0)
            used_s = time.process_time() - used_s
            after = await redis.info("stats")
            print(f"CPU of a second of listening: {used_s * 1000:.1f} ms")
            asked = after["total_commands_processed"] - before["total_commands_processed"]
            assert asked <= 1, "only our own question"
            listening.cancel()
            await asyncio.wait({listening})
            await listener.aclose()
