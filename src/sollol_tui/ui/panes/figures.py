"""Figures as the panes write them: short enough for a column, `–` where nothing is known."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from time import localtime, strftime
from typing import NamedTuple

from sollol_tui.core import units
from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault
from sollol_tui.ui.text import LABEL_CELLS, UNKNOWN, Line, Span, clean, line_width

_GIB = 1024**3
_NEVER_S = 10 * 365 * 86400  # Ollama writes the year 2319 for "for ever"
_SPARKS = "▁▂▃▄▅▆▇█"


def gib(count_bytes: float | None) -> str:
    """Bytes in GiB without a unit that every reader knows: `7.9G`, `420M`, `0`."""
    if count_bytes is None:
        return UNKNOWN
    if count_bytes == 0:
        return "0"
    if count_bytes < _GIB:
        return f"{max(1, round(count_bytes / 1024**2))}M"
    return f"{_short(count_bytes / _GIB)}G"


def share(used_bytes: float | None, total_bytes: float | None) -> str:
    """Used of total: `7.9/24G`; what is unknown of the two is left out."""
    if total_bytes is None or used_bytes is None:
        return gib(used_bytes if total_bytes is None else total_bytes)
    used, total = gib(used_bytes), gib(total_bytes)
    return f"{used.removesuffix(total[-1])}/{total}"


def memory(devices: Sequence[Device]) -> str:
    """The memory of a backend's devices. A CPU says free = total, which tells nothing of use."""
    parts = [
        gib(d.total_bytes)
        if d.free_bytes == d.total_bytes
        else share(d.total_bytes - d.free_bytes, d.total_bytes)
        for d in devices
    ]
    return " + ".join(parts) or UNKNOWN


def tps(tokens_per_s: float | None) -> str:
    """Tokens per second without the unit: `33.1`, `120`."""
    return UNKNOWN if tokens_per_s is None else _short(tokens_per_s, whole_from=100)


def millis(milliseconds: float | None) -> str:
    """A latency in whole milliseconds: `<1 ms`, `23 ms`, `1.3 s`."""
    if milliseconds is None:
        return UNKNOWN
    if milliseconds < 1:
        return "<1 ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 999.5 else units.latency(milliseconds)


def seconds(length_s: float | None) -> str:
    """How long an answer took, in at most six cells: `420 ms`, `3.1 s`, `125 s`, `17 min`."""
    if length_s is None:
        return UNKNOWN
    if length_s < 0.9995:
        return millis(1000 * length_s)
    if length_s >= 999.5:
        return units.span(length_s)
    return f"{_short(length_s)} s"


def millis_slack(milliseconds: float | None) -> float:
    """How far a latency may move before its text follows: jitter is no news, and costs bytes."""
    return 0.0 if milliseconds is None else max(3.0, 0.3 * milliseconds)


def tokens(number: int | None) -> str:
    """A number of tokens: `850`, `4.1k`, `131k`."""
    if number is None:
        return UNKNOWN
    if number < 1000:
        return str(number)
    return f"{_short(number / 1000, whole_from=100)}k"


def short_model(name: str | None) -> str:
    """A model's name as it is read: harmless, without the tag that is always there."""
    return clean(name).removesuffix(":latest") if name else UNKNOWN


@lru_cache(maxsize=2048)
def clock(at_s: int) -> str:
    """A moment as local time of day."""
    return strftime("%H:%M:%S", localtime(at_s))


def sparkline(samples: Sequence[float | None], cells: int) -> str:
    """The newest samples, one cell each, from zero to the largest; a gap where nothing is known."""
    newest = samples[-cells:] if cells > 0 else ()
    most = max((s for s in newest if s is not None), default=0.0)
    drawn = "".join(" " if s is None else _spark(s, most) for s in newest)
    return drawn.rjust(max(0, cells))


def _spark(sample: float, most: float) -> str:
    if most <= 0 or sample <= 0:
        return _SPARKS[0]
    return _SPARKS[min(7, 1 + int(6.999 * sample / most))]


def bar(part: float, whole: float, cells: int, style: str = "accent") -> tuple[Span, ...]:
    """`cells` boxes, filled in proportion; a little is never none, nearly all never all."""
    filled = round(cells * part / whole) if whole > 0 else 0
    if 0 < part < whole and cells > 1:
        filled = max(1, min(cells - 1, filled))
    filled = max(0, min(cells, filled))
    return (("▰" * filled, style), ("▱" * (cells - filled), "muted"))


def labelled(label: str, *spans: Span) -> Line:
    """A line that begins with what it is about."""
    return ((label.ljust(LABEL_CELLS), "muted"), *spans)


def listed(label: str, items: Sequence[Line], cells: int) -> list[Line]:
    """Items one after the other below a label, in as many lines as it takes."""
    lines: list[Line] = []
    line = labelled(label)
    for item in items:
        is_first = len(line) == 1
        if not is_first and line_width(line) + 2 + line_width(item) > cells:
            lines.append(line)
            line, is_first = labelled(""), True
        line = (*line, *item) if is_first else (*line, ("  ", ""), *item)
    return [*lines, line]


class Until(NamedTuple):
    """How long something still lasts, by the minute: a line that ticks costs bytes each second."""

    at_s: float

    def __call__(self, now_s: float) -> Span:
        left_s = self.at_s - now_s
        if left_s > _NEVER_S:
            return ("never", "muted")
        if left_s >= 60:
            return (units.span(left_s), "")
        return ("<1 min", "") if left_s >= 1 else ("now", "")


class Live(NamedTuple):
    """A state that is true while it is looked at: unseen for too long, it is a question."""

    text: str
    style: str
    glyph_length: int
    seen_at_s: float
    limit_s: float
    question: str = "?"

    def __call__(self, now_s: float) -> Span:
        if now_s - self.seen_at_s <= self.limit_s:
            return (self.text, self.style)
        return (self.question + self.text[self.glyph_length :], "muted")


class FaultNote(NamedTuple):
    """Why a target is as it is, and when it is looked at again if that is far off."""

    fault: Fault
    again_at_s: float
    style: str = "bad"

    def __call__(self, now_s: float) -> Line:
        line: Line = ((self.fault.words, self.style),)
        if self.fault.detail:
            line = (*line, (f" · {clean(self.fault.detail, 200)}", "muted"))
        left_s = self.again_at_s - now_s
        if left_s <= 5:
            return line
        return (*line, (f" · again in {units.span(5 * -(-left_s // 5))}", "muted"))


def _short(number: float, whole_from: float = 10) -> str:
    return f"{number:.1f}" if number < whole_from - 0.05 else f"{number:.0f}"
