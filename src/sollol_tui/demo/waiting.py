"""Waiting for something to hold, without a clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Signal:
    """Whoever changes something tells; whoever waits looks again."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Let everybody who waits look again."""
        told, self._changed = self._changed, asyncio.Event()
        told.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as `holds()` is true."""
        while not holds():
            await self._changed.wait()
