"""A batch as lines: how far it is, who answered, what went wrong, and what can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.core import units
from sollol_tui.core.batch_lines import BadLine
from sollol_tui.core.batch_progress import BatchProgress, BatchState
from sollol_tui.engine.batch_run import Failure
from sollol_tui.ui.text import LABEL_CELLS, Line, Span, clean, fit, width

SEPARATOR = " · "
_NAME_CELLS = 24
_LINE_CELLS = 10
_MOST_WRONG = 200  # lines that are shown of what went wrong

_SIGNS: dict[BatchState, Span] = {
    "ready": ("○ about to begin", "muted"),
    "running": ("● running", "accent"),
    "paused": ("○ paused", "warn"),
    "stopped": ("■ stopped", "warn"),
    "gave up": ("✗ stopped: nothing answers any more", "bad"),
    "broken": ("✗ the results cannot be written", "bad"),
    "done": ("✓ done", "good"),
}


class BatchView(NamedTuple):
    """What is shown of a batch. `spread` are names of targets and what each answered."""

    progress: BatchProgress
    out: str
    parallel: int = 0
    spread: Sequence[tuple[str, int]] = ()
    bad: Sequence[BadLine] = ()
    failures: Sequence[Failure] = ()
    why: str = ""  # it ended before its time


def batch_lines(view: BatchView, cells: int) -> list[Line]:
    """The lines, in so many cells."""
    now = view.progress
    lines: list[Line] = [
        (_SIGNS[now.state], (f"   {now.settled} of {now.total}", "bold")),
        _bar(now.share, cells),
        (),
    ]
    if view.why:
        lines[1:1] = [_field("why", clean(view.why))]
    lines += [_field("answers", _counts(now)), _field("speed", _speed(view))]
    lines += [_field("results", clean(view.out)), ()]
    if view.spread:
        lines += [(("Who answered", "head"),), *_spread(view.spread, cells), ()]
    wrong = _wrong(view)
    if wrong:
        lines += [(("What went wrong", "head"),), *wrong]
    return lines if lines[-1] else lines[:-1]


def batch_hint(now: BatchProgress) -> str:
    """What can be done now, for the lower border."""
    if now.state in ("running", "paused", "ready"):
        pause = "p goes on" if now.state == "paused" else "p pauses"
        return f"{pause} · s stops · y copies the path · Esc closes, it goes on"
    deeds = ["r goes on" if now.left else "", "f asks the failed again" if now.failed else ""]
    return SEPARATOR.join([*filter(None, deeds), "y copies the path", "Esc closes"])


def batch_note(now: BatchProgress) -> str:
    """For the status strip: `batch 12/40`; empty when none goes on."""
    if now.state not in ("running", "paused"):
        return ""
    paused = " paused" if now.state == "paused" else ""
    return f"batch {now.settled}/{now.total}{paused}"


def end_sentence(now: BatchProgress, out: str, why: str = "") -> str:
    """How it ended, in one sentence or two."""
    said = {
        "done": "The batch is done",
        "gave up": f"The batch stopped, nothing answers any more ({why})",
        "broken": f"The batch stopped, its results cannot be written ({why})",
    }.get(now.state, "The batch stopped")
    parts = [
        f"{now.whole} of {now.total} whole",
        f"{now.failed} failed" if now.failed else "",
        f"{now.left} not asked" if now.left else "",
    ]
    return f"{said}: {', '.join(filter(None, parts))}. Results: {out}"


def _field(label: str, text: str) -> Line:
    return ((fit(label, LABEL_CELLS), "muted"), (text, ""))


def _bar(share: float, cells: int) -> Line:
    percent = f" {int(share * 100):3} %"
    room = max(1, cells - width(percent))
    full = int(share * room)
    return (("█" * full, "accent"), ("░" * (room - full), "muted"), (percent, ""))


def _counts(now: BatchProgress) -> str:
    parts = [
        f"{now.whole} whole",
        f"{now.failed} failed" if now.failed else "",
        f"{now.running} being written" if now.running else "",
        f"{max(0, now.left - now.running)} to go" if now.left else "",
        _bad(now.bad),
    ]
    return SEPARATOR.join(filter(None, parts))


def _bad(count: int) -> str:
    return f"{count} bad line{'s' if count > 1 else ''}" if count else ""


def _speed(view: BatchView) -> str:
    now = view.progress
    if now.per_minute is None:
        return units.UNKNOWN
    parts = [
        f"{now.per_minute:.3g} a minute",
        f"{view.parallel} at a time" if view.parallel else "",
        f"{units.duration(now.left_s)} left" if now.left and now.state == "running" else "",
    ]
    return SEPARATOR.join(filter(None, parts))


def _spread(spread: Sequence[tuple[str, int]], cells: int) -> list[Line]:
    most = max(count for _, count in spread)
    digits = len(str(most))
    names = min(_NAME_CELLS, max(width(clean(name)) for name, _ in spread))
    room = max(1, cells - names - digits - 5)
    return [
        (
            (f"  {fit(name, names)} ", ""),
            (f"{count:{digits}} ", "bold"),
            ("█" * max(1, count * room // most), "accent"),
        )
        for name, count in spread
    ]


def _wrong(view: BatchView) -> list[Line]:
    """Bad lines and failed prompts, in the order of the file."""
    bad = [(b.line, b.reason) for b in view.bad]
    failed = [(f.prompt.line, f"“{f.prompt.id}”: {f.reason}") for f in view.failures]
    lines: list[Line] = [
        ((f"  {fit(f'line {number}', _LINE_CELLS)}", "muted"), (clean(reason), ""))
        for number, reason in sorted([*bad, *failed])[:_MOST_WRONG]
    ]
    more = len(bad) + len(failed) - len(lines)
    return [*lines, ((f"  … and {more} more", "muted"),)] if more else lines
