"""How the spans of a transcript look: the shared style names, and those of Markdown."""

from __future__ import annotations

from rich.style import Style
from textual.strip import Strip

from sollol_tui.ui.markdown import styles
from sollol_tui.ui.text import STYLES, Line
from sollol_tui.ui.widgets.looks import CLASSES, Looks

OURS = ("you", "thought", "seam", "model", "chosen")
"""What stands around the text of messages."""

_MARKDOWN = (*styles.HEADINGS, *styles.INLINE, *styles.BLOCKS, *styles.CODE)
_COMPONENTS = {name: f"transcript--{name}" for name in (*_MARKDOWN, *OURS)} | {
    name: f"pane--{name}" for name in STYLES
}
TRANSCRIPT_CLASSES = CLASSES | set(_COMPONENTS.values())

# Our glyphs that other panes do not have.
_MORE_ASCII = str.maketrans("◦▪╌┼■▾▎", "o-.+#v|")


class TranscriptLooks(Looks):
    """Paints spans whose styles may be laid over each other: `quote strong em`."""

    def style(self, names: str, ground: str = "row") -> Style:
        """The style of a span on a ground; unknown names change nothing."""
        style = self._styles.get((names, ground))
        if style is None:
            style = self._widget.get_component_rich_style(f"pane--{ground}")
            for name in names.split():
                if name in _COMPONENTS:
                    style = self._laid_over(style, _COMPONENTS[name])
            self._styles[names, ground] = style
        return style

    def strip(self, line: Line, cells: int, ground: str = "row") -> Strip:
        if self._ascii_only:
            line = tuple((text.translate(_MORE_ASCII), names) for text, names in line)
        return super().strip(line, cells, ground)
