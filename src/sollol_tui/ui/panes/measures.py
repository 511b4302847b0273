"""Groups of requests in aligned columns: how many, how well, how fast.

A column that does not fit is left out, the least needed first; nothing of a figure is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core import units
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.ui.panes.figures import bar, seconds, tokens, tps
from sollol_tui.ui.text import UNKNOWN, Line, Span, clean, fit, width

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core.statistics import Figures

NAME_LEAST, NAME_MOST = 11, 26
_BAR_LEAST, _BAR_MOST = 8, 20
_KINDS = frozenset(FaultKind)


class Group(NamedTuple):
    """One line: what it is called, its figures, and its part of all requests from 0 to 1."""

    name: str
    figures: Figures
    share: float | None


class Measure(NamedTuple):
    """One column. On a narrow screen the highest `drop` goes first; 0 stays always."""

    title: str
    cells: int
    drop: int
    text: Callable[[Group], str]
    style: Callable[[Group], str] = lambda _: ""


def _errors_style(group: Group) -> str:
    return "bad" if group.figures.failed else "muted"


MEASURES: tuple[Measure, ...] = (
    Measure("REQ", 5, 0, lambda g: tokens(g.figures.requests)),
    Measure("SHARE", 5, 5, lambda g: units.percent(g.share)),
    Measure("OK", 5, 1, lambda g: units.percent(g.figures.success_rate)),
    Measure("MEAN", 6, 7, lambda g: seconds(g.figures.latency_s.mean)),
    Measure("P50", 6, 2, lambda g: seconds(g.figures.latency_s.p50)),
    Measure("P95", 6, 4, lambda g: seconds(g.figures.latency_s.p95)),
    Measure("TTFT", 6, 3, lambda g: seconds(g.figures.ttft_s.p50)),
    Measure("TOK/S", 5, 3, lambda g: tps(g.figures.decode_tps.p50)),
    Measure("ERR", 4, 6, lambda g: tokens(g.figures.failed), _errors_style),
)


class Columns(NamedTuple):
    """What fits in a width: the names' cells, the measures, blanks between, and a bar's cells."""

    name_cells: int
    measures: tuple[Measure, ...]
    gap: int
    bar_cells: int = 0

    @property
    def cells(self) -> int:
        """How wide a line is."""
        measured = sum(self.gap + measure.cells for measure in self.measures)
        return self.name_cells + measured + (self.bar_cells + self.gap if self.bar_cells else 0)


def fit_columns(names: Iterable[str], cells: int) -> Columns:
    """The columns for groups of these names."""
    need = max((width(name) for name in names), default=0)
    wanted = min(NAME_MOST, max(NAME_LEAST, need))
    kept = list(MEASURES)
    while True:
        for name_cells, gap in ((wanted, 2), (wanted, 1), (min(wanted, 16), 1)):
            columns = Columns(name_cells, tuple(kept), gap)
            if columns.cells <= cells:
                spare = min(_BAR_MOST, cells - columns.cells - gap)
                return columns._replace(bar_cells=spare if spare >= _BAR_LEAST else 0)
        worst = max(kept, key=lambda measure: measure.drop)
        if not worst.drop:
            return Columns(max(1, cells - worst.cells - 1), tuple(kept), 1)
        kept.remove(worst)


def group_lines(title: str, groups: Sequence[Group], columns: Columns) -> list[Line]:
    """A line of titles and one per group."""
    return [_titles(title, columns), *(_group(group, columns) for group in groups)]


def _titles(title: str, columns: Columns) -> Line:
    gap = " " * columns.gap
    titles = [gap + fit(m.title, m.cells, "right") for m in columns.measures]
    return ((fit(title, columns.name_cells) + "".join(titles), "head"),)


def _group(group: Group, columns: Columns) -> Line:
    is_empty = not group.figures.requests
    spans: list[Span] = [(fit(clean(group.name), columns.name_cells), "muted" if is_empty else "")]
    for measure in columns.measures:
        text = measure.text(group)
        style = "muted" if is_empty or text == UNKNOWN else measure.style(group)
        spans.append((" " * columns.gap + fit(text, measure.cells, "right"), style))
    if columns.bar_cells and group.share is not None:
        spans.append((" " * columns.gap, ""))
        spans += bar(group.share, 1.0, columns.bar_cells)
    return tuple(spans)


def fault_words(figures: Figures) -> str:
    """What failed, the most frequent first: `3 × no answer in time · 1 × connection refused`."""
    return " · ".join(f"{count} × {_words(kind)}" for kind, count in figures.faults)


def _words(kind: str) -> str:
    return Fault(FaultKind(kind)).words if kind in _KINDS else clean(kind)
