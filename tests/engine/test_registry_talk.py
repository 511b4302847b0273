"""Telling Redis of our requests, and hearing others: while it answers, and never in the way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sollol_tui.core.asks import Finished
from sollol_tui.core.foreign_events import LOG_CHANNEL
from sollol_tui.core.journal import Entry
from sollol_tui.core.registry_events import (
    COORDINATOR_CHANNEL,
    EVENTS_CHANNEL,
    EVENTS_STREAM,
    NODE_CHANNEL,
)
from sollol_tui.core.registry_shapes import METADATA_KEY
from sollol_tui.core.state import Mode, RegistryStatus
from sollol_tui.demo.faults import Faults
from sollol_tui.engine import listener, publisher
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import PATIENCE_S, settings_for, until
from tests.engine.test_requests import asked, question, those
from tests.io.fake_redis import FakeRedis

KEY = METADATA_KEY.encode()
FOREIGN = {"rpc_backends": [{"host": "10.9.66.48", "port": 50052}], "extra": 1}


def is_up(engine: Engine) -> bool:
    registry = engine.store.snapshot.registry
    return registry is not None and registry.status is RegistryStatus.UP


@asynccontextmanager
async def talking(
    redis: FakeRedis, nodes: tuple[str, ...] = (), **changes: Any
) -> AsyncIterator[Engine]:
    """A running engine that knows that the registry answers, and has subscribed there."""
    supervises = changes.pop("supervises", True)
    coordinators = changes.pop("coordinators", ())
    settings = settings_for(nodes, coordinators, redis_url=redis.url, **changes)
    engine = Engine(settings, supervises=supervises)
    async with engine.running():
        await until(engine, lambda s: s.looked and is_up(engine))
        if supervises:
            await holds(lambda: bool(redis.subscribers and redis.asked(b"XREAD")))
        yield engine


async def holds(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.to_thread(lambda: None)


def told(redis: FakeRedis, channel: str) -> list[dict[str, Any]]:
    return [json.loads(content) for name, content in redis.published if name == channel.encode()]


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    return [message["event_type"] for message in messages]


def lines(engine: Engine) -> list[Entry]:
    return [entry for entry in engine.store.entries_after(0) if entry.area == "sollol"]


# Telling


async def test_a_request_is_told_to_the_channels_and_kept_in_the_stream() -> None:
    redis = FakeRedis()
    async with (
        redis.serving(),
        fakes.node() as node,
        talking(redis, (node.url,)) as engine,
    ):
        assert those(await asked(engine), Finished)
        await holds(lambda: len(told(redis, NODE_CHANNEL)) == 2)
        assert kinds(told(redis, EVENTS_CHANNEL)) == ["OLLAMA_NODE_SELECTED", "TASK_COMPLETE"]
        assert kinds(told(redis, NODE_CHANNEL)) == ["ollama_request", "ollama_response"]
        kept = [json.loads(e[b"event"]) for e in redis.streams[EVENTS_STREAM.encode()]]
        assert kept == told(redis, EVENTS_CHANNEL)
        assert "rivers" not in str(redis.published).lower(), "nobody is told what was asked"
        assert not lines(engine), "our own messages are no news to us"


async def test_a_failover_to_a_coordinator_is_told_as_fallback() -> None:
    redis = FakeRedis()
    async with (
        redis.serving(),
        fakes.node(models=["llama3.3:70b"]) as node,
        fakes.coordinator(model="llama3.3:70b", faults=Faults(cut_after=0)) as coordinator,
        talking(redis, (node.url,), coordinators=(coordinator.url,)) as engine,
    ):
        engine.choose_mode(Mode.MODEL)
        await asked(engine, question("llama3.3:70b"))
        await holds(lambda: len(told(redis, NODE_CHANNEL)) == 2)
        events = told(redis, EVENTS_CHANNEL)
        assert kinds(events) == [
            "ROUTE_DECISION",
            "TASK_COMPLETE",
            "FALLBACK_TRIGGERED",
            "OLLAMA_NODE_SELECTED",
            "TASK_COMPLETE",
        ]
        assert [e.get("success") for e in events] == [None, False, None, None, True]
        assert (events[2]["from_backend"], events[2]["backend"]) == ("rpc", "ollama")
        assert kinds(told(redis, COORDINATOR_CHANNEL)) == ["rpc_request", "rpc_error"]


@pytest.mark.parametrize("how", [{"publish": False}, {"read_only": True}, {"supervises": False}])
async def test_nothing_is_told_when_it_shall_not_be(how: dict[str, bool]) -> None:
    redis = FakeRedis({KEY: json.dumps(FOREIGN).encode()})
    async with redis.serving(), fakes.node() as node:
        async with talking(redis, (node.url,), **how) as engine:
            await asked(engine)
        assert not redis.published
        assert not redis.asked(b"SET")
        assert redis.data[KEY] == json.dumps(FOREIGN).encode()


async def test_a_redis_that_goes_and_comes_costs_no_answer_and_is_told_again() -> None:
    redis = FakeRedis()
    async with redis.serving(), fakes.node() as node, talking(redis, (node.url,)) as engine:
        await redis.stop()
        await until(engine, lambda _: not is_up(engine))
        assert those(await asked(engine), Finished)
        await redis.start()
        await until(engine, lambda _: is_up(engine))
        assert not redis.published
        assert those(await asked(engine), Finished)
        await holds(lambda: len(told(redis, NODE_CHANNEL)) == 2)
        redis.publish(EVENTS_CHANNEL.encode(), b"")  # before it is heard again
        await holds(lambda: bool(redis.subscribers))


async def test_a_redis_that_hangs_is_not_waited_for() -> None:
    redis = FakeRedis()
    async with redis.serving(), fakes.node() as node, talking(redis, (node.url,)) as engine:
        redis.overrides[b"PUBLISH"] = None
        async with asyncio.timeout(PATIENCE_S / 2):
            for _ in range(5):
                assert those(await asked(engine), Finished)


async def test_what_is_too_much_is_dropped_counted_and_said_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher, "MOST_QUEUED", 4)
    redis = FakeRedis()
    async with redis.serving(), fakes.node() as node, talking(redis, (node.url,)) as engine:
        redis.overrides[b"PUBLISH"] = None  # the queue does not move
        await asyncio.gather(*(asked(engine) for _ in range(5)))
        entries = engine.store.entries_after(0)
        assert sum("too many requests" in e.text for e in entries) == 1


async def test_our_part_of_the_metadata_is_renewed_beside_what_is_there_and_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher.Publisher.__init__, "__kwdefaults__", {"heartbeat_s": 0.05})
    redis = FakeRedis({KEY: json.dumps(FOREIGN).encode()})
    redis.ttl_s[KEY] = 3000
    async with redis.serving(), fakes.node() as node, talking(redis, (node.url,)) as engine:
        await holds(lambda: redis.asked(b"SET") >= 2)
        document = metadata(redis)
        assert document["rpc_backends"] == FOREIGN["rpc_backends"]
        assert document["extra"] == 1
        assert [n["url"] for n in document["nodes"]] == [node.url]
        assert redis.ttl_s[KEY] == 3000
        seen = redis.asked(b"SCAN")
        await holds(lambda: redis.asked(b"SCAN") >= seen + 2)
        (state,) = engine.store.snapshot.nodes
        assert state.sources == ("config",), "what we said ourselves is no source"
    assert metadata(redis) == FOREIGN
    assert redis.ttl_s[KEY] == 3000


def metadata(redis: FakeRedis) -> dict[str, Any]:
    content = redis.data[KEY]
    assert isinstance(content, bytes)
    return dict(json.loads(content))


# Hearing


async def test_what_others_publish_becomes_lines_and_comes_once_by_both_ways() -> None:
    redis = FakeRedis()
    async with redis.serving(), talking(redis) as engine:
        event = {"event_type": "ROUTE_DECISION", "model": "m", "backend": "rpc", "instance_id": "x"}
        content = json.dumps(event).encode()
        redis.publish(EVENTS_CHANNEL.encode(), content)
        redis.add_entry(EVENTS_STREAM.encode(), {b"event": content})
        redis.publish(LOG_CHANNEL.encode(), b"load_tensors: \x1b[1mdone")
        redis.add_entry(EVENTS_STREAM.encode(), {b"event": b'{"event_type":"only in the stream"}'})
        await until(engine, lambda _: len(lines(engine)) >= 3)
        assert sorted(entry.text for entry in lines(engine)) == [
            "ROUTE_DECISION · m → rpc",
            "llama.cpp · load_tensors: [1mdone",
            "only in the stream",
        ]


async def test_a_flood_is_some_lines_and_how_many_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "SUMMED_UP_AFTER_S", 0.2)
    redis = FakeRedis()
    async with redis.serving(), talking(redis) as engine:
        for number in range(500):
            content = json.dumps({"event": f"flood {number}"}).encode()
            redis.publish(NODE_CHANNEL.encode(), content)
            redis.publish(LOG_CHANNEL.encode(), b"line %d" % number)
        await until(engine, lambda _: shown_and_more(engine)[1] > 0)
        await holds(lambda: sum(shown_and_more(engine)) == 1000)
        shown, more = shown_and_more(engine)
        assert shown < more


def shown_and_more(engine: Engine) -> tuple[int, int]:
    """Lines that were shown, and how many more are said to have come."""
    texts = [entry.text for entry in lines(engine)]
    more = [int(text.split()[1]) for text in texts if text.startswith("… ")]
    return len(texts) - len(more), sum(more)


async def test_a_read_only_screen_listens_and_says_nothing() -> None:
    redis = FakeRedis()
    async with redis.serving(), talking(redis, read_only=True) as engine:
        redis.publish(NODE_CHANNEL.encode(), b'{"event_type":"ollama_error","severity":"error"}')
        await until(engine, lambda _: bool(lines(engine)))
        assert lines(engine)[0].level == "error"


async def test_a_redis_that_refuses_both_is_said_once_each_and_the_rest_works() -> None:
    redis = FakeRedis()
    redis.overrides[b"SUBSCRIBE"] = b"-NOPERM no permissions\r\n"
    redis.overrides[b"PUBLISH"] = b"-NOPERM no permissions\r\n"
    async with redis.serving(), fakes.node() as node:
        settings = settings_for((node.url,), redis_url=redis.url)
        engine = Engine(settings)
        async with engine.running():
            await until(engine, lambda s: s.looked and is_up(engine))
            for _ in range(3):
                assert those(await asked(engine), Finished)
            await holds(lambda: len(complaints(engine)) == 2)
        assert len(complaints(engine)) == 2


def complaints(engine: Engine) -> list[str]:
    return [e.text for e in engine.store.entries_after(0) if "not authorized" in e.text]
