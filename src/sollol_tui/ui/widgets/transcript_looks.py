"""How the spans of a transcript look: the shared style names, and those of Markdown."""

from __future__ import annotations

from rich.style import Style

from sollol_tui.ui.markdown.code import STYLES as CODE_STYLES
from sollol_tui.ui.text import STYLES
from sollol_tui.ui.widgets.looks import CLASSES, Looks

MARKDOWN_STYLES = (
    *("h1", "h2", "h3", "h4", "h5", "h6"),
    *("strong", "em", "s", "codespan", "link", "marker", "bar", "quote", "th", "code", "label"),
    *CODE_STYLES,
    *("you", "thought", "seam", "model"),
)
TRANSCRIPT_CLASSES = CLASSES | {f"transcript--{name}" for name in MARKDOWN_STYLES}

_COMPONENTS = {name: f"transcript--{name}" for name in MARKDOWN_STYLES} | {
    name: f"pane--{name}" for name in STYLES
}

_MORE_ASCII = str.maketrans("◦▪╌┼■▾", "o-.+#v")


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

    def letters(self, text: str) -> str:
        shown = super().letters(text)
        return shown.translate(_MORE_ASCII) if self._ascii_only and not shown.isascii() else shown
