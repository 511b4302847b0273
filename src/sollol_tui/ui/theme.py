"""Colours: two themes of our own, the names of the semantic colours, where stylesheets lie."""

from __future__ import annotations

from pathlib import Path, PurePath

from textual.content import Content
from textual.theme import Theme

from sollol_tui.ui.text import Line

DARK = Theme(
    name="sollol-dark",
    primary="#6fa8f5",
    secondary="#8f9fd6",
    accent="#e8b263",
    success="#7cc98d",
    warning="#e3b04b",
    error="#ef7480",
    foreground="#d6dce8",
    background="#10141b",
    surface="#141922",
    panel="#1d2430",
    dark=True,
)

LIGHT = Theme(
    name="sollol-light",
    primary="#1f57c3",
    secondary="#5564ad",
    accent="#9a5200",
    success="#18743a",
    warning="#8a5a00",
    error="#b0223a",
    foreground="#1e2632",
    background="#f2f4f7",
    surface="#fbfcfd",
    panel="#e4e9f0",
    dark=False,
)

THEMES = (DARK, LIGHT)
DEFAULT_THEME = DARK.name

FIRST_SHEETS = ("base.tcss", "panes.tcss", "dashboard.tcss")
CHAT_SHEETS = ("chat.tcss",)  # read with the chat, after the first frame
LATE_SHEETS = ("dialogs.tcss",)  # read with the first dialog
COMPARE_SHEETS = ("compare.tcss",)  # read with the first comparison
SHEETS = (*FIRST_SHEETS, *CHAT_SHEETS, *LATE_SHEETS, *COMPARE_SHEETS)


def stylesheets(*names: str) -> list[str | PurePath]:
    """The stylesheets of these names, in this order; all of them when none is named.

    An installed package carries `tcss/` inside itself; a checkout has it at its top.
    """
    folder = _tcss_folder(Path(__file__).resolve().parents[1])
    return [folder / name for name in names or SHEETS]


def semantic_colours(theme: Theme) -> dict[str, str]:
    """The colours that our stylesheets name by meaning, for themes that do not set them."""
    quiet = theme.foreground or ("#ffffff" if theme.dark else "#000000")
    return {
        "pane-border": f"{quiet} 25%",
        "pane-border-focus": theme.accent or theme.primary,
        "pane-title": f"{quiet} 80%",
        "line-hint": f"{quiet} 65%",
        "line-key": theme.accent or theme.primary,
    }


LOOKS = {
    "muted": "$foreground 65%",
    "good": "$success",
    "warn": "$warning",
    "bad": "$error",
    "accent": "$accent",
    "bold": "bold",
    "head": "bold $foreground 80%",
    "key": "bold $line-key",
    "badge": "bold reverse",
}
"""What the style names of `ui.text` look like in stock widgets of Textual."""


def painted(line: Line) -> Content:
    """A line for a stock widget: its texts are clean already, its styles are names."""
    return Content.assemble(
        *((text, " ".join(LOOKS.get(name, "") for name in names.split())) for text, names in line)
    )


def _tcss_folder(package: Path) -> Path:
    if (package / "tcss").is_dir():
        return package / "tcss"
    for parent in package.parents:
        if (parent / "pyproject.toml").is_file() and (parent / "tcss").is_dir():
            return parent / "tcss"
    raise FileNotFoundError("tcss: the stylesheets are neither in the package nor in a checkout")
