"""Messages to choose from: one of a transcript's messages is marked, and moved along."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from textual.strip import Strip

from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.transcript_view import HistoryPane

MARK = ("▎", "chosen")


class Marked(NamedTuple):
    """A line of the chosen message."""

    line: Line


class ChoicePane(HistoryPane):
    """A `HistoryPane` in which one message may be chosen.

    Up and down go from message to message, and through one that is higher than the pane page by
    page, so that nothing is passed over.
    """

    chosen: int | None = None
    _marked_lines = range(0)

    def choose(self, number: int | None) -> None:
        """Mark a message, or none; scrolls nothing. What comes does not push away one that is not
        the last; where the end is in view and the last one or none is chosen, it is followed."""
        if number != self.chosen:
            self.chosen = number
            self.refresh_bindings()
        is_inside = number is not None and number < len(self.history.messages) - 1
        if is_inside or self._top >= self.max_scroll_y:
            self.set_following(not is_inside)
        self.flush()

    def _settle(self) -> None:
        super()._settle()
        is_there = self.chosen is not None and self.chosen < len(self.history.messages)
        self._marked_lines = self.history.span(self.chosen or 0)[:-1] if is_there else range(0)

    def _key(self, index: int) -> Hashable:
        key = super()._key(index)
        return Marked(key) if index in self._marked_lines else key  # type: ignore[arg-type]

    def _paint(self, key: Hashable, cells: int) -> Strip:
        if isinstance(key, Marked):
            return self._looks.strip((MARK, *key.line), cells, "cursor")
        return super()._paint(key, cells)

    def cut(self, number: int) -> None:
        if self.chosen is not None and self.chosen >= number:
            self.chosen = None
        super().cut(number)

    def go_to(self, number: int) -> None:
        """Choose a message and show its beginning."""
        self._go_to(number, 1)

    # Moving

    def action_move(self, by: int) -> None:
        """One message on, or so many lines."""
        count = len(self.history.messages)
        if abs(by) == 1 and self.has_focus and self.chosen is None and count:
            self.choose(self.last_in_view())
        elif abs(by) != 1 or self.chosen is None:
            super().action_move(by)
            self._keep_in_view(by)
        elif not self._read_on(self.chosen, by):
            self._go_to(max(0, min(count - 1, self.chosen + by)), by)

    def _keep_in_view(self, by: int) -> None:
        """The chosen message is one of those in view, the nearest to where it was."""
        if self.chosen is None or not self.history.messages:
            return
        lines, last = self.history.span(self.chosen), self.last_in_view()
        if by < 0 and self._top == 0:
            self.choose(0)
        elif by > 0 and self._top >= self.max_scroll_y:
            self.choose(last)
        elif lines.stop <= self._top + 1:  # only its empty line, if anything
            self.choose(min(last, self.history.at(self._top + 1)[0]))
        elif lines.start >= self._top + self._page:
            self.choose(last)

    def last_in_view(self) -> int:
        """The last message of which something is in view."""
        return self.history.at(min(self.history.total, self._top + self._page) - 1)[0]

    def _read_on(self, number: int, by: int) -> bool:
        """Show more of a message that goes on beyond the pane; False when all of it was seen."""
        lines, top, page = self.history.span(number), self._top, self._page
        if by > 0 and lines.start < top + page < lines.stop:
            self._scroll_at(min(top + page - 1, lines.stop - page))
        elif by < 0 and lines.start < top < lines.stop:
            self._scroll_at(max(top - page + 1, lines.start))
        else:
            return False
        return True

    def _go_to(self, number: int, by: int) -> None:
        """Choose a message and show it: its beginning on the way down, its end on the way up."""
        lines, top, page = self.history.span(number), self._top, self._page
        if len(lines) > page:
            self._scroll_at(lines.start if by > 0 else lines.stop - page)
        elif lines.start < top:
            self._scroll_at(lines.start)
        elif lines.stop > top + page:
            self._scroll_at(lines.stop - page)
        self.choose(number)
