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
MESSAGES = Binding.Group("Messages")


def command_key(
    keys: str, command: str, group: Binding.Group, *, id_: str = "", show: bool = False
) -> Binding:
    """The binding of a command; `id_` where it is not the command's name."""
    return _binding(keys, "command", command, group, id_, show=show)


def writing_key(key: str, command: str, group: Binding.Group, *, show: bool = False) -> Binding:
    """The binding of a command after which a text is written.

    The app takes such a key before the focused widget does, and opens what it opens before it
    takes the next key: what is typed ahead arrives where it was meant to. Where the key is text
    itself, it stays text (see `SollolApp.check_action`).
    """
    return _binding(key, "writing", command, group, "", show=show, priority=True)


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
    command_key("question_mark", "help", ANYWHERE, show=True),
    command_key("f1", "help", ANYWHERE, id_="help.anywhere", show=True),
    writing_key("colon", "command", ANYWHERE, show=True),
    writing_key("slash", "filter", ROWS, show=True),
    command_key("g", "answer", ROWS, show=True),
    command_key("m", "mode", CLUSTER, show=True),
    command_key("ctrl+o", "mode", CLUSTER, id_="mode.anywhere", show=True),
    command_key("a", "actions", ROWS, show=True),
    command_key("l", "log", ROWS, show=True),
    command_key("d", "drain", ROWS, show=True),
    command_key("ctrl+r", "sessions", CLUSTER),
    command_key("s", "sort", ROWS, show=True),
    command_key("S", "reverse", ROWS),
    command_key("z", "zoom", GO, show=True),
    command_key("p", "pause", CLUSTER, show=True),
    command_key("r", "refresh", CLUSTER, show=True),
    command_key("y", "copy", ROWS, show=True),
    command_key("e", "errors", ROWS, show=True),
    command_key("enter", "detail", ROWS),
    command_key("ctrl+p", "palette", ANYWHERE, show=True),
    command_key("T", "theme", ANYWHERE),
    *(command_key(str(n), pane, GO) for n, pane in enumerate(PANES[:-1], start=1)),
    writing_key(str(len(PANES)), PANES[-1], GO),
    command_key("tab", "next", GO),
    command_key("shift+tab", "previous", GO),
    command_key("f5", "again", MESSAGES),
    command_key("escape", "back", GO),
    command_key("q", "quit", ANYWHERE),
]
"""Keys of the dashboard. Single letters reach it only when no input has the focus."""

MESSAGE_KEYS = [
    command_key("c", "continue", MESSAGES, show=True),
    command_key("r", "retry", MESSAGES, show=True),
    command_key("R", "elsewhere", MESSAGES, show=True),
    command_key("e", "edit", MESSAGES, show=True),
    command_key("d,delete", "delete", MESSAGES, show=True),
    command_key("g", "event", MESSAGES, show=True),
    Binding(
        "escape",
        "app.command('chat')",
        "Write",
        tooltip="Back to the prompt",
        id="messages.leave",
        group=MESSAGES,
    ),
]
"""Keys of the chat's messages, for the one that is chosen."""

DIALOG_KEYS = [
    Binding("escape", "close", "Close", tooltip="Close without doing anything", id="dialog.close"),
]
