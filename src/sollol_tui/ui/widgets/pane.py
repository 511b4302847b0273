"""The ground of all line-drawn panes: repaint what differs from what is shown, and nothing else.

A pane asks its subclass for a key per screen line: a hashable value of everything that decides
how that line looks. `flush` compares the keys with those of the lines on the screen. Flushes lie
on one grid of a quarter second, so that panes that change together share a frame; what a key of
the keyboard changes is flushed at once. Where nothing changes, nothing runs.
"""

from __future__ import annotations

import time
from collections.abc import Hashable
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.cache import LRUCache
from textual.content import Content
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from sollol_tui.ui.text import Line, clean
from sollol_tui.ui.widgets.looks import Looks
from sollol_tui.ui.widgets.still import Still

GRID_S = 0.25

MOVES = Binding.Group("Move")
_FAR = 1_000_000_000


def until_next(grid_s: float) -> float:
    """Seconds from now to the next point of a grid that all panes of the process share."""
    return grid_s - time.monotonic() % grid_s


def _move(keys: str, action: str, name: str, tooltip: str) -> Binding:
    description = name.replace("-", " ").capitalize()
    return Binding(
        keys, action, description, show=False, tooltip=tooltip, id=f"pane.{name}", group=MOVES
    )


def moves(first: str = "home,g", what: str = "line") -> list[BindingType]:
    """The keys that move in a pane; `first` are those to its first line, `what` are its steps."""
    return [
        _move("up,k", "move(-1)", "up", f"One {what} up"),
        _move("down,j", "move(1)", "down", f"One {what} down"),
        _move("pageup", "page(-1)", "page-up", "One page up"),
        _move("pagedown", "page(1)", "page-down", "One page down"),
        _move(first, f"move({-_FAR})", "first", f"To the first {what}"),
        _move("end,G", f"move({_FAR})", "last", f"To the last {what}"),
    ]


class Pane(Still, ScrollView, can_focus=True, inherit_bindings=False):
    """A bordered, scrolling pane that draws its own lines.

    Subclasses give `_line_count`, `_key`, `_paint` (and `_titles_key`, `_paint_titles` with
    `TITLES = 1`), call `_changed()` when their values changed, and may override `_settle`.
    """

    TITLES: ClassVar[int] = 0  # lines at the top that do not scroll
    BINDINGS: ClassVar[list[BindingType]] = moves()

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._looks = Looks(self, ascii_only=ascii_only)
        self._title: Line = ()
        self._subtitle: Line = ()
        self._shown_titles: tuple[Line, Line] = ((), ())
        self._painted: dict[int, tuple[int, Hashable]] = {}  # what lines show: width, key
        self._strips: LRUCache[tuple[bool, Hashable, int], Strip] = LRUCache(512)
        self._fitted_to = 0
        self._is_painting = False
        self._is_planned = False
        self.set_class(ascii_only, "-ascii", update=False)

    # What subclasses say

    def _line_count(self) -> int:
        """How many lines there are below the titles."""
        return 0

    def _key(self, index: int) -> Hashable:
        """Everything that decides how a line looks; asked for past the end, too."""
        return None

    def _paint(self, key: Hashable, cells: int) -> Strip:
        """A line in exactly so many cells."""
        return self._looks.strip((), cells)

    def _titles_key(self) -> Hashable:
        return None

    def _paint_titles(self, key: Hashable, cells: int) -> Strip:
        return self._looks.strip((), cells)

    def _fit_width(self) -> None:
        """Make what depends on the width, if the width is another one."""

    def _settle(self) -> None:
        """Bring order and scroll range up to date, before lines are compared."""
        self._set_extent()

    def _region(self, y: int, shown: Hashable, key: Hashable) -> Region:
        """The part of a screen line that has to be painted again."""
        return Region(0, y, self._cells, 1)

    def _title_line(self) -> Line:
        return self._title

    # Titles

    def set_title(self, title: Line | str) -> None:
        """The text in the upper border."""
        self._title = _as_line(title)
        self._refresh_titles()

    def set_subtitle(self, subtitle: Line | str) -> None:
        """The text in the lower border."""
        self._subtitle = _as_line(subtitle)
        self._refresh_titles()

    def _refresh_titles(self) -> None:
        """Setting a border title paints the whole pane: only when it says something else."""
        if not self.is_mounted:
            return
        titles = (self._title_line(), self._subtitle)
        if titles != self._shown_titles:
            self._shown_titles = titles
            self.border_title = self._content(titles[0])
            self.border_subtitle = self._content(titles[1])

    def _content(self, line: Line) -> Content | None:
        if not line:
            return None
        looks = self._looks
        return Content.assemble(
            *((looks.letters(text), looks.visual_style(n) if n else "") for text, n in line)
        )

    # When lines are painted

    def on_mount(self) -> None:
        self._refresh_titles()
        self.flush()

    def on_resize(self) -> None:
        self.flush()

    def _changed(self) -> None:
        """Values changed: flush at the next point of the grid."""
        if not self._is_planned and self.is_mounted:  # before that, on_mount does it
            self._is_planned = True
            self.set_timer(until_next(GRID_S), self._flush_planned)

    def _flush_planned(self) -> None:
        if self._is_planned:
            self.flush()

    def flush(self) -> None:
        """Paint now what differs from what is shown."""
        self._is_planned = False
        self._fit_width()
        self._settle()
        self._refresh_titles()
        regions: list[Region] = []
        cells = self._cells
        for y in range(self.size.height):
            shown, key = self._painted.get(y), self._key_at(y)
            if shown is None or shown[0] != cells:
                _add(regions, Region(0, y, cells, 1))
            elif shown[1] != key:
                _add(regions, self._region(y, shown[1], key))
        if regions:
            self.refresh(*regions)

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self._looks.forget():
            self.refresh()
        self._strips.clear()
        self._shown_titles = ((), ())
        self._refresh_titles()

    def _set_extent(self) -> None:
        """The scroll range. Assigning `virtual_size` lays the whole screen out, which takes a
        frame's time: done only where the scroll bar comes or goes."""
        extent = Size(0, self._line_count() + self.TITLES)
        if extent == self.virtual_size:
            return
        height = self.container_size.height
        if not height or (extent.height > height) is not self.show_vertical_scrollbar:
            self.virtual_size = extent
            return
        self.set_reactive(Pane.virtual_size, extent)
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = extent.height
        if self.scroll_y > self.max_scroll_y:
            self._scroll_at(self.max_scroll_y)

    # Lines

    @property
    def _cells(self) -> int:
        """The width of a line: what the border and the scroll bar leave."""
        return self.container_size.width - self.scrollbar_size_vertical

    @property
    def _top(self) -> int:
        """The first line in view."""
        return self.scroll_offset.y

    @property
    def _page(self) -> int:
        """How many lines are in view."""
        return max(0, self.size.height - self.TITLES)

    def _key_at(self, y: int) -> Hashable:
        return self._titles_key() if y < self.TITLES else self._key(self._top + y - self.TITLES)

    def _strip(self, y: int, key: Hashable) -> Strip:
        """The same object for the same line, so that what Textual derives from it is kept."""
        is_title, cells = y < self.TITLES, self._cells
        strip = self._strips.get((is_title, key, cells))
        if strip is None:
            paint = self._paint_titles if is_title else self._paint
            strip = self._strips[is_title, key, cells] = paint(key, cells)
        return strip

    def _lines_of(self, crop: Region) -> list[Strip]:
        """The compositor's way in. The mouse asks `render_line`, which must not count as shown."""
        self._is_painting = True
        if self._fitted_to != self._cells:  # a paint in a new width, before `on_resize`
            self._fitted_to = self._cells
            self._fit_width()
        try:
            return super()._lines_of(crop)
        finally:
            self._is_painting = False

    def render_line(self, y: int) -> Strip:
        key = self._key_at(y)
        strip = self._strip(y, key)
        number = y if y < self.TITLES else self._top + y
        if selection := self.text_selection:
            strip = self._marked(strip, selection.get_span(number))
        if not self._is_painting:
            return strip.apply_offsets(0, number)  # tells the mouse which letter lies where
        self._painted[y] = (self._cells, key)
        return strip

    # Selecting text

    def _marked(self, strip: Strip, span: tuple[int, int] | None) -> Strip:
        """The strip with the selected letters on the selection's ground."""
        if span is None:
            return strip
        text = strip.text
        start = cell_len(text[: span[0]])
        end = strip.cell_length if span[1] == -1 else cell_len(text[: max(span)])
        mark = Style(bgcolor=self.screen.get_component_rich_style("screen--selection").bgcolor)
        middle = [Segment(t, (style or mark) + mark) for t, style, _ in strip.crop(start, end)]
        return Strip.join([strip.crop(0, start), Strip(middle), strip.crop(end)])

    def _text(self, y: int, key: Hashable) -> str:
        return self._strip(y, key).text.rstrip()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text; lines out of view count, too."""
        lines = [self._text(0, self._titles_key())] if self.TITLES else []
        lines += [self._text(self.TITLES, self._key(i)) for i in range(self._line_count())]
        return selection.extract("\n".join(lines)), "\n"

    # Moving

    def _scroll_at(self, y: float) -> None:
        self.scroll_to(y=y, animate=False, force=True)

    def action_move(self, by: int) -> None:
        self._scroll_at(max(0, min(self.max_scroll_y, self._top + by)))

    def action_page(self, by: int) -> None:
        self.action_move(by * max(1, self._page - 1))


def _add(regions: list[Region], region: Region) -> None:
    """Neighbouring lines are one region."""
    if regions and regions[-1].bottom == region.y:
        last = regions[-1]
        if last.column_span == region.column_span:
            regions.pop()
            region = last.union(region)
    regions.append(region)


def _as_line(text: Line | str) -> Line:
    return ((clean(text), ""),) if isinstance(text, str) else text
