"""Everything known of one thing, followed while it is open."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.messages import CopyAsked
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.lines_pane import Lines, LinesPane

Describe = Callable[[ClusterSnapshot, float], Lines | None]
"""The lines of a thing at a moment (seconds since the epoch); None when it is gone."""

CELLS = 80
LEAST_LINES = 6
GONE: tuple[Line, ...] = ((("It is gone: nothing names it any more.", "muted"),),)


class DetailScreen(Dialog[None]):
    """A scrolling text about one thing. `copied` is what `y` copies."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("q", "close", "Close", id="detail.close", show=False),
        Binding("y", "copy", "Copy", tooltip="Copy its address", id="detail.copy"),
    ]

    def __init__(
        self,
        title: str,
        describe: Describe,
        snapshot: ClusterSnapshot,
        now_s: float,
        *,
        copied: str = "",
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self._title = title
        self._describe = describe
        self._snapshot = snapshot
        self._now_s = now_s
        self._copied = copied
        self._pane = LinesPane(ascii_only=ascii_only, id="detail", classes="dialog")

    def compose(self) -> ComposeResult:
        self._pane.set_title(self._title)
        self._pane.set_subtitle("y copies · Esc closes" if self._copied else "Esc closes")
        self._show()
        yield self._pane

    def show_snapshot(self, snapshot: ClusterSnapshot) -> None:
        self._snapshot = snapshot
        self._show()

    def tick(self, now_s: float) -> None:
        """Ages get older while it is open."""
        self._now_s = now_s
        self._show()

    def _show(self) -> None:
        told = self._describe(self._snapshot, self._now_s)
        lines: Lines = GONE if told is None else told
        self._pane.show(lines)
        count = len(lines(CELLS) if callable(lines) else lines)
        self._pane.styles.height = max(count, LEAST_LINES) + 2  # the border

    def action_copy(self) -> None:
        if self._copied:
            self.post_message(CopyAsked(self._copied, self._copied))

    def action_close(self) -> None:
        self.dismiss(None)
