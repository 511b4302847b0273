"""One line at the bottom of the screen to type into: a command (`:`) or a filter (`/`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Input, Static

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.command_line import completions, parse
from sollol_tui.ui.commands import BY_WORD
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, clean, content, fit, width

SHOWN = 7  # completions at a time


class PromptLine(Dialog[str | None]):
    """Ends with the line that was typed, or with None."""

    BINDINGS: ClassVar[list[BindingType]] = [*DIALOG_KEYS]
    AUTO_FOCUS = "Input"
    sign = ":"
    hint = ""  # what can be typed, while nothing is

    def __init__(self, text: str = "", problem: str = "") -> None:
        super().__init__()
        self._text = text
        self._problem = problem

    def compose(self) -> ComposeResult:
        with Vertical(id="line-box"):
            yield Static("", id="line-choices", markup=False)
            yield Static("", id="line-help", markup=False)
            with Horizontal(id="line"):
                yield Static(self.sign, id="line-sign", markup=False)
                yield Input(self._text, select_on_focus=False, compact=True, id="line-input")

    def on_mount(self) -> None:
        self.query_one(Input).cursor_position = len(self._text)
        self.say(self._problem or self._hint(self._text), is_problem=bool(self._problem))

    def _hint(self, text: str) -> str:
        return "" if text.strip() else self.hint

    def say(self, text: str, *, is_problem: bool = False) -> None:
        """Show one line of help or of refusal above the input."""
        line = self.query_one("#line-help", Static)
        line.set_class(is_problem, "-problem")
        line.display = bool(text)
        line.update(content(self.letters(text)))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value)

    def action_close(self) -> None:
        self.dismiss(None)


class CommandLine(PromptLine):
    """`:` with completion. `snapshot` gives the names that arguments can take."""

    hint = "First letters, or Tab, show what fits; ^P lists all commands."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "tab", "complete(1)", "Complete", tooltip="Take the next completion", id="line.next"
        ),
        Binding("shift+tab", "complete(-1)", "Complete", id="line.previous"),
        Binding("down", "complete(1)", "Next", id="line.down"),
        Binding("up", "complete(-1)", "Previous", id="line.up"),
        Binding("ctrl+p", "palette", "Palette", tooltip="All commands", id="line.palette"),
    ]

    def __init__(self, snapshot: ClusterSnapshot, text: str = "", problem: str = "") -> None:
        super().__init__(text, problem)
        self._snapshot = snapshot
        self._choices: tuple[str, ...] = ()
        self._chosen = -1
        self._taken: str | None = None  # the completion that was put into the input

    def action_palette(self) -> None:
        self.dismiss("palette")

    def on_input_changed(self, event: Input.Changed) -> None:
        if event.value == self._taken:
            return
        wanted = event.value.strip()
        self._choices = completions(event.value, self._snapshot) if wanted else ()
        self._chosen = -1
        self._show_choices()
        if event.value != self._text or not event.value:
            self.say("" if self._choices else self._hint(event.value) or _help_for(event.value))

    def action_complete(self, by: int) -> None:
        line = self.query_one(Input)
        if not self._choices:  # nothing was typed yet: all of them, one by one
            self._choices = completions(line.value, self._snapshot)
        if not self._choices:
            return
        start = self._chosen if self._chosen >= 0 else (-1 if by > 0 else 0)
        self._chosen = (start + by) % len(self._choices)
        self._taken = self._choices[self._chosen]
        line.value = self._taken
        line.cursor_position = len(self._taken)
        self._show_choices()
        self.say("")

    def _show_choices(self) -> None:
        first = max(0, min(self._chosen - SHOWN + 1, len(self._choices) - SHOWN))
        shown = self._choices[first : first + SHOWN]
        cells = max((width(clean(text)) for text in shown), default=0)
        lines = [
            self.painted(_choice_line(text, cells, is_chosen=at == self._chosen))
            for at, text in enumerate(shown, start=first)
        ]
        more = len(self._choices) - first - len(lines)
        if more > 0:
            lines.append(self.painted(((f"   … {more} more", "muted"),)))
        box = self.query_one("#line-choices", Static)
        box.display = bool(lines)
        box.update(Content("\n").join(lines))


class FilterLine(PromptLine):
    """`/`: every change is told at once. Esc takes the filter away."""

    sign = "/"
    hint = "All words must be in a row, and no !word. Enter keeps it, Esc clears it."

    def __init__(self, changed: Callable[[str], None], text: str = "") -> None:
        super().__init__(text)
        self._changed = changed

    def on_input_changed(self, event: Input.Changed) -> None:
        self._changed(event.value)
        self.say(self._hint(event.value))

    def action_close(self) -> None:
        self._changed("")
        self.dismiss(None)


def _choice_line(text: str, cells: int, *, is_chosen: bool) -> Line:
    command = BY_WORD.get(text)
    about = f"   {command.arguments}  {command.help}".replace("     ", "   ") if command else ""
    mark = ("▌ ", "accent") if is_chosen else ("  ", "")
    return (mark, (fit(text, cells), "bold" if is_chosen else ""), (about, "muted"))


def _help_for(line: str) -> str:
    """The help line of the command that is being typed."""
    parsed = parse(line)
    if not isinstance(parsed, str):
        return f"{parsed.command.name}: {parsed.command.help}"
    command = BY_WORD.get(line.strip().lstrip(":/").casefold())
    return f"{command.name} {command.arguments}: {command.help}" if command else ""
