"""A connection of its own for each streamed answer, read at a bounded rate.

A server sends every token in a packet of its own. Reading each one wakes the whole program, from
the event loop to the screen; a person sees no difference between twenty reads a second and a
hundred. What comes between two reads waits in the kernel, and is read in one piece.

httpx's own transport keeps a pool, and looks for names and for several addresses at once, also
where the address is a number: half a millisecond before the first byte of a request is sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpcore
import httpx

# Named alike in both libraries.
_FAILURES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class PacedStream(httpcore.AsyncNetworkStream):
    """A connection. Reads begin at least `gap_s` seconds after the last one brought something.

    What is written goes out with the next read, so that a request is one packet if it fits.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._unsent = bytearray()
        self._read_s = -math.inf  # when a read last brought all there was
        self.gap_s = 0.0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._unsent:
            await self._send()
        if (left_s := self._read_s + self.gap_s - time.monotonic()) > 0:
            await asyncio.sleep(left_s)
        data = await self._stream.read(max_bytes, timeout)
        is_all = len(data) < max_bytes  # else more waits, and must not be held up
        self._read_s = time.monotonic() if is_all else -math.inf
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._unsent += buffer

    async def _send(self) -> None:
        unsent, self._unsent = bytes(self._unsent), bytearray()
        with suppress(httpcore.WriteError):  # it may have said why before it closed
            await self._stream.write(unsent)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class PacedTransport(httpx.AsyncBaseTransport):
    """One new connection per request, which can be read at a pace (see `pace`)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        target = httpcore.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        asked = httpcore.Request(
            request.method,
            target,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connect_s = request.extensions.get("timeout", {}).get("connect")
        with _as_httpx(request):
            stream = await _connected(target.origin, self._context, connect_s)
            connection = httpcore.AsyncHTTP11Connection(target.origin, PacedStream(stream))
            answer = await connection.handle_async_request(asked)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, connection, request),
            extensions=answer.extensions,
        )


class _Body(httpx.AsyncByteStream):
    """What comes of an answer; its connection ends with it."""

    def __init__(
        self,
        answer: httpcore.Response,
        connection: httpcore.AsyncHTTP11Connection,
        request: httpx.Request,
    ) -> None:
        self._answer = answer
        self._connection = connection
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx(self._request):
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._connection.aclose()


class _Socket(httpcore.AsyncNetworkStream):
    """A plain TCP connection without a buffer of its own."""

    def __init__(self, own: socket.socket) -> None:
        self._socket = own
        self._loop = asyncio.get_running_loop()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return await self._loop.sock_recv(self._socket, max_bytes)
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            await self._loop.sock_sendall(self._socket, buffer)
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._socket.close()


def pace(response: httpx.Response, gap_s: float) -> None:
    """Read what still comes of an answer at most once in so many seconds."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, PacedStream):
        stream.gap_s = gap_s


async def _connected(
    origin: httpcore.Origin, context: ssl.SSLContext, within_s: float | None
) -> httpcore.AsyncNetworkStream:
    host, is_secure = origin.host.decode("ascii"), origin.scheme == b"https"
    family = None if is_secure else _family(host)
    if family is not None:
        return _Socket(await _dialled(family, (host, origin.port), within_s))
    stream = await httpcore.AnyIOBackend().connect_tcp(host, origin.port, within_s)
    if not is_secure:
        return stream
    try:
        return await stream.start_tls(context, host, within_s)
    except BaseException:
        await stream.aclose()
        raise


async def _dialled(
    family: socket.AddressFamily, address: tuple[str, int], within_s: float | None
) -> socket.socket:
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setblocking(False)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        async with asyncio.timeout(within_s):
            await asyncio.get_running_loop().sock_connect(own, address)
    except TimeoutError as error:
        own.close()
        raise httpcore.ConnectTimeout(str(error)) from error
    except OSError as error:
        own.close()
        raise httpcore.ConnectError(str(error)) from error
    except BaseException:
        own.close()
        raise
    return own


def _family(host: str) -> socket.AddressFamily | None:
    """The family of an address; None for names, and for addresses of one network card only."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return socket.AF_INET
    return None if address.scope_id else socket.AF_INET6


@contextmanager
def _as_httpx(request: httpx.Request) -> Iterator[None]:
    """Failures as httpx would raise them."""
    try:
        yield
    except _FAILURES as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error), request=request) from error
