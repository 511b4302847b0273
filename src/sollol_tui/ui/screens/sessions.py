"""The chats that are kept: search them, open one, rename or delete it."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.core import units
from sollol_tui.core.chats import ChatSummary
from sollol_tui.engine.chats import Chats
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.prompt_line import PromptLine
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, clean, content, fit

TITLE_CELLS = 44
KEYS = "Enter opens · F2 renames · ^d deletes · Esc closes"


class SessionDeed(NamedTuple):
    """What is to be done with a chat."""

    deed: Literal["open", "rename", "delete"]
    chat: ChatSummary


class SessionsScreen(Dialog[SessionDeed | None]):
    """Ends with what is to be done with the chosen chat, or None.

    Args:
        wanted: words to begin the search with.
        now_s: seconds since the epoch.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("down", "move(1)", "Next", id="sessions.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="sessions.up", show=False, priority=True),
        Binding("pagedown", "move(10)", "Page", id="sessions.page-down", show=False, priority=True),
        Binding("pageup", "move(-10)", "Page", id="sessions.page-up", show=False, priority=True),
        Binding("f2", "choose('rename')", "Rename", id="sessions.rename", priority=True),
        Binding("ctrl+d", "choose('delete')", "Delete", id="sessions.delete", priority=True),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, chats: Chats, wanted: str, now_s: float) -> None:
        super().__init__()
        self._chats = chats
        self._wanted = wanted
        self._now_s = now_s
        self._found: tuple[ChatSummary, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="sessions") as dialog:
            dialog.border_title = content("Chats")
            dialog.border_subtitle = self.letters(KEYS)
            yield Input(
                self._wanted,
                placeholder="type to search titles and texts",
                select_on_focus=False,
                compact=True,
            )
            options = OptionList(markup=False)
            options.can_focus = False
            yield options
            yield Static("", markup=False, id="sessions-note")

    def on_mount(self) -> None:
        self._find(self._wanted)

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        event.stop()
        self._find(event.value)

    @work(group="find", exclusive=True, exit_on_error=False, description="the search in chats")
    async def _find(self, wanted: str) -> None:
        self._found = await self._chats.find(wanted)
        options = self.query_one(OptionList)
        options.set_options(Option(self.painted(self._line(chat))) for chat in self._found)
        options.highlighted = 0 if self._found else None
        nothing = "No chat has these words." if wanted.strip() else "No chat was kept yet."
        self.query_one("#sessions-note", Static).update(content("" if self._found else nothing))

    def _line(self, chat: ChatSummary) -> Line:
        questions = f"{chat.questions:3}"
        return (
            (fit(clean(chat.title), TITLE_CELLS), ""),
            (fit(f" {questions} ", 5), "muted"),
            (fit(clean(chat.model), 14), "model"),
            (fit(units.age(chat.updated_s, self._now_s), 8, "right"), "muted"),
        )

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def open_chosen(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        event.stop()
        self.action_choose("open")

    def action_choose(self, deed: Literal["open", "rename", "delete"]) -> None:
        index = self.query_one(OptionList).highlighted
        if index is not None and index < len(self._found):
            self.dismiss(SessionDeed(deed, self._found[index]))

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            options.highlighted = max(0, min(len(self._found) - 1, options.highlighted + by))

    def action_close(self) -> None:
        self.dismiss(None)


class TitleLine(PromptLine):
    """A new title for a chat."""

    sign = "✎"

    def on_mount(self) -> None:
        """Textual mounts its base first or last: what is said comes after both."""
        self.call_after_refresh(self.say, "The chat's title. Enter keeps it, Esc leaves it.")
