"""Which keys work now, from Textual's live bindings: the source of help and key line."""

from __future__ import annotations

import re
from typing import NamedTuple

from textual.binding import ActiveBinding, Binding
from textual.screen import Screen
from textual.widget import Widget

HERE = "Here"
ANYWHERE = "Anywhere"

_NAMES = {
    "up": "↑",
    "down": "↓",
    "left": "←",
    "right": "→",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "enter": "Enter",
    "escape": "Esc",
    "tab": "Tab",
    "shift+tab": "⇧Tab",
    "space": "Space",
    "delete": "Del",
    "backspace": "⌫",
}
_PRINTED = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": " ",
    "plus": "+",
    "minus": "-",
    "enter": "\n",
}
_COMMAND = re.compile(r"app\.command\('([a-z ]+)'\)")


class LiveKey(NamedTuple):
    """Keys that do one thing now. `command` is its name in the command table, if it has one."""

    id: str
    names: tuple[str, ...]
    title: str
    help: str
    group: str
    is_hint: bool
    command: str = ""


def live_keys(screen: Screen[None]) -> tuple[LiveKey, ...]:
    """What the keys do now, those of the focused widget first.

    Left out: keys that an input takes as text, and bindings that explain nothing.
    """
    found: dict[str, LiveKey] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.system or not (binding.tooltip or binding.description):
            continue
        if active.node is not screen.focused and is_typed(screen.focused, binding.key):
            continue
        id_ = binding.id or binding.action
        name = key_name(binding, screen.app.get_key_display(binding))
        if id_ in found:
            found[id_] = found[id_]._replace(names=(*found[id_].names, name))
        else:
            found[id_] = _live_key(id_, name, active, screen)
    return tuple(found.values())


def key_name(binding: Binding, display: str) -> str:
    """How a key is written: `^o`, `F1`, `⇧Tab`, `↑`."""
    return _NAMES.get(binding.key, display)


def is_typed(focused: Widget | None, key: str) -> bool:
    """Whether the focused widget takes a key as text, so that no binding gets it."""
    character = key if len(key) == 1 else _PRINTED.get(key)
    if focused is None or character is None:
        return False
    return focused.check_consume_key(key, character)


def _live_key(id_: str, name: str, active: ActiveBinding, screen: Screen[None]) -> LiveKey:
    binding = active.binding
    command = _COMMAND.fullmatch(binding.action)
    return LiveKey(
        id_,
        (name,),
        binding.description,
        binding.tooltip or binding.description,
        _group(active, screen),
        binding.show and active.enabled,
        command[1] if command else "",
    )


def _group(active: ActiveBinding, screen: Screen[None]) -> str:
    if active.binding.group and active.binding.group.description:
        return active.binding.group.description
    return ANYWHERE if active.node in (screen, screen.app) else HERE
