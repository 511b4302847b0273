"""Reads a stream in a task of its own: waiting for it can be bounded without breaking it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator

from sollol_tui.core.asks import StreamEvent


class Pump:
    """Takes events from a server's stream as they come.

    `take` gives all that came since, or an empty list when nothing came in time. Use it as an
    async context manager: leaving it closes the stream, and with it the server's slot.
    """

    def __init__(self, stream: AsyncGenerator[StreamEvent, None]) -> None:
        self._stream = stream
        self._events: deque[StreamEvent] = deque()
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Pump:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        task = self._task
        if task is None:
            return
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    @property
    def ended(self) -> bool:
        """Whether nothing can come any more."""
        return not self._events and (self._task is None or self._task.done())

    async def take(self, within_s: float) -> list[StreamEvent]:
        """The events that have come, waiting for the first of them at most so long."""
        if not self._events:
            await self._wait(within_s)
        self._more.clear()
        taken = list(self._events)
        self._events.clear()
        return taken

    async def _wait(self, within_s: float) -> None:
        task = self._task
        if task is None or task.done():
            return
        try:
            async with asyncio.timeout(within_s):
                await self._more.wait()
        except TimeoutError:
            return

    async def _run(self) -> None:
        try:
            async for event in self._stream:
                self._events.append(event)
                self._more.set()
        finally:
            self._more.set()
            await self._stream.aclose()
