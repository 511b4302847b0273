"""JSON from servers, read leniently: what is missing, null or of the wrong type is unknown.

Servers differ by version and by what stands before them, so nothing here raises: a reader gives
the value when it is what it should be, and the empty or unknown value when not.
"""

from __future__ import annotations

import json
import re
from math import isfinite

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.plain import plain_line

DETAIL_CHARS = 300
_LARGEST_COUNT = 2**63

_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAGS = re.compile(r"<[^>]*>")
_HUMAN_NUMBER = re.compile(r"(?:(\d+)\s*x\s*)?(\d+(?:\.\d+)?)\s*([KMBT]?)", re.IGNORECASE)
_SCALE = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


def parse_json(raw: bytes) -> object:
    """The value, or None when it is not JSON. Bytes that are not UTF-8 become U+FFFD."""
    try:
        value: object = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):  # the latter: nested thousands deep
        return None
    return value


def fields(value: object) -> dict[str, object]:
    """An object's fields; none when it is no object."""
    return value if isinstance(value, dict) else {}


def items(value: object) -> list[object]:
    """A list's entries; none when it is no list (Go servers say null for an empty one)."""
    return value if isinstance(value, list) else []


def text(value: object) -> str:
    """A string that can be written as UTF-8 (half a surrogate pair cannot), else `""`."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def texts(value: object) -> tuple[str, ...]:
    """The strings of a list that are not empty."""
    return tuple(found for entry in items(value) if (found := text(entry)))


def number(value: object) -> float | None:
    """A finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if isfinite(found) else None


def count(value: object) -> int | None:
    """A whole number from zero up, else None."""
    found = number(value)
    if found is None or not 0 <= found < _LARGEST_COUNT or found != int(found):
        return None
    return int(value) if isinstance(value, int) else int(found)


def positive(value: object) -> int | None:
    """A whole number from one up, else None: where servers write 0 for what they do not know."""
    return count(value) or None


def parameters_of(size: str) -> float | None:
    """The number of weights that a display string tells: `134.52M`, `8.0B`, `8x7B`, `140K`."""
    found = _HUMAN_NUMBER.fullmatch(size.strip())
    if found is None:
        return None
    experts, figure, unit = found.groups()
    return float(figure) * _SCALE[unit.upper()] * int(experts or 1) or None


def one_line(foreign: str, limit: int = DETAIL_CHARS) -> str:
    """A foreign text as evidence: one line without control codes, cut at the limit."""
    line = " ".join(plain_line(foreign[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def error_of(value: object) -> tuple[str, int | None]:
    """The sentence and the status code in an error answer; `("", None)` when it holds none.

    Ollama says `{"error": "text"}`, where the text may itself be llama-server's JSON; llama-server
    and proxies say `{"error": {"message": "text", "code": 400}}`.
    """
    for _ in range(4):  # JSON in a string in JSON: never deeper than a few
        if isinstance(value, str):
            inner = parse_json(value.encode("utf-8", "replace")) if value[:1] == "{" else None
            if not isinstance(inner, dict):
                return one_line(text(value)), None
            value = inner
        found = fields(value)
        if "error" not in found:
            break
        value = found["error"]
    found = fields(value)
    said = text(found.get("message")) or text(found.get("detail"))
    return one_line(said), count(found.get("code"))


def said_by(body: bytes) -> str:
    """What an error page or an error answer says, in one line: JSON, HTML or plain text."""
    said, _ = error_of(parse_json(body))
    if said:
        return said
    plain = body[:4096].decode("utf-8", "replace")
    if title := _TITLE.search(plain):
        return f"a web page: {one_line(title[1])}"
    return one_line(_TAGS.sub(" ", plain) if "<" in plain[:64] else plain)


def fault_of_code(code: int, said: str) -> Fault:
    """What an HTTP status code and the sentence that came with it mean."""
    detail = said or f"HTTP {code}"
    if "maximum pending requests" in said:  # Ollama's queue (server/sched.go)
        return Fault(FaultKind.SATURATED, detail)
    if code == 503 and "loading model" in said.lower():  # llama-server
        return Fault(FaultKind.LOADING, detail)
    if code in _KINDS:
        return Fault(_KINDS[code], detail)
    if code >= 500:
        return Fault(FaultKind.SERVER, detail)
    return Fault(FaultKind.BAD_REQUEST if code >= 400 else FaultKind.PROTOCOL, detail)


_KINDS = {
    401: FaultKind.UNAUTHORIZED,
    403: FaultKind.UNAUTHORIZED,
    404: FaultKind.NOT_FOUND,
    405: FaultKind.PROTOCOL,  # something else listens there
    408: FaultKind.TIMEOUT,
    429: FaultKind.RATE_LIMITED,
}
