"""Servers that play scripted bytes on loopback, and remember what they were asked.

    async with serving({"/api/tags": answer(200, b"{}"), "/api/ps": hang}) as server:
        … server.url, server.seen …

What is played for a path is either bytes (sent as they are, then the connection is closed) or a
`Play`, a coroutine function that gets the `Visit`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import NamedTuple, TypeAlias

from tests.samples import http_answer


class Seen(NamedTuple):
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Visit:
    """One request that is being answered."""

    def __init__(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.seen = seen
        self.stays = False  # the connection is kept for the next request
        self.number = 0  # how many requests this connection had before
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def gone(self) -> None:
        """Wait until the client has closed its side."""
        while await self._reader.read(65536):
            pass

    def abort(self) -> None:
        """Close with a reset, what was not sent is lost."""
        self._writer.transport.abort()


Play: TypeAlias = Callable[[Visit], Awaitable[None]]
Script: TypeAlias = Mapping[str, bytes | Play] | bytes | Play


class Canned:
    """A running server."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[Seen] = []
        self.connections = 0
        self.asked = asyncio.Event()  # a request came
        self.left = asyncio.Event()  # a client closed a connection that was being answered

    def paths(self) -> list[str]:
        return [seen.path for seen in self.seen]


def answer(status: int, body: bytes, content_type: str = "application/json") -> Play:
    """Answer with a status and a body; the connection stays open for more."""
    return plays(http_answer(status, body, content_type), stays=True)


def plays(*parts: bytes | Play, stays: bool = False) -> Play:
    """One part after the other."""

    async def play(visit: Visit) -> None:
        for part in parts:
            await (visit.send(part) if isinstance(part, bytes) else part(visit))
        visit.stays = stays

    return play


async def hang(visit: Visit) -> None:
    """Say nothing (more) until the client leaves."""
    await visit.gone()


async def cut(visit: Visit) -> None:
    """Break the connection off with a reset."""
    visit.abort()


def drip(data: bytes, every_s: float) -> Play:
    """Send byte by byte until the client leaves."""

    async def play(visit: Visit) -> None:
        gone = asyncio.create_task(visit.gone())
        for at in range(len(data)):
            await visit.send(data[at : at + 1])
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(gone), every_s)
            if gone.done():
                return
        gone.cancel()

    return play


@asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Canned]:
    """A server that plays the script until the end of the block."""
    visits: set[asyncio.Task[None]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        visits.add(task)
        task.add_done_callback(visits.discard)
        canned.connections += 1
        with suppress(OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            await _answer_all(canned, script, reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    farewell_s = 0.1 if tls else None
    server = await asyncio.start_server(
        welcome, "127.0.0.1", 0, ssl=tls, ssl_shutdown_timeout=farewell_s
    )
    port = server.sockets[0].getsockname()[1]
    canned = Canned(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    try:
        yield canned
    finally:
        server.close()
        for visit in list(visits):
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        await server.wait_closed()


@contextmanager
def refusing() -> Iterator[str]:
    """The URL of a port where nothing listens, and nothing will during the block."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a port that accepts connections (the system does) and never answers."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(100)
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def black_hole() -> Iterator[str]:
    """The URL of a port whose connection requests get no answer: its accept queue is full."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen(0)
        place = held.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(place)
        yield f"http://127.0.0.1:{place[1]}"
        for one in waiting:
            one.close()


async def _answer_all(
    canned: Canned, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    number = 0
    while True:
        seen = await _request(reader)
        canned.seen.append(seen)
        canned.asked.set()
        visit = Visit(seen, reader, writer)
        visit.number, number = number, number + 1
        part = script.get(seen.path.partition("?")[0]) if isinstance(script, Mapping) else script
        play = part if callable(part) else plays(part or http_answer(404, b"404 page not found"))
        try:
            await play(visit)
        except OSError:  # the client left while we wrote
            canned.left.set()
            return
        if reader.at_eof():
            canned.left.set()
        if not visit.stays:
            return


async def _request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *rest = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, path, headers, body)
