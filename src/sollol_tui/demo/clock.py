"""Times and durations as a Go program writes and reads them."""

from __future__ import annotations

import re
import time

NS_PER_S = 1_000_000_000
FOR_EVER_NS = 2**63 - 1  # Go's longest duration: 292 years

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def rfc3339(at_ns: int, *, local: bool = False) -> str:
    """A time since the epoch with up to nine digits after the second, in UTC or the local zone."""
    seconds, rest = divmod(at_ns, NS_PER_S)
    fields = time.localtime(seconds) if local else time.gmtime(seconds)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', fields)}{fraction}{_zone(fields.tm_gmtoff)}"


def keep_alive_ns(value: object) -> int:
    """Nanoseconds that a `keep_alive` means: seconds as a number, or a Go duration.

    Negative is for ever. Raises `ValueError` in Go's words.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value * NS_PER_S) if value >= 0 else FOR_EVER_NS
    if not isinstance(value, str):
        raise ValueError(f"invalid keep_alive {value!r}")
    text = value.removeprefix("-")
    length = 0 if text == "0" else _go_duration(text, value)
    return FOR_EVER_NS if value.startswith("-") else length


def _go_duration(text: str, told: str) -> int:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        missing = re.fullmatch(r"[\d.]+", text) is not None or not text
        what = "missing unit in duration" if missing and text else "invalid duration"
        raise ValueError(f'time: {what} "{told}"')
    return sum(int(float(number) * _UNITS_NS[unit]) for number, unit in parts)


def _zone(offset_s: int) -> str:
    if not offset_s:
        return "Z"
    sign, minutes = ("-" if offset_s < 0 else "+"), abs(offset_s) // 60
    return f"{sign}{minutes // 60:02d}:{minutes % 60:02d}"
