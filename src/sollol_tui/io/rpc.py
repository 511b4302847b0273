"""The harmless probe of an RPC backend (ggml-rpc-server): HELLO, device count, memory.

A backend serves one client at a time and dies of SIGPIPE when it answers somebody who has closed
his socket with FIN (llama.cpp transport.cpp sends without MSG_NOSIGNAL). An RST is harmless: its
`send` fails and it goes on with the next client. So every socket here is born with SO_LINGER
(1, 0), which turns any close into an RST: a timeout, a cancelled task, a closed loop, even the
death of this process. It is turned off at one place only, when nothing is outstanding any more.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import RPC_PORT, BackendAddress, host_of, port_of
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.rpc_version import Version, format_version
from sollol_tui.core.state import BackendStatus
from sollol_tui.io.names import Names, is_ipv4

OUR_PROTOCOL = (7, 0)
"""The protocol that is assumed of a coordinator that does not tell its own."""

READABLE_MAJORS = range(4, 8)
"""Protocols whose HELLO, DEVICE_COUNT and GET_DEVICE_MEMORY have the layout known here."""

MAX_DEVICES = 64

_HELLO = 14  # fixed for ever by a static_assert in llama.cpp
_DEVICE_COUNT = 15
_GET_DEVICE_MEMORY = 11
_CONN_CAPS = bytes(24)  # no RDMA: plain TCP
_HELLO_ANSWER_BYTES = 28
_OLD_HELLO_ANSWER_BYTES = 3
_MAX_ANSWER_BYTES = 4096

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_FIN_ON_CLOSE = struct.pack("ii", 0, 0)

_FOREIGN = {b"HTTP": "an HTTP server", b"SSH-": "an SSH server", b"-ERR": "a Redis server"}


class _ClosedError(Exception):
    """The other side closed the connection, or reset it."""


class _NonsenseError(Exception):
    """An answer that is not of the protocol; the text says what came."""


class _Hello(NamedTuple):
    version: Version
    round_trip_ms: float


class Prober:
    """Probes RPC backends, each by at most one probe at a time. Belongs to one event loop."""

    def __init__(self) -> None:
        self._names = Names()
        self._running: dict[BackendAddress, asyncio.Future[BackendReport | None]] = {}

    async def probe(
        self,
        address: BackendAddress,
        *,
        connect_within_s: float = 2.0,
        answer_within_s: float = 1.0,
    ) -> BackendReport:
        """Look at a backend once, without any risk for it.

        Name and connection get `connect_within_s`, HELLO gets `answer_within_s`, everything
        after the connection twice that. Callers that come while a probe of the address runs get
        that probe's report; when its caller is cancelled, one of them probes anew.

        Silence is UNKNOWN, a refused connection DOWN, an answer that cannot be read (or a
        connection closed on HELLO) INCOMPATIBLE.
        """
        while (running := self._running.get(address)) is not None:
            report = await asyncio.shield(running)
            if report is not None:
                return report
        return await self._probe_alone(address, connect_within_s, answer_within_s)

    async def _probe_alone(
        self, address: BackendAddress, connect_within_s: float, answer_within_s: float
    ) -> BackendReport:
        done = asyncio.get_running_loop().create_future()
        self._running[address] = done
        report = None
        try:
            report = await self._look(address, connect_within_s, answer_within_s)
        finally:
            del self._running[address]
            done.set_result(report)  # None: this caller was cancelled
        return report

    async def _look(
        self, address: BackendAddress, connect_within_s: float, answer_within_s: float
    ) -> BackendReport:
        loop = asyncio.get_running_loop()
        connect_by_s = loop.time() + connect_within_s
        host = await self._numeric(host_of(address), connect_by_s)
        if isinstance(host, Fault):
            return BackendReport(BackendStatus.UNKNOWN, fault=host)
        target = host, port_of(address) or RPC_PORT
        try:
            async with asyncio.timeout_at(connect_by_s + 2 * answer_within_s):
                return await _converse(target, connect_by_s, answer_within_s)
        except TimeoutError:
            return _silent("closed the connection on HELLO; the next one was not answered")
        except OSError as error:  # no socket to be had: this process has too many open files
            return _unreached(error)

    async def _numeric(self, host: str, by_s: float) -> str | Fault:
        if is_ipv4(host):
            return host
        if ":" in host:
            return Fault(FaultKind.NAME, "RPC backends are reached over IPv4 only")
        try:
            async with asyncio.timeout_at(by_s):
                return (await asyncio.wrap_future(self._names.ask(host)))[0]
        except TimeoutError:
            return Fault(FaultKind.NAME, "the name server did not answer in time")
        except OSError as error:
            return Fault(FaultKind.NAME, error.strerror or str(error))


async def _converse(
    target: tuple[str, int], connect_by_s: float, answer_within_s: float
) -> BackendReport:
    with _line() as line:
        if (report := await _connect(line, target, connect_by_s)) is not None:
            return report
        try:
            async with asyncio.timeout(answer_within_s):
                hello = await _say_hello(line)
        except TimeoutError:
            return _silent("connected, no answer: busy with a client, or hung")
        except _NonsenseError as error:
            return _unreadable(str(error))
        except _ClosedError:
            hello = None
        if hello is not None:
            return await _ask_devices(line, hello, answer_within_s)
    # Protocols before 4 close on this HELLO. So does a backend that dies just now: the second
    # connection tells them apart.
    return await _ask_old_version(target, answer_within_s)


async def _ask_devices(line: _Line, hello: _Hello, answer_within_s: float) -> BackendReport:
    protocol = format_version(hello.version)
    if hello.version[0] not in READABLE_MAJORS:
        line.part()
        return _other_version(protocol, hello.version[0])
    try:
        async with asyncio.timeout(answer_within_s):
            devices = await _devices(line)
    except TimeoutError:
        return _silent("said hello, then no answer about its devices", protocol)
    except _ClosedError:
        fault = Fault(FaultKind.CUT, "closed the connection when asked about its devices")
        return BackendReport(BackendStatus.UNKNOWN, protocol, fault=fault)
    except _NonsenseError as error:
        return _unreadable(str(error), protocol)
    line.part()
    return BackendReport(BackendStatus.IDLE, protocol, devices, hello.round_trip_ms)


async def _ask_old_version(target: tuple[str, int], answer_within_s: float) -> BackendReport:
    """Protocols 2 and 3: HELLO asks with nothing and is answered with three bytes."""
    loop = asyncio.get_running_loop()
    with _line() as line:
        if (report := await _connect(line, target, loop.time() + answer_within_s)) is not None:
            return report
        try:
            answer = await line.ask(_HELLO, b"", _OLD_HELLO_ANSWER_BYTES)
        except _NonsenseError as error:
            return _unreadable(str(error))
        except _ClosedError:
            return _unreadable("closes the connection on HELLO: too old, or no RPC backend")
        line.part()
    protocol = format_version((answer[0], answer[1], answer[2]))
    return _other_version(protocol, answer[0])


async def _say_hello(line: _Line) -> _Hello:
    loop = asyncio.get_running_loop()
    asked_at_s = loop.time()
    answer = await line.ask(_HELLO, _CONN_CAPS, None)
    if len(answer) < _OLD_HELLO_ANSWER_BYTES:
        raise _NonsenseError(f"answered HELLO with {len(answer)} bytes")
    version = answer[0], answer[1], answer[2]
    if len(answer) != _HELLO_ANSWER_BYTES and version[0] in READABLE_MAJORS:
        raise _NonsenseError(f"answered HELLO with {len(answer)} bytes")
    return _Hello(version, (loop.time() - asked_at_s) * 1000)


async def _devices(line: _Line) -> tuple[Device, ...]:
    (count,) = struct.unpack("<I", await line.ask(_DEVICE_COUNT, b"", 4))
    if count > MAX_DEVICES:
        raise _NonsenseError(f"says that it has {count} devices")
    found = []
    for number in range(count):
        answer = await line.ask(_GET_DEVICE_MEMORY, struct.pack("<I", number), 16)
        free_bytes, total_bytes = struct.unpack("<QQ", answer)
        found.append(Device(total_bytes, free_bytes))
    return tuple(found)


async def _connect(line: _Line, target: tuple[str, int], by_s: float) -> BackendReport | None:
    """Connect; a report when that failed."""
    try:
        async with asyncio.timeout_at(by_s):
            await line.connect(target)
    except ConnectionRefusedError:
        return BackendReport(BackendStatus.DOWN, fault=Fault(FaultKind.REFUSED))
    except TimeoutError:
        # Also what a busy backend looks like: two wait in its accept queue, the third is dropped.
        fault = Fault(FaultKind.UNREACHABLE, "connection not accepted in time: busy, or gone")
        return BackendReport(BackendStatus.UNKNOWN, fault=fault)
    except OSError as error:
        return _unreached(error)
    return None


def _unreached(error: OSError) -> BackendReport:
    fault = Fault(FaultKind.UNREACHABLE, error.strerror or str(error))
    return BackendReport(BackendStatus.UNKNOWN, fault=fault)


def _silent(detail: str, protocol: str | None = None) -> BackendReport:
    fault = Fault(FaultKind.TIMEOUT, detail)
    return BackendReport(BackendStatus.UNKNOWN, protocol, fault=fault)


def _unreadable(detail: str, protocol: str | None = None) -> BackendReport:
    fault = Fault(FaultKind.PROTOCOL, detail)
    return BackendReport(BackendStatus.INCOMPATIBLE, protocol, fault=fault)


def _other_version(protocol: str, major: int) -> BackendReport:
    age = "old" if major < READABLE_MAJORS.start else "new"
    return _unreadable(f"speaks RPC protocol {protocol}, which is too {age}", protocol)


@contextmanager
def _line() -> Iterator[_Line]:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        yield _Line(sock)


class _Line:
    """One connection. Closing its socket sends RST, except after `part`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    async def connect(self, target: tuple[str, int]) -> None:
        await self._loop.sock_connect(self._sock, target)

    def part(self) -> None:
        """Every question has been answered: close with FIN, as good clients do."""
        with suppress(OSError):  # some systems refuse once the other side has reset: RST it is
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FIN_ON_CLOSE)

    async def ask(self, command: int, payload: bytes, answer_bytes: int | None) -> bytes:
        """Ask one thing and read its answer of `answer_bytes` (None: of any size that is sane).

        Request: u8 command, u64 size, payload. Answer: u64 size, payload. All little-endian.
        """
        question = struct.pack("<BQ", command, len(payload)) + payload
        try:
            await self._loop.sock_sendall(self._sock, question)
            head = await self._read(8)
            size = self._checked_size(command, head, answer_bytes)
            return await self._read(size)
        except TimeoutError:  # the kernel gave the connection up: as good as silence
            raise
        except OSError as error:
            raise _ClosedError from error

    @staticmethod
    def _checked_size(command: int, head: bytes, wanted: int | None) -> int:
        (size,) = struct.unpack("<Q", head)
        if size <= _MAX_ANSWER_BYTES and wanted in (None, size):
            return int(size)
        if (name := _FOREIGN.get(head[:4])) is not None:
            raise _NonsenseError(f"{name} answers there")
        if size > _MAX_ANSWER_BYTES:
            raise _NonsenseError("no RPC backend answers there")
        raise _NonsenseError(f"answered command {command} with {size} bytes")

    async def _read(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            piece = await self._loop.sock_recv(self._sock, size - len(got))
            if not piece:
                raise _ClosedError
            got += piece
        return bytes(got)
