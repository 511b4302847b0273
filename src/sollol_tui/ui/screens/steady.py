"""A screen that survives a burst of resizes."""

from __future__ import annotations

from textual import events
from textual.screen import ModalScreen, Screen, ScreenResultType


class SteadyScreen(Screen[ScreenResultType]):
    """Lays out for the size the terminal has, never for one that it had.

    Textual's screens tell themselves of each size they were laid out for. Two sizes that come
    faster than a layout is made would be answered in turn, each with the other, for ever.
    """

    def on_resize(self, event: events.Resize) -> None:
        if event.size != self.app.size:
            event.prevent_default()
            event.stop()


class Dialog(ModalScreen[ScreenResultType], SteadyScreen[ScreenResultType]):
    """A screen over another one that ends with an answer."""
