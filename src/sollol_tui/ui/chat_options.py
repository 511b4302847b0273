"""What can be set for a chat: `temperature 0.2`, `context 8k`, `keep-alive 10m`, `think off`."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import isfinite

from sollol_tui.core.asks import ChatOptions
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

LEAST_CONTEXT, MOST_CONTEXT = 256, 16_777_216
MOST_TEMPERATURE = 2.0
UNSET = ("auto", "default", "")

_SPAN = re.compile(r"(?:\d+(?:\.\d+)?(?:h|m|s|ms))+")
_THINK = {"on": True, "yes": True, "off": False, "no": False}


def with_option(options: ChatOptions, text: str) -> ChatOptions:
    """The options with one of them set as a text says; raises `Refused` with a sentence.

    `auto`, or no value, leaves that option to the server again.
    """
    name, _, value = text.strip().casefold().partition(" ")
    field = _NAMES.get(name)
    if field is None:
        raise Refused(f"“{clean(name, 40)}” cannot be set: mode, {', '.join(OPTIONS)} can.")
    value = value.strip()
    read = None if value in UNSET else _READERS[field](value)
    return ChatOptions(**(options._asdict() | {field: read}))


def described(options: ChatOptions) -> list[str]:
    """The options that are set, as they are typed."""
    words = {True: "on", False: "off"}
    set_ones = ((name, getattr(options, field)) for name, field in _FIELDS.items())
    return [
        f"{name} {words[value] if isinstance(value, bool) else value}"
        for name, value in set_ones
        if value is not None
    ]


def option_choices(_snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """What `/set` can be completed to."""
    modes = (f"mode {word}" for word in ("task", "model", "both", "auto"))
    return (*OPTIONS, "think on", "think off", "think auto", *modes)


def _temperature(value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = -1.0
    if not (isfinite(found) and 0 <= found <= MOST_TEMPERATURE):
        raise Refused(f"A temperature is a number from 0 to 2, not “{value}”.")
    return found


def _context(value: str) -> int:
    thousands = value.removesuffix("k")
    found = int(thousands) if re.fullmatch(r"[0-9]{1,9}", thousands) else 0
    found *= 1024 if thousands != value else 1
    if not LEAST_CONTEXT <= found <= MOST_CONTEXT:
        raise Refused(f"A context is a number of tokens from {LEAST_CONTEXT}, not “{value}”.")
    return found


def _count(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise Refused(f"This is a whole number from 0, not “{value}”.")
    return int(value)


def _keep_alive(value: str) -> str:
    if value in ("forever", "-1"):
        return "-1s"  # Ollama: a negative span never ends
    if re.fullmatch(r"[0-9]{1,9}", value):
        return f"{value}s"
    if not _SPAN.fullmatch(value):
        raise Refused(f"How long is “{value}”? Say 30s, 10m, 2h, or forever.")
    return value


def _think(value: str) -> bool:
    if value not in _THINK:
        raise Refused(f"Thinking is on, off or auto, not “{value}”.")
    return _THINK[value]


_READERS: dict[str, Callable[[str], object]] = {
    "temperature": _temperature,
    "context_tokens": _context,
    "keep_alive": _keep_alive,
    "think": _think,
    "max_tokens": _count,
    "seed": _count,
}
_FIELDS = {
    "temperature": "temperature",
    "context": "context_tokens",
    "keep-alive": "keep_alive",
    "think": "think",
    "max-tokens": "max_tokens",
    "seed": "seed",
}
OPTIONS = tuple(_FIELDS)
_NAMES = _FIELDS | {"keep_alive": "keep_alive", "num_ctx": "context_tokens"}
