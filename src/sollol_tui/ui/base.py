"""What the app does whatever it shows: colours, dialogs, signals, and how a bug is told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from rich.text import Text
from textual.app import App
from textual.driver import Driver
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.scrollbar import ScrollBarRender
from textual.widget import AwaitMount

from sollol_tui.ui import crash
from sollol_tui.ui.driver import outliving
from sollol_tui.ui.text import clean_block
from sollol_tui.ui.theme import (
    DEFAULT_THEME,
    FIRST_SHEETS,
    THEMES,
    semantic_colours,
    stylesheets,
)

Answer = TypeVar("Answer")

_BARS = ScrollBarRender.VERTICAL_BARS
SIGNALS = (signal.SIGTERM, signal.SIGHUP)
SIGNAL_EXIT = 128  # a shell's rule: 128 + the signal's number


class BaseApp(App[None]):
    """An app that gives the terminal back on every way out, and shows no variables in a crash.

    Args:
        theme: the name of the wanted colours; an unknown name is the default.
        ascii_only: no glyphs beyond ASCII.
        state_dir: where crash reports go; None writes none.
    """

    CSS_PATH = stylesheets(*FIRST_SHEETS)
    ENABLE_COMMAND_PALETTE = False  # ours is a command like all others

    def __init__(self, theme: str, *, ascii_only: bool, state_dir: Path | None) -> None:
        super().__init__()
        self._state_dir = state_dir
        self._opening: AwaitMount | None = None
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme if theme in self.available_themes else DEFAULT_THEME
        self.set_class(ascii_only, "-ascii")
        ScrollBarRender.VERTICAL_BARS = [" "] * len(_BARS) if ascii_only else _BARS
        self.stylesheet.set_variables(self.get_css_variables())
        self._are_styles_new = True

    # Colours

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def refresh_css(self, animate: bool = True) -> None:
        """Textual asks for this at its start, too; there the styles were just made, for this theme
        (8 ms of the first frame)."""
        if self._are_styles_new:
            self._are_styles_new = False
        else:
            super().refresh_css(animate)

    # The way out

    def get_driver_class(self) -> type[Driver]:
        return outliving(super().get_driver_class())

    def on_load(self) -> None:
        for number in SIGNALS:
            with contextlib.suppress(NotImplementedError):  # Windows has no such handlers
                asyncio.get_running_loop().add_signal_handler(
                    number, partial(self._ended_by, number)
                )

    def _ended_by(self, number: signal.Signals) -> None:
        """Leave in order. After SIGHUP there is no terminal that could be told."""
        said = Text(f"sollol-tui: ended by {number.name}") if number is signal.SIGTERM else None
        self.exit(return_code=SIGNAL_EXIT + number, message=said)

    def _fatal_error(self) -> None:
        """Textual prints local variables here; a person gets one sentence and a file instead."""
        error = self._exception or RuntimeError("unknown")
        path = crash.write_report(error, self._state_dir)
        self._exit_renderables.append(Text(crash.sentence(error, path)))
        self._close_messages_no_wait()

    def tell_bug(self, what: str, error: BaseException) -> str:
        """A bug that does not end the program: reported in a file, said, and given back as said."""
        path = crash.write_report(error, self._state_dir)
        where = f" The report is {path}." if path else ""
        sentence = f"A bug stopped {what}: {error!r}.{where}"
        self.tell(sentence, refused=True)
        return sentence

    # Answers and questions

    def tell(self, sentence: str, *, refused: bool = False) -> None:
        """Answer what the person just did."""
        severity: SeverityLevel = "warning" if refused else "information"
        self.notify(clean_block(sentence), severity=severity, markup=False)

    def open(
        self, screen: Screen[Answer], then: Callable[[Answer | None], None] | None = None
    ) -> None:
        """Push a dialog."""
        self._opening = self.push_screen(screen, then)

    async def opened(self) -> None:
        """Wait for a dialog that was just pushed: what is typed from now on is meant for it."""
        if self._opening is not None:
            opening, self._opening = self._opening, None
            await opening
            focus_first(self.screen)


def focus_first(screen: Screen[object]) -> None:
    """Give a new screen its focus now, not when its turn comes."""
    if screen.focused is None:
        wanted = screen.query(screen.AUTO_FOCUS or "*")
        screen.set_focus(next((widget for widget in wanted if widget.focusable), None))
