"""Every key of the program: its id (for remapping), its command, its group in the help.

What a key does, says and is called comes from the command table. Left out are keys that terminals
swallow or turn into others: ^I ^M ^H are Tab, Enter, Backspace; Alt+Enter is Enter; ^B and ^A
belong to tmux and screen; ^S may stop the output.
"""

from __future__ import annotations

from textual.binding import Binding

from sollol_tui.ui.commands import BY_NAME

PANES = ("coordinator", "nodes", "rpc", "events", "stats", "chat")
"""The panes in the order of their numbers, from 1."""

ANYWHERE = Binding.Group("Anywhere")
GO = Binding.Group("Panes")
ROWS = Binding.Group("Rows")
CLUSTER = Binding.Group("Cluster")
LIST = Binding.Group("In a list")
DIALOG = Binding.Group("In a dialog")


def command_key(
    keys: str,
    command: str,
    group: Binding.Group,
    *,
    name: str = "",
    show: bool = False,
    priority: bool = False,
) -> Binding:
    """The binding of a command; `name` tells two bindings of one command apart."""
    entry = BY_NAME[command]
    return Binding(
        keys,
        f"app.command('{command}')",
        entry.title,
        tooltip=entry.help,
        id=name or command.replace(" ", "."),
        group=group,
        show=show,
        priority=priority,
    )


APP_KEYS = [
    command_key("ctrl+q", "quit", ANYWHERE, name="quit.always", show=True, priority=True),
    Binding("ctrl+c", "help_quit", "", id="quit.hint", show=False, system=True),
]
"""Keys that work everywhere, dialogs and inputs included."""

DASHBOARD_KEYS = [
    command_key("question_mark,f1", "help", ANYWHERE, show=True),
    command_key("colon", "command", ANYWHERE, show=True),
    command_key("slash", "filter", ROWS, show=True),
    command_key("m,ctrl+o", "mode", CLUSTER, show=True),
    command_key("s", "sort", ROWS, show=True),
    command_key("S", "reverse", ROWS),
    command_key("z", "zoom", GO, show=True),
    command_key("p", "pause", CLUSTER, show=True),
    command_key("r", "refresh", CLUSTER, show=True),
    command_key("y", "copy", ROWS, show=True),
    command_key("a", "actions", ROWS, show=True),
    command_key("ctrl+p", "palette", ANYWHERE, show=True),
    command_key("T", "theme", ANYWHERE),
    *(command_key(str(number), pane, GO) for number, pane in enumerate(PANES, start=1)),
    command_key("tab", "next", GO),
    command_key("shift+tab", "previous", GO),
    command_key("escape", "back", GO),
    command_key("q", "quit", ANYWHERE),
]
"""Keys of the dashboard. Single letters reach it only when no input has the focus."""

DIALOG_KEYS = [
    Binding("escape", "close", "Close", tooltip="Close without doing anything", id="dialog.close"),
]
