"""Which model a coordinator runs: those of Ollama's store on this machine, or a path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.core import units
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.steady import Dialog
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


class LocalModelScreen(Dialog[str | None]):
    """Ends with a name or a path, or None. The models come later, with `show_models`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("down", "move(1)", "Next", id="local.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="local.up", show=False, priority=True),
        Binding("pagedown", "move(10)", "Page", id="local.page-down", show=False, priority=True),
        Binding("pageup", "move(-10)", "Page", id="local.page-up", show=False, priority=True),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, current: str = "") -> None:
        super().__init__()
        self._current = current
        self._models: tuple[StoredModel, ...] | None = None
        self._shown: tuple[StoredModel, ...] = ()
        self._is_ready = False  # its parts are there

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="model-picker") as dialog:
            dialog.border_title = "Which model does the coordinator run?"
            dialog.border_subtitle = self.letters("Enter shows the plan · Esc closes")
            hint = "a name, or the path of a GGUF file"
            yield Input(placeholder=hint, compact=True, id="model-filter")
            options = OptionList(markup=False, id="models")
            options.can_focus = False
            yield options
            yield Static("", markup=False, id="model-note")

    def on_mount(self) -> None:
        self._is_ready = True
        self._show()

    def show_models(self, models: Sequence[StoredModel]) -> None:
        """The models that there are."""
        usable = sorted(models, key=lambda m: (m.refusal is not None, m.name))
        self._models = tuple(usable)
        if self._is_ready:
            self._show()

    @property
    def _typed(self) -> str:
        return self.query_one(Input).value.strip()

    def _show(self) -> None:
        words = [] if is_path(self._typed) else self._typed.casefold().split()
        self._shown = tuple(
            m for m in self._models or () if all(word in m.name.casefold() for word in words)
        )
        options = self.query_one(OptionList)
        options.set_options(Option(self.painted(_line(model))) for model in self._shown)
        names = [model.name for model in self._shown]
        at = names.index(self._current) if self._current in names and not words else 0
        options.highlighted = at if self._shown else None
        self._say()

    def _say(self) -> None:
        self.query_one("#model-note", Static).update(self.painted(self._note()))

    def _note(self) -> Line:
        if is_path(self._typed):
            return (("Enter takes the file ", "muted"), (clean(self._typed, 60), ""))
        if self._models is None:
            return (("Reading Ollama's store …", "muted"),)
        model = self._chosen()
        if model is None:
            return ((_NOT_SO if self._models else _NOTHING, "warn"),)
        if model.refusal is not None:
            return (("cannot be run by llama.cpp: ", "warn"), (clean(model.refusal), ""))
        return ((f"{units.size(model.bytes)} in {clean(model.store)}", "muted"),)

    def _chosen(self) -> StoredModel | None:
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        event.stop()
        self._show()

    @on(OptionList.OptionHighlighted)
    def say_about(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self._say()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def choose(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        event.stop()
        model = self._chosen()
        if is_path(self._typed):
            self.dismiss(self._typed)
        elif model is not None and model.refusal is None:
            self.dismiss(model.name)

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._shown and options.highlighted is not None:
            options.highlighted = max(0, min(len(self._shown) - 1, options.highlighted + by))

    def action_close(self) -> None:
        self.dismiss(None)


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
