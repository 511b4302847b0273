"""HTTP to the servers of a cluster: one client per server, every failure a `Fault`.

Requests that look have one total deadline (httpx's own time limits start anew with every read).
Streams have none but for connecting: whoever reads watches the progress.
"""

from __future__ import annotations

import asyncio
import errno
import importlib
import importlib.util
import json
import socket
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from typing import NamedTuple, TypedDict

import httpx

from sollol_tui.core.asks import Broken, StreamEvent, Thought, Token
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.settings import Headers
from sollol_tui.core.streams import AnswerReader, LineParser
from sollol_tui.core.wire import fault_of_code, one_line, parse_json, said_by
from sollol_tui.io.paced import PacedTransport, pace

# httpcore tries `import sniffio` six times per request. Where it is not installed (anyio brings it
# no longer) each try searches the whole path: a third of the CPU time of a look. Remember it.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]  # the documented "not there"

# httpx loads these with its first request, 60 ms on the loop's thread. This module is imported in
# another thread, so they come with it.
for _name in ("httpcore", "anyio._backends._asyncio", "anyio.streams.tls"):
    with suppress(ImportError):
        importlib.import_module(_name)

READ_EVERY_S = 0.06  # a stream, from its first token on
CONNECT_S = 3.0  # for a stream: one repeated SYN fits in
CONNECT_SHARE = 0.75  # of the time to look: what it takes longer to connect is not reachable
REFUSAL_S = 5.0  # to read why a stream was refused
LARGEST_ANSWER_BYTES = 16 * 1024 * 1024
IDLE_S = 30.0  # an unused connection is kept so long
IDLE_CONNECTIONS = 3  # as many as one look uses at once

_LOOKS = httpx.Limits(
    max_connections=None, max_keepalive_connections=IDLE_CONNECTIONS, keepalive_expiry=IDLE_S
)
_STREAM_TIMEOUT = httpx.Timeout(None, connect=CONNECT_S)

# What a server or the way to it can do to a request. Anything else is a bug and stays raised.
EXPECTED = (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError)


class Server(NamedTuple):
    """Where a server is and what it wants with every request."""

    url: str  # scheme, host, port and base path, no trailing slash
    headers: Headers = ()
    ca_file: str = ""  # trusted certificates for https; empty: the system's


class Reply(NamedTuple):
    """A whole answer."""

    status: int
    body: bytes
    headers: httpx.Headers
    elapsed_ms: float

    @property
    def json(self) -> object:
        """The body as JSON; None when it is none."""
        return parse_json(self.body)

    @property
    def fault(self) -> Fault:
        """What this answer means when it is not the one that was hoped for."""
        if self.status < 300:
            return Fault(FaultKind.PROTOCOL, said_by(self.body) or "an empty answer")
        if self.status < 400:
            where = one_line(self.headers.get("location", ""))
            return Fault(FaultKind.PROTOCOL, f"a redirect to {where}" if where else "a redirect")
        return fault_of_status(self.status, self.body, self.headers.get("retry-after", ""))


class Http:
    """The program's HTTP: a client per server, made when first asked for, closed together.

    Belongs to one event loop. Making httpx's default TLS context costs 20 to 111 ms, so servers
    spoken to over http share an empty one, and https ones share one per CA file.
    """

    def __init__(self) -> None:
        self._clients: dict[tuple[Server, bool], httpx.AsyncClient] = {}
        self._contexts: dict[str | None, ssl.SSLContext] = {}

    def client(self, server: Server) -> httpx.AsyncClient:
        """The client that looks at the server; it keeps connections for the next look.

        Raises `OSError` when the server's CA file cannot be read.
        """
        return self._client(server, keeps=True)

    async def aclose(self) -> None:
        """Close every connection."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    async def call(
        self, server: Server, path: str, within_s: float | None, body: object = None
    ) -> Reply | Fault:
        """GET the path, or POST a body as JSON to it; the whole answer within the time, or why not.

        No `within_s`: as long as it takes, once connected. Any status is a `Reply`.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._call(server, path, within_s, body)
        except (TimeoutError, *EXPECTED) as error:
            return fault_of(error)

    async def stream(
        self, server: Server, path: str, body: object, parser: LineParser, so_far: str = ""
    ) -> AsyncGenerator[StreamEvent, None]:
        """POST a body and yield what the parser makes of the answer, token by token.

        The last event is `End` or `Broken`; an expected failure is never raised. `so_far` is the
        text that was handed over with the request: its repetition is left out. Closing the
        generator closes the connection, which ends the work on the server.
        """
        reader = AnswerReader(parser, so_far)
        try:
            client = self._client(server, keeps=False)
            async with client.stream("POST", path, **_posted(body, _STREAM_TIMEOUT)) as answer:
                if answer.status_code != 200:
                    reader.break_off(await _refusal(answer))
                else:
                    async for chunk in answer.aiter_bytes():
                        for event in reader.feed(chunk):
                            if isinstance(event, Token | Thought):
                                pace(answer, READ_EVERY_S)
                            yield event
                        if reader.last is not None:
                            break
                    else:
                        for event in reader.finish():
                            yield event
        except EXPECTED as error:
            reader.break_off(fault_of(error))
        yield reader.last or Broken(Fault(FaultKind.CUT))

    async def _call(
        self, server: Server, path: str, within_s: float | None, body: object
    ) -> Reply | Fault:
        started = time.perf_counter()
        client = self.client(server)
        connect_s = CONNECT_S if within_s is None else within_s * CONNECT_SHARE
        timeout = httpx.Timeout(None, connect=connect_s)
        if body is None:
            response = await _get(client, client.build_request("GET", path, timeout=timeout))
        else:
            request = client.build_request("POST", path, **_posted(body, timeout))
            response = await client.send(request, stream=True)
        try:
            whole = await _whole_body(response)
        finally:
            await response.aclose()
        if whole is None:
            return Fault(FaultKind.PROTOCOL, f"an answer over {LARGEST_ANSWER_BYTES} bytes")
        elapsed_ms = (time.perf_counter() - started) * 1000
        return Reply(response.status_code, whole, response.headers, elapsed_ms)

    def _client(self, server: Server, keeps: bool) -> httpx.AsyncClient:
        client = self._clients.get((server, keeps))
        if client is None:
            context = self._context(server)
            client = httpx.AsyncClient(
                base_url=server.url,
                headers=_headers(server.headers),
                verify=context,
                limits=_LOOKS,
                transport=None if keeps else PacedTransport(context),
                trust_env=False,  # no proxy between us and the cluster but the one written down
            )
            self._clients[server, keeps] = client
        return client

    def _context(self, server: Server) -> ssl.SSLContext:
        ca_file = server.ca_file if server.url.startswith("https:") else None
        context = self._contexts.get(ca_file)
        if context is None:
            context = _bare_context() if ca_file is None else _trusting(ca_file)
            self._contexts[ca_file] = context
        return context


async def nothing_sent(why: str) -> AsyncGenerator[StreamEvent, None]:
    """The stream of a request that is not worth sending."""
    yield Broken(Fault(FaultKind.BAD_REQUEST, why))


def fault_of(error: Exception) -> Fault:
    """What an exception of httpx, anyio, ssl or the system means; one that is a bug is raised."""
    if isinstance(error, httpx.ConnectTimeout):
        if _is_secure(error):  # with the handshake in it: the silent half may be either
            return Fault(FaultKind.TLS, "not established in time")
        return Fault(FaultKind.UNREACHABLE, "the connection was not answered")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return Fault(FaultKind.TIMEOUT)
    if isinstance(error, httpx.InvalidURL | UnicodeError):
        return Fault(FaultKind.NAME, one_line(str(error)))
    if isinstance(error, httpx.LocalProtocolError):  # its text would show the header's secret
        return Fault(FaultKind.BAD_REQUEST, "a header of this target cannot be sent")
    causes = [fault for cause in _causes(error) if (fault := _fault_of_cause(cause)) is not None]
    refused = [fault for fault in causes if fault.kind is FaultKind.REFUSED]
    if refused or causes:
        return (refused or causes)[0]
    if isinstance(error, httpx.RemoteProtocolError):
        return _fault_of_protocol(str(error))
    if isinstance(error, httpx.DecodingError):
        return Fault(FaultKind.PROTOCOL, one_line(str(error)))
    if isinstance(error, httpx.ConnectError | ssl.SSLError):
        return Fault(FaultKind.TLS, one_line(str(error)) or "closed during the handshake")
    if isinstance(error, httpx.RequestError):
        return Fault(FaultKind.CUT, one_line(str(error)))
    if isinstance(error, OSError):
        return Fault(FaultKind.UNREACHABLE, one_line(error.strerror or str(error)))
    raise error


def _fault_of_protocol(words: str) -> Fault:
    """What httpx finds wrong with what a server sends, in words for people."""
    if "without sending" not in words:
        return Fault(FaultKind.PROTOCOL, f"not HTTP: {one_line(words)}")
    whole = "complete message" not in words
    return Fault(FaultKind.CUT, "it closed the connection" + ("" if whole else " in the middle"))


def fault_of_status(status: int, body: bytes, retry_after: str = "") -> Fault:
    """What an error answer means: its status, and the sentence in it however it is wrapped."""
    fault = fault_of_code(status, said_by(body))
    if not retry_after:
        return fault
    return fault._replace(detail=f"{fault.detail} (retry after {one_line(retry_after, 40)})")


def _fault_of_cause(cause: BaseException) -> Fault | None:
    match cause:
        case ssl.SSLCertVerificationError():
            return Fault(FaultKind.TLS, one_line(cause.verify_message))
        case ssl.SSLError():
            reason = getattr(cause, "reason", None)  # not there when Python itself made the error
            words = reason.lower().replace("_", " ") if reason else " ".join(map(str, cause.args))
            return Fault(FaultKind.TLS, one_line(words))
        case socket.gaierror():
            return Fault(FaultKind.NAME, one_line(cause.strerror or ""))
        case ConnectionRefusedError():
            return Fault(FaultKind.REFUSED)
        case ConnectionResetError() | ConnectionAbortedError() | BrokenPipeError():
            return Fault(FaultKind.CUT, "connection reset")
        case OSError() if cause.errno in _NO_WAY:
            return Fault(FaultKind.UNREACHABLE, one_line(cause.strerror or ""))
    return None


_NO_WAY = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.ETIMEDOUT,
    errno.EADDRNOTAVAIL,
    errno.EACCES,  # a firewall of this machine
    errno.EPERM,
}


def _is_secure(error: httpx.RequestError) -> bool:
    try:
        return error.request.url.scheme == "https"
    except RuntimeError:  # it carries no request
        return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it came from, the outermost first."""
    waiting, seen = [error], set[int]()
    while waiting:
        found = waiting.pop(0)
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        waiting += [e for e in (found.__cause__, found.__context__) if e is not None]
        if isinstance(found, BaseExceptionGroup):  # a name with several addresses
            waiting += found.exceptions


async def _get(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
    """Send a GET; once more when the connection turns out dead, as kept ones may be.

    llama-server drops idle connections after 5 s, just when the next look may come.
    """
    try:
        return await client.send(request, stream=True)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return await client.send(request, stream=True)


async def _whole_body(response: httpx.Response) -> bytes | None:
    """The body, or None when it is too large."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            return None
    return bytes(body)


async def _refusal(response: httpx.Response) -> Fault:
    """Why a stream was refused, as far as the server says it in time."""
    body: bytes | None = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(REFUSAL_S):
            body = await _whole_body(response)
    return Reply(response.status_code, body or b"", response.headers, 0.0).fault


class _Posted(TypedDict):
    content: bytes
    headers: dict[str, str]
    timeout: httpx.Timeout


def _posted(body: object, timeout: httpx.Timeout) -> _Posted:
    # Half a surrogate pair, as a terminal may paste it, is no reason to fail.
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return {
        "content": content,
        "headers": {"Content-Type": "application/json"},
        "timeout": timeout,
    }


def _headers(own: Headers) -> httpx.Headers:
    """Ours, then the server's own over them; never an Origin, which Ollama may answer with 403."""
    headers = httpx.Headers({"User-Agent": "sollol-tui", "Accept-Encoding": "identity"})
    headers.update([(n.encode("utf-8", "replace"), v.encode("utf-8", "replace")) for n, v in own])
    return headers


def _bare_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _trusting(ca_file: str) -> ssl.SSLContext:
    """A context that trusts the file's authorities; without one, the system's."""
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise ssl.SSLError(f"CA file {ca_file}: {error}") from error
    if not ca_file and not context.cert_store_stats()["x509_ca"]:
        import certifi

        context.load_verify_locations(certifi.where())  # a Python without the system's store
    return context
