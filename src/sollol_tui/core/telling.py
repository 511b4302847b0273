"""What of a change people should read: the sentences of the event log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from sollol_tui.core import units
from sollol_tui.core.events import Event, ModeChosen
from sollol_tui.core.holding import free_for
from sollol_tui.core.ids import OLLAMA_PORT, coordinator_words, short_name
from sollol_tui.core.journal import Area, Level
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    NodeState,
    NodeStatus,
    RegistryStatus,
)


class Told(NamedTuple):
    """A journal line before it has a number and a time."""

    level: Level
    area: Area
    subject: str
    text: str


State = TypeVar("State", NodeState, CoordinatorState, BackendState)

_NODE_LEVELS: dict[NodeStatus, Level] = {NodeStatus.UP: "good", NodeStatus.STARTING: "info"}
_COORDINATOR_LEVELS: dict[CoordinatorStatus, Level] = {
    CoordinatorStatus.READY: "good",
    CoordinatorStatus.STARTING: "info",
    CoordinatorStatus.LOADING: "info",
    CoordinatorStatus.STOPPING: "info",
    CoordinatorStatus.STOPPED: "warn",
    CoordinatorStatus.UNKNOWN: "warn",
}
_COMING = {CoordinatorStatus.STARTING, CoordinatorStatus.LOADING}
_BACKEND_LEVELS: dict[BackendStatus, Level] = {
    BackendStatus.IDLE: "good",
    BackendStatus.ATTACHED: "good",
    BackendStatus.UNKNOWN: "info",
}


def tell(before: ClusterSnapshot, after: ClusterSnapshot, event: Event) -> list[Told]:
    """The lines that a change is worth; nothing for what merely was measured again."""
    told = [*_nodes(before, after), *_coordinators(before, after), *_backends(before, after)]
    told += _registry(before, after)
    if isinstance(event, ModeChosen) and before.mode is not after.mode:
        pinned = f", pinned to {short_name(after.pinned, OLLAMA_PORT)}" if after.pinned else ""
        told.append(Told("info", "mode", "", f"mode {before.mode} → {after.mode}{pinned}"))
    return told


def _changed(
    before: tuple[State, ...], after: tuple[State, ...]
) -> Iterator[tuple[State | None, State | None]]:
    """Pairs of what changed; None on one side for what came and what went."""
    if before is after:
        return
    old = {state[0]: state for state in before}
    for state in after:
        was = old.pop(state[0], None)
        if was is not state:
            yield was, state
    for gone in old.values():
        yield gone, None


def _nodes(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Told]:
    for was, now in _changed(before.nodes, after.nodes):
        if now is None and was is not None:
            yield Told("info", "node", was.url, f"{was.name} is no longer listed")
        if now is None or now.status is NodeStatus.UNKNOWN:
            continue
        if was is None or was.status is not now.status:
            level = _NODE_LEVELS.get(now.status, "error")
            yield Told(level, "node", now.url, f"{now.name} {_node_words(now)}")
        if was is not None and (words := _drain_words(was, now)):
            yield Told("info", "node", now.url, f"{now.name} {words}")


def _drain_words(was: NodeState, now: NodeState) -> str:
    """What became of a drain; empty when nothing did."""
    if was.drained is now.drained:
        is_through = now.drained and was.in_flight and not now.in_flight
        return "is drained: the last request there has ended" if is_through else ""
    if not now.drained:
        return "takes requests again"
    if now.in_flight:
        return f"is draining: takes no new requests, {now.in_flight} still running there"
    return "is drained: takes no new requests"


def _node_words(node: NodeState) -> str:
    if node.status is NodeStatus.UP:
        return f"is up · Ollama {node.version or '–'} · {len(node.models)} models"
    return f"is {node.status}" + (f" · {node.fault}" if node.fault else "")


def _coordinators(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Told]:
    for was, now in _changed(before.coordinators, after.coordinators):
        if now is None or (now.status is CoordinatorStatus.UNKNOWN and was is None):
            continue
        if now.offers_replan and not (was is not None and was.offers_replan):
            yield Told("info", "coordinator", now.url, _offer_words(after, now))
        known = was.status if was is not None else CoordinatorStatus.UNKNOWN
        never_there = known is CoordinatorStatus.UNKNOWN and now.status is CoordinatorStatus.STOPPED
        if known is now.status or never_there:
            continue
        level = _COORDINATOR_LEVELS.get(now.status, "error")
        several = len(after.coordinators) > 1
        which = coordinator_words(now.name) if several else "coordinator"
        yield Told(level, "coordinator", now.url, f"{which} {_coordinator_words(now)}")


def _offer_words(snapshot: ClusterSnapshot, state: CoordinatorState) -> str:
    free = free_for(snapshot, state)
    are = "is" if len(free) == 1 else "are"
    return f"{', '.join(free)} {are} free: start the coordinator again to spread the model there"


def _coordinator_words(state: CoordinatorState) -> str:
    if state.status is CoordinatorStatus.READY:
        held = units.counted(len(state.backends), "RPC backend") if state.backends else ""
        return f"is ready · {state.model or '–'}" + (f" over {held}" if held else "")
    if state.problems and state.status not in _COMING:
        how = "resting" if state.status is CoordinatorStatus.QUARANTINED else state.status
        return f"is {how} · {state.problems[0].sentence} {state.problems[0].next}"
    fault = state.fault if state.status not in _COMING else None
    return f"is {state.status}" + (f" · {fault}" if fault else "")


def _backends(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Told]:
    for was, now in _changed(before.backends, after.backends):
        if now is None and was is not None:
            yield Told("info", "backend", was.address, f"{was.address} is no longer listed")
        if now is None or (was is not None and was.status is now.status):
            continue
        if now.status is BackendStatus.UNKNOWN and now.fault is None:
            continue  # not looked at yet
        level = _BACKEND_LEVELS.get(now.status, "error")
        reason = f" · {now.fault}" if now.fault else ""
        yield Told(level, "backend", now.address, f"{now.address} is {now.status}{reason}")


def _registry(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Told]:
    was, now = before.registry, after.registry
    if now is None or (was is not None and was.status is now.status):
        return
    if now.status is RegistryStatus.UP:
        yield Told("good", "registry", now.url, "Redis registry is up")
    elif now.status is RegistryStatus.DOWN and was is not None and was.status is RegistryStatus.UP:
        yield Told("warn", "registry", now.url, f"Redis registry is down · {now.fault}")
