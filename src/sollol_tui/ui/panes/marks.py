"""A state as glyph, word and colour: never by colour alone, in ASCII where glyphs are missing."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.state import (
    BackendStatus,
    CoordinatorState,
    CoordinatorStatus,
    NodeState,
    NodeStatus,
    RegistryStatus,
)
from sollol_tui.ui.text import Span


class Mark(NamedTuple):
    """How a state is shown. The word has at most ten letters: it stands in narrow columns."""

    glyph: str
    ascii: str
    word: str
    style: str

    def sign(self, ascii_only: bool = False) -> Span:
        """The glyph alone."""
        return (self.ascii if ascii_only else self.glyph, self.style)

    def text(self, ascii_only: bool = False) -> str:
        """Glyph and word."""
        return f"{self.sign(ascii_only)[0]} {self.word}"

    def span(self, ascii_only: bool = False) -> Span:
        return (self.text(ascii_only), self.style)


def _good(word: str, glyph: str = "●") -> Mark:
    return Mark(glyph, "[ok]", word, "good")


def _soon(word: str) -> Mark:
    return Mark("◐", "[..]", word, "accent")


def _warn(word: str) -> Mark:
    return Mark("▲", "[!!]", word, "warn")


def _bad(word: str) -> Mark:
    return Mark("✗", "[XX]", word, "bad")


def _calm(word: str) -> Mark:
    return Mark("○", "[--]", word, "")


UNKNOWN = Mark("?", "[??]", "unknown", "muted")
DRAINED = Mark("○", "[--]", "drained", "muted")
DRAINING = _soon("draining")
SLEEPING = Mark("○", "[--]", "sleeping", "muted")

NODE_MARKS = {
    NodeStatus.UP: _good("up"),
    NodeStatus.STARTING: _soon("starting"),
    NodeStatus.STALLED: _warn("stalled"),
    NodeStatus.SATURATED: _warn("full"),
    NodeStatus.UNAUTHORIZED: _bad("denied"),
    NodeStatus.DOWN: _bad("down"),
    NodeStatus.UNKNOWN: UNKNOWN,
}

BACKEND_MARKS = {
    BackendStatus.IDLE: _calm("idle"),
    BackendStatus.ATTACHED: _good("attached", "◆"),
    BackendStatus.DOWN: _bad("down"),
    BackendStatus.UNKNOWN: UNKNOWN,
    BackendStatus.INCOMPATIBLE: _warn("mismatch"),
}

COORDINATOR_MARKS = {
    CoordinatorStatus.UNKNOWN: UNKNOWN,
    CoordinatorStatus.STOPPED: Mark("○", "[--]", "stopped", "muted"),
    CoordinatorStatus.STARTING: _soon("starting"),
    CoordinatorStatus.LOADING: _soon("loading"),
    CoordinatorStatus.READY: _good("ready"),
    CoordinatorStatus.STALLED: _warn("stalled"),
    CoordinatorStatus.STOPPING: _soon("stopping"),
    CoordinatorStatus.FAILED: _bad("failed"),
    CoordinatorStatus.QUARANTINED: _bad("resting"),
}

REGISTRY_MARKS = {
    RegistryStatus.UP: _good("up"),
    RegistryStatus.DOWN: _bad("down"),
    RegistryStatus.UNKNOWN: UNKNOWN,
    RegistryStatus.OFF: Mark("○", "[--]", "off", "muted"),
}

LEVEL_MARKS = {
    "info": Mark("·", "[--]", "info", "muted"),
    "good": _good("good"),
    "warn": _warn("warning"),
    "error": _bad("error"),
}


def node_mark(node: NodeState) -> Mark:
    """A node that is up and takes nothing new is drained, as soon as nothing of ours runs there."""
    if node.drained and node.status is NodeStatus.UP:
        return DRAINING if node.in_flight else DRAINED
    return NODE_MARKS[node.status]


def coordinator_mark(coordinator: CoordinatorState) -> Mark:
    """A ready coordinator that unloaded its model sleeps."""
    if coordinator.sleeping and coordinator.status is CoordinatorStatus.READY:
        return SLEEPING
    return COORDINATOR_MARKS[coordinator.status]
