"""A listening port of loopback that can be shut and opened again at any moment."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

HOST = "127.0.0.1"


class Listener:
    """Accepts clients and gives each its protocol, made by `factory`."""

    def __init__(self, factory: Callable[[], asyncio.Protocol]) -> None:
        self._factory = factory
        self._socket: socket.socket | None = None
        self._greetings: set[asyncio.Task[Any]] = set()

    def open(self, port: int) -> int:
        """Listen on `port` (0: any free one) and return it. Raises `OSError` when it is taken."""
        self._socket = socket.create_server((HOST, port))
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._accept)
        return int(self._socket.getsockname()[1])

    def shut(self) -> None:
        """Listen no more: connections are refused."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def settled(self) -> None:
        """Return when every accepted connection has its protocol."""
        await asyncio.gather(*self._greetings)

    def _accept(self) -> None:
        assert self._socket is not None
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, ConnectionError):
            return  # the client left before we came
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        greeting = loop.create_task(loop.connect_accepted_socket(self._factory, accepted))
        self._greetings.add(greeting)
        greeting.add_done_callback(self._greetings.discard)
