"""A log that follows its end, and never pulls a reader away from where he reads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import ClassVar, NamedTuple

from textual.binding import BindingType
from textual.strip import Strip

from sollol_tui.ui.text import Line, plain
from sollol_tui.ui.widgets.cursor_pane import CursorPane
from sollol_tui.ui.widgets.pane import moves
from sollol_tui.ui.widgets.table_lines import CURSOR
from sollol_tui.ui.widgets.table_model import filter_words, matches

KEPT_LINES = 5000


class LogLine(NamedTuple):
    """One entry: its key, the line it is shown as, and whether something went wrong."""

    key: str
    line: Line
    is_fault: bool = False


class LogKey(NamedTuple):
    """Everything that decides how an entry looks."""

    entry: LogLine
    has_cursor: bool


class EventLog(CursorPane, inherit_bindings=False):
    """The last `KEPT_LINES` entries, one line each.

    It follows its end until the cursor moves or the view is scrolled away from it; End, or
    scrolling back to the end, follows again. What comes meanwhile is counted in the title.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*moves(first="home"), *CursorPane.BINDINGS]

    class RowChosen(CursorPane.RowChosen):
        """Enter or a double click on an entry."""

    class RowMarked(CursorPane.RowMarked):
        """The cursor was moved to another entry."""

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(ascii_only=ascii_only, id=id, classes=classes)
        self.is_following = True
        self.unseen = 0  # shown entries that came since the reader left the end
        self.errors_only = False
        self._filter = ""
        self._words: tuple[str, ...] = ()
        self._ring: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._view: deque[LogLine] = deque()  # those of the ring that are wanted
        self._gone = 0  # entries that fell out of the front of the view, ever
        self._gone_when_settled = 0
        self._cursor = 0  # counted like `_gone`, so it stays on its entry
        self._is_scrolling = False  # by us, not by the reader

    # Entries

    def append(self, entries: Iterable[LogLine]) -> None:
        """Add entries, the newest last."""
        for entry in entries:
            if len(self._ring) == KEPT_LINES and self._view and self._view[0] is self._ring[0]:
                self._view.popleft()
                self._gone += 1
            self._ring.append(entry)
            if self._is_wanted(entry):
                self._view.append(entry)
                self.unseen += not self.is_following
        self._changed()

    def clear(self) -> None:
        """Forget all entries."""
        self._ring.clear()
        self._rebuild()

    @property
    def filter_text(self) -> str:
        return self._filter

    def filter(self, text: str) -> None:
        """Show only entries that have every word; a word with `!` before it must be absent."""
        self._filter, self._words = text.strip(), filter_words(text)
        self._rebuild()

    def toggle_errors(self) -> None:
        """Only entries about what went wrong, or all again."""
        self.errors_only = not self.errors_only
        self._rebuild()

    def follow(self) -> None:
        """To the end, and stay there."""
        self.is_following, self.unseen = True, 0
        self.flush()

    def go_to(self, key: str) -> bool:
        """Put the cursor on an entry, with a filter gone that hides it; False when it has left."""
        if not any(entry.key == key for entry in self._ring):
            return False
        if not any(entry.key == key for entry in self._view):
            self.errors_only, self._filter, self._words = False, "", ()
            self._rebuild()
        self.move_to(next(at for at, entry in enumerate(self._view) if entry.key == key))
        return True

    def _is_wanted(self, entry: LogLine) -> bool:
        if self.errors_only and not entry.is_fault:
            return False
        return not self._words or matches(plain(entry.line), self._words)

    def _rebuild(self) -> None:
        """Choose anew; the cursor stays on its entry, or goes to the one before it."""
        at = self._cursor_at()
        under = self._view[at] if at is not None else None
        self._view = deque()
        self._gone = self._gone_when_settled = self._cursor = 0
        is_before = under is not None
        for entry in self._ring:
            if self._is_wanted(entry):
                self._view.append(entry)
                self._cursor = len(self._view) - 1 if is_before else self._cursor
            is_before = is_before and entry is not under
        self.flush()
        if not self.is_following:
            self._scroll(self._show_cursor)

    def _settle(self) -> None:
        if self.is_following and self._view:
            self._cursor = self._gone + len(self._view) - 1
        at = self._cursor_at()
        self.cursor_key = self._view[at].key if at is not None else None
        self._scroll(super()._settle)
        lost, self._gone_when_settled = self._gone - self._gone_when_settled, self._gone
        if self.is_following:
            self._scroll(lambda: self._scroll_at(self.max_scroll_y))
        elif lost:  # what is read stays where it is
            self._scroll(lambda: self._scroll_at(max(0, self._top - lost)))

    def _title_line(self) -> Line:
        line = self._title
        if self.errors_only:
            line = (*line, (" errors only", "warn"))
        if self._words:
            line = (*line, (f" /{self._filter}", "accent"))
        if self.errors_only or self._words:
            line = (*line, (f" {len(self._view)} of {len(self._ring)}", ""))
        if self.unseen:
            line = (*line, (f"  ↓ {self.unseen} new", "accent"), (" · End", "muted"))
        return line

    # Following

    def _scroll(self, act: Callable[[], None]) -> None:
        """Do something that scrolls, and is no sign of what the reader wants."""
        self._is_scrolling = True
        try:
            act()
        finally:
            self._is_scrolling = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        old, new = round(old_value), round(new_value)
        if self._is_scrolling or old == new:
            return
        is_at_end = new >= self.max_scroll_y
        if new > old or not is_at_end:  # up to the end: the pane has grown, nobody went there
            self._set_following(is_at_end)

    def _set_following(self, is_at_end: bool) -> None:
        self.is_following = is_at_end
        if is_at_end:
            self.unseen = 0
        self._changed()

    def move_to(self, at: int) -> None:
        self._cursor = self._gone + at
        self._set_following(at == len(self._view) - 1)
        self._scroll(lambda: super(EventLog, self).move_to(at))

    # Items: one line each

    def _item_count(self) -> int:
        return len(self._view)

    def _item_key(self, at: int) -> str:
        return self._view[at].key

    def _item_lines(self, at: int) -> range:
        return range(at, at + 1)

    def _item_at(self, line: int) -> int | None:
        return line if line < len(self._view) else None

    def _cursor_at(self) -> int | None:
        if not self._view:
            return None
        return max(0, min(len(self._view) - 1, self._cursor - self._gone))

    def _line_count(self) -> int:
        return len(self._view)

    def _key(self, index: int) -> Hashable:
        if index >= len(self._view):
            return self._nothing() if index == 0 else ()
        return LogKey(self._view[index], index == self._cursor_at())

    def _nothing(self) -> Line:
        if self._ring:
            return (("No entry is like that.  ", "muted"), ("Esc", "key"), (" shows all", "muted"))
        return (("Nothing has happened yet.", "muted"),)

    def _paint(self, key: Hashable, cells: int) -> Strip:
        if not isinstance(key, LogKey):
            return self._looks.strip(((" ", ""), *(key if isinstance(key, tuple) else ())), cells)
        mark = (CURSOR, "accent") if key.has_cursor else (" ", "")
        ground = "cursor" if key.has_cursor else ""
        return self._looks.strip((mark, *key.entry.line), cells, ground)

    def _text(self, y: int, key: Hashable) -> str:
        """Copied text has no cursor in it."""
        text = super()._text(y, key)
        return f" {text[1:]}" if isinstance(key, LogKey) and key.has_cursor else text
