"""The key line and the tabs: what can be pressed here, as segments that drop out in order."""

from __future__ import annotations

from typing import Any

from textual.screen import Screen

from sollol_tui.ui.keys import PANES
from sollol_tui.ui.live_keys import LiveKey, live_keys
from sollol_tui.ui.widgets.strip import Segment

KEPT = 1000  # the priority of what is dropped last

TITLES = {
    "coordinator": "Coordinator",
    "nodes": "Nodes",
    "rpc": "RPC",
    "events": "Events",
    "stats": "Stats",
    "chat": "Chat",
}
_SHORT = {**TITLES, "coordinator": "Coord"}
_FIRST = "help"
_LAST = "quit.always"


def key_hints(
    screen: Screen[Any], idle: frozenset[str] = frozenset()
) -> tuple[list[Segment], list[Segment]]:
    """Left and right part of the key line. Help and the way out are always there; under a dialog,
    which says its own keys, only the way out works.

    Args:
        idle: commands and ids that are not worth a word, as they would do nothing now.
    """
    left, right = list[Segment](), list[Segment]()
    hints = (
        key
        for key in live_keys(screen)
        if key.is_hint and key.deed not in idle and (screen.is_active or key.id == _LAST)
    )
    for number, key in enumerate(hints):
        if key.id == _LAST:
            right.append(_hint(key, KEPT))
        elif key.command == _FIRST:
            left.insert(0, _hint(key, KEPT - 1))
        else:
            left.append(_hint(key, KEPT - 2 - number))
    return left, right


def _hint(key: LiveKey, priority: int) -> Segment:
    return Segment(((key.names[0], "key"), (f" {key.title}", "")), priority, key.deed)


def tab_segments(shown: str) -> list[Segment]:
    """The panes by their numbers, the shown one marked."""
    return [
        Segment(
            ((f" {number} {_SHORT[pane]} ", "badge" if pane == shown else "muted"),),
            KEPT if pane == shown else len(PANES) - number,
            pane,
        )
        for number, pane in enumerate(PANES, start=1)
    ]
