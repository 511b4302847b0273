"""The journal's entries and the routing decisions behind them."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.chats import SeamMark
from sollol_tui.core.journal import Area, Entry
from sollol_tui.ui.panes.figures import clock, labelled
from sollol_tui.ui.panes.marks import LEVEL_MARKS
from sollol_tui.ui.text import UNKNOWN, Line, Span, clean, fit
from sollol_tui.ui.widgets.event_log import LogLine

_AREAS: dict[Area, str] = {
    "route": "route",
    "node": "node",
    "coordinator": "coord",
    "backend": "rpc",
    "registry": "redis",
    "mode": "mode",
    "app": "app",
    "sollol": "sollol",
}
_AREA_CELLS = max(len(word) for word in _AREAS.values())
_NAME_CELLS, _SCORE_CELLS = 18, 8


def log_line(entry: Entry, ascii_only: bool = False) -> LogLine:
    """An entry as the event log takes it; its key is the entry's number."""
    is_fault = entry.level in ("warn", "error")
    return LogLine(str(entry.number), event_line(entry, ascii_only), is_fault)


def event_line(entry: Entry, ascii_only: bool = False) -> Line:
    """One line: when, how bad, about what, what happened."""
    mark = LEVEL_MARKS[entry.level]
    style = mark.style if entry.level in ("warn", "error") else ""
    return (
        (clock(int(entry.at_s)), "muted"),
        (" ", ""),
        mark.sign(ascii_only),
        (f" {_AREAS[entry.area]:<{_AREA_CELLS}}  ", "muted"),
        (clean(entry.text), style),
    )


def entry_lines(entry: Entry, ascii_only: bool = False) -> tuple[Line, ...]:
    """Everything about an entry that has no decision behind it."""
    mark = LEVEL_MARKS[entry.level]
    return (
        (mark.sign(ascii_only), (f" {clean(entry.text, 2000)}", "bold")),
        labelled("when", (clock(int(entry.at_s)), "")),
        labelled("area", (entry.area, "")),
        labelled("about", (clean(entry.subject) or UNKNOWN, "")),
    )


def decision_lines(decision: RouteDecision, ascii_only: bool = False) -> tuple[Line, ...]:
    """Where a request went and why, and every target that was considered."""
    goes = (clean(decision.name), "bold good") if decision.target else ("nowhere", "bold bad")
    lines: list[Line] = [
        ((clean(decision.model), "bold"), (" → ", "muted"), goes),
        labelled("because", (clean(decision.reason), "")),
        labelled("mode", (decision.mode.value, "")),
        labelled("request", (clean(decision.id), "muted")),
        (),
        _candidate_titles(),
    ]
    if not decision.candidates:
        lines.append((("  no target was there to consider", "muted"),))
    ranked = sorted(decision.candidates, key=_rank)
    return (*lines, *(_candidate(c, decision, ascii_only) for c in ranked))


def answer_lines(
    decisions: Sequence[RouteDecision], seams: Sequence[SeamMark], ascii_only: bool = False
) -> tuple[Line, ...]:
    """The decisions behind one answer, those of its seams under the words of the seam."""
    by_number = {seam.decision: seam for seam in seams}
    lines: list[Line] = []
    for number, decision in enumerate(decisions):
        seam = by_number.get(number)
        if seam is not None:
            at = f"after {units.count(seam.at_chars)} characters: "
            lines += [(), ((at, "muted"), (clean(seam.text), "warn"))]
        elif lines:
            lines.append(())
        lines += decision_lines(decision, ascii_only)
    return tuple(lines)


def _candidate_titles() -> Line:
    name, score = fit("CANDIDATE", _NAME_CELLS), fit("SCORE", _SCORE_CELLS, "right")
    return ((f"  {name}  {score}  MADE OF", "head"),)


def _rank(candidate: Candidate) -> tuple[bool, float]:
    score = candidate.score
    return candidate.rejected is not None, -(score if score is not None else float("-inf"))


def _candidate(candidate: Candidate, decision: RouteDecision, ascii_only: bool) -> Line:
    is_chosen = candidate.target == decision.target
    score = UNKNOWN if candidate.score is None else f"{candidate.score:.2f}"
    mark: Span = (">" if ascii_only else "▸", "good") if is_chosen else (" ", "")
    style = "bold" if is_chosen else "muted" if candidate.rejected else ""
    head: Line = (
        mark,
        (" ", ""),
        (fit(candidate.name or candidate.target, _NAME_CELLS), style),
        ("  ", ""),
        (fit(score, _SCORE_CELLS, "right"), style),
        ("  ", ""),
    )
    if candidate.rejected:
        return (*head, (clean(candidate.rejected), "warn"))
    return (*head, (score_parts(candidate), "muted"))


def score_parts(candidate: Candidate) -> str:
    """What a score is made of: `warm +3.00 · queue −1.00`."""
    parts = [f"{clean(name)} {value:+.2f}" for name, value in candidate.parts]
    return " · ".join(parts).replace("-", "\N{MINUS SIGN}") or UNKNOWN
