"""One answer of a llama-server: the prompt batch by batch, then token by token."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from sollol_tui.demo.llama_asks import Ask
from sollol_tui.demo.llama_metrics import Metrics
from sollol_tui.demo.llama_replies import Reply
from sollol_tui.demo.llama_shapes import Timing
from sollol_tui.demo.pace import Pace
from sollol_tui.demo.slots import Slot, Slots
from sollol_tui.demo.speech import Answer, Piece, pieces_of

BATCH = 512  # prompt tokens per step: a progress event comes after each


class Generation:
    """Works on one slot. `compute` is a step of the model and may fail with its backends."""

    def __init__(
        self,
        slot: Slot,
        slots: Slots,
        metrics: Metrics,
        pace: Pace,
        compute: Callable[[], Awaitable[None]],
    ) -> None:
        self._slot = slot
        self._slots = slots
        self._metrics = metrics
        self._pace = pace
        self._compute = compute
        self._timing = Timing(slot.cached, slot.read, 0.0, 0, 0.001)
        self._writing_since_s = 0.0

    async def run(self, reply: Reply, ask: Ask, answer: Answer) -> Timing:
        """Read the prompt and write the answer, as far as the context and the request allow."""
        await self._read(reply)
        room = self._slot.context - len(self._slot.held)
        most = room if ask.most_tokens is None else min(room, ask.most_tokens)
        pieces, reason = pieces_of(answer, most)
        try:
            for piece in pieces:
                await self._write(reply, piece)
            await self._pace.end()
        finally:
            self._metrics.ended(self._timing)
        await reply.finish(reason, self._timing)
        return self._timing

    async def _read(self, reply: Reply) -> None:
        begun_s = time.perf_counter()
        slot = self._slot
        await reply.progress(self._timing, slot.cached)
        batches = range(0, slot.read, BATCH)
        for start in batches:
            size = min(BATCH, slot.read - start)
            await self._compute()
            await self._pace.read(size)
            self._timing = self._timing._replace(read_ms=_ms_since(begun_s))
            await reply.progress(self._timing, slot.cached + start + size)
        self._metrics.prompt_read(self._timing, len(batches))

    async def _write(self, reply: Reply, piece: Piece) -> None:
        slot = self._slot
        await self._pace.token()
        await self._compute()
        if not slot.written:  # the first token comes out of the prompt's last step
            self._writing_since_s = time.perf_counter()
        slot.written += 1
        slot.held.append(piece.text)
        self._metrics.token(len(slot.held), self._slots.busy)
        took_ms = _ms_since(self._writing_since_s)
        self._timing = self._timing._replace(written=slot.written, written_ms=took_ms)
        await reply.piece(piece, self._timing)


def _ms_since(begun_s: float) -> float:
    """Milliseconds since then, to the microsecond, never 0."""
    return max(round((time.perf_counter() - begun_s) * 1000, 3), 0.001)
