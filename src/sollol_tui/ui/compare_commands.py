"""`/compare [MODEL|NODE …]`: one question to several, and on with the best of them in the chat."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sollol_tui.ui.command import Command
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.core.state import ClusterSnapshot
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.compare import Target
    from sollol_tui.ui.compare_columns import Compared
    from sollol_tui.ui.screens.compare import CompareScreen

_BUSY = "An answer is being written in the chat: stop it first. /compare last leads back here."


def compare(app: SollolApp, argument: str) -> None:
    """Compare those that are named; fewer than two are marked in a list to choose from."""
    from sollol_tui.ui.compare import LEAST, named

    targets = named(argument, app.snapshot, app.dashboard.bring_chat().model_in_use)
    if len(targets) >= LEAST:
        _open(app, targets)
    else:
        _pick(app, targets)


def compare_last(app: SollolApp, _argument: str) -> None:
    """Back to the last comparison, with what was said in it."""
    if not app.compared:
        raise Refused("Nothing was compared yet: /compare chooses whom to ask.")
    _open(app, [c.target for c in app.compared], app.compared)


def _pick(app: SollolApp, marked: Sequence[Target]) -> None:
    from sollol_tui.ui.chat.models import models_of
    from sollol_tui.ui.screens.compare_picker import ComparePicker

    def use(targets: tuple[Target, ...] | None) -> None:
        if targets is not None:
            _open(app, targets)

    app.open(ComparePicker(models_of(app.snapshot), marked), use)


def _open(app: SollolApp, targets: Sequence[Target], earlier: Sequence[Compared] = ()) -> None:
    """Show the columns; one that is open already makes room."""
    from sollol_tui.ui.compare_columns import Setup
    from sollol_tui.ui.screens.compare import CompareScreen

    chat = app.dashboard.bring_chat()
    screen = CompareScreen(
        app.engine.ask,
        targets,
        Setup(chat.options, chat.session.system),
        time.monotonic,
        earlier=[c.session for c in earlier],
        ascii_only=app.engine.settings.ascii,
    )

    def ended(taken: Compared | None) -> None:
        _remember(app, screen)
        if taken is not None:
            _go_on(app, taken)

    if isinstance(app.screen, CompareScreen):
        app.screen.stop()
        app.screen.dismiss(None)
    app.open(screen, ended)


def _remember(app: SollolApp, screen: CompareScreen) -> None:
    compared = screen.compared()
    if any(c.session.turns for c in compared):
        app.compared = compared


def _go_on(app: SollolApp, taken: Compared) -> None:
    """A column's conversation becomes the chat's, and is kept as any."""
    chat = app.dashboard.bring_chat()
    if chat.is_streaming:
        app.tell(_BUSY, refused=True)
        return
    options, target = chat.options, taken.target
    chat.new_chat()
    chat.conversation.reopen(taken.session)
    chat.options, chat.model = options, target.model
    chat.mode, chat.target = target.mode, target.url
    if chat.conversation.keeper is not None:
        chat.conversation.keeper.take_over(
            taken.session, target.model, options, target.mode, target.url
        )
    chat.show_setup()
    app.dashboard.show_pane("chat")
    app.tell(f"The chat goes on with {target.label}.")


def _choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    from sollol_tui.ui.arguments import model_choices, node_choices

    return ("last", *model_choices(snapshot), *node_choices(snapshot))


COMPARE_COMMANDS: tuple[Command, ...] = (
    Command(
        "compare",
        "Compare",
        "Ask the same question to several models or nodes, side by side",
        compare,
        arguments="[MODEL|NODE …]",
        choices=_choices,
    ),
    Command(
        "compare last",
        "Last comparison",
        "Back to the last comparison, with what was said in it",
        compare_last,
    ),
)
