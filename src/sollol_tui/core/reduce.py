"""Snapshot and fact in, next snapshot out: the only place where the cluster's state changes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sollol_tui.core import coordinators, health, holding, presence, supervised
from sollol_tui.core.events import (
    BackendLooked,
    CoordinatorLooked,
    CoordinatorStepped,
    Event,
    FirstLookEnded,
    HostLooked,
    ModeChosen,
    NodeDrained,
    NodeLooked,
    ProcessesSeen,
    RegistryLooked,
    RequestClaimed,
    RequestEnded,
    RequestMoved,
    TargetsFound,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    Health,
    NodeState,
    RegistryState,
    RegistryStatus,
    RequestState,
)
from sollol_tui.core.targets import merge_targets

State = TypeVar("State", bound=tuple[Any, ...])


def reduce(snapshot: ClusterSnapshot, event: Event) -> ClusterSnapshot:
    """The snapshot after the event. Untouched parts keep their identity."""
    step: Callable[[ClusterSnapshot, Any], ClusterSnapshot] = _STEPS[type(event)]
    after = step(snapshot, event)
    same = after.backends is snapshot.backends and after.coordinators is snapshot.coordinators
    return after if same else holding.offer_replans(after)


def swapped(
    states: tuple[State, ...], key: str, change: Callable[[State], State]
) -> tuple[State, ...]:
    """The tuple with the state of that key (its first field) changed; the same one if none."""
    for place, state in enumerate(states):
        if state[0] == key:
            after = change(state)
            return states if after == state else (*states[:place], after, *states[place + 1 :])
    return states


def _node_looked(snapshot: ClusterSnapshot, event: NodeLooked) -> ClusterSnapshot:
    def change(node: NodeState) -> NodeState:
        if isinstance(event.result, Fault):
            status, counts = health.node_failed(
                node.status, node.health, event.result, event.at_s, snapshot.rules
            )
            return node._replace(
                status=status, health=counts, fault=event.result, asked_at_s=event.at_s
            )
        report = event.result
        status, counts = health.node_answered(node.status, node.health, event.at_s, snapshot.rules)
        resting = status is node.status and node.status is not status.UP
        return node._replace(
            status=status,
            health=counts,
            fault=node.fault if resting else None,
            version=report.version or node.version,
            models=node.models if report.models == node.models else report.models,
            loaded=node.loaded if report.loaded is None else report.loaded,
            latency_ms=report.latency_ms,
            seen_at_s=event.at_s,
            asked_at_s=event.at_s,
        )

    return snapshot._replace(nodes=swapped(snapshot.nodes, event.url, change))


def _backend_looked(snapshot: ClusterSnapshot, event: BackendLooked) -> ClusterSnapshot:
    report = event.report

    def change(backend: BackendState) -> BackendState:
        if backend.attached_to is not None:
            return backend  # taken while the probe ran: the coordinator's word counts
        failed = report.status in {BackendStatus.DOWN, BackendStatus.UNKNOWN}
        counts = Health(backend.health.failures + 1 if failed else 0)
        due_at_s = health.next_look_at_s(event.at_s, counts, snapshot.rules, confirm=False)
        answered = report.status in {BackendStatus.IDLE, BackendStatus.INCOMPATIBLE}
        return backend._replace(
            status=report.status,
            protocol=report.protocol or backend.protocol,
            devices=report.devices or backend.devices,
            latency_ms=report.latency_ms if answered else backend.latency_ms,
            fault=report.fault,
            seen_at_s=event.at_s if answered else backend.seen_at_s,
            asked_at_s=event.at_s,
            health=counts._replace(next_look_at_s=due_at_s),
        )

    after = snapshot._replace(backends=swapped(snapshot.backends, event.address, change))
    return holding.compare_protocols(after)


def _registry_looked(snapshot: ClusterSnapshot, event: RegistryLooked) -> ClusterSnapshot:
    known = snapshot.registry or RegistryState(event.url)
    if isinstance(event.result, Fault):
        after = known._replace(
            status=RegistryStatus.DOWN, fault=event.result, asked_at_s=event.at_s
        )
        return snapshot._replace(registry=after)
    after = known._replace(
        status=RegistryStatus.UP, fault=None, seen_at_s=event.at_s, asked_at_s=event.at_s
    )
    backends = snapshot.backends
    for found in event.result.backends:
        if found.beats and found.age_s is not None:
            beat = partial(presence.heartbeat_seen, at_s=event.at_s - found.age_s)
            backends = swapped(backends, found.address, beat)
    return holding.hold_backends(snapshot._replace(registry=after, backends=backends), event.at_s)


def _host_looked(snapshot: ClusterSnapshot, event: HostLooked) -> ClusterSnapshot:
    def change(backend: BackendState) -> BackendState:
        return presence.host_looked(backend, event.at_s, event.answered)

    after = snapshot._replace(backends=swapped(snapshot.backends, event.address, change))
    return holding.hold_backends(after, event.at_s)


def _request_claimed(snapshot: ClusterSnapshot, event: RequestClaimed) -> ClusterSnapshot:
    request = RequestState(event.id, event.model, event.target, event.at_s)
    totals = snapshot.totals
    return _counted(snapshot, event.target, +1)._replace(
        requests=(*snapshot.requests, request),
        totals=totals._replace(requests=totals.requests + 1),
    )


def _request_moved(snapshot: ClusterSnapshot, event: RequestMoved) -> ClusterSnapshot:
    def change(request: RequestState) -> RequestState:
        first_at_s = request.first_token_at_s or (event.at_s if event.tokens else None)
        return request._replace(
            tokens=event.tokens, first_token_at_s=first_at_s, last_token_at_s=event.at_s
        )

    return snapshot._replace(requests=swapped(snapshot.requests, event.id, change))


def _request_ended(snapshot: ClusterSnapshot, event: RequestEnded) -> ClusterSnapshot:
    if not any(r.id == event.id for r in snapshot.requests):
        return snapshot
    failed = event.fault is not None and event.fault.kind is not FaultKind.STOPPED
    totals = snapshot.totals
    after = _counted(snapshot, event.target, -1)._replace(
        requests=tuple(r for r in snapshot.requests if r.id != event.id),
        totals=totals._replace(errors=totals.errors + failed, tokens=totals.tokens + event.tokens),
    )
    if failed and event.fault is not None:
        return _let_down(after, event.target, event.fault, event.at_s)
    whole = event.fault is None and event.tokens  # stopping a hung one must not call it sound
    return _served(after, event) if whole else after


def _counted(snapshot: ClusterSnapshot, target: str, change: int) -> ClusterSnapshot:
    return snapshot._replace(
        nodes=swapped(
            snapshot.nodes, target, lambda n: n._replace(in_flight=max(0, n.in_flight + change))
        ),
        coordinators=swapped(
            snapshot.coordinators,
            target,
            lambda c: c._replace(in_flight=max(0, c.in_flight + change)),
        ),
    )


def _let_down(snapshot: ClusterSnapshot, target: str, fault: Fault, at_s: float) -> ClusterSnapshot:
    def change(node: NodeState) -> NodeState:
        status, counts = health.node_let_down(node.status, node.health, fault, at_s)
        if status is node.status and counts == node.health:
            return node
        return node._replace(status=status, health=counts, fault=fault)

    return snapshot._replace(
        nodes=swapped(snapshot.nodes, target, change),
        coordinators=swapped(
            snapshot.coordinators, target, lambda c: coordinators.let_down(c, fault, at_s)
        ),
    )


def _served(snapshot: ClusterSnapshot, event: RequestEnded) -> ClusterSnapshot:
    return snapshot._replace(
        nodes=swapped(
            snapshot.nodes, event.target, lambda n: n._replace(status=health.node_served(n.status))
        ),
        coordinators=swapped(snapshot.coordinators, event.target, coordinators.served),
    )


def _mode_chosen(snapshot: ClusterSnapshot, event: ModeChosen) -> ClusterSnapshot:
    return snapshot._replace(mode=event.mode, pinned=event.pinned)


def _first_look_ended(snapshot: ClusterSnapshot, _: FirstLookEnded) -> ClusterSnapshot:
    return snapshot._replace(looked=True)


def _node_drained(snapshot: ClusterSnapshot, event: NodeDrained) -> ClusterSnapshot:
    others = tuple(url for url in snapshot.drained if url != event.url)
    return snapshot._replace(
        nodes=swapped(snapshot.nodes, event.url, lambda n: n._replace(drained=event.drained)),
        drained=(*others, event.url) if event.drained else others,
    )


_STEPS: dict[type, Any] = {
    TargetsFound: merge_targets,
    NodeLooked: _node_looked,
    CoordinatorLooked: coordinators.looked,
    CoordinatorStepped: supervised.stepped,
    ProcessesSeen: coordinators.processes_seen,
    BackendLooked: _backend_looked,
    HostLooked: _host_looked,
    RegistryLooked: _registry_looked,
    FirstLookEnded: _first_look_ended,
    ModeChosen: _mode_chosen,
    NodeDrained: _node_drained,
    RequestClaimed: _request_claimed,
    RequestMoved: _request_moved,
    RequestEnded: _request_ended,
}
