"""Messages as one run of lines on the screen: laid out, followed, painted at a small and flat cost.

What comes is laid out and painted at most eight times a second, on a grid that is half the other
panes' one, so that they share frames. A message's closed blocks are never laid out again, the same
line is the same strip in every frame, and the scroll range is set without laying out the screen.
"""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence

from textual.geometry import Offset, Region, Size
from textual.reactive import var
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from sollol_tui.ui.palette import MESSAGES
from sollol_tui.ui.text import Line, plain
from sollol_tui.ui.widgets.pane import Pane, until_next
from sollol_tui.ui.widgets.transcript_looks import TranscriptLooks
from sollol_tui.ui.widgets.transcript_model import History, Message, Place

GRID_S = 0.125
AWAY_S = 0.5
"""How often what comes is laid out: following the end, and while the reader is elsewhere."""

BAR_S = 1.0
"""How often the scroll bar moves while the end is followed."""

SLICE_S = 0.02
"""A long history is laid out in slices of so much work, what is in view first."""

WIDEST = 100
"""Text is not wider than this many cells: longer lines are hard to read."""

GUTTER = 1
"""Blank cells on the left, in which messages can be marked."""

_NARROWEST = 8
_REST = 5  # times what the last update cost, at least, lie between two updates

_BLANK = (" " * GUTTER, "")

_Anchor = tuple[int, Place, int]
"""What the reader's first line shows: the message, the place in it, its width."""


class HistoryPane(Pane):
    """A `History` on the screen. The end is followed until the reader scrolls away from it."""

    moves: var[int] = var(0, init=False)
    """Counts up when lines change, or the reader goes to or leaves the end. Watched, not told by a
    message: what is painted on its account shares the frame."""

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(ascii_only=ascii_only, id=id, classes=classes)
        self._looks = TranscriptLooks(self, MESSAGES, ascii_only=ascii_only)
        self.history = History()
        self.follows = True
        self._seen = 0  # lines there were when the reader left the end
        self._hint: Sequence[Line] = ()
        self._stale = set[int]()  # numbers of the messages to lay out
        self._uncoloured = set[int]()  # and of those with code to colour
        self._timer: Timer | None = None
        self._bar_timer: Timer | None = None
        self._next_s = 0.0
        self._is_holding = False
        self._width = 0  # of its lines, as it was at the last update

    # What it shows

    @property
    def unseen(self) -> int:
        """Lines that came while the reader was elsewhere."""
        return 0 if self.follows else max(0, self.history.total - self._seen)

    def set_hint(self, lines: Sequence[Line]) -> None:
        """What stands here as long as there is no message."""
        self._hint = tuple(lines)
        self._changed()

    def message_changed(self, message: Message, number: int) -> None:
        """A message is to be laid out again (told by its handle)."""
        messages = self.history.messages
        if number < len(messages) and messages[number] is message:  # it may be forgotten
            self._stale.add(number)
            self._changed()

    def clear(self) -> None:
        """Forget all messages."""
        self.follows = True
        self.cut(0)

    def cut(self, number: int) -> None:
        """Forget a message and all after it."""
        self.history.cut(number)
        self._stale = {stale for stale in self._stale if stale < number}
        self._uncoloured = {plain for plain in self._uncoloured if plain < number}
        if self.is_mounted and self.text_selection is not None:
            self.screen.clear_selection()
        self.flush()

    # When it is painted

    def _changed(self) -> None:
        if self._timer is None and self.is_mounted:
            now = time.monotonic()
            idle = now - self._next_s > AWAY_S  # a first token need not wait for the grid
            delay = 0.001 if idle else max(self._next_s - now, until_next(GRID_S))
            self._timer = self.set_timer(delay, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        started = time.thread_time()
        super().flush()
        cost = time.thread_time() - started
        rest = max(_REST * cost, 0 if self.follows else AWAY_S)
        self._next_s = time.monotonic() + rest
        self.moves += 1
        if self._stale and self._has_room:
            self._timer = self.set_timer(2 * SLICE_S, self.flush)
        elif self._uncoloured:
            self._timer = self.set_timer(SLICE_S, self._colour)

    def _colour(self) -> None:
        """Closed code blocks, apart from the updates: at least one, more while it costs little."""
        started = time.thread_time()
        while self._uncoloured:
            number = min(self._uncoloured, key=self._urgency)
            if not self.history.messages[number].colour_next():
                self._uncoloured.discard(number)
            if time.thread_time() - started > SLICE_S / 4:
                break
        self.flush()

    def _settle(self) -> None:
        """Lay out what is stale, in view first; the reader's first line stays where it is."""
        self._width = self.size.width
        if not self._has_room:
            return
        anchor = None if self.follows else self._anchor()
        if self._stale:
            first = min(self._stale)
            self._lay_out_stale()
            self.history.recount(first)
        self._set_extent()
        self._hold(anchor)

    @property
    def _has_room(self) -> bool:
        """Whether text can be laid out: a hidden or tiny pane waits for its next size."""
        return self.size.height > 0 and self._text_cells >= _NARROWEST

    @property
    def _cells(self) -> int:
        """The width of the lines. The scroll bar lies over their last column; it is always there.
        Kept, as it is asked for with every line."""
        return self._width

    @property
    def _text_cells(self) -> int:
        """The width of the text: a blank column stays between it and the scroll bar."""
        return min(self._width - GUTTER - self.styles.scrollbar_size_vertical - 1, WIDEST)

    def _lay_out_stale(self) -> None:
        started, rows, enough = time.thread_time(), 0, 2 * self.size.height
        for number in sorted(self._stale, key=self._urgency):
            if rows > enough and time.thread_time() - started > SLICE_S:
                return
            message = self.history.messages[number]
            message.lay_out(self._text_cells)
            self._stale.discard(number)
            if message.has_uncoloured:
                self._uncoloured.add(number)
            rows += message.height

    def _urgency(self, number: int) -> int:
        """What is in view comes first, then what lies below it."""
        if self.follows:
            return -number
        top = self.history.at(self._top)[0]
        return number - top if number >= top else len(self.history.messages) + top - number

    def _set_extent(self) -> None:
        """The scroll range, without the layout of the screen that assigning it costs."""
        extent = Size(0, self._line_count())
        if extent != self.virtual_size:
            self.set_reactive(Pane.virtual_size, extent)
            self._bar_moved()

    # Where the reader is

    def _anchor(self) -> _Anchor | None:
        if not self.history.messages:
            return None
        number, line = self.history.at(self._top)
        message = self.history.messages[number]
        return number, message.place(line), message.cells

    def _hold(self, anchor: _Anchor | None) -> None:
        self._is_holding = True
        if self.follows:
            self._scroll_at(self.max_scroll_y)
        elif anchor is not None:
            number, place, cells = anchor
            message = self.history.messages[number]
            line = message.index(place, is_rewrapped=cells != message.cells)
            self._scroll_at(self.history.start(number) + line)
        self._is_holding = False

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        old, new = round(old_value), round(new_value)
        if old != new:
            self.refresh(self.size.region)
        if self._is_holding:
            self._bar_moved()
            return
        self._paint_bar()
        is_at_end = new >= self.max_scroll_y
        if new >= old or not is_at_end:  # up to the end: there is more room, nobody went there
            self.set_following(is_at_end)

    def set_following(self, follows: bool) -> None:
        """Follow the end, or stay where the reader is; scrolls nothing."""
        if follows != self.follows:
            self.follows, self._seen = follows, self.history.total
            self.moves += 1

    def _bar_moved(self) -> None:
        """The scroll bar follows the reader at once and the growing end once a second: a bar costs
        a quarter of all that a frame costs."""
        if not self.follows:
            self._paint_bar()
        elif self._bar_timer is None:
            self._bar_timer = self.set_timer(BAR_S, self._paint_bar)

    def _paint_bar(self) -> None:
        if self._bar_timer is not None:
            self._bar_timer.stop()
            self._bar_timer = None
        self.vertical_scrollbar.window_virtual_size = self.virtual_size.height
        self.vertical_scrollbar.position = self.scroll_y

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.follows = True
        self.flush()

    def on_resize(self) -> None:
        self._width = self.size.width
        numbered = enumerate(self.history.messages)
        stale = {number for number, message in numbered if message.cells != self._text_cells}
        if stale:
            self._stale |= stale
            self.screen.clear_selection()
        self.flush()

    # Lines

    def _line_count(self) -> int:
        return self.history.total if self.history.messages else len(self._hint)

    def _key(self, index: int) -> Hashable:
        if self.history.messages:
            return self.history.line(index)
        return self._hint[index] if index < len(self._hint) else ()

    def _paint(self, key: Hashable, cells: int) -> Strip:
        return self._looks.strip((_BLANK, *key), cells)  # type: ignore[misc]

    def _lines_of(self, crop: Region) -> list[Strip]:
        """The lines as they are kept: nothing is laid around or over them (no border, no tint)."""
        if self.styles.gutter.totals != (0, 0) or self.opacity < 1:
            return super()._lines_of(crop)
        self._is_painting = True
        try:
            strips = [self.render_line(y) for y in crop.line_range]
        finally:
            self._is_painting = False
        first, last = crop.column_span
        is_whole = first == 0 and last == self._cells
        return strips if is_whole else [strip.crop(first, last) for strip in strips]

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The text without the cells on its left, so that code can be used as it is."""
        lines = (plain(self.history.line(i)).rstrip() for i in range(self.history.total))
        inside = Selection(_within(selection.start), _within(selection.end))
        return inside.extract("\n".join(lines)), "\n"


def _within(offset: Offset | None) -> Offset | None:
    return None if offset is None else Offset(max(0, offset.x - GUTTER), offset.y)
