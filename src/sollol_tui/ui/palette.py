"""What the style names of line-drawn widgets look like: colours of the theme, mixed once for all.

They are no component classes of Textual, because it works the styles of each of those out for each
widget, whenever a widget's styles are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from rich.style import Style
from textual.color import Color


class Ink(NamedTuple):
    """Colours by their names in a theme, with the part of them that covers; Rich's text style."""

    colour: str = ""
    percent: int = 100
    ground: str = ""
    ground_percent: int = 100
    text: str = ""


class Tone(NamedTuple):
    """An ink in the colours of one theme."""

    colour: Color | None
    ground: Color | None
    text: Style


Palette = Mapping[str, Ink]
"""By style name or ground; `:focus`, `:ansi` and `:ansi:focus` behind it are what it is there."""

_BOLD, _ITALIC, _PRIMARY, _ACCENT = (
    Ink(text="bold"),
    Ink(text="italic"),
    Ink("primary"),
    Ink("accent"),
)

PANES: Palette = {
    "cursor": Ink(ground="foreground", ground_percent=6),
    "cursor:focus": Ink(ground="primary", ground_percent=25),
    "cursor:ansi": Ink(ground="surface"),
    "cursor:ansi:focus": Ink(ground="surface", text="reverse"),
    "muted": Ink("foreground", 60),
    "muted:ansi": Ink("foreground", 60, text="dim"),
    "head": Ink("foreground", 65),
    "head:ansi": Ink("foreground", 65, text="dim"),
    "good": Ink("text-success"),
    "warn": Ink("text-warning"),
    "bad": Ink("text-error"),
    "accent": Ink("text-accent"),
    "key": Ink("line-key", text="bold"),
    "bold": _BOLD,
    "badge": Ink("background", ground="accent", text="bold"),
}

MESSAGES: Palette = {
    **PANES,
    "cursor": Ink(ground="foreground", ground_percent=4),
    "cursor:focus": Ink(ground="foreground", ground_percent=4),
    "cursor:ansi:focus": Ink(ground="surface"),
    "h1": Ink("primary", text="bold underline"),
    "h2": Ink("primary", text="bold"),
    "h3": _BOLD,
    "h4": Ink(text="bold italic"),
    "h5": Ink(text="bold italic"),
    "h6": Ink(text="bold italic"),
    "strong": _BOLD,
    "th": _BOLD,
    "em": _ITALIC,
    "s": Ink(text="strike"),
    "marker": _PRIMARY,
    "bar": Ink("foreground", 30),
    "quote": Ink("foreground", 75, text="italic"),
    "link": Ink("primary", text="underline"),
    "codespan": Ink("text-accent", ground="foreground", ground_percent=7),
    "code": Ink(ground="foreground", ground_percent=5),
    "label": Ink("foreground", 50, ground="foreground", ground_percent=9),
    "keyword": _PRIMARY,
    "string": Ink("success"),
    "number": _ACCENT,
    "comment": Ink("foreground", 50, text="italic"),
    "call": Ink("text-accent"),
    "name": Ink("secondary"),
    "added": Ink("success"),
    "removed": Ink("error"),
    "you": _ACCENT,
    "thought": Ink("foreground", 55, text="italic"),
    "seam": Ink("warning"),
    "model": Ink("primary", text="bold"),
    "chosen": Ink("foreground", 35),
    "chosen:focus": _ACCENT,
}
"""A transcript's: what stands around the text of messages, and Markdown (`ui.markdown.styles`)."""


def find(palette: Palette, name: str, *, is_ansi: bool, has_focus: bool) -> Ink | None:
    """The ink of a name in a widget that is so; None where it changes nothing."""
    states = (":ansi:focus", ":ansi") if is_ansi and has_focus else (":ansi",) if is_ansi else ()
    for state in (*states, ":focus", "") if has_focus else (*states, ""):
        if (ink := palette.get(name + state)) is not None:
            return ink
    return None


def mix(ink: Ink, variables: Mapping[str, str]) -> Tone:
    """The ink in a theme's colours."""
    return _mixed(ink, variables.get(ink.colour, ""), variables.get(ink.ground, ""))


@lru_cache(maxsize=512)
def _mixed(ink: Ink, colour: str, ground: str) -> Tone:
    return Tone(
        _part(colour, ink.percent), _part(ground, ink.ground_percent), Style.parse(ink.text)
    )


def _part(colour: str, percent: int) -> Color | None:
    return Color.parse(colour).multiply_alpha(percent / 100.0) if colour else None
