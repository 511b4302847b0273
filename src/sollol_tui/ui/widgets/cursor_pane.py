"""A pane of items with a cursor that stays on its item, whatever comes, goes and moves."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from sollol_tui.ui.widgets.pane import Pane


class CursorPane(Pane):
    """Items are one or more lines; the cursor is known by its item's key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "choose",
            "Detail",
            tooltip="Everything known about the row",
            id="pane.choose",
        )
    ]

    class RowMessage(Message):
        """Something about one row. `control` lets `@on(..., "#nodes")` choose the pane."""

        def __init__(self, pane: CursorPane, key: str) -> None:
            super().__init__()
            self.pane = pane
            self.key = key

        @property
        def control(self) -> CursorPane:
            return self.pane

    class RowChosen(RowMessage):
        """Enter or a double click."""

    class RowMarked(RowMessage):
        """The cursor is on another row."""

    cursor_key: str | None = None

    # What subclasses say

    def _item_count(self) -> int:
        raise NotImplementedError

    def _item_key(self, at: int) -> str:
        raise NotImplementedError

    def _item_lines(self, at: int) -> range:
        raise NotImplementedError

    def _item_at(self, line: int) -> int | None:
        """The item that a line belongs to."""
        raise NotImplementedError

    def _cursor_at(self) -> int | None:
        """The place of the item under the cursor."""
        raise NotImplementedError

    def _titles_clicked(self, x: int) -> None:
        """A click on the fixed lines at the top."""

    # The cursor

    def move_to(self, at: int) -> None:
        """Put the cursor on an item, show it, and say so."""
        if not 0 <= at < self._item_count():
            return
        key = self._item_key(at)
        is_new, self.cursor_key = key != self.cursor_key, key
        self._show_cursor()
        self.flush()
        if is_new:
            self.post_message(self.RowMarked(self, key))

    def _is_cursor_in_view(self) -> bool:
        at = self._cursor_at()
        return at is not None and self._top <= self._item_lines(at)[0] < self._top + self._page

    def _show_cursor(self) -> None:
        at = self._cursor_at()
        if at is None or self._page <= 0:
            return
        lines = self._item_lines(at)
        if lines[0] < self._top:
            self._scroll_at(lines[0])
        elif lines[-1] >= self._top + self._page:
            self._scroll_at(min(lines[0], lines[-1] - self._page + 1))

    def action_move(self, by: int) -> None:
        count = self._item_count()
        if count:
            at = self._cursor_at()
            self.move_to(max(0, min(count - 1, (0 if at is None else at) + by)))

    def action_choose(self) -> None:
        if self.cursor_key is not None and self._cursor_at() is not None:
            self.post_message(self.RowChosen(self, self.cursor_key))

    def on_click(self, event: events.Click) -> None:
        if event.chain > 1:
            event.prevent_default()  # a double click chooses; it does not select all text
        offset = event.get_content_offset(self)
        if offset is None or self.text_selection is not None:  # the end of a selection
            return
        if offset.y < self.TITLES:
            self._titles_clicked(offset.x)
            return
        at = self._item_at(self._top + offset.y - self.TITLES)
        if at is not None:
            self.move_to(at)
            if event.chain == 2:
                self.action_choose()
