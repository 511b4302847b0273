"""Whom to compare: models, and models on single nodes, marked in a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from sollol_tui.core import units
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.chat.models import ModelChoice, Place, models_of
from sollol_tui.ui.compare import LEAST, MOST, Target, target_at
from sollol_tui.ui.keys import DIALOG_KEYS
from sollol_tui.ui.screens.steady import Dialog
from sollol_tui.ui.text import Line, clean, fit

NAME_CELLS = 30
PLACE_CELLS = NAME_CELLS + 9  # a place has no size beside it
KEYS = "Space marks · Enter compares · Esc closes"
_NOTHING = "Nobody has a model yet. With Ollama: ollama pull llama3.2"


class Row(NamedTuple):
    """A line of the list: a model wherever it is best, or on one of its places."""

    target: Target
    choice: ModelChoice
    place: Place | None = None


def rows_of(choices: Sequence[ModelChoice]) -> tuple[Row, ...]:
    """Each model that can be asked, and under it its places, where there is a choice of them."""
    rows: list[Row] = []
    for choice in choices:
        if not choice.is_usable:
            continue
        rows.append(Row(Target(choice.name), choice))
        places = [place for place in choice.places if not place.problem]
        if len(places) > 1:
            rows += [Row(target_at(choice, place), choice, place) for place in places]
    return tuple(rows)


class Finder(Input):
    """Takes letters; a blank is the dialog's."""

    def check_consume_key(self, key: str, character: str | None) -> bool:
        return key != "space" and super().check_consume_key(key, character)


class ComparePicker(Dialog[tuple[Target, ...] | None]):
    """Ends with two to four targets, or None. Typed words narrow the list.

    Args:
        choices: the models that there are.
        marked: targets that are marked from the beginning.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *DIALOG_KEYS,
        Binding("down", "move(1)", "Next", id="compared.down", show=False, priority=True),
        Binding("up", "move(-1)", "Previous", id="compared.up", show=False, priority=True),
        Binding("pagedown", "move(10)", "Page", id="compared.page-down", show=False, priority=True),
        Binding("pageup", "move(-10)", "Page", id="compared.page-up", show=False, priority=True),
        Binding("space", "mark", "Mark", id="compared.mark", priority=True),
    ]
    AUTO_FOCUS = "Input"

    def __init__(self, choices: Sequence[ModelChoice], marked: Sequence[Target] = ()) -> None:
        super().__init__()
        self._rows = rows_of(choices)
        self._marked = list(marked)
        self._shown = self._rows
        self._problem = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog", id="compare-picker") as dialog:
            dialog.border_title = "Who answers the same question?"
            dialog.border_subtitle = self.letters(KEYS)
            yield Finder(placeholder="type to find", compact=True, id="model-filter")
            options = OptionList(markup=False)
            options.can_focus = False
            yield options
            yield Static("", markup=False, id="model-note")

    def on_mount(self) -> None:
        self._show()

    def show_snapshot(self, snapshot: ClusterSnapshot) -> None:
        """Follow the cluster while it is open."""
        rows = rows_of(models_of(snapshot))
        if rows != self._rows:
            self._rows = rows
            self._show()

    def _show(self) -> None:
        options = self.query_one(OptionList)
        under = self._under_cursor()
        wanted = self.query_one(Input).value.strip().casefold()
        self._shown = tuple(row for row in self._rows if wanted in row.target.label.casefold())
        options.set_options(Option(self.painted(self._line(row))) for row in self._shown)
        targets = [row.target for row in self._shown]
        at = targets.index(under.target) if under and under.target in targets else 0
        options.highlighted = at if self._shown else None
        self._say()

    def _line(self, row: Row) -> Line:
        mark = "[x] " if row.target in self._marked else "[ ] "
        look = "accent" if row.target in self._marked else "muted"
        if row.place is not None:
            about = "loaded" if row.place.is_loaded else ""
            name = f"   on {row.target.where}"
            return ((mark, look), (fit(name, PLACE_CELLS), ""), (f" {about}", "good"))
        places = sum(not place.problem for place in row.choice.places)
        where = row.choice.places[0].name if places == 1 else f"best of {places} places"
        about = f" {fit(units.parameters(row.choice.parameters), 7, 'right')}  {clean(where)}"
        return ((mark, look), (fit(row.target.model, NAME_CELLS), "bold"), (about, "muted"))

    def _say(self) -> None:
        note = self.query_one("#model-note", Static)
        names = ", ".join(target.label for target in self._marked)
        if self._problem:
            note.update(self.painted(((self._problem, "warn"),)))
        elif not self._rows:
            note.update(self.painted(((_NOTHING, "warn"),)))
        else:
            counted = f"{len(self._marked)} marked" + (": " if names else "")
            note.update(self.painted(((counted, "muted"), (names, ""))))

    def _under_cursor(self) -> Row | None:
        at = self.query_one(OptionList).highlighted
        return self._shown[at] if at is not None and at < len(self._shown) else None

    @on(Input.Changed)
    def narrow(self, event: Input.Changed) -> None:
        event.stop()
        self._problem = ""
        self._show()

    def action_mark(self) -> None:
        """Mark the target under the cursor, or not any more."""
        row, self._problem = self._under_cursor(), ""
        if row is None:
            return
        if row.target in self._marked:
            self._marked.remove(row.target)
        elif len(self._marked) == MOST:
            self._problem = f"At most {MOST} are compared: take one away first."
        else:
            self._marked.append(row.target)
        self._show()

    @on(OptionList.OptionSelected)
    def mark_clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_mark()

    @on(Input.Submitted)
    def compare(self, event: Input.Submitted) -> None:
        event.stop()
        if len(self._marked) >= LEAST:
            self.dismiss(tuple(self._marked))
        else:
            self._problem = f"Mark {LEAST} to {MOST} with Space."
            self._say()

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            options.highlighted = max(0, min(len(self._shown) - 1, options.highlighted + by))

    def action_close(self) -> None:
        self.dismiss(None)
