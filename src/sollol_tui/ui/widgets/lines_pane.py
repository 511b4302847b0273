"""A pane of lines that somebody else writes."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias

from textual.strip import Strip

from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.pane import Pane

Lines: TypeAlias = Sequence[Line] | Callable[[int], Sequence[Line]]
"""Lines, or a function of the pane's width in cells, asked again when the width changes."""


class LinesPane(Pane):
    """Shows lines as they are; what is longer than the pane is cut and marked."""

    _source: Lines = ()
    _lines: tuple[Line, ...] = ()
    _made_for: tuple[Lines, int] | None = None

    def show(self, lines: Lines) -> None:
        """Replace the lines; equal ones paint nothing."""
        self._source = lines
        self._changed()

    def _settle(self) -> None:
        wanted = self._source, self.size.width
        if wanted != self._made_for:
            self._made_for = wanted
            self._lines = tuple(wanted[0](wanted[1]) if callable(wanted[0]) else wanted[0])
        super()._settle()

    def _line_count(self) -> int:
        return len(self._lines)

    def _key(self, index: int) -> Hashable:
        return self._lines[index] if index < len(self._lines) else ()

    def _paint(self, key: Hashable, cells: int) -> Strip:
        line = key if isinstance(key, tuple) else ()
        return self._looks.strip(((" ", ""), *line), cells)
