"""HTTP/1.1 on asyncio and h11: keep-alive, chunked answers, and every way to fail on request."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, cast

import h11

from sollol_tui.demo.faults import Faults
from sollol_tui.demo.listener import HOST, Listener
from sollol_tui.demo.waiting import Signal

KEPT_REQUESTS = 1000

Headers = tuple[tuple[str, str], ...]


class Request(NamedTuple):
    """A request as it came. Header names are in lower case, the path is without its query."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, or None."""
        return next((value for key, value in self.headers if key == name.lower()), None)

    def json(self) -> Any:
        """The body, decoded. Raises `ValueError`."""
        return json.loads(self.body)


class Exchange:
    """One request and the way to answer it: `answer`, or `open`, `send` … `end`, or `cut`."""

    def __init__(self, connection: Connection, request: Request) -> None:
        self.request = request
        self._connection = connection

    async def answer(self, status: int, body: bytes, headers: Headers = ()) -> None:
        """Send a whole answer."""
        head = self._head(status, headers, ("Content-Length", str(len(body))))
        if self.request.method == "HEAD":
            await self._connection.send(head, h11.EndOfMessage())
        else:
            await self._connection.send(head, h11.Data(data=body), h11.EndOfMessage())

    async def open(self, status: int, headers: Headers = ()) -> None:
        """Begin a chunked answer."""
        head = self._head(status, headers, ("Transfer-Encoding", "chunked"))
        await self._connection.send(head)

    async def send(self, data: bytes) -> None:
        """Send one chunk."""
        await self._connection.send(h11.Data(data=data))

    async def end(self) -> None:
        """End a chunked answer properly."""
        await self._connection.send(h11.EndOfMessage())

    async def cut(self) -> None:
        """Break the connection off: what was sent arrives, the rest never comes."""
        self._connection.close()
        await asyncio.Event().wait()  # the lost connection cancels this task

    def _head(self, status: int, headers: Headers, framing: tuple[str, str]) -> h11.Response:
        first, last = self._connection.server.usual_headers()
        every = (*first, *headers, *last, framing, *self._connection.life())
        reason = _REASONS.get(status, b"")
        return h11.Response(status_code=status, headers=_raw(every), reason=reason)


class Connection(asyncio.Protocol):
    """One client: its requests one after the other, each answered in a task of its own."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self._h11 = h11.Connection(h11.SERVER)
        self._head: h11.Request | None = None
        self._body = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._idle: asyncio.TimerHandle | None = None
        self._served = 0

    # What the socket says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()
        self.server.connections.add(self)
        if self.server.gone:  # it was accepted a moment before
            self._transport.abort()
        else:
            self._wait_for_request()

    def data_received(self, data: bytes) -> None:
        self._h11.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        return False  # a client that stops sending has left: close, which cancels its request

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        self._forget_timer()
        if self._task is not None:
            self._task.cancel()
        self.server.connections.discard(self)
        self.server.signal.tell()

    # What the answers do.

    async def send(self, *events: h11.Event) -> None:
        """Write events as one piece, waiting while the client does not read."""
        data = b"".join(self._h11.send(event) or b"" for event in events)
        drip_s = self.server.faults.drip_s
        step = 1 if drip_s else max(len(data), 1)
        for start in range(0, len(data), step):
            self._transport.write(data[start : start + step])
            await self._writable.wait()
            if drip_s:
                await asyncio.sleep(drip_s)

    def life(self) -> Headers:
        """The header that says what becomes of the connection after this answer."""
        closing = self._h11.their_state is h11.MUST_CLOSE
        if closing or self.server.keep_alive is None:
            return ()  # h11 says `close` where it must
        timeout_s, most = self.server.keep_alive
        if self._served >= most:
            return (("Connection", "close"),)
        return (("Keep-Alive", f"timeout={timeout_s:g}, max={most}"),)

    def close(self) -> None:
        """Send what is written, then close."""
        if not self._transport.get_write_buffer_size():
            with suppress(OSError):  # at once: the loop would close it a turn later
                self._transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # From request to request.

    def _advance(self) -> None:
        try:
            while (event := self._h11.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                self._take(event)
        except h11.RemoteProtocolError:
            self._transport.write(_BAD_REQUEST)
            self._transport.close()

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Request):
            self._forget_timer()
            self._head = event
            self._body.clear()
        elif isinstance(event, h11.Data):
            self._body += event.data
        elif isinstance(event, h11.EndOfMessage):
            self._begin()

    def _begin(self) -> None:
        assert self._head is not None
        self._served += 1
        exchange = Exchange(self, _request(self._head, bytes(self._body)))
        self._task = asyncio.get_running_loop().create_task(self.server.serve(exchange))
        self.server.tasks.add(self._task)
        self._task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self.server.tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            self.server.bug(bug)
            self._transport.abort()
        elif self._transport.is_closing():
            return
        elif self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
            self._wait_for_request()
            self._advance()  # the next request may be here already
        else:
            self._transport.close()

    def _wait_for_request(self) -> None:
        if self.server.keep_alive is not None:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self.server.keep_alive[0], self._transport.close)

    def _forget_timer(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None


class HttpServer(ABC):
    """A server on loopback whose faults can be switched while it runs."""

    keep_alive: tuple[float, int] | None = None  # seconds idle, requests; None: for ever

    def __init__(self, faults: Faults) -> None:
        self.requests: list[Request] = []
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.in_flight = 0  # requests for an answer of a model that have not ended
        self.signal = Signal()
        self.alive = False
        self.on_death: Callable[[], None] | None = None
        self.port = 0
        self._faults = faults
        self._listener = Listener(lambda: Connection(self))
        self._bugs: list[BaseException] = []

    @property
    def gone(self) -> bool:
        """Whether nobody may be connected."""
        return self.faults.refuse or not self.alive

    @property
    def url(self) -> str:
        """Where the server listens."""
        return f"http://{HOST}:{self.port}"

    @property
    def faults(self) -> Faults:
        """What is broken; set it to break or mend."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        refused, self._faults = self._faults.refuse, faults
        if self.alive and faults.refuse and not refused:
            self._vanish()
        elif self.alive and refused and not faults.refuse:
            self._listener.open(self.port)
        self.signal.tell()

    async def start(self, port: int = 0) -> None:
        """Listen on `port` (0: any free one). Raises `OSError` when it is taken."""
        self.port = self._listener.open(port)
        self.alive = True
        if self.faults.refuse:
            self._listener.shut()

    async def stop(self) -> None:
        """Close everything. Raises what went wrong in a handler: a bug of the server."""
        self.alive = False
        self._listener.shut()
        await self._listener.settled()
        for connection in tuple(self.connections):
            connection.abort()
        await self.signal.until(lambda: not self.connections)
        await asyncio.gather(*self.tasks, return_exceptions=True)  # `bug` keeps what they raised
        if self._bugs:
            raise self._bugs[0]

    def die(self) -> None:
        """Go as a killed process goes: nothing listens, every connection closes."""
        if not self.alive:
            return
        self.alive = False
        self._vanish()
        self.signal.tell()
        if self.on_death is not None:
            self.on_death()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()`: looked at with each request, token, end and change of faults."""
        await self.signal.until(holds)

    async def serve(self, exchange: Exchange) -> None:
        """Record a request and answer it, or hang."""
        if len(self.requests) >= KEPT_REQUESTS:
            del self.requests[: KEPT_REQUESTS // 2]
        self.requests.append(exchange.request)
        self.signal.tell()
        await self.until(lambda: not self.faults.hang)
        await self.handle(exchange)

    @abstractmethod
    async def handle(self, exchange: Exchange) -> None:
        """Answer one request."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one request as in flight."""
        self.in_flight += 1
        self.signal.tell()
        try:
            yield
        finally:
            self.in_flight -= 1
            self.signal.tell()

    def usual_headers(self) -> tuple[Headers, Headers]:
        """The headers of every answer: those before and those after its own."""
        return (), ()

    def bug(self, error: BaseException) -> None:
        """Keep an exception that a handler raised, for `stop`, and tell it at once."""
        self._bugs.append(error)
        context = {"message": f"{type(self).__name__} failed", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)

    def _vanish(self) -> None:
        self._listener.shut()
        for connection in tuple(self.connections):
            connection.close()


def json_bytes(value: object) -> bytes:
    """JSON as the servers write it: no spaces, no escapes for what UTF-8 can say."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def http_date(at_s: float) -> str:
    """A time as the `Date` header has it."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(at_s))


def _request(head: h11.Request, body: bytes) -> Request:
    path, _, query = head.target.decode("ascii").partition("?")
    headers = tuple((key.decode("ascii"), value.decode("latin-1")) for key, value in head.headers)
    return Request(head.method.decode("ascii"), path, query, headers, body)


def _raw(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(key.encode("ascii"), value.encode("latin-1")) for key, value in headers]


_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_REASONS = {
    200: b"OK",
    301: b"Moved Permanently",
    400: b"Bad Request",
    401: b"Unauthorized",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    503: b"Service Unavailable",
}
