"""Everything a person can ask for, once: keys, palette, `:rpc add X` and `/rpc add X` start here.

A command is a name, the words people also use for it, one help line and one function. Keys name
commands (see `keys`), the palette lists them, the command line parses them (see `command_line`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.core.ids import is_model_path, parse_backend_address
from sollol_tui.core.state import Mode
from sollol_tui.ui import coordination, dialogs, leaving
from sollol_tui.ui.arguments import (
    backend_choices,
    find_node,
    find_target,
    mode_choices,
    model_choices,
    target_choices,
    theme_choices,
)
from sollol_tui.ui.batch_commands import BATCH
from sollol_tui.ui.chat_commands import CHAT_COMMANDS
from sollol_tui.ui.command import Command, Files, Run
from sollol_tui.ui.compare_commands import COMPARE_COMMANDS
from sollol_tui.ui.coordinator_commands import COORDINATOR_COMMANDS
from sollol_tui.ui.message_commands import MESSAGE_COMMANDS
from sollol_tui.ui.node_commands import NODE_COMMANDS
from sollol_tui.ui.parallel_command import PARALLEL
from sollol_tui.ui.prompt_commands import PROMPT_COMMANDS
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp

# What the commands do


def _show_pane(pane: str) -> Run:
    return lambda app, _argument: app.dashboard.show_pane(pane)


def choose_mode(app: SollolApp, argument: str) -> str | None:
    """Apply a mode that was named in full; else let the picker ask for what is missing."""
    word, _, node_text = argument.partition(" ")
    if not word:
        dialogs.pick_mode(app)
        return None
    mode = _mode_of(word)
    if mode is not Mode.OFF:
        if node_text:
            raise Refused(f"Mode {mode} takes no node; only off does.")
        return dialogs.apply_mode(app, mode)
    if not node_text:
        dialogs.pick_mode(app, Mode.OFF)
        return None
    url = find_node(app.snapshot, node_text)
    if url is None:
        raise Refused(f"There is no node “{node_text}” to pin.")
    return dialogs.apply_mode(app, mode, url)


def _mode_of(word: str) -> Mode:
    try:
        return Mode(word.casefold())
    except ValueError:
        raise Refused(f"“{word}” is no mode: task, model, both or off.") from None


def _refresh(app: SollolApp, argument: str) -> str | None:
    if not argument and app.dashboard.is_retry_awaited:
        return coordination.retry(app)
    if not argument:
        app.engine.refresh()
        return "Looking at everything again."
    target = find_target(app.snapshot, argument)
    if target is None:
        raise Refused(f"Nothing here is called “{argument}”.")
    app.engine.refresh(target)
    return f"Looking at {target} again."


def _pause(app: SollolApp, _argument: str) -> str:
    paused = not app.paused
    app.pause(paused)
    return "Paused: what you see gets old. p goes on." if paused else "Watching again."


def _add_backend(app: SollolApp, argument: str) -> str:
    try:
        return f"Added {app.engine.add_backend(argument)}; looking at it now."
    except ValueError as error:
        raise Refused(f"Not added: {error}.") from error


def _remove_backend(app: SollolApp, argument: str) -> str | None:
    try:
        address = parse_backend_address(argument)
    except ValueError as error:
        raise Refused(f"Not removed: {error}.") from error
    if app.snapshot.backend(address) is None:
        raise Refused(f"There is no RPC backend {address}.")
    dialogs.ask_to_remove(app, address)
    return None


def _theme(app: SollolApp, argument: str) -> str | None:
    if not argument:
        dialogs.pick_theme(app)
        return None
    if argument not in app.available_themes:
        raise Refused(f"There is no theme “{argument}”.")
    app.theme = argument
    return None


def _model(app: SollolApp, argument: str) -> str | None:
    if not argument:
        dialogs.pick_model(app)
        return None
    from sollol_tui.ui.chat.models import find_model, models_of

    choice = find_model(models_of(app.snapshot), argument)
    if choice is None and is_model_path(argument):
        from sollol_tui.ui.model_files import use_file

        use_file(app, argument)
        return None
    if choice is None:
        raise Refused(f"Nobody has a model “{clean(argument, 60)}”. “model” alone lists them.")
    if not choice.is_usable:
        raise Refused(f"“{choice.name}” cannot be asked: {choice.problem}.")
    return dialogs.use_model(app, choice.name)


def _filter(app: SollolApp, argument: str) -> str | None:
    if argument:
        app.dashboard.filterable().filter(argument)
    else:
        dialogs.ask_filter(app)
    return None


COMMANDS: tuple[Command, ...] = (
    Command(
        "help",
        "Help",
        "The keys that work here, and all others",
        lambda app, _: dialogs.show_help(app),
        words=("?", "h", "keys"),
    ),
    Command(
        "palette",
        "Palette",
        "Search everything that can be done",
        lambda app, _: dialogs.show_palette(app),
    ),
    Command(
        "command",
        "Command",
        "Type a command",
        lambda app, _: dialogs.ask_command(app),
    ),
    Command(
        "filter",
        "Filter",
        "Show only rows with these words; !word leaves rows out",
        _filter,
        arguments="[WORDS]",
    ),
    Command(
        "mode",
        "Mode",
        "Choose how requests are spread: task, model, both or off",
        choose_mode,
        arguments="[task|model|both|off [NODE]]",
        words=("distributed",),
        choices=mode_choices,
    ),
    Command(
        "detail",
        "Detail",
        "Everything known about the row",
        lambda app, _: dialogs.open_detail(app),
    ),
    Command(
        "actions",
        "Actions",
        "What can be done with the row",
        lambda app, _: dialogs.open_actions(app),
    ),
    Command(
        "copy",
        "Copy",
        "Copy the row's address, or the line, to the clipboard",
        lambda app, _: dialogs.copy_row(app),
    ),
    Command(
        "sort",
        "Sort",
        "Sort by the next column",
        lambda app, _: app.dashboard.sort_pane(),
    ),
    Command(
        "reverse",
        "Reverse",
        "Turn the order of the rows around",
        lambda app, _: app.dashboard.sort_pane(reverse=True),
    ),
    Command(
        "zoom",
        "Zoom",
        "Give the pane the whole screen, and back",
        lambda app, _: app.dashboard.toggle_zoom(),
    ),
    Command(
        "refresh",
        "Refresh",
        "Look again now, at everything or at one target",
        _refresh,
        arguments="[TARGET]",
        words=("discover", "rpc discover"),
        choices=target_choices,
    ),
    Command("pause", "Pause", "Stop looking at the servers, or go on", _pause),
    Command(
        "status",
        "Status",
        "What is wrong, with its cause, and what is well",
        lambda app, _: dialogs.show_status(app),
        words=("health", "problems"),
    ),
    Command(
        "coordinator",
        "Coordinator",
        "Go to the coordinator",
        _show_pane("coordinator"),
    ),
    *COORDINATOR_COMMANDS,
    Command(
        "nodes",
        "Nodes",
        "Go to the Ollama nodes",
        _show_pane("nodes"),
        words=("node list", "ollama"),
    ),
    Command(
        "rpc",
        "RPC",
        "Go to the RPC backends",
        _show_pane("rpc"),
        words=("rpc list", "backends"),
    ),
    Command(
        "events",
        "Events",
        "Go to the events and routing decisions",
        _show_pane("events"),
        words=("event log",),
    ),
    Command(
        "errors",
        "Errors",
        "Show only what went wrong in the events, or all again",
        lambda app, _: app.dashboard.toggle_errors(),
    ),
    Command(
        "stats",
        "Stats",
        "Go to the figures",
        _show_pane("stats"),
        words=("metrics",),
    ),
    Command(
        "chat",
        "Chat",
        "Go to the chat and write",
        _show_pane("chat"),
    ),
    Command(
        "model",
        "Model",
        "Choose the model that answers in the chat",
        _model,
        arguments="[NAME|FILE.gguf]",
        words=("models",),
        choices=model_choices,
        files=Files((".gguf",)),
    ),
    *CHAT_COMMANDS,
    *PROMPT_COMMANDS,
    *MESSAGE_COMMANDS,
    PARALLEL,
    BATCH,
    *COMPARE_COMMANDS,
    Command(
        "stop",
        "Stop",
        "Stop the answer that is being written; its text stays",
        lambda app, _: app.dashboard.bring_chat().stop(),
    ),
    Command(
        "next",
        "Next pane",
        "Go to the next pane",
        lambda app, _: app.dashboard.step_pane(1),
    ),
    Command(
        "previous",
        "Previous pane",
        "Go to the previous pane",
        lambda app, _: app.dashboard.step_pane(-1),
    ),
    Command(
        "back",
        "Back",
        "One level back: filter, answer, prompt, zoom",
        lambda app, _: app.dashboard.go_back(),
    ),
    *NODE_COMMANDS,
    Command(
        "rpc add",
        "Add an RPC backend",
        "Add an RPC backend by its address",
        _add_backend,
        arguments="HOST:PORT",
        changes=True,
    ),
    Command(
        "rpc remove",
        "Remove an RPC backend",
        "Forget an RPC backend that was added by hand",
        _remove_backend,
        arguments="HOST:PORT",
        choices=backend_choices,
        changes=True,
    ),
    Command(
        "theme",
        "Theme",
        "Choose the colours",
        _theme,
        arguments="[NAME]",
        choices=theme_choices,
    ),
    Command(
        "quit",
        "Quit",
        "Leave; an answer that is being written is stopped",
        lambda app, _: leaving.leave(app),
        words=("q", "exit"),
    ),
)

BY_NAME: dict[str, Command] = {command.name: command for command in COMMANDS}
BY_WORD: dict[str, Command] = {
    word: command for command in COMMANDS for word in (command.name, *command.words)
}
