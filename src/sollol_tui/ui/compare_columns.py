"""The columns of a comparison: one for each target, beside each other or one at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from textual.app import ComposeResult
from textual.containers import Container
from textual.widget import Widget

from sollol_tui.core.asks import ChatOptions
from sollol_tui.ui.chat.conversation import Conversation
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.compare import Target, outcome, short_labels, side_by_side
from sollol_tui.ui.hints import KEPT
from sollol_tui.ui.text import Line, fit, width
from sollol_tui.ui.theme import painted
from sollol_tui.ui.widgets.strip import OneLine, Segment


class Compared(NamedTuple):
    """What was said with one target."""

    target: Target
    session: ChatSession


class Setup(NamedTuple):
    """What holds for all columns."""

    options: ChatOptions = ChatOptions()
    system: str = ""


class Column(Widget):
    """One target: its conversation, and a line that says how its answer gets on."""

    def __init__(
        self,
        number: int,
        target: Target,
        conversation: Conversation,
        setup: Setup,
        clock: Callable[[], float],
        *,
        ascii_only: bool,
    ) -> None:
        super().__init__(id=f"column-{number}")
        self.number = number
        self.target = target
        self.conversation = conversation
        self._setup = setup
        self._clock = clock
        self._state = OneLine(ascii_only=ascii_only, classes="column-state")
        self.set_class(ascii_only, "-ascii", update=False)

    def compose(self) -> ComposeResult:
        yield from (self.conversation, self._state)

    def on_mount(self) -> None:
        where = ((f" on {self.target.where}", ""),) if self.target.where else ()
        model = (fit(self.target.model, width(self.target.model)), "bold")
        self.border_title = painted(((f"{self.number} ", "muted"), model, *where))
        who = f"Only {self.target.where} is asked." if where else "The router chooses who answers."
        self.conversation.transcript.set_hint(((), ((who, "muted"),)))

    @property
    def session(self) -> ChatSession:
        return self.conversation.session

    @property
    def is_streaming(self) -> bool:
        return self.conversation.is_streaming

    def go_on_from(self, earlier: ChatSession) -> None:
        """Show what was said before. The earlier one may go on elsewhere: this is another."""
        session = ChatSession(self.session.conversation)
        session.turns = list(earlier.turns)
        self.conversation.reopen(session)

    def ask(self, text: str) -> None:
        """Ask the question here."""
        self.session.system = self._setup.system
        target = self.target
        self.conversation.begin(
            self.session.to_request(
                text,
                target.model,
                self._setup.options,
                mode=target.mode,
                target=target.url,
            )
        )

    def show_state(self) -> None:
        """Say how it gets on, or how it ended."""
        if self.is_streaming:
            state: Line = (("● ", "accent"), (self.session.state(self._clock()), ""))
        else:
            state = (outcome(self.session.turns[-1]),) if self.session.turns else ()
        self._state.show([Segment(state)])

    @property
    def mark(self) -> str:
        """How it stands, in one letter."""
        if self.is_streaming:
            return "●"
        return outcome(self.session.turns[-1])[0][:1] if self.session.turns else ""


class Columns(Container):
    """All of them. One is the current one: that of the keys, and the one that is shown where
    there is room for one only."""

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__(*columns, id="compare-columns")
        self.all = tuple(columns)
        self.current = 0
        self.is_zoomed = False
        self._beside = len(columns)  # so many lie beside each other; 0: one is shown

    @property
    def shown(self) -> Column:
        """The current one."""
        return self.all[self.current]

    @property
    def writing(self) -> int:
        """How many of them are being written."""
        return sum(column.is_streaming for column in self.all)

    @property
    def have_all_answers(self) -> bool:
        """Whether there is something to compare."""
        return all(column.session.turns for column in self.all)

    def fit_into(self, cells: int, rows: int) -> None:
        """Beside each other, in two rows, or one at a time: as so much room allows."""
        count = len(self.all)
        self._beside = 0 if self.is_zoomed else side_by_side(count, cells, rows)
        self.styles.grid_size_columns = self._beside or 1
        for at, column in enumerate(self.all):
            column.display = bool(self._beside) or at == self.current
            is_last_alone = at == count - 1 and self._beside == 2 and count == 3
            column.styles.column_span = 2 if is_last_alone else 1
            column.set_class(at == self.current, "-current")

    def tabs(self, cells: int) -> list[Segment]:
        """Where one is shown at a time: all of them by name, and how they stand."""
        if self._beside:
            return []
        room = max(4, cells // len(self.all) - 7)
        names = short_labels([column.target for column in self.all])
        return [
            Segment(
                ((_tab(column, name, room), "badge" if column is self.shown else "muted"),),
                KEPT - column.number,
                str(column.number),
            )
            for column, name in zip(self.all, names, strict=True)
        ]

    def place_of(self, widget: Widget) -> int | None:
        """Which column something lies in."""
        owners = [node for node in widget.ancestors if node in self.all]
        return next((at for at, column in enumerate(self.all) if column in owners), None)


def _tab(column: Column, name: str, room: int) -> str:
    name = name if width(name) <= room else fit(name, room)
    return " ".join(filter(None, (f" {column.number}", name, column.mark))) + " "
