"""Measures as people read them: bytes, times, rates, counts. `–` stands for unknown.

Every function takes None for unknown, and treats a figure that is no number (nan, infinity) alike.
"""

from __future__ import annotations

from math import isfinite
from typing import TypeGuard

UNKNOWN = "–"

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_DECIMAL = ("", "K", "M", "B", "T")
_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86400


def size(count_bytes: float | None) -> str:
    """A number of bytes in binary units: `7.9 GiB`."""
    if not _known(count_bytes):
        return UNKNOWN
    number, unit = _scaled(count_bytes, 1024, _BINARY)
    return f"{number:.0f} B" if unit == "B" else f"{_short(number)} {unit}"


def duration(seconds: float | None) -> str:
    """A length of time, at most two units: `0.4 s`, `42 s`, `2 min 5 s`, `3 d 4 h`."""
    if not _known(seconds):
        return UNKNOWN
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    whole_s = round(seconds)
    if whole_s < _MINUTE_S:
        return f"{whole_s} s"
    if whole_s < _HOUR_S:
        return _two(whole_s, _MINUTE_S, "min", 1, "s")
    if whole_s < _DAY_S:
        return _two(whole_s, _HOUR_S, "h", _MINUTE_S, "min")
    return _two(whole_s, _DAY_S, "d", _HOUR_S, "h")


def span(seconds: float | None) -> str:
    """A length of time in its largest unit, whole: `3 s`, `12 min`, `4 h`, `2 d`."""
    if not _known(seconds):
        return UNKNOWN
    whole_s = max(int(seconds), 0)
    for unit_s, word in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min")):
        if whole_s >= unit_s:
            return f"{whole_s // unit_s} {word}"
    return f"{whole_s} s"


def age(then_s: float | None, now_s: float) -> str:
    """How long ago a moment was: `now` within a second, else `3 s ago`. A clock that went back
    counts as now."""
    if not _known(then_s):
        return UNKNOWN
    passed_s = now_s - then_s
    return "now" if passed_s < 1 else f"{span(passed_s)} ago"


def latency(milliseconds: float | None) -> str:
    """A response time: `0.4 ms`, `12 ms`, `1.3 s`."""
    if not _known(milliseconds):
        return UNKNOWN
    if milliseconds < 999.5:
        return f"{_short(max(milliseconds, 0.0), whole_from=10)} ms"
    return duration(milliseconds / 1000)


def rate(tokens_per_s: float | None) -> str:
    """Tokens per second: `34.2 tok/s`."""
    return f"{_short(tokens_per_s)} tok/s" if _known(tokens_per_s) else UNKNOWN


def parameters(count: float | None) -> str:
    """A model's number of weights in the field's short form: `135 M`, `1.5 B`, `13 B`."""
    if not _known(count):
        return UNKNOWN
    number, unit = _scaled(count, 1000, _DECIMAL)
    text = _short(number, whole_from=100).removesuffix(".0")
    return f"{text} {unit}".rstrip()


def count(number: float | None) -> str:
    """A whole number, thousands apart by a thin space: `128`, `8 192`."""
    return f"{round(number):,}".replace(",", "\u202f") if _known(number) else UNKNOWN


def counted(number: int, noun: str) -> str:
    """A number with its noun: `1 token`, `12 tokens`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float | None) -> str:
    """A share of one as whole percents; `<1 %` for a little, `>99 %` for not quite all."""
    if not _known(share):
        return UNKNOWN
    if 0 < share < 0.005:
        return "<1 %"
    if 0.995 <= share < 1:
        return ">99 %"
    return f"{share * 100:.0f} %"


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and isfinite(number)


def _scaled(number: float, base: int, units: tuple[str, ...]) -> tuple[float, str]:
    """The number in the unit in which its rounded form stays below the base."""
    index = 0
    while abs(number) >= base - 0.5 and index < len(units) - 1:
        number /= base
        index += 1
    return number, units[index]


def _short(number: float, whole_from: float = 100) -> str:
    """One decimal below the limit, none from it on; 9.96 with limit 10 is `10`, not `10.0`."""
    return f"{number:.1f}" if abs(number) < whole_from - 0.05 else f"{number:.0f}"


def _two(whole_s: int, large_s: int, large: str, small_s: int, small: str) -> str:
    first, rest_s = divmod(whole_s, large_s)
    second = rest_s // small_s
    return f"{first} {large} {second} {small}" if second else f"{first} {large}"
