"""How the lines of a transcript look, where a terminal knows ASCII alone."""

from __future__ import annotations

from textual.strip import Strip

from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.looks import Looks

# Our glyphs that other panes do not have.
_MORE_ASCII = str.maketrans("◦▪╌┼■▾▎", "o-.+#v|")


class TranscriptLooks(Looks):
    """Knows the glyphs of Markdown, too."""

    def strip(self, line: Line, cells: int, ground: str = "") -> Strip:
        if self._ascii_only:
            line = tuple((text.translate(_MORE_ASCII), names) for text, names in line)
        return super().strip(line, cells, ground)
