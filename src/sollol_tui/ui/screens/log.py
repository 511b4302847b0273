"""The coordinator's log, live: it follows its end, is filtered, and stays after a crash (S22)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.messages import CopyAsked
from sollol_tui.ui.panes.server_log import Log, LogFeed, log_entries
from sollol_tui.ui.screens.detail import DetailScreen
from sollol_tui.ui.screens.prompt_line import FilterLine
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, plain, wrap
from sollol_tui.ui.widgets.event_log import EventLog
from sollol_tui.ui.widgets.lines_pane import Lines

LOOK_S = 0.25
_HINT = "Enter whole line · / filter · e errors · b run before · y copy · Esc close"
_HINT_BEFORE = "Enter whole line · / filter · e errors · b last run · y copy · Esc close"
_NONE = "No coordinator was run from here yet: only of those the log is known."


class ServerLog(EventLog):
    """The pane of the log screen. `nothing` is said as long as there are no lines."""

    nothing = "Nothing was written yet."

    @property
    def cursor_text(self) -> str:
        """The line under the cursor."""
        at = self._cursor_at()
        return plain(self._view[at].line).strip() if at is not None else ""

    def _nothing(self) -> Line:
        return super()._nothing() if self._ring else ((self.nothing, "muted"),)


class LogScreen(Dialog[None]):
    """The whole screen for the log.

    Args:
        live: the log of the run that is looked after now; None when there was none.
        want_kept: asked for the lines of a run that is on disk (of the last run, or of the one
            before it); answers with `show_kept`.
        ascii_only: no glyphs beyond ASCII.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("slash", "filter", "Filter", tooltip="Show only lines with words", id="log.filter"),
        Binding("e", "errors", "Errors", tooltip="Only warnings and errors", id="log.errors"),
        Binding("b", "before", "Run before", tooltip="The run before, and back", id="log.before"),
        Binding("y", "copy", "Copy", tooltip="Copy the line", id="log.copy"),
        Binding("q,l", "leave", "Close", tooltip="Close the log", id="log.close", show=False),
    ]

    def __init__(
        self,
        live: Callable[[], Log | None],
        want_kept: Callable[[LogScreen, bool], None],
        *,
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self._live = live
        self._want_kept = want_kept
        self._feed = LogFeed()
        self._is_before = False
        self._pane = ServerLog(ascii_only=ascii_only, id="log", classes="dialog")

    def compose(self) -> ComposeResult:
        yield self._pane

    def on_mount(self) -> None:
        self._begin(is_before=False)
        self.set_interval(LOOK_S, self._look)

    def _begin(self, *, is_before: bool) -> None:
        """Show a run from its beginning."""
        self._is_before, self._feed = is_before, LogFeed()
        self._pane.nothing = "Reading …"
        self._pane.clear()
        self._pane.set_title("Coordinator log" + (" · the run before" if is_before else ""))
        self._pane.set_subtitle(_HINT_BEFORE if is_before else _HINT)
        if is_before or self._live() is None:
            self._want_kept(self, is_before)
        else:
            self._pane.nothing = ServerLog.nothing
            self._look()

    def _look(self) -> None:
        """Take what was written since."""
        log = self._live()
        if self._is_before or log is None:
            return
        if self._feed.is_another(log):
            self._pane.clear()
            self._pane.nothing = ServerLog.nothing
        if fresh := self._feed.fresh(log):
            self._pane.append(fresh)

    def show_kept(self, lines: Sequence[str], *, before: bool) -> None:
        """The lines of a run that is on disk."""
        if before is not self._is_before or not self.is_attached:
            return
        if not before and self._live() is not None:  # one has begun meanwhile
            return
        self._pane.nothing = "There was no run before." if before else _NONE
        self._pane.append(log_entries(lines))

    def on_event_log_row_chosen(self, event: EventLog.RowChosen) -> None:
        """The whole line, where it is longer than the screen is wide."""
        event.stop()
        text = self._pane.cursor_text

        def whole(_snapshot: ClusterSnapshot, _now_s: float) -> Lines:
            return lambda cells: [((part, ""),) for part in wrap(text, cells)]

        detail = DetailScreen("Line of the log", whole, ClusterSnapshot(), 0.0, copied=text)
        self.app.push_screen(detail)

    def action_filter(self) -> None:
        self.app.push_screen(FilterLine(self._pane.filter, self._pane.filter_text))

    def action_errors(self) -> None:
        self._pane.toggle_errors()

    def action_before(self) -> None:
        self._begin(is_before=not self._is_before)

    def action_copy(self) -> None:
        text = self._pane.cursor_text
        if text:
            self.post_message(CopyAsked(text, "the line"))

    def action_close(self) -> None:
        if self._pane.filter_text:
            self._pane.filter("")
        elif self._pane.errors_only:
            self._pane.toggle_errors()
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)
