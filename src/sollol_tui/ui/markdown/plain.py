"""Text that is no Markdown: what a person typed, what a model thought."""

from __future__ import annotations

from sollol_tui.ui.markdown.lines import breaks
from sollol_tui.ui.text import Line


class PlainLines:
    """Wraps text that may grow. Only its last line is ever wrapped again.

    Args:
        cells: the width of the lines, their mark included.
        style: the style of the text.
        mark: what stands before every line, and its style.
    """

    def __init__(self, cells: int, style: str = "", mark: tuple[str, str] | None = None) -> None:
        self.cells = cells
        self._style = style
        self._lead: Line = (mark,) if mark else ()
        self._room = max(1, cells - (len(mark[0]) if mark else 0))
        self._lines = list[Line]()
        self._open = ""

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Line:
        return self._lines[index]

    def feed(self, text: str) -> None:
        """Add clean text."""
        text = self._open + text
        rows = [text[low:high] for low, high in breaks(text, self._room)]
        if self._lines:
            self._lines.pop()
        self._lines += [(*self._lead, (row, self._style)) for row in rows]
        self._open = rows[-1]

    def finish(self, text: str = "") -> None:
        """Add the last text, without the empty lines at its end."""
        if text:
            self.feed(text)
        while len(self._lines) > 1 and not self._lines[-1][-1][0].strip():
            self._lines.pop()
