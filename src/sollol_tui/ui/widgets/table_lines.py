"""How a live table's lines look: keys that decide it, and spans made from them."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A row's line. `moved`: those of its texts that change with time, as they are now."""

    moved: tuple[Span, ...]
    row: Row
    plan: Plan
    has_cursor: bool


class NoteLine(NamedTuple):
    """The line below a row, indented to column `x`."""

    note: Line
    x: int
    has_cursor: bool


def moved_texts(row: Row, plan: Plan, now_s: float) -> tuple[Span, ...]:
    """The texts of the shown cells that change with time, in the order of the columns."""
    texts = [row.cells[place.at].text for place in plan.places]
    return tuple([text(now_s) for text in texts if callable(text)])


def moved_columns(shown: RowLine, now: RowLine) -> tuple[int, int] | None:
    """From which cell to which a line differs when only time went on; None for all of it."""
    if shown[1:] != now[1:]:
        return None
    moving = [place for place in now.plan.places if callable(now.row.cells[place.at].text)]
    pairs = zip(moving, shown.moved, now.moved, strict=True)
    places = [place for place, old, new in pairs if old != new]
    return (places[0].x, places[-1].x + places[-1].width) if places else None


def row_spans(line: RowLine, columns: Sequence[Column]) -> Line:
    """The cells of a row, each in its width."""
    moved = iter(line.moved)
    spans: list[Span] = [_cursor(line.has_cursor)]
    for place in line.plan.places:
        cell = line.row.cells[place.at]
        text, style = next(moved) if callable(cell.text) else (cell.text, cell.style)
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
