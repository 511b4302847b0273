"""What a terminal shows of the bytes that the compositor writes, and an app to try widgets in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from rich.cells import cell_len
from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.geometry import Region
from textual.screen import Screen
from textual.widget import Widget

from tests.ui.gallery import Stage

_MOVE = re.compile(r"\x1b\[(\d+);(\d+)H")
_OTHER = re.compile(r"\x1b\[[0-9;]*[A-Za-ln-z]|\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\")


class Terminal:
    """Letters by place; colours are left out."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], str] = {}
        self.letters_written = 0

    def write(self, text: str) -> None:
        x = y = 0
        parts = _MOVE.split(text)
        self._put(parts[0], x, y)
        for row, column, run in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
            self._put(run, int(column) - 1, int(row) - 1)

    def _put(self, run: str, x: int, y: int) -> None:
        for char in _OTHER.sub("", run).rstrip("\n"):
            cells = cell_len(char)
            self.letters_written += 1
            if cells:
                self.cells[x, y] = char
            else:
                self.cells[x - 1, y] = self.cells.get((x - 1, y), "") + char
            for hidden in range(1, cells):
                self.cells[x + hidden, y] = ""
            x += cells

    def line(self, y: int, x: int, cells: int) -> str:
        return "".join(self.cells.get((at, y), " ") for at in range(x, x + cells))


class Wired(Stage):
    """A stage with a terminal that sees every update."""

    def __init__(self, make: Callable[[], Iterable[Widget]]) -> None:
        super().__init__(make)
        self.terminal = Terminal()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        if isinstance(renderable, CompositorUpdate) and self._running and not self._batch_count:
            self.terminal.write(renderable.render_segments(self.console))
        super()._display(screen, renderable)

    def on_terminal(self, widget: Widget) -> list[str]:
        """The content lines of a widget as the terminal shows them."""
        region = widget.scrollable_content_region
        return [self.terminal.line(y, region.x, region.width) for y in region.line_range]


def wrong_lines(widget: Widget) -> list[int]:
    """The lines that look otherwise (letters or colours) when they are rendered from nothing."""
    whole = Region(0, 0, *widget.outer_size)
    shown = widget.render_lines(whole)
    widget._styles_cache.clear()
    anew = widget.render_lines(whole)
    return [y for y, (old, new) in enumerate(zip(shown, anew, strict=True)) if old != new]


def painted_anew(widget: Widget) -> list[str]:
    """The content lines of a widget, rendered from nothing."""
    widget._styles_cache.clear()
    strips = widget.render_lines(Region(0, 0, *widget.outer_size))
    gutter, region = widget.gutter, widget.scrollable_content_region
    lines = strips[gutter.top : gutter.top + region.height]
    return [strip.crop(gutter.left, gutter.left + region.width).text for strip in lines]
