"""A pane of lines that somebody else writes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, TypeAlias

from textual.strip import Strip

from sollol_tui.ui.text import LABEL_CELLS, Line, wrap_line
from sollol_tui.ui.widgets.pane import Pane

MARGIN = 1
Lines: TypeAlias = Sequence[Line] | Callable[[int], Sequence[Line]]
"""Lines, or a function of the pane's width in cells, asked again when the width changes."""


class LinesPane(Pane):
    """Shows lines as they are; what is longer than the pane is cut and marked, or goes on in the
    next line when it `wraps`."""

    wraps = False
    _source: Lines = ()
    _lines: tuple[Line, ...] = ()
    _made_for: tuple[Lines, int] | None = None

    def show(self, lines: Lines) -> None:
        """Replace the lines; equal ones paint nothing."""
        self._source = lines
        self._changed()

    def _fit_width(self) -> None:
        wanted = self._source, self._cells
        if wanted != self._made_for and self._cells > 0:
            self._made_for = wanted
            lines, cells = wanted[0], max(1, wanted[1] - MARGIN)
            made = lines(cells) if callable(lines) else lines
            self._lines = tuple(part for line in made for part in (self._wrapped(line, cells)))

    def _wrapped(self, line: Line, cells: int) -> list[Line]:
        return wrap_line(line, cells, LABEL_CELLS) if self.wraps else [line]

    def _line_count(self) -> int:
        return len(self._lines)

    def _key(self, index: int) -> Hashable:
        return self._lines[index] if index < len(self._lines) else ()

    def _paint(self, key: Hashable, cells: int) -> Strip:
        line = key if isinstance(key, tuple) else ()
        return self._looks.strip(((" " * MARGIN, ""), *line), cells)


class Fitted(Protocol):
    """What makes lines for a pane's width and its rows in sight. It is compared with `==`: it
    should be a value (a named tuple with `__call__`), not a closure made anew at each look."""

    def __call__(self, cells: int, rows: int, /) -> Sequence[Line]: ...


class FittedPane(LinesPane):
    """Shows what is made for its size, in width and height."""

    _make: Fitted | None = None
    _fitted: tuple[Fitted | None, int, int] | None = None

    def show_fitted(self, make: Fitted) -> None:
        """Replace what makes the lines; an equal one makes and paints nothing."""
        if make != self._make:
            self._make = make
            self._changed()

    def _fit_width(self) -> None:
        wanted = self._make, self._cells, self.container_size.height
        if self._make is not None and wanted != self._fitted and self._cells > 0:
            self._fitted = wanted
            self._lines = tuple(self._make(max(1, self._cells - MARGIN), wanted[2]))
