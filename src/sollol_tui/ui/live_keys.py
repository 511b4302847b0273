"""Which keys work now, from Textual's live bindings: the source of help and key line."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from textual.binding import ActiveBinding, Binding
from textual.screen import Screen
from textual.widget import Widget

HERE = "In this pane"
ANYWHERE = "Anywhere"
EDITING = "Editing"
"""Textual's own keys of an input."""

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
    "space": "Space",
    "delete": "Del",
    "backspace": "Bksp",
}
_MODIFIERS = {"alt": "Alt+", "shift": "Shift+", "ctrl": "^"}
_PRINTED = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "space": " ",
    "plus": "+",
    "minus": "-",
    "enter": "\n",
}
_FUNCTION_KEY = re.compile(r"f[0-9]+")
_COMMAND = re.compile(r"app\.(?:command|writing)\('([a-z ]+)'\)")


class LiveKey(NamedTuple):
    """Keys that do one thing now. `command` is its name in the command table, if it has one."""

    id: str
    names: tuple[str, ...]
    title: str
    help: str
    group: str
    is_hint: bool
    command: str = ""

    @property
    def deed(self) -> str:
        """What two keys have in common that do the same."""
        return self.command or self.id


def live_keys(screen: Screen[Any]) -> tuple[LiveKey, ...]:
    """What the keys do now, those of the focused widget first.

    Left out: keys that an input takes as text, and bindings that explain nothing.
    """
    found: dict[str, LiveKey] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.system or not (binding.tooltip or binding.description):
            continue
        if binding.key.startswith("super+"):  # hardly a terminal sends it; another key does it
            continue
        if active.node is not screen.focused and is_typed(screen.focused, binding.key):
            continue
        key = _live_key(active, screen)
        known = found.get(key.deed)
        found[key.deed] = _joined(known, key) if known else key
    return tuple(found.values())


def _joined(known: LiveKey, key: LiveKey) -> LiveKey:
    """The key that is known, with one more name."""
    return known._replace(names=tuple(dict.fromkeys(known.names + key.names)))


def key_of(screen: Screen[Any], binding_id: str) -> str:
    """How a key of the screen's own is written, whatever is open over it; empty without one."""
    chain = (binding for _, bindings in screen._binding_chain for _, binding in bindings)
    found = (binding for binding in chain if binding.id == binding_id)
    return next((key_name(b, screen.app.get_key_display(b)) for b in found), "")


def key_name(binding: Binding, display: str) -> str:
    """How a key is written: `^o`, `F1`, `Shift+Tab`, `Alt+^Bksp`, `↑`."""
    if _FUNCTION_KEY.fullmatch(binding.key):
        return binding.key.upper()
    *held, key = binding.key.split("+")
    if binding.key_display or (held in ([], ["ctrl"]) and key not in _NAMES):
        return display
    return "".join(sign for name, sign in _MODIFIERS.items() if name in held) + _NAMES.get(key, key)


def is_typed(focused: Widget | None, key: str) -> bool:
    """Whether the focused widget takes a key as text, so that no binding gets it."""
    character = key if len(key) == 1 else _PRINTED.get(key)
    if focused is None or character is None:
        return False
    return focused.check_consume_key(key, character)


def _live_key(active: ActiveBinding, screen: Screen[Any]) -> LiveKey:
    binding = active.binding
    command = _COMMAND.fullmatch(binding.action)
    return LiveKey(
        binding.id or binding.action,
        (key_name(binding, screen.app.get_key_display(binding)),),
        binding.description,
        binding.tooltip or binding.description,
        _group(active, screen),
        binding.show and active.enabled,
        command[1] if command else "",
    )


def _group(active: ActiveBinding, screen: Screen[Any]) -> str:
    if active.binding.group and active.binding.group.description:
        return active.binding.group.description
    if active.node in (screen, screen.app):
        return ANYWHERE
    return HERE if active.binding.tooltip else EDITING
