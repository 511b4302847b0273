"""The two ways in which an Ollama node answers: line by line, or all at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from sollol_tui.demo.clock import rfc3339
from sollol_tui.demo.faults import Break
from sollol_tui.demo.http import Exchange
from sollol_tui.demo.ollama_shapes import go_json
from sollol_tui.demo.speech import Piece

JSON = (("Content-Type", "application/json; charset=utf-8"),)
NDJSON = (("Content-Type", "application/x-ndjson"),)
RUNNER_LOST = "an error was encountered while running the model: unexpected EOF"


Shape = Callable[[str, str], dict[str, Any]]
"""How text and thinking lie in an object."""


def chat_shape(text: str, thinking: str) -> dict[str, Any]:
    """The part of a chat object that carries text."""
    message = {"role": "assistant", "content": text}
    return {"message": {**message, "thinking": thinking} if thinking else message}


def generate_shape(text: str, thinking: str) -> dict[str, Any]:
    """The part of a generate object that carries text."""
    response = {"response": text}
    return {**response, "thinking": thinking} if thinking else response


class Reply(Protocol):
    """What an answer is written to."""

    async def piece(self, piece: Piece) -> None:
        """Say one token."""

    async def finish(self, final: dict[str, Any]) -> None:
        """Say the last word."""

    async def broken(self, how: Break) -> None:
        """Fail in one of the ways that leave the server alive."""


class LineReply:
    """One JSON object per line; not even headers are sent before the first token."""

    def __init__(self, exchange: Exchange, asked_model: str, shape: Shape) -> None:
        self._exchange = exchange
        self._model = asked_model
        self._shape = shape
        self._opened = False

    async def piece(self, piece: Piece) -> None:
        text, thinking = ("", piece.text) if piece.thought else (piece.text, "")
        await self._line({**head(self._model), **self._shape(text, thinking), "done": False})

    async def finish(self, final: dict[str, Any]) -> None:
        await self._line({**head(self._model), **self._shape("", ""), "done": True, **final})
        await self._exchange.end()

    async def broken(self, how: Break) -> None:
        if how == "cut":
            await self._exchange.cut()
        elif how == "error" and not self._opened:
            await self._exchange.answer(500, go_json({"error": RUNNER_LOST}), JSON)
            return
        elif how == "error":
            await self._line({"error": RUNNER_LOST})
        await self._open()
        await self._exchange.end()

    async def _line(self, value: dict[str, Any]) -> None:
        await self._open()
        await self._exchange.send(go_json(value) + b"\n")

    async def _open(self) -> None:
        if not self._opened:
            self._opened = True
            await self._exchange.open(200, NDJSON)


class WholeReply:
    """One JSON object when all is said."""

    def __init__(self, exchange: Exchange, asked_model: str, shape: Shape) -> None:
        self._exchange = exchange
        self._model = asked_model
        self._shape = shape
        self._pieces: list[Piece] = []

    async def piece(self, piece: Piece) -> None:
        self._pieces.append(piece)

    async def finish(self, final: dict[str, Any]) -> None:
        await self._answer({"done": True, **final})

    async def broken(self, how: Break) -> None:
        if how == "cut":
            await self._exchange.cut()
        elif how == "error":
            await self._exchange.answer(500, go_json({"error": RUNNER_LOST}), JSON)
        else:
            await self._answer({"done": False})

    async def _answer(self, end: dict[str, Any]) -> None:
        text = "".join(piece.text for piece in self._pieces if not piece.thought)
        thinking = "".join(piece.text for piece in self._pieces if piece.thought)
        value = {**head(self._model), **self._shape(text, thinking), **end}
        await self._exchange.answer(200, go_json(value), JSON)


def head(asked_model: str) -> dict[str, Any]:
    """The fields that every object begins with."""
    return {"model": asked_model, "created_at": rfc3339(time.time_ns())}
