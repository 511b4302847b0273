"""The demo's RPC backend serves one client at a time, byte for byte like the real one."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sollol_tui.demo.backend import DemoBackend
from sollol_tui.demo.faults import Faults
from sollol_tui.demo.rpc import Command, RpcDevice, request
from tests import fakes, samples

HELLO = request(Command.HELLO, bytes(24))
REAL_BYTES = 25_300_180_992  # what the captured device had


class Wire:
    """A raw connection to a backend."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, data: bytes) -> bytes:
        """Send bytes and read one answer; empty when the connection ends instead."""
        self.writer.write(data)
        try:
            size = await self.reader.readexactly(8)
            return size + await self.reader.readexactly(struct.unpack("<Q", size)[0])
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


@asynccontextmanager
async def wire(backend: DemoBackend) -> AsyncIterator[Wire]:
    """A connection, closed at the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", backend.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


def captured() -> list[tuple[bytes, bytes]]:
    """The questions and answers of a real backend."""
    text = Path(samples.HERE / "llama-cpp" / "rpc_wire_hex.txt").read_text()
    pairs = re.findall(r"> (\w+)\n\s+< (\w+)", text)
    return [(bytes.fromhex(asked), bytes.fromhex(said)) for asked, said in pairs]


async def test_its_answers_are_the_captured_ones_byte_for_byte() -> None:
    total_bytes = struct.unpack("<Q", captured()[2][1][16:])[0]
    device = RpcDevice(total_bytes, total_bytes)
    async with fakes.backend(devices=[device]) as backend, wire(backend) as connection:
        for asked, said in captured():
            assert await connection.ask(asked) == said


async def test_a_second_client_waits_unanswered_until_the_first_has_left() -> None:
    async with fakes.backend() as backend, wire(backend) as first, wire(backend) as second:
        assert await first.ask(HELLO)
        waiting = asyncio.create_task(second.ask(HELLO))
        for _ in range(3):
            assert await first.ask(request(Command.DEVICE_COUNT))
        assert not waiting.done()
        first.writer.close()
        assert await waiting
        assert backend.clients == 2


async def test_beyond_two_waiting_clients_a_connect_gets_no_answer() -> None:
    async with fakes.backend() as backend, wire(backend) as first, wire(backend), wire(backend):
        assert await first.ask(HELLO)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.open_connection("127.0.0.1", backend.port)


@pytest.mark.parametrize(
    "wrong",
    [
        request(Command.DEVICE_COUNT),  # HELLO has to come first
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        request(Command.HELLO),  # of another protocol version
        HELLO + request(Command.GET_DEVICE_MEMORY, struct.pack("<I", 7)),  # no such device
        HELLO + struct.pack("<BQ", 99, 0),  # no such command
        HELLO + HELLO,
    ],
)
async def test_what_is_wrong_closes_the_connection_and_the_next_client_is_served(
    wrong: bytes,
) -> None:
    async with fakes.backend() as backend:
        async with wire(backend) as connection:
            connection.writer.write(wrong)
            if wrong.startswith(HELLO):
                await connection.reader.readexactly(36)
            assert await connection.ask(b"") == b""
        async with wire(backend) as connection:
            assert await connection.ask(HELLO)


@pytest.mark.parametrize("sigpipe", [True, False])
async def test_a_client_that_closes_unread_kills_it_unless_sigpipe_is_ignored(
    sigpipe: bool,
) -> None:
    async with fakes.backend(sigpipe=sigpipe) as backend:
        careless(backend, linger=False)
        await backend.until(lambda: backend.clients == 1 and not backend.busy)
        assert backend.alive is not sigpipe


async def test_a_client_that_resets_its_connection_does_no_harm() -> None:
    async with fakes.backend() as backend:
        for _ in range(20):
            careless(backend, linger=True)
            async with wire(backend) as connection:
                assert await connection.ask(HELLO)
        assert backend.alive


async def test_an_unread_hello_in_the_queue_kills_it_when_the_client_before_leaves() -> None:
    async with fakes.backend() as backend:
        async with wire(backend) as holder:
            assert await holder.ask(HELLO)
            careless(backend, linger=False)
            assert await holder.ask(request(Command.DEVICE_COUNT))
        await backend.until(lambda: not backend.alive)


async def test_an_old_protocol_answers_an_empty_hello_with_three_bytes() -> None:
    async with fakes.backend(version=(3, 6, 1)) as backend:
        async with wire(backend) as connection:
            assert await connection.ask(HELLO) == b""
        async with wire(backend) as connection:
            assert await connection.ask(request(Command.HELLO)) == b"\3" + bytes(7) + b"\3\6\1"


async def test_another_version_is_told_in_hello() -> None:
    async with fakes.backend(version=(5, 1, 2)) as backend, wire(backend) as connection:
        assert (await connection.ask(HELLO))[8:11] == b"\5\1\2"


async def test_all_devices_are_counted_and_told() -> None:
    devices = [RpcDevice(8, 7), RpcDevice(6, 5)]
    async with fakes.backend(devices=devices) as backend, wire(backend) as connection:
        await connection.ask(HELLO)
        count = await connection.ask(request(Command.DEVICE_COUNT))
        ask = request(Command.GET_DEVICE_MEMORY, struct.pack("<I", 1))
        memory = await connection.ask(ask)
    assert struct.unpack("<QI", count) == (4, 2)
    assert struct.unpack("<QQQ", memory) == (16, 5, 6)


async def test_a_hanging_backend_takes_requests_and_answers_when_it_is_mended() -> None:
    async with fakes.backend(faults=Faults(hang=True)) as backend, wire(backend) as connection:
        asking = asyncio.create_task(connection.ask(HELLO))
        await backend.until(lambda: backend.commands == [Command.HELLO])
        assert not asking.done()
        backend.faults = Faults()
        assert await asking


async def test_a_refusing_backend_has_no_port_and_comes_back_on_the_same_one() -> None:
    async with fakes.backend() as backend:
        async with wire(backend) as connection:
            assert await connection.ask(HELLO)
            backend.faults = Faults(refuse=True)
            assert await connection.ask(request(Command.DEVICE_COUNT)) == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", backend.port)
        backend.faults = Faults()
        async with wire(backend) as connection:
            assert await connection.ask(HELLO)


def careless(backend: DemoBackend, *, linger: bool) -> None:
    """Say HELLO and close unread: with a reset when `linger`, else with a FIN."""
    with socket.create_connection(("127.0.0.1", backend.port)) as client:
        client.sendall(HELLO)
        if linger:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
