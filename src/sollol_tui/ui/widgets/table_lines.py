"""How a live table's lines look: keys that decide it, and spans made from them."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from sollol_tui.ui.text import Line, Span, fit
from sollol_tui.ui.widgets.table_model import GAP, Column, Plan, Row

CURSOR = "▌"
NOTE = "└ "
_GAP: Span = (" " * GAP, "")


class TitlesLine(NamedTuple):
    """The line of column titles."""

    plan: Plan
    sort: str | None
    reverse: bool


class RowLine(NamedTuple):
    """A row's line: what its shown cells say now."""

    cells: tuple[Span, ...]
    plan: Plan
    has_cursor: bool


class NoteLine(NamedTuple):
    """The line below a row, indented to column `x`."""

    note: Line
    x: int
    has_cursor: bool


def row_line(row: Row, plan: Plan, has_cursor: bool, now_s: float) -> RowLine:
    """A row as it is now. Values that change without being seen change nothing in it."""
    cells = []
    for place in plan.places:
        text, style, *_ = row.cells[place.at]
        cells.append((text, style) if isinstance(text, str) else text(now_s))
    return RowLine(tuple(cells), plan, has_cursor)


def note_line(row: Row, plan: Plan, has_cursor: bool, now_s: float) -> NoteLine:
    """The line below a row, as it is now."""
    note = row.note(now_s) if callable(row.note) else row.note
    return NoteLine(note or (), plan.places[1].x if len(plan.places) > 1 else 1, has_cursor)


def changed_columns(shown: Hashable, now: Hashable) -> tuple[int, int] | None:
    """From where to where a row's line differs; None for all of it."""
    if not isinstance(shown, RowLine) or not isinstance(now, RowLine) or shown[1:] != now[1:]:
        return None
    trios = zip(now.plan.places, shown.cells, now.cells, strict=True)
    places = [place for place, old, new in trios if old != new]
    return (places[0].x, places[-1].x + places[-1].width) if places else None


def row_spans(line: RowLine, columns: Sequence[Column]) -> Line:
    """The cells of a row, each in its width."""
    spans: list[Span] = [_cursor(line.has_cursor)]
    for place, (text, style) in zip(line.plan.places, line.cells, strict=True):
        spans += [(fit(text, place.width, columns[place.at].align), style), _GAP]
    return tuple(spans[:-1])


def note_spans(line: NoteLine) -> Line:
    """What explains the row above."""
    indent = " " * max(0, line.x - 1)
    return (_cursor(line.has_cursor), (indent + NOTE, "muted"), *line.note)


def title_spans(line: TitlesLine, columns: Sequence[Column]) -> Line:
    """The titles; the arrow of the sorted column stands in the gap beside it."""
    spans: list[Span] = [(" ", "")]
    for place in line.plan.places:
        column = columns[place.at]
        is_sorted = column.key == line.sort
        arrow = ("▼" if line.reverse else "▲") if is_sorted else " "
        if column.align == "right":
            text = fit(column.title, place.width, "right") + arrow
        else:
            text = fit(f"{column.title}{arrow}", place.width + 1)
        spans += [(text, "accent bold" if is_sorted else "head"), (" " * (GAP - 1), "")]
    return tuple(spans[:-1])


def _cursor(is_here: bool) -> Span:
    return (CURSOR, "accent") if is_here else (" ", "")
