"""Snapshot and fact in, next snapshot out."""

from __future__ import annotations

from sollol_tui.core.events import Event
from sollol_tui.core.journal import Area, Level
from sollol_tui.core.state import ClusterSnapshot


def reduce(snapshot: ClusterSnapshot, event: Event) -> ClusterSnapshot:
    """The snapshot after the event; the same object when nothing changed."""
    return snapshot


def tell(
    before: ClusterSnapshot, after: ClusterSnapshot, event: Event
) -> list[tuple[Level, Area, str, str]]:
    """What of the change people should read: level, area, subject, sentence."""
    return []
