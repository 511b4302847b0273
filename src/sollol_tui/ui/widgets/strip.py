"""One line that draws itself: the status strip, the tabs, the key line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.message import Message
from textual.strip import Strip

from sollol_tui.ui.text import Line, Span, line_width
from sollol_tui.ui.widgets.looks import Looks
from sollol_tui.ui.widgets.still import Still


class Segment(NamedTuple):
    """A piece of the line. Where room is short, the lowest priority goes first."""

    spans: Line
    priority: int = 0
    id: str = ""  # told by `OneLine.Pressed`; empty: a click does nothing


class Placed(NamedTuple):
    """The pieces that fit, and where they begin."""

    segments: tuple[tuple[int, Segment], ...]
    dropped: int


def place(left: Sequence[Segment], right: Sequence[Segment], cells: int, gap: int) -> Placed:
    """Choose what fits in `cells` and where it stands; of equals the last one goes first."""
    kept = [*((segment, False) for segment in left), *((segment, True) for segment in right)]
    kept = [(segment, is_right) for segment, is_right in kept if segment.spans]
    count = len(kept)
    while len(kept) > 1 and _needed(kept, gap) > cells:
        lowest = min(segment.priority for segment, _ in kept)
        at = max(i for i, (segment, _) in enumerate(kept) if segment.priority == lowest)
        del kept[at]
    placed, x = [], 0
    for segment, is_right in kept:
        if not is_right:
            placed.append((x, segment))
            x += line_width(segment.spans) + gap
    end = cells
    for segment, is_right in reversed(kept):
        if is_right:
            end -= line_width(segment.spans)
            placed.append((max(x, end), segment))
            end -= gap
    return Placed(tuple(sorted(placed, key=lambda pair: pair[0])), count - len(kept))


def _needed(kept: Sequence[tuple[Segment, bool]], gap: int) -> int:
    return sum(line_width(segment.spans) + gap for segment, _ in kept) - gap


class OneLine(Still):
    """Segments from the left and from the right on one line."""

    ALLOW_SELECT = False

    class Pressed(Message):
        """A segment that has an id was clicked."""

        def __init__(self, strip: OneLine, segment_id: str) -> None:
            super().__init__()
            self.strip = strip
            self.segment_id = segment_id

        @property
        def control(self) -> OneLine:
            return self.strip

    def __init__(
        self,
        *,
        gap: int = 2,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._gap = gap
        self._looks = Looks(self, ascii_only=ascii_only)
        self._parts: tuple[tuple[Segment, ...], tuple[Segment, ...]] = ((), ())
        self._placed: Placed | None = None
        self._strip: Strip | None = None
        self._cells = -1

    def show(self, left: Sequence[Segment], right: Sequence[Segment] = ()) -> None:
        """Replace the segments; equal ones paint nothing."""
        parts = (tuple(left), tuple(right))
        if parts != self._parts:
            self._parts = parts
            self._forget()
            self.refresh()

    def _forget(self) -> None:
        self._placed = self._strip = None

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._looks.forget():
            self.refresh()
        self._forget()

    def _placed_in(self, cells: int) -> Placed:
        if self._placed is None or cells != self._cells:
            self._forget()
            self._cells = cells
            self._placed = place(*self._parts, cells, self._gap)
        return self._placed

    def render_line(self, y: int) -> Strip:
        cells = self.size.width
        placed = self._placed_in(cells)
        if self._strip is None:
            spans: list[Span] = []
            x = 0
            for start, segment in placed.segments:
                spans += [(" " * (start - x), ""), *segment.spans]
                x = start + line_width(segment.spans)
            self._strip = self._looks.strip(tuple(spans), cells)
        return self._strip if y == 0 else self._looks.strip((), cells)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        for start, segment in self._placed_in(self.size.width).segments:
            if segment.id and start <= offset.x < start + line_width(segment.spans):
                self.post_message(self.Pressed(self, segment.id))
