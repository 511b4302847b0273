"""From style names to terminal styles: what a line-drawn widget paints its spans with.

The names are those of a palette (`ui.palette`). A line lies on a ground: the widget's own one, or
that of the cursor; a colour that is not opaque is blended with that ground.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.strip import Strip
from textual.style import Style as VisualStyle
from textual.widget import Widget

from sollol_tui.ui.palette import PANES, Palette, Tone, find, mix
from sollol_tui.ui.text import Line, clean, fit_line

CURSOR = "cursor"
"""The ground of the line that the cursor is on."""

_LIMIT = 2000  # letters of one span: more than any screen is wide
_ASCII = str.maketrans(
    "…–·•└▌▲▼▸→←↑↓●○◐◆✗✓▰▱█▓░▁▂▃▄▅▆▇─│×“”−▣",
    '~--*`>^v>><^v*o~*x+#-##.__.,-=+-|x""-*',
)
"""One cell for one cell, for terminals that know no other letters."""


class Looks:
    """Paints lines for one widget. Styles are kept here, as refresh() drops those Textual keeps."""

    def __init__(
        self, widget: Widget, palette: Palette = PANES, *, ascii_only: bool = False
    ) -> None:
        self._widget = widget
        self._palette = palette
        self._ascii_only = ascii_only
        self._styles: dict[tuple[str, str], Style] = {}
        self._state: tuple[Mapping[str, str], bool, bool] = ({}, False, False)

    def forget(self) -> bool:
        """The theme, the focus or the stylesheet changed: whether this changed any of the looks."""
        self._styles.clear()
        app, before = self._widget.app, self._state
        self._state = (app.theme_variables, app.native_ansi_color, self._widget.has_focus)
        return self._state != before

    def style(self, names: str, ground: str = "") -> Style:
        """The style of a span on a ground; unknown names change nothing."""
        style = self._styles.get((names, ground))
        if style is None:
            style = self._widget.rich_style
            for name in (ground, *names.split()):
                if tone := self._tone(name):
                    style = _laid_over(style, tone)
            self._styles[names, ground] = style
        return style

    def visual_style(self, names: str) -> VisualStyle:
        """The same for a text in the widget's border, which has a colour of its own."""
        style = self._widget.get_visual_style(partial=True)
        for name in names.split():
            if tone := self._tone(name):
                text = tone.text
                style += VisualStyle(tone.ground, tone.colour, text.bold, text.dim, text.italic)
        return style

    def strip(self, line: Line, cells: int, ground: str = "") -> Strip:
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

    def _tone(self, name: str) -> Tone | None:
        variables, is_ansi, has_focus = self._state
        ink = find(self._palette, name, is_ansi=is_ansi, has_focus=has_focus)
        return mix(ink, variables) if ink else None


def _laid_over(under: Style, tone: Tone) -> Style:
    style, ground = under + tone.text, Color.from_rich_color(under.bgcolor)
    if tone.ground:
        ground = ground + tone.ground
        style += Style(bgcolor=ground.rich_color)
    if tone.colour:
        style += Style(color=(ground + tone.colour).rich_color)
    return style
