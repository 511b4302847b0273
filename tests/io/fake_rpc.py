"""A scriptable RPC backend on loopback that sees, on the socket, how each client left."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

from sollol_tui.core.ids import BackendAddress

HELLO, DEVICE_COUNT, GET_DEVICE_MEMORY = 14, 15, 11
GIB = 1 << 30

How = Literal["fin", "rst"]
Version = tuple[int, int, int]
Reply = bytes | None | Literal["close"]
"""Bytes to send (None: nothing, ever), or "close" to hang up at once."""


def framed(payload: bytes) -> bytes:
    """An answer of the protocol: u64 size, payload."""
    return struct.pack("<Q", len(payload)) + payload


def hello_answer(version: Version) -> bytes:
    return framed(bytes(version) + bytes(25))


class FakeRpc:
    """Serves one client at a time, as ggml-rpc-server does.

    `replies` overrides what is said to a command: `{HELLO: None}` never answers HELLO.
    `asked` gets every command as it arrives, `ends` how each client left ("fin" or "rst").
    """

    def __init__(self, version: Version = (7, 0, 0), devices: int = 1) -> None:
        self.version = version
        self.devices = devices
        self.replies: dict[int, Reply] = {}
        self.banner = b""
        self.drip = False  # every answer in single bytes
        self.asked: asyncio.Queue[int] = asyncio.Queue()
        self.ends: asyncio.Queue[How] = asyncio.Queue()
        self.clients = 0
        self.before_reply: Callable[[int], None] = lambda command: None
        self.listener = socket.socket()
        self.listener.setblocking(False)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1)

    @property
    def address(self) -> BackendAddress:
        return BackendAddress("{}:{}".format(*self.listener.getsockname()))

    def accept_one(self) -> socket.socket:
        """The next client of the accept queue, for tests that do not `serve`."""
        client, _ = self.listener.accept()
        return client

    def stop_listening(self) -> None:
        self.listener.close()

    def __enter__(self) -> FakeRpc:
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[FakeRpc]:
        task = asyncio.create_task(self._serve())
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            self.listener.close()
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self.listener.fileno() >= 0:
            client, _ = await loop.sock_accept(self.listener)
            self.clients += 1
            with client:
                client.setblocking(False)
                if (how := await self._attend(client)) is not None:
                    self.ends.put_nowait(how)

    async def _attend(self, client: socket.socket) -> How | None:
        """Talk with a client until it leaves; None when this side hung up first."""
        loop = asyncio.get_running_loop()
        try:
            if self.banner:
                await loop.sock_sendall(client, self.banner)
            while (head := await self._exactly(client, 9)) is not None:
                command, size = struct.unpack("<BQ", head)
                payload = await self._exactly(client, size) or b""
                self.asked.put_nowait(command)
                reply = self._reply(command, payload)
                self.before_reply(command)
                if reply == "close":
                    return None
                await self._send(client, reply or b"")
        except OSError:
            return "rst"
        return "fin"

    def _reply(self, command: int, payload: bytes) -> Reply:
        if command in self.replies:
            return self.replies[command]
        if command == HELLO:
            return self._hello(payload)
        if command == DEVICE_COUNT:
            return framed(struct.pack("<I", self.devices))
        if command == GET_DEVICE_MEMORY:
            (number,) = struct.unpack("<I", payload)
            return framed(struct.pack("<QQ", (number + 1) * GIB, (number + 2) * GIB))
        return "close"

    def _hello(self, payload: bytes) -> Reply:
        old = self.version[0] < 4
        if len(payload) != (0 if old else 24):
            return "close"
        return framed(bytes(self.version)) if old else hello_answer(self.version)

    async def _send(self, client: socket.socket, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        if not self.drip:
            return await loop.sock_sendall(client, data)
        for byte in data:
            await loop.sock_sendall(client, bytes([byte]))
            await asyncio.sleep(0)
        return None

    async def _exactly(self, client: socket.socket, size: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        got = b""
        while len(got) < size:
            piece = await loop.sock_recv(client, size - len(got))
            if not piece:
                return None
            got += piece
        return got
