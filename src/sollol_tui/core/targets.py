"""Which targets there are and who says so: merging what the sources tell, keeping provenance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from sollol_tui.core.events import TargetsFound
from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, BackendAddress, short_name
from sollol_tui.core.reports import FoundNode
from sollol_tui.core.state import (
    BackendState,
    ClusterSnapshot,
    CoordinatorState,
    NodeState,
)

Target = TypeVar("Target", NodeState, CoordinatorState, BackendState)
Found = TypeVar("Found")


def merge_targets(snapshot: ClusterSnapshot, event: TargetsFound) -> ClusterSnapshot:
    """The snapshot with what one source says now in place of what it said before.

    A target that no source names any more is gone, unless it is in use.
    """
    nodes = _merged(
        snapshot.nodes,
        {n.url: n for n in event.nodes},
        event.source,
        lambda found: _new_node(found, snapshot),
        _tell_node,
    )
    coordinators = _merged(
        snapshot.coordinators,
        {c.url: c for c in event.coordinators},
        event.source,
        lambda found: CoordinatorState(found.url, short_name(found.url, COORDINATOR_PORT)),
        lambda state, found: state._replace(name=found.name or state.name),
    )
    backends = _merged(
        snapshot.backends,
        {b.address: b for b in event.backends},
        event.source,
        lambda found: BackendState(found.address),
        lambda state, found: state._replace(told=found.told or state.told),
    )
    return snapshot._replace(
        nodes=_kept(snapshot.nodes, nodes),
        coordinators=_kept(snapshot.coordinators, coordinators),
        backends=_kept(snapshot.backends, backends),
    )


def name_backends(
    snapshot: ClusterSnapshot, addresses: Iterable[BackendAddress]
) -> ClusterSnapshot:
    """The snapshot with the backends that running coordinators hold, found or not."""
    known = {b.address for b in snapshot.backends}
    added = [
        BackendState(address, ("coordinator",))
        for address in dict.fromkeys(addresses)
        if address not in known
    ]
    if not added:
        return snapshot
    backends = sorted((*snapshot.backends, *added), key=lambda b: b.address)
    return snapshot._replace(backends=tuple(backends))


def _new_node(found: FoundNode, snapshot: ClusterSnapshot) -> NodeState:
    name = short_name(found.url, OLLAMA_PORT)
    return NodeState(found.url, name, drained=found.url in snapshot.drained)


def _tell_node(state: NodeState, found: FoundNode) -> NodeState:
    return state._replace(
        name=found.name or state.name,
        weight=found.weight if found.weight != 1.0 else state.weight,
        gpu=found.gpu or state.gpu,
        vram_total_bytes=_first(found.vram_total_bytes, state.vram_total_bytes),
        vram_free_bytes=_first(found.vram_free_bytes, state.vram_free_bytes),
    )


def _first(new: int | None, old: int | None) -> int | None:
    return old if new is None else new


def _merged(
    states: tuple[Target, ...],
    found: Mapping[str, Found],
    source: str,
    make: Callable[[Found], Target],
    tell: Callable[[Target, Found], Target],
) -> list[Target]:
    """The states with `source` given to those found and taken from the rest."""
    merged: list[Target] = []
    rest = dict(found)
    for known in states:
        statement = rest.pop(known[0], None)
        state = known if statement is None else tell(known, statement)
        sources = _sources_after(known.sources, source, statement is not None)
        if sources or _in_use(state):
            merged.append(state if sources == state.sources else state._replace(sources=sources))
    merged += [tell(make(said), said)._replace(sources=(source,)) for said in rest.values()]
    return merged


def _sources_after(sources: tuple[str, ...], source: str, says_so: bool) -> tuple[str, ...]:
    others = {name for name in sources if name != source}
    return tuple(sorted({*others, source} if says_so else others))


def _in_use(state: NodeState | CoordinatorState | BackendState) -> bool:
    if isinstance(state, BackendState):
        return state.attached_to is not None
    return state.in_flight > 0


def _kept(before: tuple[Target, ...], after: list[Target]) -> tuple[Target, ...]:
    """The new tuple in order of name, or the old one when nothing changed."""
    ordered = tuple(sorted(after, key=_order))
    return before if ordered == before else ordered


def _order(state: NodeState | CoordinatorState | BackendState) -> tuple[str, str]:
    return (state.address, "") if isinstance(state, BackendState) else (state.name, state.url)
