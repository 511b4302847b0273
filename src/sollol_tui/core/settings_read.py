"""How each setting is read: from a TOML value, or from the text of a variable or flag.

`READERS` has one function per field of `Settings`. It takes the raw value and returns the field's,
or raises `BadValueError` with a sentence that says what is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

from sollol_tui.core.ids import (
    BackendAddress,
    host_of,
    is_loopback,
    parse_backend_address,
    parse_coordinator_url,
    parse_model_name,
    parse_node_url,
)
from sollol_tui.core.plain import HIDDEN, plain_line, without_password
from sollol_tui.core.settings import (
    BackendSetting,
    CoordinatorSetting,
    Headers,
    NodeSetting,
    Settings,
)
from sollol_tui.core.state import Mode

Reader: TypeAlias = Callable[[object], object]
Parsed = TypeVar("Parsed")

NODE_KEYS = ("url", "name", "headers", "api_key", "weight", "ca_file")
_RUN_KEYS = ("start", "model", "backends", "context_tokens")
COORDINATOR_KEYS = ("url", "name", "headers", "api_key", "ca_file", *_RUN_KEYS)

_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")
_REDIS_SCHEMES = ("redis", "rediss", "unix")
_REDIS_OFF = ("", "off", "none")
_SCALES = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
_HEADER_MARKS = "!#$%&'*+-.^_`|~"


class BadValueError(ValueError):
    """A value that cannot be used. `place` says where inside the key: `[1].weight`."""

    def __init__(self, problem: str, place: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = place


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that is most like this one, or nothing."""
    from difflib import get_close_matches  # late: only mistakes need it

    found = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else ""


def _shown(raw: object) -> str:
    """A wrong value as the error quotes it: short, harmless."""
    text = plain_line(str(raw))
    return repr(text if len(text) <= 60 else f"{text[:59]}…")


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise BadValueError(f"wants a text in quotes, not {_shown(raw)}")
    text = raw.strip()
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise BadValueError("has control characters in it")
    return text


def _yes_or_no(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = raw.strip().lower() if isinstance(raw, str) else ""
    if word not in _YES + _NO:
        raise BadValueError(f"wants true or false, not {_shown(raw)}")
    return word in _YES


def _number(least: float, most: float, wanted: str) -> Callable[[object], float]:
    def read(raw: object) -> float:
        try:
            number = _as_float(raw)
        except ValueError:
            raise BadValueError(f"wants {wanted}, not {_shown(raw)}") from None
        if not least <= number <= most:
            raise BadValueError(f"wants {wanted}, not {_shown(raw)}")
        return number

    return read


def _whole(least: int, most: int, wanted: str) -> Callable[[object], int]:
    number = _number(least, most, wanted)

    def read(raw: object) -> int:
        if number(raw) % 1:
            raise BadValueError(f"wants {wanted}, not {_shown(raw)}")
        return int(number(raw))

    return read


def _as_float(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise ValueError
    try:
        number = float(raw)
    except OverflowError:
        raise ValueError from None
    if not isfinite(number):
        raise ValueError
    return number


def _parameters(raw: object) -> float:
    """A number of weights: `13e9`, `"13B"`, `"13 B"`, `"700M"`."""
    wanted = 'a number of parameters such as 13e9 or "13B"'
    scale, rest = 1.0, raw
    if isinstance(raw, str):
        word = raw.strip().upper()
        scale = _SCALES.get(word[-1:], 1.0)
        rest = word.rstrip("KMBT").strip() if scale > 1 else word
    try:
        number = _as_float(rest) * scale
    except ValueError:
        raise BadValueError(f"wants {wanted}, not {_shown(raw)}") from None
    if number < 0:
        raise BadValueError(f"wants {wanted}, not {_shown(raw)}")
    return number


def _mode(raw: object) -> Mode:
    word = raw.strip().lower() if isinstance(raw, str) else ""
    try:
        return Mode(word)
    except ValueError:
        words = ", ".join(Mode)
        raise BadValueError(f"wants one of {words}, not {_shown(raw)}") from None


def _model(raw: object) -> str:
    text = _text(raw)
    return parse_model_name(text) if text else ""


def _redis_url(raw: object) -> str:
    """A Redis URL; `host` and `host:port` will do; empty, `off` or `none` is no registry."""
    text = _text(raw)
    if text.lower() in _REDIS_OFF:
        return ""
    url = text if "://" in text else f"redis://{text}"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _REDIS_SCHEMES and bool(parts.port or parts.hostname or parts.path)
    except ValueError:  # a port or bracket that is none
        usable = False
    if not usable:
        shown = without_password(url)
        raise BadValueError(f'wants redis://host:port, rediss://, unix:// or "off", not {shown!r}')
    return url


def _entries(raw: object, wanted: str) -> Sequence[object]:
    """The entries of a list; a text is a comma list (variables)."""
    if isinstance(raw, str):
        return [part for part in (p.strip() for p in raw.split(",")) if part]
    if not isinstance(raw, list | tuple):
        raise BadValueError(f"wants {wanted}, not {_shown(raw)}")
    return raw


def _each(raw: object, wanted: str, read: Callable[[object], Parsed]) -> tuple[Parsed, ...]:
    found = []
    for index, entry in enumerate(_entries(raw, wanted)):
        try:
            found.append(read(entry))
        except BadValueError as bad:
            raise BadValueError(bad.problem, f"[{index}]{bad.place}") from None
        except ValueError as error:
            raise BadValueError(str(error), f"[{index}]") from None
    return tuple(found)


def _table(raw: object, keys: tuple[str, ...]) -> Mapping[str, object]:
    """One table of a list of targets; a text stands for its URL."""
    if isinstance(raw, str):
        return {"url": raw}
    if not isinstance(raw, dict):
        raise BadValueError(f"wants a table with a url, not {_shown(raw)}")
    for key in raw:
        if key not in keys:
            raise BadValueError(f"unknown key{nearest(key, keys)}", f".{plain_line(key)}")
    if "url" not in raw:
        raise BadValueError("has no url")
    return raw


def _part(table: Mapping[str, object], key: str, read: Callable[[object], Parsed]) -> Parsed:
    try:
        return read(table[key])
    except BadValueError as bad:
        raise BadValueError(bad.problem, f".{key}{bad.place}") from None
    except ValueError as error:
        raise BadValueError(str(error), f".{key}") from None


def _headers(raw: object) -> Headers:
    if not isinstance(raw, dict):
        raise BadValueError('wants a table such as { Authorization = "Bearer …" }')
    return tuple(_header(name, value) for name, value in raw.items())


def _header(name: str, value: object) -> tuple[str, str]:
    # The value is a secret: no error quotes it.
    if not name or any(not (c.isascii() and c.isalnum()) and c not in _HEADER_MARKS for c in name):
        raise BadValueError(f"{_shown(name)} is not a header name")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        raise BadValueError("wants a text of printable ASCII characters", f".{name}")
    return name, value.strip()


def _all_headers(table: Mapping[str, object]) -> Headers:
    """The headers, with `api_key` as the Authorization header that it stands for."""
    headers = _part(table, "headers", _headers) if "headers" in table else ()
    if "api_key" not in table:
        return headers
    if any(name.lower() == "authorization" for name, _ in headers):
        raise BadValueError("and an Authorization header exclude each other", ".api_key")
    _, key = _part(table, "api_key", lambda raw: _header("api_key", raw))
    return (*headers, ("Authorization", f"Bearer {key}"))


def _node(raw: object) -> NodeSetting:
    table = _table(raw, NODE_KEYS)
    return NodeSetting(
        url=_part(table, "url", lambda value: parse_node_url(_text(value))),
        name=_part(table, "name", _text) if "name" in table else "",
        headers=_all_headers(table),
        weight=_part(table, "weight", _WEIGHT) if "weight" in table else 1.0,
        ca_file=_part(table, "ca_file", _text) if "ca_file" in table else "",
    )


def _coordinator(raw: object) -> CoordinatorSetting:
    table = _table(raw, COORDINATOR_KEYS)
    read = CoordinatorSetting(
        url=_part(table, "url", lambda value: parse_coordinator_url(_text(value))),
        name=_part(table, "name", _text) if "name" in table else "",
        headers=_all_headers(table),
        ca_file=_part(table, "ca_file", _text) if "ca_file" in table else "",
        start=_part(table, "start", _yes_or_no) if "start" in table else False,
        model=_part(table, "model", _model) if "model" in table else "",
        backends=_part(table, "backends", _own_backends) if "backends" in table else None,
        context_tokens=_part(table, "context_tokens", _TOKENS)
        if "context_tokens" in table
        else None,
    )
    said = next((key for key in _RUN_KEYS if key in table), "")
    if read.says_how and not is_loopback(host_of(read.url)):
        raise BadValueError("is only for one that listens on this machine (127.0.0.1)", f".{said}")
    return read


def _own_backends(raw: object) -> tuple[BackendAddress, ...]:
    return _each(raw, _BACKEND_LIST, lambda entry: parse_backend_address(_text(entry)))


def _backend(raw: object) -> BackendSetting:
    return BackendSetting(parse_backend_address(_text(raw)))


_WEIGHT = _number(0.01, 1000, "a number from 0.01 to 1000")
_SECONDS = _number(0.1, 86400, "a number of seconds from 0.1 to 86400")
_TIMES = _whole(1, 100, "a whole number from 1 to 100")
_TOKENS = _whole(1, 100_000_000, "a whole number of tokens, 1 or more")
_NODE_LIST = 'a list of URLs or of tables: [[nodes]] with url = "http://host:11434"'
_COORDINATOR_LIST = 'a list of URLs or of tables: [[coordinators]] with url = "http://host:18080"'
_BACKEND_LIST = 'a list of addresses: ["host:50052"]'


def _one_of(words: tuple[str, ...]) -> Reader:
    wanted = ", ".join(words[:-1]) + f" or {words[-1]}"

    def read(raw: object) -> str:
        if raw not in words:
            raise BadValueError(f"{_shown(raw)} is not {wanted}")
        return str(raw)

    return read


READERS: dict[str, Reader] = {
    "nodes": lambda raw: _each(raw, _NODE_LIST, _node),
    "coordinators": lambda raw: _each(raw, _COORDINATOR_LIST, _coordinator),
    "backends": lambda raw: _each(raw, _BACKEND_LIST, _backend),
    "redis_url": _redis_url,
    "mode": _mode,
    "look_at_localhost": _yes_or_no,
    "read_sollol_files": _yes_or_no,
    "poll_interval_s": _SECONDS,
    "timeout_s": _SECONDS,
    "failures_to_down": _TIMES,
    "successes_to_up": _TIMES,
    "backoff_max_s": _SECONDS,
    "threshold_parameters": _parameters,
    "first_token_limit_s": _SECONDS,
    "token_gap_limit_s": _SECONDS,
    "model": _model,
    "model_path": _text,
    "context_tokens": _TOKENS,
    "ollama_models": _text,
    "theme": _text,
    "mouse": _yes_or_no,
    "ascii": _yes_or_no,
    "read_only": _yes_or_no,
    "llama_server": _text,
    "rpc_server": _text,
    "coordinator_slots": _whole(1, 256, "a whole number of slots, 1 or more"),
    "coordinator_api_key": _text,
    "restart_hung": _yes_or_no,
    "on_quit": _one_of(("ask", "stay", "stop")),
    "publish": _yes_or_no,
    "parallel_answers": _one_of(("offer", "always", "never")),
}

TARGET_KEYS = ("nodes", "coordinators", "backends")
"""The keys that hold lists of targets: their sources add up, the others' replace."""


def read_value(key: str, raw: object) -> object:
    """The value of one key. Raises `BadValueError`; the key must be one of `READERS`."""
    try:
        return READERS[key](raw)
    except BadValueError:
        raise
    except ValueError as error:
        raise BadValueError(str(error)) from None


def shown_value(settings: Settings, key: str) -> str:
    """A setting that is no list, as people may see it: passwords hidden."""
    value = getattr(settings, key)
    if value is None or value == "":
        return "–"
    if key == "redis_url":
        return without_password(value)
    if key == "coordinator_api_key" and value != "random":
        return HIDDEN
    return plain_line(plain_value(value))


def plain_value(value: object) -> str:
    """A value as TOML has it, less the quotes: `true`, `0.5`, `13e9`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value / 1e9:g}e9" if value >= 1e9 else f"{value:g}"
    return str(value)
