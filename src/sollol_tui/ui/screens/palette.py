"""The palette: Textual's own, over the command table."""

from __future__ import annotations

from textual.command import CommandPalette
from textual.theme import ThemeProvider

from sollol_tui.ui.screens.steady import SteadyScreen


class Palette(CommandPalette, SteadyScreen[None]):
    """Every command, found by some of its letters."""


def themes() -> Palette:
    """A palette of the colours."""
    return Palette(providers=[ThemeProvider], placeholder="Search for themes…")
