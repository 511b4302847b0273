"""Hearing what SOLLOL programs publish: each message once, and the end of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.foreign_events import CHANNELS
from sollol_tui.core.registry_events import EVENTS_CHANNEL, EVENTS_STREAM
from sollol_tui.io.registry_listen import Heard, RegistryListener
from tests.io.fake_redis import FakeRedis

STREAM = EVENTS_STREAM.encode()


class Ears:
    """What was heard, and a way to wait for it."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self._more = asyncio.Event()

    def hear(self, heard: Heard) -> None:
        self.heard.append(heard)
        self._more.set()

    async def until(self, count: int) -> list[Heard]:
        async with asyncio.timeout(5):
            while len(self.heard) < count:
                self._more.clear()
                await self._more.wait()
        return self.heard


@asynccontextmanager
async def listening(
    redis: FakeRedis, listener: RegistryListener | None = None
) -> AsyncIterator[tuple[Ears, asyncio.Task[Fault]]]:
    """A listener that has subscribed and waits at the stream's end."""
    ears = Ears()
    listener = listener or RegistryListener(redis.url)
    seen = redis.asked(b"XREAD")
    task = asyncio.create_task(listener.listen(ears.hear))
    async with asyncio.timeout(5):
        while not redis.subscribers or redis.asked(b"XREAD") == seen:
            await asyncio.to_thread(lambda: None)
    yield ears, task
    task.cancel()
    await asyncio.wait({task})
    await listener.aclose()


async def test_messages_of_every_channel_and_new_entries_of_the_stream_are_heard() -> None:
    redis = FakeRedis()
    redis.streams[STREAM] = [{b"event": b"old"}]
    async with redis.serving(), listening(redis) as (ears, _):
        for channel in CHANNELS:
            redis.publish(channel.encode(), b"said")
        redis.add_entry(STREAM, {b"event": b"entered", b"other": b"x"})
        redis.add_entry(STREAM, {b"no": b"event"})
        redis.add_entry(STREAM, {b"event": b"last"})
        heard = await ears.until(len(CHANNELS) + 2)
    assert {h for h in heard if h.channel != EVENTS_STREAM} == {Heard(c, b"said") for c in CHANNELS}
    assert [h.content for h in heard if h.channel == EVENTS_STREAM] == [b"entered", b"last"]


async def test_hearing_nothing_asks_nothing() -> None:
    redis = FakeRedis()
    async with redis.serving(), listening(redis):
        asked = len(redis.commands)
        for _ in range(20):
            await asyncio.to_thread(lambda: None)
        assert len(redis.commands) == asked
        assert redis.connections == 2


async def test_when_the_server_goes_the_reason_is_returned_and_the_stream_goes_on_there() -> None:
    redis = FakeRedis()
    redis.streams[STREAM] = [{b"event": b"old"}]
    async with redis.serving():
        listener = RegistryListener(redis.url)
        async with listening(redis, listener) as (_, task):
            redis.drop_connections()
            fault = await asyncio.wait_for(task, 5)
            assert fault.kind is FaultKind.CUT
        redis.streams[STREAM].append({b"event": b"meanwhile"})
        async with listening(redis, listener) as (ears, _):
            assert await ears.until(1) == [Heard(EVENTS_STREAM, b"meanwhile")]


async def test_a_stream_that_cannot_be_read_leaves_the_channels() -> None:
    redis = FakeRedis()
    redis.overrides[b"XREVRANGE"] = b"-WRONGTYPE Operation against a key\r\n"
    async with redis.serving():
        ears, listener = Ears(), RegistryListener(redis.url)
        task = asyncio.create_task(listener.listen(ears.hear))
        async with asyncio.timeout(5):
            while not redis.subscribers:
                await asyncio.to_thread(lambda: None)
        redis.publish(EVENTS_CHANNEL.encode(), b"said")
        assert await ears.until(1) == [Heard(EVENTS_CHANNEL, b"said")]
        task.cancel()
        await asyncio.wait({task})
        await listener.aclose()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"-NOPERM this user has no permissions\r\n", FaultKind.UNAUTHORIZED),
        (b"-ERR unknown command 'SUBSCRIBE'\r\n", FaultKind.SERVER),
    ],
)
async def test_a_redis_that_refuses_is_a_fault(answer: bytes, kind: FaultKind) -> None:
    redis = FakeRedis()
    redis.overrides[b"SUBSCRIBE"] = answer
    async with redis.serving():
        listener = RegistryListener(redis.url)
        fault = await asyncio.wait_for(listener.listen(Ears().hear), 5)
        assert fault.kind is kind
        await listener.aclose()
