"""What a request to an Ollama node wants, or the words in which the node refuses it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sollol_tui.demo.catalog import Model, find
from sollol_tui.demo.clock import keep_alive_ns
from sollol_tui.demo.http import Request
from sollol_tui.demo.speech import Turn

_OPTIONS: Mapping[str, tuple[type, ...]] = {
    "num_ctx": (int,),
    "num_predict": (int,),
    "seed": (int,),
    "temperature": (int, float),
    "top_p": (int, float),
}


class Refused(Exception):  # noqa: N818 - an answer of the server, not a failure of it
    """An answer with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Ask(NamedTuple):
    """A request for an answer. `turns` is empty when only a load or unload is wanted."""

    asked_model: str  # as it was written: every chunk repeats it
    model: Model
    turns: tuple[Turn, ...]
    stream: bool
    think: bool
    keep_alive_ns: int | None
    context: int | None
    most_tokens: int | None
    seed: int


def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises `Refused`."""
    if not request.body:
        raise Refused(400, "missing request body")
    try:
        body = request.json()
    except json.JSONDecodeError as error:
        at = error.doc[error.pos : error.pos + 1]
        place = "object key string" if "property name" in error.msg else "value"
        wrong = f"invalid character '{at}' looking for beginning of {place}"
        raise Refused(400, wrong if at else "unexpected EOF") from error
    if not isinstance(body, dict):
        raise Refused(400, "json: cannot unmarshal into Go value of type api.ChatRequest")
    return body


def model_of(body: Mapping[str, Any], models: tuple[Model, ...], *, full: bool = False) -> Model:
    """The model that a request names. Raises `Refused`, with the tag spelt out when `full`."""
    name = str(body.get("model") or body.get("name") or "")
    if not name:
        raise Refused(400, "model is required")
    found = find(name, models)
    if found is None:
        told = name if ":" in name or not full else f"{name}:latest"
        raise Refused(404, f"model '{told}' not found")
    return found


def chat(request: Request, models: tuple[Model, ...]) -> Ask:
    """What `/api/chat` is asked for. Raises `Refused`."""
    body = body_of(request)
    messages = body.get("messages") or ()
    turns = tuple(Turn(str(m.get("role", "")), str(m.get("content", ""))) for m in messages)
    return _ask(body, models, turns, "chat")


def generate(request: Request, models: tuple[Model, ...]) -> Ask:
    """What `/api/generate` is asked for. Raises `Refused`."""
    body = body_of(request)
    prompt = str(body.get("prompt") or "")
    system = str(body.get("system") or "")
    turns = (Turn("system", system),) if system and prompt else ()
    return _ask(body, models, (*turns, Turn("user", prompt)) if prompt else (), "generate")


def _ask(
    body: Mapping[str, Any], models: tuple[Model, ...], turns: tuple[Turn, ...], for_: str
) -> Ask:
    model = model_of(body, models)
    options = _options(body)
    _check_abilities(body, model, for_)
    most = options.get("num_predict", -1)
    return Ask(
        asked_model=str(body.get("model") or body.get("name")),
        model=model,
        turns=turns,
        stream=body.get("stream") is not False,
        think=model.thinks and body.get("think") is not False,
        keep_alive_ns=_keep_alive(body),
        context=options.get("num_ctx"),
        most_tokens=most if most >= 0 else None,
        seed=options.get("seed", 0),
    )


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    options = body.get("options") or {}
    for name, types in _OPTIONS.items():
        if name in options and type(options[name]) not in types:
            kind = "integer" if types == (int,) else "float32"
            raise Refused(500, f'option "{name}" must be of type {kind}')
    return dict(options)


def _check_abilities(body: Mapping[str, Any], model: Model, for_: str) -> None:
    asked = str(body.get("model") or body.get("name"))
    if not model.chats:
        raise Refused(400, f'"{asked}" does not support {for_}')
    if body.get("tools") and "tools" not in model.capabilities:
        full = f"registry.ollama.ai/library/{model.name}"
        raise Refused(400, f"{full} does not support tools")
    if body.get("think") and not model.thinks:
        raise Refused(400, f'"{asked}" does not support thinking')


def _keep_alive(body: Mapping[str, Any]) -> int | None:
    if body.get("keep_alive") is None:
        return None
    try:
        return keep_alive_ns(body["keep_alive"])
    except ValueError as error:
        raise Refused(400, str(error)) from error
