"""A screen that survives a burst of resizes."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen, Screen, ScreenResultType

from sollol_tui.ui.text import Line
from sollol_tui.ui.theme import LATE_SHEETS, painted, stylesheets
from sollol_tui.ui.widgets.looks import Looks


class SteadyScreen(Screen[ScreenResultType]):
    """Lays out for the size the terminal has, never for one that it had.

    Textual's screens tell themselves of each size they were laid out for. Two sizes that come
    faster than a layout is made would be answered in turn, each with the other, for ever.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+c,super+c",
            "screen.copy_text",
            "Copy marked",
            tooltip="Copy what is marked with the mouse",
            id="copy.marked",
            show=False,
        ),
    ]

    def on_resize(self, event: events.Resize) -> None:
        if event.size != self.app.size:
            event.prevent_default()
            event.stop()


class Dialog(ModalScreen[ScreenResultType], SteadyScreen[ScreenResultType]):
    """A screen over another one that ends with an answer."""

    CSS_PATH = stylesheets(*LATE_SHEETS)

    def letters(self, text: str) -> str:
        """A text as this terminal may show it: harmless, without glyphs where there are none."""
        return Looks(self, ascii_only=self.app.has_class("-ascii")).letters(text)

    def painted(self, line: Line) -> Content:
        """A line for a stock widget, in the letters of this terminal."""
        return painted(tuple((self.letters(text), names) for text, names in line))
