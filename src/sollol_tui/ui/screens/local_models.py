"""Which model a coordinator runs: those of Ollama's store on this machine, or a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sollol_tui.core import units
from sollol_tui.ui.screens.finder import Finder
from sollol_tui.ui.text import Line, clean, fit

NAME_CELLS = 34
_NOTHING = "Ollama's store on this machine is empty. Type the path of a GGUF file."
_NOT_SO = "No model has this in its name. A path begins with / or ~ or ends in .gguf."


class StoredModel(Protocol):
    """A model on this machine's disk, as its manifest tells."""

    @property
    def name(self) -> str: ...
    @property
    def store(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def parameters(self) -> str: ...
    @property
    def quantization(self) -> str: ...
    @property
    def refusal(self) -> str | None: ...


class LocalModelScreen(Finder[StoredModel]):
    """Ends with a name or a path, or None. The models come later, with `show_models`."""

    ASKS = "Which model does the coordinator run?"
    KEYS = "Enter shows the plan · Esc closes"
    WANTED = "a name, or the path of a GGUF file"

    def __init__(self, current: str = "") -> None:
        super().__init__()
        self._current = current
        self._models: tuple[StoredModel, ...] | None = None

    def show_models(self, models: Sequence[StoredModel]) -> None:
        """The models that there are."""
        self._models = tuple(sorted(models, key=lambda m: (m.refusal is not None, m.name)))
        self.fill()

    def find(self, words: Sequence[str]) -> Sequence[StoredModel]:
        models = self._models or ()
        if is_path(self.typed):
            return models
        return [m for m in models if all(word in m.name.casefold() for word in words)]

    def place(self, words: Sequence[str]) -> int:
        names = [model.name for model in self._shown]
        return names.index(self._current) if self._current in names and not words else 0

    def row(self, entry: StoredModel) -> Line:
        return _line(entry)

    def note(self) -> Line:
        if is_path(self.typed):
            return (("Enter takes the file ", "muted"), (clean(self.typed, 60), ""))
        if self._models is None:
            return (("Reading Ollama's store …", "muted"),)
        model = self.chosen
        if model is None:
            return ((_NOT_SO if self._models else _NOTHING, "warn"),)
        if model.refusal is not None:
            return (("cannot be run by llama.cpp: ", "warn"), (clean(model.refusal), ""))
        return ((f"{units.size(model.bytes)} in {clean(model.store)}", "muted"),)

    def taken(self) -> str | None:
        model = self.chosen
        if is_path(self.typed):
            return self.typed
        return model.name if model is not None and model.refusal is None else None


def is_path(text: str) -> bool:
    """Whether a file is meant, and not a name."""
    return text.startswith(("/", "~", "./", "../")) or text.casefold().endswith(".gguf")


def _line(model: StoredModel) -> Line:
    look = "" if model.refusal is None else "muted"
    return (
        ("  " if model.refusal is None else "✗ ", look),
        (fit(model.name, NAME_CELLS), look),
        (f" {fit(units.size(model.bytes), 9, 'right')}", look),
        (f"  {fit(model.parameters, 8)} {fit(model.quantization, 8)}", "muted"),
    )
