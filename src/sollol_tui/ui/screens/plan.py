"""The plan of a coordinator, shown before anything runs: Enter starts it, Esc does not."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from sollol_tui.core.orders import Order, Planned
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.messages import CopyAsked
from sollol_tui.ui.panes.plan import plan_lines
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, clean
from sollol_tui.ui.widgets.lines_pane import Lines, LinesPane

CELLS = 124  # as wide as its style sheet lets it be: a path in a store has a hundred letters
LEAST_LINES = 8
_HINT = "m another model · r plans again · Esc cancels"
_COPY = "y copies · "


class PlanScreen(Dialog[Order | None]):
    """Ends with the order to start, or None.

    Args:
        order: what is planned first.
        make: asked for each plan; answers with `show_plan`.
        choose: asked for another model; answers with `plan`.
        replaces: what runs now and would be stopped first; empty: nothing.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("enter", "start", "Start", tooltip="Start it as planned", id="plan.start"),
        Binding("m", "choose", "Model", tooltip="Choose another model", id="plan.model"),
        Binding("y", "copy", "Copy", tooltip="Copy the command", id="plan.copy"),
        Binding("r", "again", "Plan again", tooltip="Plan again", id="plan.again"),
        Binding("q", "close", "Close", id="plan.close", show=False),
    ]

    def __init__(
        self,
        order: Order,
        make: Callable[[PlanScreen, Order], None],
        choose: Callable[[PlanScreen], None],
        *,
        replaces: str = "",
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self._order = order
        self._make = make
        self._choose = choose
        self._replaces = replaces
        self._planned: Planned | None = None
        self._pane = LinesPane(ascii_only=ascii_only, id="plan", classes="dialog")

    def compose(self) -> ComposeResult:
        self._pane.set_title("Start a coordinator")
        yield self._pane

    def on_mount(self) -> None:
        self.plan(self._order)

    def plan(self, order: Order) -> None:
        """Plan this, and show what comes of it."""
        self._order, self._planned = order, None
        what = f" for {clean(order.alias or order.model, 60)}" if order.model else ""
        self._show((((f"Looking at the model and asking the backends{what} …", "muted"),),))
        self._pane.set_subtitle("Esc cancels")
        self._make(self, order)

    def show_plan(self, order: Order, planned: Planned) -> None:
        """What came of planning; a plan for another order is too late."""
        if order != self._order or not self.is_attached:
            return
        self._planned = planned
        self._show(lambda cells: plan_lines(planned, cells, self._replaces))
        starts = "Enter starts · " if planned.startable else ""
        self._pane.set_subtitle(f"{starts}{_COPY if planned.plan else ''}{_HINT}")

    def _show(self, lines: Lines) -> None:
        self._pane.show(lines)
        self._pane.flush()
        count = len(self._drawn(lines))
        self._pane.styles.height = max(count, LEAST_LINES) + 2  # the border

    def _drawn(self, lines: Lines) -> tuple[Line, ...]:
        cells = max(20, min(CELLS, self.app.size.width) - 5)
        return tuple(lines(cells) if callable(lines) else lines)

    def action_start(self) -> None:
        if self._planned is not None and self._planned.startable:
            self.dismiss(self._order)

    def action_choose(self) -> None:
        self._choose(self)

    def action_again(self) -> None:
        self.plan(self._order)

    def action_copy(self) -> None:
        plan = self._planned.plan if self._planned is not None else None
        if plan is not None:
            self.post_message(CopyAsked(shlex.join(plan.argv), "the command"))

    def action_close(self) -> None:
        self.dismiss(None)
