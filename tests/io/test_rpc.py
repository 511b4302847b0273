"""The probe of RPC backends: what it reports, and that it never leaves a backend with a FIN."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.state import BackendStatus
from sollol_tui.io.rpc import MAX_DEVICES, Prober
from tests.io.fake_rpc import (
    DEVICE_COUNT,
    GET_DEVICE_MEMORY,
    GIB,
    HELLO,
    FakeRpc,
    Reply,
    framed,
    hello_answer,
)

LONG_S = 30.0  # no test waits for it
SHORT_S = 0.05  # waited for where a deadline is the point


async def look(
    backend: FakeRpc | str, connect_s: float = LONG_S, answer_s: float = LONG_S
) -> BackendReport:
    address = BackendAddress(backend) if isinstance(backend, str) else backend.address
    return await Prober().probe(address, connect_within_s=connect_s, answer_within_s=answer_s)


def fault_of(report: BackendReport) -> tuple[FaultKind, str]:
    assert report.fault is not None
    return report.fault.kind, report.fault.detail


@contextmanager
def black_hole() -> Iterator[BackendAddress]:
    """A listening socket whose accept queue is full: a further SYN is never answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield BackendAddress(f"127.0.0.1:{listener.getsockname()[1]}")
        for client in waiting:
            client.close()


# What is reported


async def test_a_free_backend_is_idle_with_its_devices_and_left_with_a_fin() -> None:
    async with FakeRpc(devices=2).serving() as backend:
        report = await look(backend)
        assert report.status is BackendStatus.IDLE
        assert report.protocol == "7.0.0"
        assert report.devices == (Device(2 * GIB, GIB), Device(3 * GIB, 2 * GIB))
        assert report.latency_ms is not None
        assert report.fault is None
        assert await backend.ends.get() == "fin"


async def test_the_questions_are_the_captured_bytes() -> None:
    """The wire of llama.cpp protocol 7.0.0, byte for byte."""
    listener = socket.socket()
    listener.setblocking(False)
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(look(f"127.0.0.1:{listener.getsockname()[1]}"))
    with listener, (await loop.sock_accept(listener))[0] as client:
        client.setblocking(False)
        for question, answer in (
            ("0e1800000000000000" + "00" * 24, "1c0000000000000007000000" + "00" * 24),
            ("0f0000000000000000", "040000000000000001000000"),
            ("0b040000000000000000000000", "1000000000000000002092e205000000002092e205000000"),
        ):
            assert (await loop.sock_recv(client, 100)).hex() == question
            await loop.sock_sendall(client, bytes.fromhex(answer))
        assert (await task).devices == (Device(25276063744, 25276063744),)


@pytest.mark.parametrize(
    ("version", "status", "shown"),
    [
        ((2, 0, 0), BackendStatus.INCOMPATIBLE, "2.0.0"),
        ((3, 6, 1), BackendStatus.INCOMPATIBLE, "3.6.1"),
        ((4, 0, 2), BackendStatus.IDLE, "4.0.2"),
        ((5, 1, 0), BackendStatus.IDLE, "5.1.0"),
        ((6, 0, 0), BackendStatus.IDLE, "6.0.0"),
        ((7, 1, 0), BackendStatus.IDLE, "7.1.0"),
        ((8, 0, 0), BackendStatus.INCOMPATIBLE, "8.0.0"),
    ],
)
async def test_every_protocol_version_is_told(
    version: tuple[int, int, int], status: BackendStatus, shown: str
) -> None:
    async with FakeRpc(version).serving() as backend:
        report = await look(backend)
        assert (report.status, report.protocol) == (status, shown)
        if status is BackendStatus.INCOMPATIBLE:
            assert fault_of(report)[0] is FaultKind.PROTOCOL
            assert f"RPC protocol {shown}" in fault_of(report)[1]
        assert await backend.ends.get() == "fin"
        assert backend.clients == (2 if version[0] < 4 else 1)


async def test_a_server_that_closes_on_every_hello_is_incompatible() -> None:
    backend = FakeRpc()
    backend.replies[HELLO] = "close"
    async with backend.serving():
        report = await look(backend)
    assert report.status is BackendStatus.INCOMPATIBLE
    assert report.protocol is None
    assert "too old, or no RPC backend" in fault_of(report)[1]


async def test_a_backend_that_dies_on_hello_is_down_not_incompatible() -> None:
    with FakeRpc() as backend:
        backend.replies[HELLO] = "close"
        backend.before_reply = lambda command: backend.stop_listening()
        async with backend.serving():
            report = await look(backend.address)
    assert report.status is BackendStatus.DOWN
    assert fault_of(report)[0] is FaultKind.REFUSED


@pytest.mark.parametrize(
    ("banner", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", "an SSH server answers there"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answers there"),
        (b"220 mail.example ESMTP\r\n", "no RPC backend answers there"),
        (b"\xff" * 64, "no RPC backend answers there"),
    ],
)
async def test_a_server_of_another_kind_is_incompatible_and_named(
    banner: bytes, words: str
) -> None:
    backend = FakeRpc()
    backend.banner = banner
    backend.replies[HELLO] = None
    async with backend.serving():
        report = await look(backend)
        assert report.status is BackendStatus.INCOMPATIBLE
        assert fault_of(report) == (FaultKind.PROTOCOL, words)
        assert await backend.ends.get() == "rst"


@pytest.mark.parametrize(
    ("command", "reply", "words"),
    [
        (HELLO, framed(b"\x07"), "answered HELLO with 1 bytes"),
        (HELLO, framed(b"\x07\x00\x00" + bytes(20)), "answered HELLO with 23 bytes"),
        (HELLO, framed(b""), "answered HELLO with 0 bytes"),
        (DEVICE_COUNT, framed(b"\x01"), "answered command 15 with 1 bytes"),
        (DEVICE_COUNT, framed(b"\xff\xff\xff\xff"), "says that it has 4294967295 devices"),
        (GET_DEVICE_MEMORY, framed(bytes(15)), "answered command 11 with 15 bytes"),
    ],
)
async def test_an_answer_of_a_wrong_size_is_incompatible_and_never_read_past(
    command: int, reply: bytes, words: str
) -> None:
    backend = FakeRpc()
    backend.replies[command] = reply
    async with backend.serving():
        report = await look(backend)
        assert report.status is BackendStatus.INCOMPATIBLE
        assert fault_of(report) == (FaultKind.PROTOCOL, words)
        assert await backend.ends.get() == "rst"


async def test_a_backend_may_have_as_many_devices_as_the_limit_and_none() -> None:
    for count in (0, MAX_DEVICES):
        async with FakeRpc(devices=count).serving() as backend:
            report = await look(backend)
            assert (report.status, len(report.devices)) == (BackendStatus.IDLE, count)


async def test_answers_in_single_bytes_are_read() -> None:
    backend = FakeRpc(devices=3)
    backend.drip = True
    async with backend.serving():
        assert len((await look(backend)).devices) == 3


async def test_a_refused_connection_is_down() -> None:
    backend = FakeRpc()
    backend_address = backend.address
    backend.stop_listening()
    report = await look(backend_address)
    assert report.status is BackendStatus.DOWN
    assert fault_of(report) == (FaultKind.REFUSED, "")


async def test_an_unanswered_syn_is_unknown() -> None:
    with black_hole() as address:
        report = await look(address, connect_s=SHORT_S)
    assert report.status is BackendStatus.UNKNOWN
    assert fault_of(report)[0] is FaultKind.UNREACHABLE


async def test_a_network_without_a_route_is_unknown() -> None:
    report = await look("255.255.255.255:50052", connect_s=5.0)
    assert report.status is BackendStatus.UNKNOWN
    assert fault_of(report)[0] is FaultKind.UNREACHABLE


async def test_a_busy_backend_is_unknown_and_finds_a_reset_in_its_queue() -> None:
    """The kernel accepts, the backend does not: a HELLO left there must not kill it later."""
    with FakeRpc() as backend:
        report = await look(backend, answer_s=SHORT_S)
        assert report.status is BackendStatus.UNKNOWN
        assert fault_of(report) == (
            FaultKind.TIMEOUT,
            "connected, no answer: busy with a client, or hung",
        )
        with backend.accept_one() as client:
            assert len(client.recv(100)) == 33  # the HELLO
            with pytest.raises(ConnectionResetError):
                client.send(hello_answer((7, 0, 0)))


@pytest.mark.parametrize("command", [DEVICE_COUNT, GET_DEVICE_MEMORY])
async def test_silence_after_hello_is_unknown_with_the_protocol(command: int) -> None:
    backend = FakeRpc()
    backend.replies[command] = None
    async with backend.serving():
        report = await look(backend, answer_s=SHORT_S)
        assert (report.status, report.protocol) == (BackendStatus.UNKNOWN, "7.0.0")
        assert fault_of(report)[0] is FaultKind.TIMEOUT
        assert await backend.ends.get() == "rst"


async def test_a_connection_closed_after_hello_is_unknown() -> None:
    backend = FakeRpc()
    backend.replies[DEVICE_COUNT] = "close"
    async with backend.serving():
        report = await look(backend)
    assert (report.status, report.protocol) == (BackendStatus.UNKNOWN, "7.0.0")
    assert fault_of(report)[0] is FaultKind.CUT


# Names


async def test_a_name_is_resolved_to_ipv4() -> None:
    async with FakeRpc().serving() as backend:
        port = backend.address.rsplit(":", 1)[1]
        assert (await look(f"localhost:{port}")).status is BackendStatus.IDLE


@pytest.mark.parametrize("host", ["nowhere.invalid", "a..b", "x" * 70])
async def test_a_name_that_does_not_resolve_is_unknown(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_name(asked: str, *_: object) -> None:
        asked.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    report = await look(f"{host}:50052")
    assert report.status is BackendStatus.UNKNOWN
    assert fault_of(report)[0] is FaultKind.NAME


async def test_a_name_server_that_hangs_holds_one_thread_and_its_late_answer_does_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    lookups = 0

    def slow(*_: object) -> list[object]:
        nonlocal lookups
        lookups += 1
        answered.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    threads = set(threading.enumerate())
    async with FakeRpc().serving() as backend:
        prober = Prober()
        port = backend.address.rsplit(":", 1)[1]
        address = BackendAddress(f"slow.test:{port}")
        for _ in range(3):
            report = await prober.probe(address, connect_within_s=SHORT_S / 5)
            assert fault_of(report) == (
                FaultKind.NAME,
                "the name server did not answer in time",
            )
        assert lookups == 1
        answered.set()
        for thread in set(threading.enumerate()) - threads:
            thread.join()
        assert (await prober.probe(address)).status is BackendStatus.IDLE
        assert lookups == 2


async def test_an_ipv6_address_is_unknown_with_the_reason() -> None:
    report = await look("[::1]:50052")
    assert report.status is BackendStatus.UNKNOWN
    assert fault_of(report) == (FaultKind.NAME, "RPC backends are reached over IPv4 only")


# How it leaves, whenever it is stopped


@asynccontextmanager
async def stuck(command: int, reply: Reply) -> AsyncIterator[tuple[FakeRpc, asyncio.Task[object]]]:
    """A probe that waits for the rest of the answer to one command."""
    backend = FakeRpc()
    backend.replies[command] = reply
    async with backend.serving():
        task: asyncio.Task[object] = asyncio.create_task(look(backend))
        while await backend.asked.get() != command:
            pass
        await asyncio.sleep(0)  # the probe reads what there is of the answer
        yield backend, task


@pytest.mark.parametrize("command", [HELLO, DEVICE_COUNT, GET_DEVICE_MEMORY])
@pytest.mark.parametrize("reply", [None, b"\x1c\x00", framed(bytes(16))[:12]])
async def test_a_cancelled_probe_resets_at_every_stage(command: int, reply: Reply) -> None:
    async with stuck(command, reply) as (backend, task):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await backend.ends.get() == "rst"


async def test_a_probe_cancelled_while_it_asks_for_an_old_version_resets() -> None:
    backend = FakeRpc((3, 6, 1))
    heard = 0

    def hold_the_second(command: int) -> None:
        nonlocal heard
        heard += 1
        backend.replies[HELLO] = None

    backend.before_reply = hold_the_second
    async with backend.serving():
        task = asyncio.create_task(look(backend))
        while heard < 2:
            await backend.asked.get()
        task.cancel()
        assert await backend.ends.get() == "rst"
        await asyncio.wait([task])


async def test_a_probe_cancelled_while_it_connects_says_nothing() -> None:
    with black_hole() as address:
        task = asyncio.create_task(look(address))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_probe_cancelled_right_after_the_connection_resets() -> None:
    """Between the handshake and the first await after it."""
    with FakeRpc() as backend:
        task = asyncio.create_task(look(backend))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert_reset(backend.accept_one())


async def probe_left_waiting(
    backend: FakeRpc,
) -> tuple[asyncio.Task[BackendReport], socket.socket]:
    """A probe whose HELLO has arrived and is not answered, and the backend's end of it."""
    task = asyncio.create_task(look(backend))
    loop = asyncio.get_running_loop()
    client, _ = await loop.sock_accept(backend.listener)
    client.setblocking(False)
    assert len(await loop.sock_recv(client, 100)) == 33
    return task, client


def test_a_loop_that_ends_during_a_probe_resets() -> None:
    with FakeRpc() as backend:

        async def end_early() -> socket.socket:
            return (await probe_left_waiting(backend))[1]

        assert_reset(asyncio.run(end_early()))


def test_a_loop_that_is_closed_without_cancelling_resets() -> None:
    with FakeRpc() as backend:
        loop = asyncio.new_event_loop()
        task, client = loop.run_until_complete(probe_left_waiting(backend))
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own complaint
        loop.close()
        del task
        gc.collect()
        assert_reset(client)


def assert_reset(client: socket.socket) -> None:
    client.setblocking(True)
    with client, pytest.raises(ConnectionResetError):
        client.recv(100)


def test_a_process_that_is_killed_during_a_probe_resets() -> None:
    with FakeRpc() as backend:
        program = (
            "import asyncio, sys; from sollol_tui.io.rpc import Prober;"
            "asyncio.run(Prober().probe(sys.argv[1], answer_within_s=60))"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        probing = subprocess.Popen(
            [sys.executable, "-c", program, backend.address], env=environment
        )
        backend.listener.setblocking(True)
        client = backend.accept_one()
        client.setblocking(True)
        assert len(client.recv(100)) == 33
        probing.kill()
        probing.wait()
        assert_reset(client)


# One at a time


async def test_callers_at_the_same_time_share_one_probe() -> None:
    async with FakeRpc().serving() as backend:
        prober = Prober()
        reports = await asyncio.gather(*(prober.probe(backend.address) for _ in range(50)))
        assert backend.clients == 1
        assert all(report is reports[0] for report in reports)
        await prober.probe(backend.address)
        assert backend.clients == 2


async def test_when_the_first_caller_is_cancelled_another_probes_anew() -> None:
    backend = FakeRpc()
    backend.replies[HELLO] = None
    async with backend.serving():
        prober = Prober()
        probes = [
            asyncio.create_task(prober.probe(backend.address, answer_within_s=LONG_S))
            for _ in range(3)
        ]
        await backend.asked.get()
        del backend.replies[HELLO]
        probes[0].cancel()
        assert await backend.ends.get() == "rst"
        reports = await asyncio.gather(*probes[1:])
        assert reports[0] is reports[1]
        assert reports[0].status is BackendStatus.IDLE
        assert backend.clients == 2


async def test_a_waiting_caller_that_is_cancelled_does_not_stop_the_probe() -> None:
    backend = FakeRpc()
    async with backend.serving():
        prober = Prober()
        first = asyncio.create_task(prober.probe(backend.address))
        second = asyncio.create_task(prober.probe(backend.address))
        await backend.asked.get()
        second.cancel()
        assert (await first).status is BackendStatus.IDLE
        assert second.cancelled()
