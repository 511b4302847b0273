"""A short list to choose from: row actions, nodes to pin, yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import clean, content, fit, width


class Item(NamedTuple):
    """One thing to choose: its key for the program, its text and a quieter remark."""

    key: str
    text: str
    remark: str = ""


class ChoiceScreen(Dialog[str | None]):
    """Ends with the key of the chosen item, or None. The first item has the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [*DIALOG_KEYS]

    def __init__(self, title: str, items: Sequence[Item], note: str = "") -> None:
        super().__init__()
        self._title = title
        self._items = tuple(items)
        self._note = note

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = content(self.letters(self._title))
            dialog.border_subtitle = self.letters("Enter chooses · Esc closes")
            if self._note:
                yield Static(content(self.letters(self._note)), classes="dialog-note")
            yield OptionList(*self._options(), markup=False)

    def _options(self) -> list[Option]:
        cells = max(width(clean(item.text)) for item in self._items)
        return [
            Option(
                self.painted(((fit(item.text, cells), ""), (f"  {clean(item.remark)}", "muted")))
            )
            for item in self._items
        ]

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._items[event.option_index].key)

    def action_close(self) -> None:
        self.dismiss(None)
