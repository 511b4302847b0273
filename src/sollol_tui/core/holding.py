"""Who holds which RPC backend, what that says of the backend, and which free ones could help."""

from __future__ import annotations

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.presence import doubt_of
from sollol_tui.core.rpc_version import compatible
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Health,
)
from sollol_tui.core.targets import name_backends

_RUNNING = {
    CoordinatorStatus.STARTING,
    CoordinatorStatus.LOADING,
    CoordinatorStatus.READY,
    CoordinatorStatus.STALLED,
    CoordinatorStatus.STOPPING,
}


def runs(coordinator: CoordinatorState) -> bool:
    """Whether a server is there, as far as is known."""
    return coordinator.status in _RUNNING


def hold_backends(snapshot: ClusterSnapshot, at_s: float) -> ClusterSnapshot:
    """The backends with who holds them.

    A running coordinator keeps one connection to each of its backends for as long as it is not
    asleep (llama.cpp RPC:2145): they are ATTACHED, and DOWN the moment that connection breaks. One
    whose host may have vanished without a word is UNKNOWN, and still held.
    """
    holders: dict[BackendAddress, CoordinatorUrl] = {}
    lost: set[BackendAddress] = set()
    for coordinator in snapshot.coordinators:
        if _holds(coordinator):
            holders.update(dict.fromkeys(coordinator.backends, coordinator.url))
            lost.update(coordinator.lost_backends)
    named = name_backends(snapshot, holders)
    registry_seen_at_s = named.registry.seen_at_s if named.registry is not None else None
    backends = tuple(
        _lost(b)
        if b.address in lost and b.attached_to is not None
        else _held(b, holders[b.address], at_s, doubt_of(b, registry_seen_at_s))
        if b.address in holders and b.address not in lost
        else _let_go(b)
        for b in named.backends
    )
    return named if backends == named.backends else named._replace(backends=backends)


def _lost(backend: BackendState) -> BackendState:
    fault = Fault(FaultKind.CUT, "its connection to the coordinator broke")
    return backend._replace(
        status=BackendStatus.DOWN, attached_to=None, fault=fault, health=Health(), host_silent=0
    )


def _held(
    backend: BackendState, holder: CoordinatorUrl, at_s: float, doubt: Fault | None
) -> BackendState:
    if doubt is not None:
        return backend._replace(status=BackendStatus.UNKNOWN, attached_to=holder, fault=doubt)
    return backend._replace(
        status=BackendStatus.ATTACHED, attached_to=holder, fault=None, seen_at_s=at_s
    )


def _let_go(backend: BackendState) -> BackendState:
    if backend.attached_to is None:
        return backend
    return backend._replace(  # to be looked at, at once
        status=BackendStatus.UNKNOWN, attached_to=None, fault=None, health=Health(), host_silent=0
    )


def _holds(coordinator: CoordinatorState) -> bool:
    """Whether it has its backends now. A process that runs has, looked at or not."""
    return (runs(coordinator) or coordinator.pid is not None) and not coordinator.sleeping


def may_probe(snapshot: ClusterSnapshot, address: BackendAddress) -> bool:
    """Whether a probe of that backend disturbs nobody: no running coordinator names it."""
    return not any(
        address in c.backends and address not in c.lost_backends and _holds(c)
        for c in snapshot.coordinators
    )


def vanished(snapshot: ClusterSnapshot, url: CoordinatorUrl) -> tuple[BackendState, ...]:
    """The backends that this coordinator holds, of which nobody knows whether they are there."""
    return tuple(
        b
        for b in snapshot.backends
        if b.attached_to == url and b.status is BackendStatus.UNKNOWN and b.fault is not None
    )


def compare_protocols(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """Idle backends against the protocol that the coordinator's backends speak.

    No endpoint of llama-server tells its RPC version; the backends that it holds were accepted
    by it, so they speak it.
    """
    spoken = next(
        (b.protocol for b in snapshot.backends if b.attached_to is not None and b.protocol), None
    )
    if spoken is None:
        return snapshot
    backends = tuple(_compared(b, spoken) for b in snapshot.backends)
    return snapshot if backends == snapshot.backends else snapshot._replace(backends=backends)


def _compared(backend: BackendState, spoken: str) -> BackendState:
    if backend.status is not BackendStatus.IDLE or backend.protocol is None:
        return backend
    if compatible(spoken, backend.protocol):
        return backend
    fault = Fault(FaultKind.PROTOCOL, f"speaks {backend.protocol}, the coordinator speaks {spoken}")
    return backend._replace(status=BackendStatus.INCOMPATIBLE, fault=fault)


def free_for(snapshot: ClusterSnapshot, coordinator: CoordinatorState) -> tuple[str, ...]:
    """The free backends that a new plan of a coordinator of ours could use and this one could not.

    Those that were free when it was planned were left out on purpose, or nothing fitted there;
    those that the settings promise to another one are that one's.
    """
    if not coordinator.supervised or coordinator.status is not CoordinatorStatus.READY:
        return ()
    left_out = coordinator.plan.left_out if coordinator.plan is not None else ()
    promised = (a for a, url in snapshot.promised if url != coordinator.url)
    used = {*coordinator.backends, *left_out, *promised}
    return tuple(
        b.address
        for b in snapshot.backends
        if b.status is BackendStatus.IDLE and b.address not in used
    )


def offer_replans(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """The coordinators, with whether a new plan would have more backends (N11)."""
    offered = tuple(
        c if c.offers_replan is (offers := bool(free_for(snapshot, c))) else _offering(c, offers)
        for c in snapshot.coordinators
    )
    same = all(a is b for a, b in zip(offered, snapshot.coordinators, strict=True))
    return snapshot if same else snapshot._replace(coordinators=offered)


def _offering(coordinator: CoordinatorState, offers: bool) -> CoordinatorState:
    return coordinator._replace(offers_replan=offers)
