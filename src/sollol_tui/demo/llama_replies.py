"""The two ways in which a llama-server answers: event by event, or all at once."""

from __future__ import annotations

import random
import string
import time
from typing import Any, Protocol

from sollol_tui.demo import llama_shapes
from sollol_tui.demo.faults import Break
from sollol_tui.demo.http import Exchange, json_bytes
from sollol_tui.demo.llama_asks import Ask
from sollol_tui.demo.llama_shapes import BUILD, Timing
from sollol_tui.demo.speech import Piece

JSON = (("Content-Type", "application/json; charset=utf-8"),)
EVENTS = (("X-Accel-Buffering", "no"), ("Content-Type", "text/event-stream"))
CONTEXT_FULL = llama_shapes.error(500, "Context size has been exceeded.", "server_error")
_ROLE = {"role": "assistant", "content": None}


class Reply(Protocol):
    """What an answer is written to."""

    async def open(self) -> None:
        """Send what can be sent before the prompt is read."""

    async def progress(self, timing: Timing, processed: int) -> None:
        """Tell how much of the prompt is read; `processed` includes what was cached."""

    async def piece(self, piece: Piece, timing: Timing) -> None:
        """Say one token."""

    async def finish(self, reason: str, timing: Timing) -> None:
        """Say the last word."""

    async def broken(self, how: Break) -> None:
        """Fail in one of the ways that leave the server alive."""


class EventReply:
    """Server-sent events: the headers at once, a role, tokens, a reason, the figures, [DONE]."""

    def __init__(self, exchange: Exchange, alias: str, ask: Ask) -> None:
        self._exchange = exchange
        self._alias = alias
        self._ask = ask
        self._id = chat_id()
        self._began = False

    async def open(self) -> None:
        await self._exchange.open(200, EVENTS)

    async def progress(self, timing: Timing, processed: int) -> None:
        if not self._ask.return_progress:
            return
        total = timing.cached + timing.read
        told = {"total": total, "cache": timing.cached, "processed": processed}
        progress = {**told, "time_ms": int(timing.read_ms)}
        await self._chunk([_choice(None, _ROLE)], prompt_progress=progress)

    async def piece(self, piece: Piece, timing: Timing) -> None:
        if not self._began:
            self._began = True
            await self._chunk([_choice(None, _ROLE)])
        field = "reasoning_content" if piece.thought else "content"
        more = {"timings": llama_shapes.timings(timing)} if self._ask.timings_per_token else {}
        await self._chunk([_choice(None, {field: piece.text})], **more)

    async def finish(self, reason: str, timing: Timing) -> None:
        figures = {"timings": llama_shapes.timings(timing)}
        if self._ask.include_usage:
            await self._chunk([_choice(reason, {})])
            await self._chunk([], usage=llama_shapes.usage(timing), **figures)
        else:
            await self._chunk([_choice(reason, {})], **figures)
        await self._exchange.send(b"data: [DONE]\n\n")
        await self._exchange.end()

    async def broken(self, how: Break) -> None:
        if how == "cut":
            await self._exchange.cut()
        if how == "error":
            await self._event(CONTEXT_FULL)
        await self._exchange.end()

    async def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> None:
        await self._event(
            {
                "choices": choices,
                "created": int(time.time()),
                "id": self._id,
                "model": self._alias,
                "system_fingerprint": BUILD,
                "object": "chat.completion.chunk",
                **more,
            }
        )

    async def _event(self, value: dict[str, Any]) -> None:
        await self._exchange.send(b"data: " + json_bytes(value) + b"\n\n")


class WholeReply:
    """One JSON object when all is said."""

    def __init__(self, exchange: Exchange, alias: str, ask: Ask) -> None:
        self._exchange = exchange
        self._alias = alias
        self._pieces: list[Piece] = []

    async def open(self) -> None:
        pass  # nothing comes before the end

    async def progress(self, timing: Timing, processed: int) -> None:
        pass  # nor in between

    async def piece(self, piece: Piece, timing: Timing) -> None:
        self._pieces.append(piece)

    async def finish(self, reason: str, timing: Timing) -> None:
        thinking = "".join(piece.text for piece in self._pieces if piece.thought)
        text = "".join(piece.text for piece in self._pieces if not piece.thought)
        reasoning = {"reasoning_content": thinking} if thinking else {}
        message = {"role": "assistant", "content": text, **reasoning}
        value = {
            "choices": [{"finish_reason": reason, "index": 0, "message": message}],
            "created": int(time.time()),
            "model": self._alias,
            "system_fingerprint": BUILD,
            "object": "chat.completion",
            "usage": llama_shapes.usage(timing),
            "id": chat_id(),
            "timings": llama_shapes.timings(timing),
        }
        await self._exchange.answer(200, json_bytes(value), JSON)

    async def broken(self, how: Break) -> None:
        if how == "error":
            await self._exchange.answer(500, json_bytes(CONTEXT_FULL), JSON)
        else:
            await self._exchange.cut()


def chat_id() -> str:
    """A fresh id of an answer."""
    return "chatcmpl-" + "".join(random.choices(string.ascii_letters + string.digits, k=32))


def _choice(reason: str | None, delta: dict[str, Any]) -> dict[str, Any]:
    return {"finish_reason": reason, "index": 0, "delta": delta}
