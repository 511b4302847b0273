"""The palette: Textual's own, over the command table."""

from __future__ import annotations

from textual.command import CommandPalette
from textual.theme import ThemeProvider

from sollol_tui.ui.screens.steady import SteadyScreen
from sollol_tui.ui.theme import LATE_SHEETS, stylesheets


class Palette(CommandPalette, SteadyScreen[None]):
    """Every command, found by some of its letters."""

    CSS_PATH = stylesheets(*LATE_SHEETS)


def themes() -> Palette:
    """A palette of the colours."""
    return Palette(providers=[ThemeProvider], placeholder="Search for themes…")
