"""A coordinator's one lasting connection to an RPC backend."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sollol_tui.demo.rpc import (
    CAPS_BYTES,
    DEVICE,
    MEMORY,
    SIZE,
    VERSION,
    Command,
    LinkError,
    RpcDevice,
    Version,
    request,
)

_LOST = "ggml-rpc.cpp:566: Remote RPC server crashed or returned malformed response"


class BackendLink:
    """An open connection that said HELLO. It has no time-outs: neither has llama.cpp's."""

    def __init__(
        self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address = address
        self.devices: tuple[RpcDevice, ...] = ()
        self._reader = reader
        self._writer = writer
        self._steps: set[asyncio.Task[bytes]] = set()
        self._turn = asyncio.Lock()  # one question at a time, answered in order

    @classmethod
    async def connect(cls, address: str) -> BackendLink:
        """Connect, say HELLO and ask for the devices; waits while another client is served.

        Raises `LinkError`.
        """
        host, _, port = address.rpartition(":")
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
        except OSError as error:
            raise LinkError(f"ggml-rpc.cpp:547: Failed to connect to {address}") from error
        link = cls(address, reader, writer)
        try:
            await link._introduce()
        except BaseException:
            link.close()
            raise
        return link

    async def touch(self) -> None:
        """Let the backend do its part of a token: it has to answer. Raises `LinkError`.

        Whoever leaves in the meantime leaves no answer behind: the step runs to its end.
        """
        asking = self._ask(Command.GET_ALIGNMENT, DEVICE.pack(0))
        step = asyncio.get_running_loop().create_task(asking)
        self._steps.add(step)
        step.add_done_callback(self._stepped)
        await asyncio.shield(step)

    def close(self) -> None:
        """Let the backend go: it is free for others."""
        self._writer.close()

    async def closed(self) -> None:
        """Return when a closed connection is gone."""
        if self._steps:
            await asyncio.wait(self._steps)
        with suppress(OSError):
            await self._writer.wait_closed()

    def _stepped(self, step: asyncio.Task[bytes]) -> None:
        self._steps.discard(step)
        if not step.cancelled():
            step.exception()  # told to whoever waited, if anybody did

    async def _introduce(self) -> None:
        said = await self._ask(Command.HELLO, bytes(CAPS_BYTES))
        version = Version(*said[:3])
        if version.major != VERSION.major or version.minor > VERSION.minor:
            raise LinkError(f"ggml-rpc.cpp:550: RPC handshake failed for {self.address}")
        count = DEVICE.unpack(await self._ask(Command.DEVICE_COUNT))[0]
        self.devices = tuple([await self._device(index) for index in range(count)])

    async def _device(self, index: int) -> RpcDevice:
        answer = await self._ask(Command.GET_DEVICE_MEMORY, DEVICE.pack(index))
        free_bytes, total_bytes = MEMORY.unpack(answer)
        return RpcDevice(total_bytes, free_bytes)

    async def _ask(self, command: Command, body: bytes = b"") -> bytes:
        try:
            async with self._turn:
                self._writer.write(request(command, body))
                size = SIZE.unpack(await self._reader.readexactly(SIZE.size))[0]
                return await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError) as error:
            raise LinkError(_LOST) from error
