"""The speed of a machine, and the places where its answers break."""

from __future__ import annotations

import asyncio

from sollol_tui.demo.faults import Broken
from sollol_tui.demo.http import HttpServer

PROMPT_SPEED = 14.0  # a prompt is read so many times faster than an answer is written


class Pace:
    """Lets the tokens of one answer through, one after the other.

    `tokens_per_s` None: as fast as the loop turns.
    """

    def __init__(self, server: HttpServer, tokens_per_s: float | None) -> None:
        self._server = server
        self._gap_s = 1.0 / tokens_per_s if tokens_per_s else 0.0
        self._due_s = 0.0
        self._next = 0

    async def read(self, prompt_tokens: int) -> None:
        """Take the time that reading so much of a prompt takes."""
        await asyncio.sleep(prompt_tokens * self._gap_s / PROMPT_SPEED)

    async def token(self) -> None:
        """Return when the next token may go. Raises `Broken` where the answer breaks."""
        if self._next == 0:
            await asyncio.sleep(self._server.faults.first_token_s)
        await self.end()
        self._next += 1
        await self._wait_for_turn()

    async def end(self) -> None:
        """Return when the last word of the answer may go. Raises `Broken`, as `token` does."""
        self._server.signal.tell()
        await self._server.until(lambda: not self._server.faults.stalls_at(self._next))
        how = self._server.faults.break_at(self._next)
        if how is not None:
            raise Broken(how)

    async def _wait_for_turn(self) -> None:
        now_s = asyncio.get_running_loop().time()
        # Due times are absolute, so that the rate is true; after a stall nothing is caught up on.
        self._due_s = max(self._due_s + self._gap_s, now_s)
        await asyncio.sleep(self._due_s - now_s)
