"""A ggml-rpc-server look-alike: one client at a time, the others wait unanswered in the queue."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from sollol_tui.demo.faults import Faults
from sollol_tui.demo.listener import HOST
from sollol_tui.demo.rpc import (
    ALIGNMENT,
    CAPS_BYTES,
    DEVICE,
    HEAD,
    MAX_SIZE,
    MEMORY,
    NUMBER,
    SIZE,
    VERSION,
    Command,
    RpcDevice,
    Version,
)
from sollol_tui.demo.waiting import Signal

GIB = 1024**3
MAX_REQUEST_BYTES = 1 << 20
KEPT_COMMANDS = 1000
BACKLOG = 1  # as llama.cpp: the kernel queues two clients, every further one gets no answer

DEVICES = (RpcDevice(24 * GIB, 23 * GIB),)


class DemoBackend:
    """An RPC backend on loopback.

    `version` is what HELLO answers. With `sigpipe` it dies as the real one does (unless that was
    started with SIGPIPE ignored) when a client closed before it read the answer. Of the faults,
    `refuse` and `hang` mean something here. `clients` counts connections served so far.
    """

    def __init__(
        self,
        devices: Sequence[RpcDevice] = DEVICES,
        version: tuple[int, int, int] = VERSION,
        faults: Faults | None = None,
        *,
        sigpipe: bool = True,
    ) -> None:
        self.devices = tuple(devices)
        self.version = Version(*version)
        self.sigpipe = sigpipe
        self.alive = False
        self.busy = False
        self.clients = 0
        self.commands: list[int] = []
        self.on_death: Callable[[], None] | None = None
        self.port = 0
        self._faults = faults or Faults()
        self._signal = Signal()
        self._listening: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where it listens: `host:port`."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """The same, under the name that every server of the demo has."""
        return self.address

    @property
    def faults(self) -> Faults:
        """What is broken; set it to break or mend."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        refused, self._faults = self._faults.refuse, faults
        if self.alive and faults.refuse and not refused:
            self._close()
        elif self.alive and refused and not faults.refuse:
            self._open(self.port)
        self._signal.tell()

    async def start(self, port: int = 0) -> None:
        """Listen on `port` (0: any free one). Raises `OSError` when it is taken."""
        self.alive = True
        self._open(port)
        if self.faults.refuse:
            self._close()

    async def stop(self) -> None:
        """Close everything. Raises what went wrong while serving: a bug."""
        self.alive = False
        serving = self._serving
        self._close()
        if serving is not None:
            await asyncio.wait([serving])
            if not serving.cancelled():
                serving.result()

    def die(self) -> None:
        """Go as a killed process goes."""
        if not self.alive:
            return
        self.alive = False
        self._close()
        self._signal.tell()
        if self.on_death is not None:
            self.on_death()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until `holds()`: looked at when a client comes, asks or goes."""
        await self._signal.until(holds)

    def _open(self, port: int) -> None:
        self._listening = socket.create_server((HOST, port), backlog=BACKLOG)
        self._listening.setblocking(False)
        self.port = int(self._listening.getsockname()[1])
        self._serving = asyncio.get_running_loop().create_task(self._serve(self._listening))

    def _close(self) -> None:
        # The task closes the socket that it waits on: nobody else may get its number before.
        if self._serving is not None:
            self._serving.cancel()
        if self._listening is not None:
            with suppress(OSError):  # not every system refuses connections from here on
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening = None

    async def _serve(self, listening: socket.socket) -> None:
        with listening:
            while self.alive:
                await _until_readable(listening)
                try:
                    client, _ = listening.accept()
                except BlockingIOError:  # whoever came has gone
                    continue
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with client:
                    await self._serve_client(Client(client))

    async def _serve_client(self, client: Client) -> None:
        self.clients += 1
        self._mark(busy=True)
        try:
            if await self._hello(client):
                while await self._command(client):
                    pass
        except BrokenPipeError:
            if self.sigpipe:
                self.die()
        except (ConnectionError, EOFError):
            pass  # the client left: the next one
        finally:
            self._mark(busy=False)

    async def _hello(self, client: Client) -> bool:
        command, body = await self._asked(client)
        asked = CAPS_BYTES if self.version.has_caps else 0
        if command != Command.HELLO or len(body) != asked:
            return False
        last = bytes(1 + CAPS_BYTES) if self.version.has_caps else b""
        await client.answer(bytes(self.version) + last)
        return True

    async def _command(self, client: Client) -> bool:
        """Answer one command. False: it is not to be answered, the connection closes."""
        answer = self._answer(*await self._asked(client))
        if answer is None:
            return False
        await client.answer(answer)
        return True

    async def _asked(self, client: Client) -> tuple[int, bytes]:
        command, body = await client.request()
        if len(self.commands) >= KEPT_COMMANDS:
            del self.commands[: KEPT_COMMANDS // 2]
        self.commands.append(command)
        self._signal.tell()
        await self.until(lambda: not self.faults.hang)
        return command, body

    def _answer(self, command: int, body: bytes) -> bytes | None:
        if command == Command.DEVICE_COUNT:
            return DEVICE.pack(len(self.devices)) if not body else None
        if len(body) != DEVICE.size or DEVICE.unpack(body)[0] >= len(self.devices):
            return None
        device = self.devices[DEVICE.unpack(body)[0]]
        match command:
            case Command.GET_ALIGNMENT:
                return NUMBER.pack(ALIGNMENT)
            case Command.GET_MAX_SIZE:
                return NUMBER.pack(MAX_SIZE)
            case Command.GET_DEVICE_MEMORY:
                return MEMORY.pack(device.free_bytes, device.total_bytes)
        return None

    def _mark(self, *, busy: bool) -> None:
        self.busy = busy
        self._signal.tell()


async def _until_readable(waiting: socket.socket) -> None:
    """Wait for a client without taking it: one that is taken in a cancelled wait would be lost."""
    loop = asyncio.get_running_loop()
    came = loop.create_future()

    def note() -> None:
        if not came.done():
            came.set_result(None)

    loop.add_reader(waiting, note)
    try:
        await came
    finally:
        loop.remove_reader(waiting)


class Client:
    """The client that is served: its requests and our answers, in the order they come."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    async def request(self) -> tuple[int, bytes]:
        """The next command and its body. Raises `EOFError` when the client left."""
        command, size = HEAD.unpack(await self._read(HEAD.size))
        if size > MAX_REQUEST_BYTES:
            raise EOFError(f"a request of {size} bytes")
        return command, await self._read(size)

    async def answer(self, body: bytes) -> None:
        """Send an answer as llama.cpp does: its size, then its body.

        Two writes: the second one to a client that closed unread is the broken pipe that kills.
        """
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, SIZE.pack(len(body)))
        await loop.sock_sendall(self._socket, body)

    async def _read(self, size: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < size:
            part = await loop.sock_recv(self._socket, size - len(data))
            if not part:
                raise EOFError("the client left")
            data += part
        return data
