"""Connections that are read at a bounded rate: what comes meanwhile is read in one piece.

A server sends every token in a packet of its own. Reading each one wakes the whole program, from
the event loop to the screen; a person sees no difference between twenty reads a second and a
hundred. The kernel keeps what waits.
"""

from __future__ import annotations

import asyncio
import math
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)


class PacedStream(httpcore.AsyncNetworkStream):
    """A connection. Reads begin at least `gap_s` seconds after the last one brought something."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._read_s = -math.inf  # when a read last brought all there was
        self.gap_s = 0.0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if (left_s := self._read_s + self.gap_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        data = await self._stream.read(max_bytes, timeout)
        is_all = len(data) < max_bytes  # else more waits, and must not be held up
        self._read_s = time.monotonic() if is_all else -math.inf
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return PacedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.AnyIOBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await super().connect_tcp(host, port, timeout, local_address, socket_options)
        return PacedStream(stream)


class PacedTransport(httpx.AsyncHTTPTransport):
    """One new connection per request, which can be read at a pace (see `pace`)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(verify=context)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=None,
            max_keepalive_connections=0,
            network_backend=_Backend(),
        )


def pace(response: httpx.Response, gap_s: float) -> None:
    """Read what still comes of an answer at most once in so many seconds."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, PacedStream):
        stream.gap_s = gap_s
