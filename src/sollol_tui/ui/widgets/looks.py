"""From style names to terminal styles: what a line-drawn widget paints its spans with.

A style name is a component class of the widget, so colours are said in the stylesheet. A line
lies on one of the `GROUNDS`; a colour that is not opaque is blended with that ground.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip
from textual.widget import Widget

from sollol_tui.ui.text import STYLES, Line, clean, fit_line

GROUNDS = ("row", "odd", "cursor", "titles")
CLASSES = {f"pane--{name}" for name in (*STYLES, *GROUNDS)}

_LIMIT = 2000  # letters of one span: more than any screen is wide
_ASCII = str.maketrans(
    "…–·•└▌▲▼▸→←↑↓●○◐◆✗✓▰▱█▓░▁▂▃▄▅▆▇─│×“”−▣",
    '~--*`>^v>><^v*o~*x+#-##.__.,-=+-|x""-*',
)
"""One cell for one cell, for terminals that know no other letters."""


class Looks:
    """Paints lines for one widget. Styles are kept here, as refresh() drops those Textual keeps."""

    def __init__(self, widget: Widget, *, ascii_only: bool = False) -> None:
        self._widget = widget
        self._ascii_only = ascii_only
        self._styles: dict[tuple[str, str], Style] = {}

    def forget(self) -> None:
        """The theme, the focus or the stylesheet changed."""
        self._styles.clear()

    def style(self, names: str, ground: str = "row") -> Style:
        """The style of a span on a ground; unknown names change nothing."""
        style = self._styles.get((names, ground))
        if style is None:
            style = self._widget.get_component_rich_style(f"pane--{ground}")
            for name in names.split():
                if name in STYLES:
                    style = self._laid_over(style, f"pane--{name}")
            self._styles[names, ground] = style
        return style

    def strip(self, line: Line, cells: int, ground: str = "row") -> Strip:
        """The line in exactly `cells` cells; what is cut off is marked."""
        segments: list[Segment] = []
        for shown, names in fit_line(tuple([(clean(t, _LIMIT), n) for t, n in line]), cells):
            text, style = self._own(shown), self.style(names, ground)
            if segments and segments[-1].style == style:  # fewer escape codes
                segments[-1] = Segment(segments[-1].text + text, style)
            elif text:
                segments.append(Segment(text, style))
        return Strip(segments).adjust_cell_length(cells, self.style("", ground))

    def letters(self, text: str) -> str:
        """The text as it may be shown here: harmless, and without glyphs where there are none."""
        return self._own(clean(text, _LIMIT))

    def _own(self, text: str) -> str:
        return text.translate(_ASCII) if self._ascii_only and not text.isascii() else text

    def _laid_over(self, under: Style, component: str) -> Style:
        rules = self._widget.get_component_styles(component)
        ground = Color.from_rich_color(under.bgcolor)
        style = under + rules.text_style
        if rules.has_rule("background"):
            ground = ground + rules.background
            style += Style(bgcolor=ground.rich_color)
        if rules.has_rule("color") or rules.auto_color:
            over = ground.get_contrast_text(rules.color.a) if rules.auto_color else rules.color
            style += Style(color=(ground + over).rich_color)
        return style
