"""Several answers to the same question, side by side: each has its own stream and its own end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from sollol_tui.ui.chat.conversation import Ask, Conversation
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.compare import Target, summary
from sollol_tui.ui.compare_columns import Column, Columns, Compared, Setup
from sollol_tui.ui.hints import KEPT, key_hints
from sollol_tui.ui.live_keys import live_keys
from sollol_tui.ui.messages import CommandGiven, Told
from sollol_tui.ui.screens.steady import SteadyScreen
from sollol_tui.ui.theme import CHAT_SHEETS, COMPARE_SHEETS, stylesheets
from sollol_tui.ui.widgets.lines_pane import LinesPane
from sollol_tui.ui.widgets.prompt import Prompt
from sollol_tui.ui.widgets.strip import OneLine, Segment

STATE_S = 0.25
_LINES = 3  # head, prompt, keys
_TITLE = " COMPARE "
_OWN = "compare."  # how the ids of this screen's keys begin
_CLICKED = {
    "compare.help": "help",
    "compare.back": "back",
    "compare.next": "step(1)",
    "compare.zoom": "zoom",
    "compare.take": "take",
}


_GROUP = Binding.Group("Columns")

KEYS: list[BindingType] = [
    Binding(
        "f1,question_mark",
        "help",
        "Help",
        tooltip="The keys that work here",
        id="compare.help",
        group=_GROUP,
    ),
    Binding(
        "escape",
        "back",
        "Back",
        tooltip="Stop all that write; then leave",
        id="compare.back",
        group=_GROUP,
    ),
    Binding(
        "tab", "step(1)", "Next", tooltip="To the next column", id="compare.next", group=_GROUP
    ),
    Binding(
        "shift+tab",
        "step(-1)",
        "Previous",
        tooltip="To the one before",
        id="compare.previous",
        group=_GROUP,
        show=False,
    ),
    Binding(
        "z", "zoom", "Zoom", tooltip="This column alone, and back", id="compare.zoom", group=_GROUP
    ),
    Binding(
        "ctrl+g",
        "take",
        "Go on",
        tooltip="Go on with this column in the chat",
        id="compare.take",
        group=_GROUP,
    ),
]


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
    BINDINGS: ClassVar[list[BindingType]] = KEYS

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
        self._earlier = tuple(earlier)
        self.columns = Columns(
            [
                Column(
                    number,
                    target,
                    Conversation(ask, ascii_only=ascii_only, clock=clock),
                    setup,
                    clock,
                    ascii_only=ascii_only,
                )
                for number, target in enumerate(targets, 1)
            ]
        )
        self._head = OneLine(gap=1, ascii_only=ascii_only, id="compare-head")
        self._summary = LinesPane(ascii_only=ascii_only, id="compare-summary")
        self._summary.can_focus = False
        self._prompt = Prompt("Ask all of them", id="prompt")
        self._keys = OneLine(ascii_only=ascii_only, id="keys")
        self._timer: Timer | None = None
        self._waiting: list[str] = []  # questions that came while answers were being written

    def compose(self) -> ComposeResult:
        yield from (self._head, self.columns, self._summary, self._prompt, self._keys)

    def on_mount(self) -> None:
        self._timer = self.set_interval(STATE_S, self._show_states, pause=True)
        self.bindings_updated_signal.subscribe(self, lambda _screen: self._show_keys())
        for column, session in zip(self.columns.all, self._earlier, strict=False):
            column.go_on_from(session)
        self._show_end()
        self._show_keys()

    def compared(self) -> tuple[Compared, ...]:
        """What was said so far, column by column."""
        return tuple(Compared(column.target, column.session) for column in self.columns.all)

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written."""
        return self.columns.writing > 0

    # Questions

    @on(Prompt.Submitted)
    def ask_all(self, event: Prompt.Submitted) -> None:
        """Ask it now, or when all that write have ended: each column has every question."""
        event.stop()
        if self.is_streaming:
            self._waiting.append(event.text)
            self._show_head()
        else:
            self._ask(event.text)

    def _ask(self, text: str) -> None:
        for column in self.columns.all:
            column.ask(text)
        if self._timer is not None:
            self._timer.resume()
        self._summary.display = False
        self._show_states()
        self._arrange()
        self.refresh_bindings()

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
        self.refresh_bindings()
        if self.is_streaming:
            return
        if self._waiting:
            self._ask(self._waiting.pop(0))
        else:
            self._show_end()

    def _show_end(self) -> None:
        """All have ended: their figures, side by side."""
        if self._timer is not None:
            self._timer.pause()
        self._summary.display = self.columns.have_all_answers
        if self._summary.display:
            answers = [(column.target, column.session.turns[-1]) for column in self.columns.all]
            self._summary.show(lambda cells: summary(answers, cells))
            self._summary.styles.height = len(answers)
        self._show_states()
        self._arrange()

    # What is going on

    def _show_states(self) -> None:
        for column in self.columns.all:
            column.show_state()
        self._show_head()

    def _show_head(self) -> None:
        title = Segment(((_TITLE, "badge"),), KEPT)
        shown = self.columns.tabs(self.app.size.width - 2) or [title]
        self._head.show(shown, [Segment(((self._going_on(), "muted"),), 1)])

    def _going_on(self) -> str:
        if writing := self.columns.writing:
            waiting = len(self._waiting)
            words = "1 question waits" if waiting == 1 else f"{waiting} questions wait"
            return f"{writing} of {len(self.columns.all)} writing" + f" · {words}" * bool(waiting)
        asked = len(self.columns.shown.session.turns)
        return f"{asked} question{'s' if asked != 1 else ''} asked" if asked else ""

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
        cells, rows = self.app.size
        lines = _LINES + (len(self.columns.all) if self._summary.display else 0)
        self.columns.fit_into(cells, rows - lines)
        self._show_head()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        at = self.columns.place_of(event.widget)
        if at is not None:
            self._show_column(at)

    def _show_column(self, at: int) -> None:
        if at != self.columns.current:
            self.columns.current = at
            self._arrange()
            self.refresh_bindings()

    @on(OneLine.Pressed)
    async def press(self, event: OneLine.Pressed) -> None:
        """A tab, or one of this screen's keys, was clicked."""
        event.stop()
        if event.strip is self._head:
            self._focus_column(int(event.segment_id) - 1)
        elif event.segment_id in _CLICKED:
            await self.run_action(_CLICKED[event.segment_id])

    @on(Prompt.ScrollWanted)
    def scroll(self, event: Prompt.ScrollWanted) -> None:
        """From the prompt, all columns are scrolled alike."""
        event.stop()
        for column in self.columns.all:
            if event.pages is None:
                column.conversation.transcript.follow()
            else:
                column.conversation.transcript.action_page(event.pages)

    # Keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to take before there is an answer."""
        if action == "take":
            column = self.columns.shown
            return bool(column.session.turns) and not column.is_streaming
        return super().check_action(action, parameters)

    def action_step(self, by: int) -> None:
        """The prompt, then the columns, and around again."""
        at = 0 if self.focused is self._prompt else self.columns.current + 1
        at = (at + by) % (len(self.columns.all) + 1)
        if at:
            self._focus_column(at - 1)
        else:
            self._prompt.focus()

    def _focus_column(self, at: int) -> None:
        self._show_column(at)
        self.columns.all[at].conversation.transcript.focus()

    def action_zoom(self) -> None:
        self.columns.is_zoomed = not self.columns.is_zoomed
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
        """Stop every answer; what came stays, and questions that wait are in the prompt again."""
        if self._waiting:
            self._prompt.write("\n".join(filter(None, [*self._waiting, self._prompt.text])))
            self._waiting.clear()
        for column in self.columns.all:
            column.conversation.stop()

    def action_take(self) -> None:
        column = self.columns.shown
        self.stop()
        self.dismiss(Compared(column.target, column.session))
