"""The batch that goes on, or the last one: it can be closed and opened again meanwhile."""

from __future__ import annotations

from typing import ClassVar, Protocol

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.messages import CopyAsked
from sollol_tui.ui.panes.batch import BatchView, batch_hint, batch_lines
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import LABEL_CELLS, Line, wrap_line
from sollol_tui.ui.widgets.lines_pane import LinesPane

CELLS = 84
LOOK_S = 0.25
LEAST_LINES = 8


class Batches(Protocol):
    """What the screen asks of the batch. `title` names its file."""

    @property
    def title(self) -> str: ...

    def view(self) -> BatchView: ...

    def pause(self) -> None: ...

    def stop(self) -> None: ...

    def again(self, *, failed: bool) -> None: ...


class BatchScreen(Dialog[None]):
    """Follows the batch while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("p", "pause", "Pause", tooltip="Begin nothing new, or go on", id="batch.pause"),
        Binding("s", "stop", "Stop", tooltip="Stop what is being written", id="batch.stop"),
        Binding("r", "again", "Go on", tooltip="Ask what has no result yet", id="batch.again"),
        Binding("f", "failed", "Failed", tooltip="Ask the failed ones again", id="batch.failed"),
        Binding("y", "copy", "Copy", tooltip="Copy the path of the results", id="batch.copy"),
        Binding("q", "close", "Close", id="batch.close", show=False),
    ]

    def __init__(self, batches: Batches, *, ascii_only: bool = False) -> None:
        super().__init__()
        self._batches = batches
        self._pane = LinesPane(ascii_only=ascii_only, id="batch", classes="dialog")

    def compose(self) -> ComposeResult:
        yield self._pane

    def on_mount(self) -> None:
        self._look()
        self.set_interval(LOOK_S, self._look)

    def _look(self) -> None:
        """Show how it stands; where nothing changed, nothing is painted."""
        view = self._batches.view()
        self._pane.set_title(f"Batch · {self._batches.title}")
        self._pane.set_subtitle(batch_hint(view.progress))
        self._pane.show(lambda cells: _wrapped(view, cells))
        count = len(_wrapped(view, max(20, min(CELLS, self.app.size.width) - 5)))
        self._pane.styles.height = max(count, LEAST_LINES) + 2  # the border

    def action_pause(self) -> None:
        self._batches.pause()
        self._look()

    def action_stop(self) -> None:
        self._batches.stop()

    def action_again(self) -> None:
        self._batches.again(failed=False)

    def action_failed(self) -> None:
        self._batches.again(failed=True)

    def action_copy(self) -> None:
        self.post_message(CopyAsked(self._batches.view().out, "the path of the results"))

    def action_close(self) -> None:
        self.dismiss(None)


def _wrapped(view: BatchView, cells: int) -> list[Line]:
    lines = batch_lines(view, cells)
    return [part for line in lines for part in wrap_line(line, cells, LABEL_CELLS)]
