"""The model picker: every model of the cluster, where it lies, and why some cannot be asked."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.ids import coordinator_words, same_model
from sollol_tui.ui.chat.models import ModelChoice, Place
from sollol_tui.ui.screens.finder import Finder
from sollol_tui.ui.text import Line, Span, clean, fit

NAME_CELLS = 30
_NOT_SO = "No model has this in its name."
_NOTHING = "Nobody has a model yet. With Ollama: ollama pull llama3.2"


class ModelPicker(Finder[ModelChoice]):
    """Ends with the name of the chosen model, or None.

    Args:
        choices: the models, usable ones first.
        current: the name of the model in use; it has the cursor.
    """

    ASKS = "Which model answers?"
    KEYS = "Enter chooses · Esc leaves it as it is"
    WANTED = "type to find"

    def __init__(self, choices: Sequence[ModelChoice], current: str = "") -> None:
        super().__init__()
        self._choices = tuple(choices)
        self._current = current
        self._followed = ""  # keeps the cursor while the cluster changes

    def show_choices(self, choices: Sequence[ModelChoice]) -> None:
        """Follow the cluster while the picker is open; the cursor stays on its model."""
        if tuple(choices) != self._choices:
            chosen = self.chosen
            self._choices, self._followed = tuple(choices), chosen.name if chosen else ""
            self.fill()
            self._followed = ""

    def find(self, words: Sequence[str]) -> Sequence[ModelChoice]:
        found = [choice for choice in self._choices if _matches(choice, words)]
        if words:  # names that begin so come first
            found.sort(key=lambda choice: not choice.name.casefold().startswith(words[0]))
        return found

    def place(self, words: Sequence[str]) -> int:
        """That of the model it was on, else of the one in use, or the best match."""
        sought = self._followed or ("" if words else self._current)
        names = [choice.name for choice in self._shown]
        return next((i for i, name in enumerate(names) if same_model(name, sought)), 0)

    def row(self, entry: ModelChoice) -> Line:
        return _choice_line(entry, same_model(entry.name, self._current))

    def note(self) -> Line:
        """Where the model under the cursor lies, or why it cannot be asked."""
        if self.chosen is not None:
            return _note(self.chosen)
        return ((_NOT_SO if self._choices else _NOTHING, ""),)

    def taken(self) -> str | None:
        chosen = self.chosen
        return chosen.name if chosen is not None and chosen.is_usable else None


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
