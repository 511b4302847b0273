"""Streams are read in gulps: the first token at once, what follows at a bounded rate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import httpcore
import pytest

from sollol_tui.core.asks import Token
from sollol_tui.core.streams import OllamaStream
from sollol_tui.io import http as http_module
from sollol_tui.io.http import Http, Server
from sollol_tui.io.paced import PacedStream
from tests.io.canned import Visit, hang, plays, serving
from tests.samples import chunk, chunked_answer

AN_HOUR_S = 3600.0
NOTHING = b'{"message":{"content":""}}\n'
TOKEN = b'{"message":{"content":"a"}}\n'


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    made = Http()
    yield made
    await made.aclose()


class Source(httpcore.AsyncNetworkStream):
    """Always has something to read, and counts how often it is read."""

    def __init__(self, data: bytes = b"x") -> None:
        self.data = data
        self.reads = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.reads += 1
        return self.data[:max_bytes]


async def reads_within_some_turns(stream: PacedStream, source: Source) -> int:
    reading = asyncio.create_task(stream.read(10))
    for _ in range(10):
        await asyncio.sleep(0)
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading
    return source.reads


async def test_without_a_pace_every_read_is_made_at_once() -> None:
    source = Source()
    stream = PacedStream(source)
    assert await stream.read(10) == b"x"
    assert await reads_within_some_turns(stream, source) == 2


async def test_a_paced_read_waits_until_the_last_one_is_long_enough_ago() -> None:
    source = Source()
    stream = PacedStream(source)
    stream.gap_s = AN_HOUR_S
    assert await stream.read(10) == b"x"
    assert await reads_within_some_turns(stream, source) == 1


async def test_more_than_one_read_can_hold_is_not_held_up() -> None:
    source = Source(b"x" * 100)
    stream = PacedStream(source)
    stream.gap_s = AN_HOUR_S
    assert await stream.read(10) == b"x" * 10
    assert await reads_within_some_turns(stream, source) == 2


async def test_the_first_token_comes_at_once_and_the_next_ones_at_the_pace(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "READ_EVERY_S", AN_HOUR_S)
    told, sent = asyncio.Event(), asyncio.Event()

    async def beginning(visit: Visit) -> None:
        await visit.send(chunk(NOTHING))
        await visit.send(chunk(TOKEN))
        await told.wait()
        await visit.send(chunk(TOKEN))
        sent.set()

    async with (
        serving(plays(chunked_answer(), beginning, hang)) as canned,
        aclosing(http.stream(Server(canned.url), "/", {}, OllamaStream())) as stream,
    ):
        assert await anext(stream) == Token("a")
        following = asyncio.ensure_future(anext(stream))
        told.set()
        await sent.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not following.done()
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
