"""Servers to break in tests: the demo's own, and places where nothing answers.

Each is an async context manager on 127.0.0.1 with a port of its own:

    async with fakes.node(models=["llama3.2:3b"]) as node:
        node.faults = Faults(stall_after=3)
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from sollol_tui.demo.backend import DemoBackend
from sollol_tui.demo.coordinator import DemoCoordinator
from sollol_tui.demo.listener import HOST
from sollol_tui.demo.ollama import DemoNode

_ENOUGH_TO_FILL = 4  # the queue holds one or two


@asynccontextmanager
async def node(**options: Any) -> AsyncIterator[DemoNode]:
    """A running Ollama node."""
    server = DemoNode(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def coordinator(**options: Any) -> AsyncIterator[DemoCoordinator]:
    """A running llama-server."""
    server = DemoCoordinator(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def backend(**options: Any) -> AsyncIterator[DemoBackend]:
    """A running RPC backend."""
    server = DemoBackend(**options)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def dead_url() -> AsyncIterator[str]:
    """A URL whose port refuses connections: bound by us, so that nobody else listens there."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield _url(bound)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A URL that accepts connections and never says a word."""
    with socket.create_server((HOST, 0)) as listening:
        yield _url(listening)


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """A URL whose connections get no answer at all: the queue of the listening socket is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server((HOST, 0), backlog=0))
        for _ in range(_ENOUGH_TO_FILL):
            queued = stack.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(listening.getsockname())
        yield _url(listening)


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()
    return f"http://{host}:{port}"
