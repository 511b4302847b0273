"""A table whose values change all day: sorted, filtered, one cursor, few bytes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, TypeAlias

from textual.geometry import Region
from textual.strip import Strip

from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.cursor_pane import CursorPane
from sollol_tui.ui.widgets.pane import until_next
from sollol_tui.ui.widgets.table_lines import (
    NoteLine,
    RowLine,
    TitlesLine,
    changed_columns,
    note_line,
    note_spans,
    row_line,
    row_spans,
    title_spans,
)
from sollol_tui.ui.widgets.table_model import (
    GAP,
    Column,
    Plan,
    Renewal,
    Row,
    TableModel,
    filter_words,
    plan_columns,
)

Rows: TypeAlias = Sequence[Row] | Callable[[], Sequence[Row]]
ORDER_S = 1.0  # a sorted table takes a new order on this grid
STAY_S = 10.0  # so long a column stays that has nothing to tell any more: none should dance


class LiveTable(CursorPane):
    """Rows as immutable values, shown by `show`, kept in motion by `tick`."""

    TITLES: ClassVar[int] = 1

    class RowChosen(CursorPane.RowChosen):
        """Enter or a double click on a row."""

    class RowMarked(CursorPane.RowMarked):
        """The cursor is on another row."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(ascii_only=ascii_only, id=id, classes=classes)
        self._model = TableModel(columns)
        self._plan = Plan(())
        self._planned_for: tuple[int, tuple[int, ...], frozenset[int]] | None = None
        self._told_at_s: dict[int, float] = {}  # when a column had something to tell, by its place
        self._coming: Callable[[], Sequence[Row]] | None = None
        self._renewal = Renewal.NOTHING
        self._is_order_planned = False
        self._now_s = 0.0
        self._empty: tuple[Line, ...] = ()
        self._filter = ""
        self._follows_cursor = False

    # Values

    def show(self, rows: Rows, empty: Sequence[Line] = ()) -> None:
        """Replace the rows. `empty` is what is said where there are none.

        A function is asked for the rows when they are painted: at most four times a second.
        """
        if tuple(empty) != self._empty:
            self._empty = tuple(empty)
            self._changed()
        if callable(rows):
            self._coming = rows
            self._changed()
        else:
            self._coming = None
            if self._put(rows) is not Renewal.NOTHING:
                self._changed()

    def _put(self, rows: Sequence[Row]) -> Renewal:
        renewal = self._model.put(rows, self._now_s)
        self._renewal = max(self._renewal, renewal)
        if renewal is Renewal.ORDER and not self._is_order_planned and self.is_mounted:
            self._is_order_planned = True
            self.set_timer(until_next(ORDER_S), self._reorder)
        return renewal

    def tick(self, now_s: float) -> None:
        """Time went on: repaint the cells whose text is another one now."""
        self._now_s = now_s
        self.flush()

    def fit_anew(self) -> None:
        """Give every column the width that its rows need now: it never gets narrower otherwise."""
        self._model.measure_anew(self._now_s)
        self._told_at_s.clear()
        self._changed()

    # Order and filter

    @property
    def sort(self) -> tuple[str | None, bool]:
        """The key of the column that orders the rows, and whether from its end."""
        return self._model.sort, self._model.reverse

    def sort_by(self, column: str | None, reverse: bool | None = None) -> None:
        """Order by a column (None: as given), from its natural end unless told otherwise."""
        if reverse is None:
            reverse = any(c.largest_first for c in self._model.columns if c.key == column)
        self._model.sort, self._model.reverse = column, reverse
        self._renew()

    def sort_next(self) -> None:
        """Order by the next visible column; after the last one as given."""
        keys: list[str | None] = [self._model.columns[place.at].key for place in self._plan.places]
        keys.append(None)
        at = keys.index(self._model.sort) if self._model.sort in keys else -1
        self.sort_by(keys[(at + 1) % len(keys)])

    def sort_reverse(self) -> None:
        """Turn the order around."""
        if self._model.sort is not None:
            self.sort_by(self._model.sort, not self._model.reverse)

    @property
    def filter_text(self) -> str:
        return self._filter

    def filter(self, text: str) -> None:
        """Show only rows that have every word; a word with `!` before it must be absent."""
        self._filter = text.strip()
        self._model.words = filter_words(text)
        self._renew()

    def _renew(self) -> None:
        self._renewal = Renewal.ROWS
        self.flush()

    def _reorder(self) -> None:
        self._is_order_planned = False
        if self._renewal is Renewal.ORDER:
            self._renew()

    def _fit_width(self) -> None:
        silent = self._silent()
        planned_for = (self._cells, tuple(self._model.needs), silent)
        if self._planned_for != planned_for:
            self._planned_for = planned_for
            self._plan = plan_columns(self._model.columns, self._model.needs, self._cells, silent)

    def _silent(self) -> frozenset[int]:
        """The columns that have had nothing to tell for a while: the first to go."""
        silent, now_s, told_at_s = self._model.silent(self._now_s), self._now_s, self._told_at_s
        told_at_s |= dict.fromkeys(set(range(len(self._model.columns))) - silent, now_s)
        return frozenset(at for at in silent if now_s - told_at_s.get(at, -STAY_S) >= STAY_S)

    def _settle(self) -> None:
        coming, self._coming = self._coming, None
        if coming is not None:
            self._put(coming())
            self._fit_width()
        if self._renewal is Renewal.ROWS:
            self._arrange()
        if self._renewal is not Renewal.ORDER:
            self._renewal = Renewal.NOTHING
        super()._settle()
        if self._follows_cursor:
            self._follows_cursor = False
            self._show_cursor()

    def _arrange(self) -> None:
        """A new order; the cursor stays on its row, or on the one that took its place."""
        was = self._cursor_at() or 0
        in_view = self._is_cursor_in_view()
        if not self._model.arrange():
            return
        order = self._model.order
        if self.cursor_key not in self._model.places and order:
            if self.cursor_key is None:  # the first row: now its keys mean something
                self.refresh_bindings()
            self.cursor_key = order[min(was, len(order) - 1)]
            self.post_message(self.RowMarked(self, self.cursor_key))
        self._follows_cursor = in_view

    def _title_line(self) -> Line:
        if not self._model.words:
            return self._title
        counts = f"{len(self._model.order)} of {len(self._model.rows)}"
        return (*self._title, (f" /{self._filter} ", "accent"), (counts, ""))

    # Items

    def _item_count(self) -> int:
        return len(self._model.order)

    def _item_key(self, at: int) -> str:
        return self._model.order[at]

    def _item_lines(self, at: int) -> range:
        return self._model.lines_of(at)

    def _item_at(self, line: int) -> int | None:
        if line >= len(self._model.lines):
            return None
        return self._model.places[self._model.lines[line][0]]

    def _cursor_at(self) -> int | None:
        return self._model.places.get(self.cursor_key) if self.cursor_key else None

    def _titles_clicked(self, x: int) -> None:
        for place in self._plan.places:
            if place.x <= x < place.x + place.width + GAP:
                key = self._model.columns[place.at].key
                if key == self._model.sort:
                    self.sort_reverse()
                else:
                    self.sort_by(key)

    # Lines

    def _line_count(self) -> int:
        return len(self._model.lines) or len(self._empty_lines())

    def _empty_lines(self) -> tuple[Line, ...]:
        if self._model.rows and self._model.words:
            return ((("No row is like that.  ", "muted"), ("Esc", "key"), (" shows all", "muted")),)
        return self._empty

    def _key(self, index: int) -> Hashable:
        if not self._model.lines:
            empty = self._empty_lines()
            return empty[index] if index < len(empty) else ()
        if index >= len(self._model.lines):
            return ()
        key, is_note = self._model.lines[index]
        row, has_cursor = self._model.rows.get(key), key == self.cursor_key
        if row is None:  # gone; a paint came before the flush that closes the gap
            return ()
        if not is_note:
            return row_line(row, self._plan, has_cursor, self._now_s)
        return note_line(row, self._plan, has_cursor, self._now_s)

    def _region(self, y: int, shown: Hashable, key: Hashable) -> Region:
        columns = changed_columns(shown, key)
        if columns is None:
            return super()._region(y, shown, key)
        return Region(columns[0], y, columns[1] - columns[0], 1)

    def _paint(self, key: Hashable, cells: int) -> Strip:
        if isinstance(key, RowLine):
            line = row_spans(key, self._model.columns)
        elif isinstance(key, NoteLine):
            line = note_spans(key)
        else:
            line = ((" ", ""), *key) if isinstance(key, tuple) else ()
        return self._looks.strip(line, cells, _ground(key))

    def _titles_key(self) -> Hashable:
        plan = self._plan if self._model.rows else Plan(())  # titles of nothing say nothing
        return TitlesLine(plan, self._model.sort, self._model.reverse)

    def _paint_titles(self, key: Hashable, cells: int) -> Strip:
        if not isinstance(key, TitlesLine):
            return super()._paint_titles(key, cells)
        line = title_spans(key, self._model.columns)
        if not key.plan.dropped:
            return self._looks.strip(line, cells)
        more = f" +{key.plan.dropped}"
        start = self._looks.strip(line, cells - len(more))
        return Strip.join([start, self._looks.strip(((more, "muted"),), len(more))])

    def _text(self, y: int, key: Hashable) -> str:
        """Copied text has no cursor in it."""
        text = super()._text(y, key)
        return f" {text[1:]}" if _ground(key) == "cursor" else text


def _ground(key: Hashable) -> str:
    return "cursor" if isinstance(key, (RowLine, NoteLine)) and key.has_cursor else ""
