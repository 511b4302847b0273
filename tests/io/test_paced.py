"""Streams have a connection of their own: the first token comes at once, the rest in gulps."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress

import httpcore
import httpx
import pytest

from sollol_tui.core.asks import Broken, End, Token, Usage
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.streams import OllamaStream
from sollol_tui.io import http as http_module
from sollol_tui.io import paced
from sollol_tui.io.http import Http, Server
from sollol_tui.io.paced import PacedStream
from tests.io.canned import Visit, black_hole, hang, plays, refusing, serving, silent
from tests.samples import chunk, chunked_answer

AN_HOUR_S = 3600.0
NOTHING = b'{"message":{"content":""}}\n'
TOKEN = b'{"message":{"content":"a"}}\n'
DONE = b'{"done":true}\n'


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
        self.written = list[bytes]()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self.reads += 1
        return self.data[:max_bytes]

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self.written.append(buffer)


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


async def test_a_request_is_sent_in_one_piece() -> None:
    source = Source()
    stream = PacedStream(source)
    await stream.write(b"head ")
    await stream.write(b"body")
    assert source.written == []
    assert await stream.read(10) == b"x"
    assert await stream.read(10) == b"x"
    assert source.written == [b"head body"]


async def fault_in(http: Http, url: str) -> FaultKind:
    [last] = [event async for event in http.stream(Server(url), "/", {}, OllamaStream())]
    assert isinstance(last, Broken)
    return last.fault.kind


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_stream_that_is_refused_says_so(http: Http, host: str) -> None:
    with refusing() as url:
        assert await fault_in(http, url.replace("127.0.0.1", host)) is FaultKind.REFUSED


async def test_a_stream_whose_connection_is_not_answered_says_so(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_STREAM_TIMEOUT", httpx.Timeout(None, connect=0.05))
    with black_hole() as url:
        assert await fault_in(http, url) is FaultKind.UNREACHABLE


async def test_a_stream_over_tls_that_is_not_shaken_hands_on_says_so(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_STREAM_TIMEOUT", httpx.Timeout(None, connect=0.05))
    with silent() as url:
        assert await fault_in(http, url.replace("http:", "https:")) is FaultKind.TLS


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_stream_comes_from_an_address_and_from_a_name(http: Http, host: str) -> None:
    async with serving(plays(chunked_answer(TOKEN, DONE))) as canned:
        url = canned.url.replace("127.0.0.1", host)
        events = [event async for event in http.stream(Server(url), "/", {}, OllamaStream())]
        assert events == [Token("a"), End("stop", Usage())]


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("10.0.0.7", socket.AF_INET),
        ("fd00::7", socket.AF_INET6),
        ("fe80::7%eth0", None),
        ("gpu-rig", None),
    ],
)
def test_only_a_plain_address_needs_no_looking_up(
    host: str, family: socket.AddressFamily | None
) -> None:
    assert paced._family(host) is family
