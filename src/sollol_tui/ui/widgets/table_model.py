"""Rows, their order and the place of columns: everything of a live table that needs no screen."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal, NamedTuple, Protocol

from sollol_tui.ui.text import UNKNOWN, Line, Span, width

GAP = 2  # blank cells after each column


class Moving(Protocol):
    """A text that changes with time: seconds since the epoch → what is shown then.

    It is compared with `==` and hashed, so it should be a value (a named tuple with `__call__`),
    not a closure made anew at each look.
    """

    def __call__(self, now_s: float, /) -> Span: ...


class MovingLine(Protocol):
    """A line that changes with time, in the same way."""

    def __call__(self, now_s: float, /) -> Line: ...


class Cell(NamedTuple):
    """What a row says in one column."""

    text: str | Moving
    style: str = ""
    sort: float | str | None = None  # None: by the text
    slack: float = 0.0  # a number that moved by no more than this keeps its text


class Row(NamedTuple):
    """One row: a cell per column, and a line below it when there is something to explain."""

    key: str
    cells: tuple[Cell, ...]
    note: Line | MovingLine | None = None


class Column(NamedTuple):
    """One column. It takes `width` cells; with `most` it goes with what stands in it: from less,
    where that is shorter, up to `most`, where there is room."""

    key: str
    title: str
    width: int
    most: int = 0
    align: Literal["left", "right"] = "left"
    drop: int = 0  # on a narrow screen the lowest number comes first; 0 stays always
    yields: bool = False  # goes as well where others would be cut
    largest_first: bool = False  # how sorting by it begins


class Place(NamedTuple):
    """Where a column lies in a line."""

    at: int  # of the column in the row
    x: int
    width: int


class Plan(NamedTuple):
    """The columns that are shown in a width, and how many are not."""

    places: tuple[Place, ...]
    dropped: int = 0


_NOTHING = ("", "0", UNKNOWN)  # what tells nothing
MORE = 4  # cells for the mark of what was dropped: " +12"


def plan_columns(
    columns: Sequence[Column],
    needs: Sequence[int],
    cells: int,
    silent: frozenset[int] = frozenset(),
) -> Plan:
    """Which columns fit, where and how wide. The first cell of a line is the cursor's.

    Args:
        columns: all that there are.
        needs: the widths of what stands in them, titles left out.
        cells: the width of the line.
        silent: those that tell nothing in any row: they go before all others, and yield.
    """
    least = [_least(column, need) for column, need in zip(columns, needs, strict=True)]
    kept = [at for at, column in enumerate(columns) if not column.drop]  # cut, where they must

    def rank(at: int) -> tuple[bool, int]:
        return (at in silent, columns[at].drop)

    for at in sorted((at for at, column in enumerate(columns) if column.drop), key=rank):
        wider = sorted({*kept, at})
        if _spare(least, wider, cells) >= 0:
            kept = wider
    wants = [
        max(0, min(c.most, need) - w) for c, need, w in zip(columns, needs, least, strict=True)
    ]
    yielding = sorted((at for at in kept if columns[at].yields or at in silent), key=rank)
    while yielding and _spare(least, kept, cells) < sum(wants[at] for at in kept):
        kept.remove(yielding.pop())
    return Plan(_places(least, wants, kept, cells), len(columns) - len(kept))


def _places(
    least: Sequence[int], wants: Sequence[int], kept: Sequence[int], cells: int
) -> tuple[Place, ...]:
    """Each column in its least width, and its share of what is left."""
    spare, room = max(0, _spare(least, kept, cells)), sum(wants[at] for at in kept)
    x, places = 1, []
    for at in kept:
        extra = min(wants[at], spare * wants[at] // room) if room else 0
        spare, room = spare - extra, room - wants[at]  # exact: taken from the rest
        places.append(Place(at, x, least[at] + extra))
        x += least[at] + extra + GAP
    return tuple(places)


def _spare(least: Sequence[int], kept: Sequence[int], cells: int) -> int:
    return cells - _total(least, kept) - (MORE if len(kept) < len(least) else 0)


def _least(column: Column, need: int) -> int:
    return min(column.width, max(need, len(column.title))) if column.most else column.width


def _total(least: Sequence[int], kept: Sequence[int]) -> int:
    """One cell for the cursor, one after the last column for the arrow of a sorted one."""
    return 1 + sum(least[at] + GAP for at in kept) - GAP + 1


class Renewal(IntEnum):
    """How much a change asks for; the larger wins."""

    NOTHING = 0
    VALUES = 1  # the lines in place
    ORDER = 2  # a new order, in a while: rows should not dance
    ROWS = 3  # a new order at once: rows came, went or grew


def settled(old: Row, new: Row) -> Row:
    """The new row, with the old text where a number moved within its slack."""
    if all(not cell.slack for cell in new.cells):
        return new
    pairs = zip(old.cells, new.cells, strict=True)
    return new._replace(cells=tuple(o if _within_slack(o, n) else n for o, n in pairs))


def _within_slack(old: Cell, new: Cell) -> bool:
    if not new.slack or not isinstance(old.sort, float) or not isinstance(new.sort, float):
        return False
    return old.style == new.style and abs(new.sort - old.sort) <= new.slack


def matches(text: str, words: Sequence[str]) -> bool:
    """Whether a text has every word; a word with `!` before it must be absent."""
    text = text.casefold()
    return all((word.lstrip("!") in text) is not word.startswith("!") for word in words)


def filter_words(text: str) -> tuple[str, ...]:
    """The words of a filter; a lone `!` says nothing yet."""
    return tuple(word for word in text.casefold().split() if word.strip("!"))


def _is_silent(cell: Cell, now_s: float) -> bool:
    text = cell.text if isinstance(cell.text, str) else cell.text(now_s)[0]
    return text.strip() in _NOTHING


class TableModel:
    """Rows by key, in the order given or sorted, filtered, as a run of lines."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.sort: str | None = None  # a column's key
        self.reverse = False
        self.words: tuple[str, ...] = ()
        self.needs = [0] * len(self.columns)  # cells; they grow only: columns should not dance
        self._flexible = [(at, c.most) for at, c in enumerate(self.columns) if c.most]
        self.rows: dict[str, Row] = {}
        self.order: list[str] = []  # keys of the rows shown
        self.places: dict[str, int] = {}  # key → its place in the order
        self.lines: list[tuple[str, bool]] = []  # the key, and whether the line is a note
        self.first_lines: list[int] = []  # place in the order → its first line

    def put(self, rows: Sequence[Row], now_s: float = 0.0) -> Renewal:
        """Replace all rows; equal ones cost one comparison. `now_s` is for texts that move."""
        new: dict[str, Row] = {}
        renewal = Renewal.NOTHING
        sort_at = self._sort_at()
        for row in rows:
            old = self.rows.get(row.key)
            if old is not None:
                row = old if old == row else settled(old, row)  # noqa: PLW2901
            new[row.key] = row
            if row is not old:
                renewal = max(renewal, self._renewal(old, row, sort_at))
                self._measure(row, now_s)
        if renewal < Renewal.ROWS and (len(new) != len(self.rows) or list(new) != list(self.rows)):
            renewal = Renewal.ROWS
        self.rows = new
        return renewal

    def measure_anew(self, now_s: float) -> None:
        """Let columns be narrower again that were wide for what is not there any more."""
        self.needs = [0] * len(self.columns)
        for row in self.rows.values():
            self._measure(row, now_s)

    def silent(self, now_s: float) -> frozenset[int]:
        """The columns that tell nothing in any row now; the one that orders them counts as one
        that tells something."""
        sort_at = self._sort_at()
        rows = self.rows.values()
        return frozenset(
            at
            for at, column in enumerate(self.columns)
            if column.drop and at != sort_at and all(_is_silent(r.cells[at], now_s) for r in rows)
        )

    def _measure(self, row: Row, now_s: float) -> None:
        for at, most in self._flexible:
            if most > self.needs[at]:
                text = row.cells[at].text
                cells = width(text if isinstance(text, str) else text(now_s)[0])
                self.needs[at] = min(most, max(self.needs[at], cells))

    def _renewal(self, old: Row | None, row: Row, sort_at: int | None) -> Renewal:
        if old is row or old == row:
            return Renewal.NOTHING
        if old is None or (old.note is None) is not (row.note is None):
            return Renewal.ROWS
        moved = sort_at is not None and old.cells[sort_at] != row.cells[sort_at]
        return Renewal.ORDER if moved or self.words else Renewal.VALUES

    def arrange(self) -> bool:
        """Bring order and lines up to date; whether they changed."""
        order = [row.key for row in self._sorted([*filter(self._is_wanted, self.rows.values())])]
        noted = [(key, self.rows[key].note is not None) for key in order]
        lines = [(key, is_note) for key, has in noted for is_note in ((False, True)[: 1 + has])]
        if lines == self.lines:
            return False
        self.order, self.lines = order, lines
        self.places = {key: place for place, key in enumerate(order)}
        self.first_lines = [i for i, (_, is_note) in enumerate(lines) if not is_note]
        return True

    def lines_of(self, at: int) -> range:
        """The lines of the row at a place in the order: its own, and that of its note."""
        first = self.first_lines[at]
        has_note = first + 1 < len(self.lines) and self.lines[first + 1][1]
        return range(first, first + 1 + has_note)

    def _is_wanted(self, row: Row) -> bool:
        if not self.words:
            return True
        texts = [c.text if isinstance(c.text, str) else str(c.sort or "") for c in row.cells]
        return matches(" ".join(texts), self.words)

    def _sort_at(self) -> int | None:
        return next((i for i, c in enumerate(self.columns) if c.key == self.sort), None)

    def _sorted(self, rows: list[Row]) -> list[Row]:
        """Sorted by one column, equal ones as given; the unknown come last either way."""
        at = self._sort_at()
        if at is None:
            return rows
        numbers: list[tuple[float, Row]] = []
        texts: list[tuple[str, Row]] = []
        unknown: list[Row] = []
        for row in rows:
            cell = row.cells[at]
            value = cell.text if cell.sort is None else cell.sort
            if isinstance(value, (int, float)):
                numbers.append((value, row))
            elif isinstance(value, str) and value not in ("", UNKNOWN):
                texts.append((value.casefold(), row))
            else:
                unknown.append(row)
        numbers.sort(key=lambda pair: pair[0], reverse=self.reverse)
        texts.sort(key=lambda pair: pair[0], reverse=self.reverse)
        return [*(row for _, row in numbers), *(row for _, row in texts), *unknown]
