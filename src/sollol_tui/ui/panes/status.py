"""The status strip: the whole cluster in one line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sollol_tui.core import units
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorStatus,
    NodeState,
    NodeStatus,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.ui.panes.coordinator import RUNNING, main_coordinator
from sollol_tui.ui.panes.figures import short_model, tps
from sollol_tui.ui.panes.marks import (
    BACKEND_MARKS,
    NODE_MARKS,
    REGISTRY_MARKS,
    Mark,
    coordinator_mark,
)
from sollol_tui.ui.panes.nodes import STALE_INTERVALS, node_name
from sollol_tui.ui.text import Span, fit, width
from sollol_tui.ui.widgets.strip import Segment

LATE_S = 3.0  # data is "live" until it is older than an interval and this: a look may take time
_MODEL_CELLS = 18


def status_segments(
    snapshot: ClusterSnapshot,
    now_s: float,
    *,
    decode_tps: float | None = None,
    demo: bool = False,
    read_only: bool = False,
    paused: bool = False,
    note: str = "",
    ascii_only: bool = False,
) -> tuple[list[Segment], list[Segment]]:
    """The strip's left and right segments.

    Args:
        snapshot: all that is known.
        now_s: seconds since the epoch.
        decode_tps: what our own running requests receive; None when none runs.
        demo: the cluster is the demo's.
        read_only: nothing may be changed.
        paused: nothing is looked at.
        note: a batch that goes on, in two words.
        ascii_only: no glyphs beyond ASCII.
    """
    running = len(snapshot.requests)
    errors = snapshot.totals.errors
    left = [
        _mode(snapshot),
        _coordinator(snapshot, ascii_only),
        _counted("nodes", *_nodes(snapshot.nodes), ascii_only, 8),
        _counted("rpc", *_backends(snapshot.backends), ascii_only, 7),
        Segment(_figure("run", str(running), "accent bold" if running else ""), 6, "run"),
        Segment(((tps(decode_tps), ""), (" t/s", "muted")), 4, "tps"),
        Segment(_figure("err", str(errors), "bad bold" if errors else ""), 5, "errors"),
    ]
    if note:
        left.append(Segment(((note, "accent"),), 6, "batch"))
    if snapshot.registry is not None:
        left.append(_registry(snapshot.registry, ascii_only))
    right = [_age(snapshot, now_s, paused)]
    if demo:
        right.append(Segment(((" DEMO ", "badge"),), 10, "demo"))
    if read_only:
        right.append(Segment(((" RO ", "badge"),), 9, "read-only"))
    return left, right


def _figure(label: str, text: str, style: str) -> tuple[Span, ...]:
    return ((f"{label} ", "muted"), (text, style))


def _mode(snapshot: ClusterSnapshot) -> Segment:
    spans: tuple[Span, ...] = ((f" {snapshot.mode.upper()} ", "badge"),)
    if snapshot.pinned:
        node = snapshot.node(snapshot.pinned)
        spans = (*spans, (f" {node_name(node) if node else snapshot.pinned}", ""))
    return Segment(spans, 12, "mode")


def _coordinator(snapshot: ClusterSnapshot, ascii_only: bool) -> Segment:
    coordinator = main_coordinator(snapshot.coordinators)
    if coordinator is None:
        return Segment(_figure("coord", "none", "muted"), 9, "coordinator")
    mark = coordinator_mark(coordinator)
    spans: tuple[Span, ...] = (("coord ", "muted"), mark.sign(ascii_only))
    if coordinator.status not in RUNNING or coordinator.status is not CoordinatorStatus.READY:
        spans = (*spans, (f" {mark.word}", mark.style))
    if coordinator.model and coordinator.status in RUNNING:
        name = short_model(coordinator.model)
        cells = min(width(name), _MODEL_CELLS)
        spans = (*spans, (f" {fit(name, cells)}", ""))
    return Segment(spans, 9, "coordinator")


def _counted(
    label: str, up: int, total: int, worst: Mark, ascii_only: bool, priority: int
) -> Segment:
    if not total:
        return Segment(_figure(label, "none", "muted"), priority, label)
    spans = (*_figure(label, f"{up}/{total} ", ""), worst.sign(ascii_only))
    return Segment(spans, priority, label)


_NODE_RANKS = (
    NodeStatus.DOWN,
    NodeStatus.UNAUTHORIZED,
    NodeStatus.STALLED,
    NodeStatus.SATURATED,
    NodeStatus.STARTING,
    NodeStatus.UNKNOWN,
    NodeStatus.UP,
)
_BACKEND_RANKS = (
    BackendStatus.DOWN,
    BackendStatus.INCOMPATIBLE,
    BackendStatus.UNKNOWN,
    BackendStatus.IDLE,
    BackendStatus.ATTACHED,
)


def _nodes(nodes: Sequence[NodeState]) -> tuple[int, int, Mark]:
    """How many are up, of how many, and the worst state among them."""
    statuses = {node.status for node in nodes}
    worst = next((s for s in _NODE_RANKS if s in statuses), NodeStatus.UNKNOWN)
    up = sum(node.status is NodeStatus.UP for node in nodes)
    return up, len(nodes), NODE_MARKS[worst]


def _backends(backends: Sequence[BackendState]) -> tuple[int, int, Mark]:
    """How many serve or could, of how many, and the worst state among them."""
    statuses = {backend.status for backend in backends}
    worst = next((s for s in _BACKEND_RANKS if s in statuses), BackendStatus.UNKNOWN)
    good = (BackendStatus.IDLE, BackendStatus.ATTACHED)
    return sum(b.status in good for b in backends), len(backends), BACKEND_MARKS[worst]


def _registry(registry: RegistryState, ascii_only: bool) -> Segment:
    mark = REGISTRY_MARKS[registry.status]
    spans: tuple[Span, ...] = (("redis ", "muted"), mark.sign(ascii_only))
    if registry.status is RegistryStatus.OFF:
        spans = _figure("redis", "off", "muted")
    return Segment(spans, 7 if registry.status is RegistryStatus.DOWN else 3, "redis")


def oldest_seen_at_s(snapshot: ClusterSnapshot) -> float | None:
    """When the target was seen that was not seen for the longest time, of those that answer.

    What is down or held by a coordinator is looked at rarely or not at all, and counts for
    nothing here.
    """
    seen: Iterable[float | None] = [
        *(n.seen_at_s for n in snapshot.nodes if n.status is NodeStatus.UP),
        *(c.seen_at_s for c in snapshot.coordinators if c.status is CoordinatorStatus.READY),
        *(b.seen_at_s for b in snapshot.backends if b.status is BackendStatus.IDLE),
    ]
    return min((at_s for at_s in seen if at_s is not None), default=None)


def _age(snapshot: ClusterSnapshot, now_s: float, paused: bool) -> Segment:
    """`live` while every answer is as new as it can be, so that a healthy strip does not tick."""
    seen_at_s = oldest_seen_at_s(snapshot)
    interval_s = snapshot.rules.interval_s
    age_s = None if seen_at_s is None else max(0.0, now_s - seen_at_s)
    if age_s is not None and age_s > STALE_INTERVALS * interval_s:
        spans: tuple[Span, ...] = ((f"STALE {units.span(age_s)}", "warn bold"),)
    elif not snapshot.looked:
        spans = (("looking …", "muted"),)
    elif age_s is None:
        spans = (("no answers", "muted"),)
    elif age_s <= interval_s + LATE_S:
        spans = (("live", "good"),)
    else:
        spans = ((f"{units.span(age_s)} ago", "muted"),)
    if paused:
        spans = (("PAUSED ", "warn bold"), *spans)
    return Segment(spans, 11, "age")
