"""The model picker: every model of the cluster, where it lies, and why some cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.core import units
from sollol_tui.core.ids import coordinator_words, same_model
from sollol_tui.ui.chat.models import ModelChoice, Place
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, Span, clean, content, fit

NAME_CELLS = 30
_NOTHING = "No node and no coordinator has a model yet. With Ollama: ollama pull llama3.2"


class ModelPicker(Dialog[str | None]):
    """Ends with the name of the chosen model, or None.

    Args:
        choices: the models, usable ones first.
        current: the name of the model in use; it has the cursor.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("down", "move(1)", "Next", id="model.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="model.up", show=False, priority=True),
        Binding("pagedown", "move(10)", "Page", id="model.page-down", show=False, priority=True),
        Binding("pageup", "move(-10)", "Page", id="model.page-up", show=False, priority=True),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, choices: Sequence[ModelChoice], current: str = "") -> None:
        super().__init__()
        self._choices = tuple(choices)
        self._shown = self._choices
        self._current = current

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="model-picker") as dialog:
            dialog.border_title = "Which model answers?"
            dialog.border_subtitle = self.letters("Enter chooses · Esc leaves it as it is")
            yield Input(placeholder="type to find", compact=True, id="model-filter")
            options = OptionList(markup=False, id="models")
            options.can_focus = False
            yield options
            yield Static("", markup=False, id="model-note")

    def on_mount(self) -> None:
        self._show("")

    def show_choices(self, choices: Sequence[ModelChoice]) -> None:
        """Follow the cluster while the picker is open; the cursor stays on its model."""
        chosen = self._chosen()
        if tuple(choices) != self._choices:
            self._choices = tuple(choices)
            self._show(self.query_one(Input).value, chosen.name if chosen else "")

    def _show(self, wanted: str, cursor: str = "") -> None:
        """Show those with all the words; the cursor goes to a model of that name, else to the one
        in use, or to the best match of what is typed."""
        words = wanted.casefold().split()
        found = [choice for choice in self._choices if _matches(choice, words)]
        if words:  # names that begin so come first
            found.sort(key=lambda choice: not choice.name.casefold().startswith(words[0]))
        self._shown = tuple(found)
        options = self.query_one(OptionList)
        options.set_options(
            Option(self.painted(_choice_line(choice, same_model(choice.name, self._current))))
            for choice in self._shown
        )
        sought = cursor or ("" if words else self._current)
        names = [choice.name for choice in self._shown]
        at = next((i for i, name in enumerate(names) if same_model(name, sought)), 0)
        options.highlighted = at if self._shown else None
        self._say_about()

    def _chosen(self) -> ModelChoice | None:
        index = self.query_one(OptionList).highlighted
        return self._shown[index] if index is not None and index < len(self._shown) else None

    def _say_about(self) -> None:
        """Where the model under the cursor lies, or why it cannot be asked."""
        note, choice = self.query_one("#model-note", Static), self._chosen()
        if choice is None:
            nothing = "No model has this in its name." if self._choices else _NOTHING
            note.update(content(nothing))
        else:
            note.update(self.painted(_note(choice)))

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        event.stop()
        self._show(event.value)

    @on(OptionList.OptionHighlighted)
    def say_about(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._say_about()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def choose(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        event.stop()
        choice = self._chosen()
        if choice is not None and choice.is_usable:
            self.dismiss(choice.name)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._shown and options.highlighted is not None:
            options.highlighted = max(0, min(len(self._shown) - 1, options.highlighted + by))

    def action_close(self) -> None:
        self.dismiss(None)


def _matches(choice: ModelChoice, words: Sequence[str]) -> bool:
    text = f"{choice.name} {' '.join(place.name for place in choice.places)}".casefold()
    return all(word in text for word in words)


def _choice_line(choice: ModelChoice, is_current: bool) -> Line:
    look = "" if choice.is_usable else "muted"
    sign: Span = ("● ", "good") if choice.is_loaded else ("○ ", "muted")
    if not choice.is_usable:
        sign = ("✗ ", "muted")
    return (
        sign,
        (fit(choice.name, NAME_CELLS), f"{look} bold" if is_current else look),
        (f" {fit(_parameters(choice), 7, 'right')}", look),
        (f"  {fit(choice.quantization, 8)}", "muted"),
        (fit(_places(choice), 22), "muted"),
    )


def _parameters(choice: ModelChoice) -> str:
    if choice.parameters is not None:
        return units.parameters(choice.parameters)
    return units.size(choice.size_bytes)


def _places(choice: ModelChoice) -> str:
    """The first place by name, the others by number."""
    usable = [place for place in choice.places if not place.problem] or list(choice.places)
    first, others = usable[0], len(usable) - 1
    name = "coordinator" if first.is_coordinator else first.name
    return f"{name} +{others}" if others else name


def _note(choice: ModelChoice) -> Line:
    if not choice.is_usable:
        return (("cannot be asked: ", "warn"), (clean(choice.problem), ""))
    size = f"{units.size(choice.size_bytes)} · " if choice.size_bytes else ""
    spans: list[Span] = [(size, "muted")]
    if choice.sees:
        spans.append(("sees images · ", "muted"))
    for number, place in enumerate(choice.places):
        spans += [(", ", "muted")] if number else []
        spans += _place_spans(place)
    return tuple(spans)


def _place_spans(place: Place) -> list[Span]:
    name = clean(place.name)
    if place.is_coordinator:
        name = coordinator_words(name)
    if place.problem:
        return [(name, "muted"), (f" ({clean(place.problem)})", "warn")]
    return [(name, ""), (" loaded", "good")] if place.is_loaded else [(name, "")]
