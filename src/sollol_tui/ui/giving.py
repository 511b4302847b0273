"""Giving commands: from a key, the palette, or a typed line."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand

from sollol_tui.ui import dialogs
from sollol_tui.ui.command import Command
from sollol_tui.ui.commands import COMMANDS
from sollol_tui.ui.live_keys import live_keys
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp


def offered(app: SollolApp) -> list[Command]:
    """The commands that may be given: none that changes anything when only looking."""
    return [c for c in COMMANDS if not (c.changes and app.engine.settings.read_only)]


def palette_entries(app: SollolApp) -> Iterable[SystemCommand]:
    """The commands as the palette lists them, each with its key."""
    keys = {key.command: key.names[0] for key in live_keys(app.dashboard)}
    for command in offered(app):
        if command.name != "palette":
            key = f"  ·  {keys[command.name]}" if command.name in keys else ""
            yield SystemCommand(command.title, command.help + key, partial(begin, app, command))


def begin(app: SollolApp, command: Command) -> None:
    """Give a command that has no argument yet: it is asked for where one is needed."""
    if command.needs_argument:
        dialogs.ask_command(app, f"{command.name} ")
    else:
        give(app, command)


def give(app: SollolApp, command: Command, argument: str = "") -> None:
    """Do it, and say so when it is refused."""
    if refusal := perform(app, command, argument):
        app.tell(refusal, refused=True)


def give_line(app: SollolApp, line: str | None) -> None:
    """Do what a typed line says; when it cannot be done, hand it back with the reason."""
    from sollol_tui.ui.command_line import parse

    if line is None:
        return
    parsed = parse(line)
    problem = parsed if isinstance(parsed, str) else perform(app, *parsed)
    if problem:
        dialogs.ask_command(app, line, problem)


def perform(app: SollolApp, command: Command, argument: str) -> str:
    """Do it. Returns the sentence why it was refused, or nothing."""
    if command not in offered(app):
        return f"“{command.name}” changes something, and this is for looking only."
    try:
        said = command.run(app, argument)
    except Refused as refusal:
        return str(refusal)
    if said:
        app.tell(said)
    return ""
