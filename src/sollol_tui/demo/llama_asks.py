"""What a request to a llama-server wants, or the words in which it is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sollol_tui.demo import llama_shapes
from sollol_tui.demo.http import Request
from sollol_tui.demo.speech import Turn

_BAD = "invalid_request_error"


class Refused(Exception):  # noqa: N818 - an answer of the server, not a failure of it
    """An answer with an error status."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.status = status
        self.body = body


class Ask(NamedTuple):
    """A request for an answer."""

    turns: tuple[Turn, ...]
    stream: bool
    include_usage: bool
    return_progress: bool
    timings_per_token: bool
    think: bool
    most_tokens: int | None
    temperature: float
    seed: int


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises `Refused`."""
    try:
        body = request.json()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        read = error.doc[: error.pos + 1]
        message = (
            f"[json.exception.parse_error.101] parse error at {place}: "
            f"syntax error while parsing value - invalid literal; last read: '{read}'"
        )
        raise refusal(400, message) from error
    if not isinstance(body, dict):
        raise refusal(400, "the request is not an object")
    return body


def chat(request: Request) -> Ask:
    """What `/v1/chat/completions` is asked for. Raises `Refused`."""
    body = body_of(request)
    if "messages" not in body:
        raise refusal(400, "'messages' is required")
    if not isinstance(body["messages"], list):
        raise refusal(400, "Expected 'messages' to be an array")
    most = body.get("max_tokens", body.get("n_predict", -1))
    template = body.get("chat_template_kwargs") or {}
    return Ask(
        turns=tuple(_turn(message) for message in body["messages"]),
        stream=bool(body.get("stream")),
        include_usage=bool((body.get("stream_options") or {}).get("include_usage")),
        return_progress=bool(body.get("return_progress")),
        timings_per_token=bool(body.get("timings_per_token")),
        think=template.get("enable_thinking") is not False,
        most_tokens=most if most is not None and most >= 0 else None,
        temperature=float(body.get("temperature", llama_shapes.PARAMS["temperature"])),
        seed=int(body.get("seed") or 0),
    )


def too_long(prompt_tokens: int, context: int) -> Refused:
    """The refusal of a prompt that does not fit into a slot."""
    message = (
        f"request ({prompt_tokens} tokens) exceeds the available context size "
        f"({context} tokens), try increasing it"
    )
    counts = {"n_prompt_tokens": prompt_tokens, "n_ctx": context}
    return refusal(400, message, "exceed_context_size_error", **counts)


def refusal(status: int, message: str, kind: str = _BAD, **more: int) -> Refused:
    """An error of a handler."""
    return Refused(status, llama_shapes.error(status, message, kind, **more))


def _turn(message: Mapping[str, Any]) -> Turn:
    content = message.get("content") or ""
    if isinstance(content, list):  # OpenAI's parts
        content = "".join(str(part.get("text", "")) for part in content)
    return Turn(str(message.get("role", "")), str(content))
