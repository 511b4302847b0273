"""The mode picker: nothing is switched before Enter, and never blindly."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.mode_cards import MARKS, MEANINGS, card_lines, mode_card, node_name
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import clean, fit, width

ModeChoice = tuple[Mode, str]
"""A mode and, for `off`, the URL of the node that it pins."""


class ModePicker(Dialog[ModeChoice | None]):
    """Ends with the chosen mode, or None. Nothing is switched before Enter."""

    BINDINGS: ClassVar[list[BindingType]] = [*DIALOG_KEYS]

    def __init__(
        self, snapshot: ClusterSnapshot, start: Mode | None = None, threshold: str = "13 B"
    ) -> None:
        super().__init__()
        self._snapshot = snapshot
        self._threshold = threshold
        self._start = start or snapshot.mode
        self._ask_at_once = start is Mode.OFF
        self._is_ready = False  # its parts are there
        self._starts: dict[Mode, str] = {}
        self._pins: tuple[str, ...] = ()  # the nodes to choose from, in the second step of `off`

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="mode-picker") as dialog:
            dialog.border_title = "How are requests spread?"
            dialog.border_subtitle = self.letters("Enter applies · Esc leaves it as it is")
            yield OptionList(markup=False, id="modes")
            yield Static(markup=False, id="mode-card")

    def on_mount(self) -> None:
        self._is_ready = True
        self._show_modes()
        if self._ask_at_once:
            self._ask_node()

    def show_snapshot(self, snapshot: ClusterSnapshot) -> None:
        """Follow the cluster while the picker is open; the cursor stays."""
        self._snapshot = snapshot
        if self._pins:
            return
        options = self.query_one(OptionList)
        for index, mode in enumerate(Mode):
            options.replace_option_prompt_at_index(index, self._mode_line(mode))
        self._show_card()

    def show_start(self, mode: Mode, sentence: str) -> None:
        """What entering a mode would start, which takes a moment to find out."""
        self._starts[mode] = sentence
        if self._is_ready:
            self._show_card()

    def _show_modes(self) -> None:
        options = self.query_one(OptionList)
        options.set_options(Option(self._mode_line(mode), id=mode.value) for mode in Mode)
        options.highlighted = list(Mode).index(self._start)

    def _mode_line(self, mode: Mode) -> Content:
        card = mode_card(mode, self._snapshot, self._threshold)
        now = "  now" if mode is self._snapshot.mode else ""
        return self.painted(
            (
                MARKS[card.there],
                (f" {mode.value:<7}", "bold"),
                (MEANINGS[mode], ""),
                (now, "accent bold"),
            )
        )

    def _show_card(self) -> None:
        index = self.query_one(OptionList).highlighted
        if index is None or self._pins:
            return
        mode = list(Mode)[index]
        starts = self._starts.get(mode, "")
        card = mode_card(mode, self._snapshot, self._threshold, starts)
        lines = [self.painted(line) for line in card_lines(card)]
        self.query_one("#mode-card", Static).update(Content("\n").join(lines))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._show_card()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if self._pins:
            self.dismiss((Mode.OFF, self._pins[event.option_index]))
            return
        mode = list(Mode)[event.option_index]
        if mode is Mode.OFF:
            self._ask_node()
        else:
            self.dismiss((mode, ""))

    def _ask_node(self) -> None:
        """The second step of `off`: which node. Without any node there is nothing to ask."""
        nodes = self._snapshot.nodes
        if not nodes:
            return
        self._pins = tuple(node.url for node in nodes)
        cells = max(width(clean(node_name(node))) for node in nodes)
        options = self.query_one(OptionList)
        options.set_options(
            Option(
                self.painted(((fit(node_name(node), cells), "bold"), (f"  {node.status}", "muted")))
            )
            for node in nodes
        )
        pinned = self._snapshot.pinned
        options.highlighted = self._pins.index(pinned) if pinned in self._pins else 0
        self.query_one("#mode-card", Static).update(Content(" Which node answers everything?"))

    def action_close(self) -> None:
        if self._pins:
            self._pins = ()
            self._start = Mode.OFF
            self._show_modes()
        else:
            self.dismiss(None)
