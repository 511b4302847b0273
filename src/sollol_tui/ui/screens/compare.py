"""Several answers to the same question, side by side: each has its own stream and its own end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.timer import Timer
from textual.widget import Widget

from sollol_tui.core.asks import ChatOptions
from sollol_tui.ui.chat.conversation import Ask, Conversation
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.compare import Target, outcome, short_labels, side_by_side, summary
from sollol_tui.ui.hints import KEPT, key_hints
from sollol_tui.ui.live_keys import live_keys
from sollol_tui.ui.messages import CommandGiven, Told
from sollol_tui.ui.screens.steady import SteadyScreen
from sollol_tui.ui.text import Line, fit, width
from sollol_tui.ui.theme import CHAT_SHEETS, COMPARE_SHEETS, painted, stylesheets
from sollol_tui.ui.widgets.lines_pane import LinesPane
from sollol_tui.ui.widgets.prompt import Prompt
from sollol_tui.ui.widgets.strip import OneLine, Segment

STATE_S = 0.25
_LINES = 3  # head, prompt, keys
_TITLE = " COMPARE "
_OWN = "compare."  # how the ids of this screen's keys begin


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


class CompareScreen(SteadyScreen[Compared | None]):
    """Ends with the conversation to go on with in the chat, or None.

    Args:
        ask: `Engine.ask`.
        targets: whom to ask, two to four.
        setup: options and system prompt, for all of them.
        clock: seconds, steady.
        earlier: the conversations of before, to go on with; of the same targets.
    """

    CSS_PATH = stylesheets(*CHAT_SHEETS, *COMPARE_SHEETS)
    AUTO_FOCUS = "Prompt"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", tooltip="The keys that work here", id="compare.help"),
        Binding(
            "escape",
            "back",
            "Back",
            tooltip="Stop all that write; then leave",
            id="compare.back",
        ),
        Binding("tab", "step(1)", "Next", tooltip="To the next column", id="compare.next"),
        Binding(
            "shift+tab",
            "step(-1)",
            "Previous",
            tooltip="To the one before",
            id="compare.previous",
            show=False,
        ),
        Binding("z", "zoom", "Zoom", tooltip="This column alone, and back", id="compare.zoom"),
        Binding(
            "ctrl+g",
            "take",
            "Go on",
            tooltip="Go on with this column in the chat",
            id="compare.take",
        ),
    ]

    def __init__(
        self,
        ask: Ask,
        targets: Sequence[Target],
        setup: Setup,
        clock: Callable[[], float],
        *,
        earlier: Sequence[ChatSession] = (),
        ascii_only: bool = False,
    ) -> None:
        super().__init__()
        self._ascii = ascii_only
        self._clock = clock
        self._earlier = tuple(earlier)
        self.columns = tuple(
            Column(
                number,
                target,
                Conversation(ask, ascii_only=ascii_only, clock=clock),
                setup,
                clock,
                ascii_only=ascii_only,
            )
            for number, target in enumerate(targets, 1)
        )
        self.current = 0
        self._is_zoomed = False
        self._beside = len(self.columns)  # how many columns lie beside each other; 0: one is shown
        self._head = OneLine(gap=1, ascii_only=ascii_only, id="compare-head")
        self._place = Container(*self.columns, id="compare-columns")
        self._summary = LinesPane(ascii_only=ascii_only, id="compare-summary")
        self._summary.can_focus = False
        self._prompt = Prompt("Ask all of them", id="prompt")
        self._keys = OneLine(ascii_only=ascii_only, id="keys")
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield from (self._head, self._place, self._summary, self._prompt, self._keys)

    def on_mount(self) -> None:
        self._timer = self.set_interval(STATE_S, self._show_states, pause=True)
        self.bindings_updated_signal.subscribe(self, lambda _screen: self._show_keys())
        for column, session in zip(self.columns, self._earlier, strict=False):
            column.go_on_from(session)
        self._show_end()
        self._show_keys()

    def compared(self) -> tuple[Compared, ...]:
        """What was said so far, column by column."""
        return tuple(Compared(column.target, column.session) for column in self.columns)

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written."""
        return any(column.is_streaming for column in self.columns)

    @property
    def _shown(self) -> Column:
        return self.columns[self.current]

    # Questions

    @on(Prompt.Submitted)
    def ask_all(self, event: Prompt.Submitted) -> None:
        event.stop()
        if self.is_streaming:
            self._prompt.take_back(event.text)
            self.post_message(Told("They are still writing: Esc stops them.", refused=True))
            return
        for column in self.columns:
            column.ask(event.text)
        if self._timer is not None:
            self._timer.resume()
        self._summary.display = False
        self._show_states()
        self._arrange()

    @on(Prompt.CommandEntered)
    def give_command(self, event: Prompt.CommandEntered) -> None:
        """Only another comparison can be begun from here: other commands mean the dashboard."""
        event.stop()
        line = event.text[1:].strip()
        if line.split(" ")[0].casefold() == "compare":
            self.post_message(CommandGiven(line))
        else:
            self._prompt.take_back(event.text)
            self.post_message(Told("Commands are given in the chat: Esc leads back.", refused=True))

    @on(Conversation.Ended)
    def note_end(self, event: Conversation.Ended) -> None:
        event.stop()
        self._show_states()
        if not self.is_streaming:
            self._show_end()

    def _show_end(self) -> None:
        """All have ended: their figures, side by side."""
        if self._timer is not None:
            self._timer.pause()
        answers = [(c.target, c.session.turns[-1]) for c in self.columns if c.session.turns]
        self._summary.display = len(answers) == len(self.columns)
        self._summary.show(lambda cells: summary(answers, cells))
        self._summary.styles.height = len(answers)
        self._show_states()
        self._arrange()

    # What is going on

    def _show_states(self) -> None:
        for column in self.columns:
            column.show_state()
        self._show_head()
        self.refresh_bindings()

    def _show_head(self) -> None:
        title = Segment(((_TITLE, "badge"),), KEPT)
        shown = self._tabs() or [title]
        self._head.show(shown, [Segment(((self._going_on(), "muted"),), 1)])

    def _going_on(self) -> str:
        writing = sum(column.is_streaming for column in self.columns)
        if writing:
            return f"{writing} of {len(self.columns)} writing"
        asked = len(self.columns[0].session.turns)
        return f"{asked} question{'s' if asked != 1 else ''} asked" if asked else ""

    def _tabs(self) -> list[Segment]:
        """Where one column is shown at a time: all of them by name, and how they stand."""
        if self._beside and not self._is_zoomed:
            return []
        room = max(4, (self.app.size.width - 2) // len(self.columns) - 7)
        names = short_labels([column.target for column in self.columns])
        return [
            Segment(
                ((_tab(column, name, room), "badge" if column is self._shown else "muted"),),
                KEPT - column.number,
                str(column.number),
            )
            for column, name in zip(self.columns, names, strict=True)
        ]

    def _show_keys(self) -> None:
        """What is done with the comparison comes before what is done with a message."""
        left, right = key_hints(self)
        left.sort(key=lambda hint: not hint.id.startswith(_OWN))
        kept = [hint._replace(priority=KEPT - 2 - at) for at, hint in enumerate(left)]
        self._keys.show(kept, right)

    # Layout

    def on_resize(self, _event: events.Resize) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Columns beside each other, in two rows, or one at a time: as the terminal allows."""
        cells, rows = self.app.size
        rows -= _LINES + (len(self.columns) if self._summary.display else 0)
        count = len(self.columns)
        self._beside = side_by_side(count, cells, rows)
        beside = 0 if self._is_zoomed else self._beside
        self._place.styles.grid_size_columns = beside or 1
        for at, column in enumerate(self.columns):
            column.display = bool(beside) or at == self.current
            is_last_alone = at == count - 1 and beside == 2 and count == 3
            column.styles.column_span = 2 if is_last_alone else 1
            column.set_class(at == self.current, "-current")
        self._show_head()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        owner = next((n for n in event.widget.ancestors if isinstance(n, Column)), None)
        if owner is not None:
            self._show_column(self.columns.index(owner))

    def _show_column(self, at: int) -> None:
        if at != self.current:
            self.current = at
            self._arrange()

    @on(OneLine.Pressed)
    def press(self, event: OneLine.Pressed) -> None:
        event.stop()
        if event.strip is self._head:
            self._focus_column(int(event.segment_id) - 1)

    @on(Prompt.ScrollWanted)
    def scroll(self, event: Prompt.ScrollWanted) -> None:
        """From the prompt, all columns are scrolled alike."""
        event.stop()
        for column in self.columns:
            if event.pages is None:
                column.conversation.transcript.follow()
            else:
                column.conversation.transcript.action_page(event.pages)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to take before there is an answer."""
        if action == "take":
            return bool(self._shown.session.turns) and not self._shown.is_streaming
        return super().check_action(action, parameters)

    def action_step(self, by: int) -> None:
        """The prompt, then the columns, and around again."""
        at = 0 if self.focused is self._prompt else self.current + 1
        at = (at + by) % (len(self.columns) + 1)
        if at:
            self._focus_column(at - 1)
        else:
            self._prompt.focus()

    def _focus_column(self, at: int) -> None:
        self._show_column(at)
        self.columns[at].conversation.transcript.focus()

    def action_zoom(self) -> None:
        self._is_zoomed = not self._is_zoomed
        self._arrange()

    def action_help(self) -> None:
        from sollol_tui.ui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(live_keys(self), ascii_only=self._ascii))

    def action_back(self) -> None:
        """Stop all that write; when none does, leave."""
        if self.is_streaming:
            self.stop()
        else:
            self.dismiss(None)

    def stop(self) -> None:
        """Stop every answer; what came stays."""
        for column in self.columns:
            column.conversation.stop()

    def action_take(self) -> None:
        column = self._shown
        self.stop()
        self.dismiss(Compared(column.target, column.session))


def _tab(column: Column, name: str, room: int) -> str:
    name = name if width(name) <= room else fit(name, room)
    return " ".join(filter(None, (f" {column.number}", name, column.mark))) + " "
