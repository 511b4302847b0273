"""How many requests the cluster can work on at once, as far as that is known."""

from __future__ import annotations

from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode, NodeStatus

MOST_PARALLEL = 256
"""More requests than that are not made at the same time."""


def capacity(snapshot: ClusterSnapshot, mode: Mode) -> int:
    """Places for requests in that mode, one at least.

    A node counts once: what Ollama does in parallel (`OLLAMA_NUM_PARALLEL`) it tells nobody, and
    its default is one. A coordinator counts its slots.
    """
    nodes = [n for n in snapshot.nodes if n.status is NodeStatus.UP and not n.drained]
    if mode is Mode.OFF and snapshot.pinned:
        nodes = [n for n in nodes if n.url == snapshot.pinned]
    ready = [c for c in snapshot.coordinators if c.status is CoordinatorStatus.READY]
    slots = sum(c.slots_total or 1 for c in ready)
    places = {
        Mode.TASK: len(nodes),
        Mode.OFF: len(nodes),
        Mode.MODEL: slots,
        Mode.BOTH: len(nodes) + slots,
    }
    return max(1, places[mode])
