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
    keys: str, command: str, group: Binding.Group, *, id_: str = "", show: bool = False
) -> Binding:
    """The binding of a command; `id_` where it is not the command's name."""
    return _binding(keys, "command", command, group, id_, show=show)


def letter(
    key: str, command: str, group: Binding.Group, *, show: bool = False, id_: str = ""
) -> Binding:
    """The binding of a command to a key that inputs take as text: it works outside of them.

    The app takes it before the focused widget does, and opens what it opens before it takes the
    next key: what is typed ahead arrives where it was meant to (see `SollolApp.check_action`).
    """
    return _binding(key, "letter", command, group, id_, show=show, priority=True)


def _binding(
    keys: str,
    action: str,
    command: str,
    group: Binding.Group,
    id_: str,
    *,
    show: bool,
    priority: bool = False,
) -> Binding:
    entry = BY_NAME[command]
    return Binding(
        keys,
        f"app.{action}('{command}')",
        entry.title,
        tooltip=entry.help,
        id=id_ or command,
        group=group,
        show=show,
        priority=priority,
    )


APP_KEYS = [
    Binding(
        "ctrl+q",
        "quit",
        "Quit",
        tooltip="Leave at once, from anywhere",
        id="quit.always",
        group=ANYWHERE,
        priority=True,
    ),
    Binding("ctrl+c", "help_quit", "", id="quit.hint", show=False, system=True),
]
"""Keys that work everywhere, dialogs and inputs included."""

DASHBOARD_KEYS = [
    letter("question_mark", "help", ANYWHERE, show=True),
    command_key("f1", "help", ANYWHERE, id_="help.anywhere", show=True),
    letter("colon", "command", ANYWHERE, show=True),
    letter("slash", "filter", ROWS, show=True),
    letter("m", "mode", CLUSTER, show=True),
    command_key("ctrl+o", "mode", CLUSTER, id_="mode.anywhere", show=True),
    letter("s", "sort", ROWS, show=True),
    letter("S", "reverse", ROWS),
    letter("z", "zoom", GO, show=True),
    letter("p", "pause", CLUSTER, show=True),
    letter("r", "refresh", CLUSTER, show=True),
    letter("y", "copy", ROWS, show=True),
    letter("a", "actions", ROWS, show=True),
    letter("e", "errors", ROWS, show=True),
    command_key("enter", "detail", ROWS),
    command_key("ctrl+p", "palette", ANYWHERE, show=True),
    letter("T", "theme", ANYWHERE),
    *(letter(str(number), pane, GO) for number, pane in enumerate(PANES, start=1)),
    command_key("tab", "next", GO),
    command_key("shift+tab", "previous", GO),
    command_key("escape", "back", GO),
    letter("q", "quit", ANYWHERE),
]
"""Keys of the dashboard. Single letters reach it only when no input has the focus."""

DIALOG_KEYS = [
    Binding("escape", "close", "Close", tooltip="Close without doing anything", id="dialog.close"),
]
