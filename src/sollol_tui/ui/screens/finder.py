"""A dialog with a list that is narrowed by typing; the line below tells about the row chosen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line

Entry = TypeVar("Entry")


class Finder(Dialog[str | None], Generic[Entry]):
    """Ends with what `taken` says, or None. Typing narrows, arrows choose, Enter takes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("down", "move(1)", "Next", id="model.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="model.up", show=False, priority=True),
        Binding("pagedown", "move(10)", "Page", id="model.page-down", show=False, priority=True),
        Binding("pageup", "move(-10)", "Page", id="model.page-up", show=False, priority=True),
    ]
    AUTO_FOCUS = "Input"

    ASKS: ClassVar[str]
    """What is to be chosen, on the upper border."""

    KEYS: ClassVar[str]
    """What the keys do, on the lower one."""

    WANTED: ClassVar[str]
    """What can be typed."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: tuple[Entry, ...] = ()
        self._is_ready = False  # its parts are there

    @abstractmethod
    def find(self, words: Sequence[str]) -> Sequence[Entry]:
        """The entries with all these words, given in small letters, best first."""

    @abstractmethod
    def row(self, entry: Entry) -> Line:
        """An entry in the list."""

    @abstractmethod
    def place(self, words: Sequence[str]) -> int:
        """Which of the entries shown has the cursor after the list was narrowed."""

    @abstractmethod
    def note(self) -> Line:
        """What is said about the chosen entry, or why there is none."""

    @abstractmethod
    def taken(self) -> str | None:
        """What Enter takes; None: nothing that can be had."""

    @property
    def typed(self) -> str:
        return self.query_one(Input).value.strip()

    @property
    def chosen(self) -> Entry | None:
        """The entry under the cursor."""
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="model-picker") as dialog:
            dialog.border_title = self.ASKS
            dialog.border_subtitle = self.letters(self.KEYS)
            yield Input(placeholder=self.WANTED, compact=True, id="model-filter")
            options = OptionList(markup=False, id="models")
            options.can_focus = False
            yield options
            yield Static("", markup=False, id="model-note")

    def on_mount(self) -> None:
        self._is_ready = True
        self.fill()

    def fill(self) -> None:
        """Show the entries with the words that are typed, as soon as there is a list."""
        if not self._is_ready:
            return
        words = self.typed.casefold().split()
        self._shown = tuple(self.find(words))
        options = self.query_one(OptionList)
        options.set_options(Option(self.painted(self.row(entry))) for entry in self._shown)
        options.highlighted = self.place(words) if self._shown else None
        self._say()

    def _say(self) -> None:
        self.query_one("#model-note", Static).update(self.painted(self.note()))

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        event.stop()
        self.fill()

    @on(OptionList.OptionHighlighted)
    def say_about(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._say()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def take(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        event.stop()
        if (taken := self.taken()) is not None:
            self.dismiss(taken)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._shown and options.highlighted is not None:
            options.highlighted = max(0, min(len(self._shown) - 1, options.highlighted + by))

    def action_close(self) -> None:
        self.dismiss(None)
