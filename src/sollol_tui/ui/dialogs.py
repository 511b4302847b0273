"""The dialogs: opened for a command, and what is done with their answer.

Their screens are imported when they are opened, so that the first frame does not pay for them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from sollol_tui.core import units
from sollol_tui.core.ids import OLLAMA_PORT, short_name
from sollol_tui.core.state import Mode
from sollol_tui.ui import coordination
from sollol_tui.ui.messages import CopyAsked
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.screens.detail import Describe
    from sollol_tui.ui.subjects import Subject


def ask_command(app: SollolApp, text: str = "", problem: str = "") -> None:
    """Open the command line, with a text to go on from and the reason why it is open again."""
    from sollol_tui.ui.screens.prompt_line import CommandLine

    app.open(CommandLine(app.snapshot, text, problem), app.run_line)


def show_palette(app: SollolApp) -> None:
    """Everything that can be done, found by some of its letters."""
    from sollol_tui.ui.screens.palette import Palette

    if not isinstance(app.screen, Palette):
        app.open(Palette())


def pick_theme(app: SollolApp) -> None:
    """The colours, as a list to search."""
    from sollol_tui.ui.screens.palette import themes

    app.open(themes())


def ask_filter(app: SollolApp) -> None:
    """Open the filter line for the pane that has the focus."""
    from sollol_tui.ui.screens.prompt_line import FilterLine

    pane = app.dashboard.filterable()
    app.open(FilterLine(pane.filter, pane.filter_text))


def pick_mode(app: SollolApp, start: Mode | None = None) -> None:
    """Open the mode picker on the current mode, or on another."""
    from sollol_tui.ui.screens.mode_picker import ModeChoice, ModePicker

    def apply(choice: ModeChoice | None) -> None:
        if choice is not None:
            app.tell(apply_mode(app, *choice))

    threshold = units.parameters(app.engine.settings.threshold_parameters)
    picker = ModePicker(app.snapshot, start, threshold)
    app.open(picker, apply)
    coordination.tell_starts(app, picker)


def apply_mode(app: SollolApp, mode: Mode, pinned: str = "") -> str:
    """Switch, and say so."""
    app.engine.choose_mode(mode, pinned)
    if mode is Mode.OFF:
        return f"Mode off: every request goes to {short_name(pinned, OLLAMA_PORT)}."
    said = f"Mode {mode}, from the next request on."
    return said if mode is Mode.TASK else said + coordination.make_sure(app, mode)


def pick_model(app: SollolApp) -> None:
    """Every model of the cluster, for the chat."""
    from sollol_tui.ui.chat.models import models_of
    from sollol_tui.ui.screens.models import LiveModelPicker

    def use(model: str | None) -> None:
        if model is not None:
            app.tell(use_model(app, model))

    chat = app.dashboard.bring_chat()
    app.open(LiveModelPicker(models_of(app.snapshot), chat.model_in_use), use)


def use_model(app: SollolApp, model: str) -> str:
    """Let a model answer from the next question on, in the next run, too."""
    app.dashboard.bring_chat().model = model
    app.engine.keep_model(model)
    return f"{model} answers from the next question on."


def ask_to_remove(app: SollolApp, target: str) -> None:
    """Forget a node or backend that was added by hand, after a question."""
    from sollol_tui.ui.screens.confirm import YES, ConfirmScreen

    def remove(answer: str | None) -> None:
        if answer != YES:
            return
        if app.engine.remove(target):
            app.tell(f"Forgot {target}.")
        else:
            app.tell(
                f"{target} was not added by hand: its source would bring it back.", refused=True
            )

    app.open(ConfirmScreen(f"Forget {target}?", "Forget it"), remove)


def show_help(app: SollolApp) -> None:
    """The keys that work where the focus is, then all others."""
    from sollol_tui.ui.live_keys import live_keys
    from sollol_tui.ui.screens.help import HelpScreen

    keys = live_keys(app.dashboard)
    app.open(HelpScreen(keys, ascii_only=app.engine.settings.ascii))


def show_status(app: SollolApp) -> None:
    """What is wrong, with its cause, and what is well."""
    from sollol_tui.ui.overview import status_page

    describe = partial(status_page, ascii_only=app.engine.settings.ascii)
    show_detail(app, "Status", describe)


def open_detail(app: SollolApp) -> None:
    """Everything known about what the cursor is on."""
    from sollol_tui.ui.subjects import describe

    subject = _subject(app)
    show_detail(app, subject.title, partial(describe, subject, app.engine), copied=subject.copied)


def open_actions(app: SollolApp) -> None:
    """What can be done with the row, as a list to choose from."""
    from sollol_tui.ui.screens.choice import ChoiceScreen, Item

    subject = _subject(app)
    may_change = not app.engine.settings.read_only
    actions = [Item(a.line, a.text) for a in subject.actions if may_change or not a.changes]
    looks = [
        Item("detail", "Everything known about it"),
        Item("copy", "Copy its address" if subject.actions else "Copy the line"),
    ]
    items = [*actions, *looks] if subject.pane == "coordinator" else [*looks, *actions]
    app.open(ChoiceScreen(subject.title, items, subject.note), app.run_line)


def copy_row(app: SollolApp) -> None:
    """The address of what the cursor is on, to the clipboard."""
    copied = _subject(app).copied
    app.post_message(CopyAsked(copied, copied))


def _subject(app: SollolApp) -> Subject:
    subject = app.dashboard.subject()
    if subject is None:
        raise Refused("There is no row here.")
    return subject


def show_detail(app: SollolApp, title: str, describe: Describe, copied: str = "") -> None:
    """A page about one thing, followed while it is open."""
    from sollol_tui.ui.screens.detail import DetailScreen

    now_s, ascii_only = app.engine.store.now_s(), app.engine.settings.ascii
    app.open(
        DetailScreen(title, describe, app.snapshot, now_s, copied=copied, ascii_only=ascii_only)
    )
