"""What of the configured cluster does not answer: the exit code of `status`.

Configured is what anybody named to us: a file, a variable, a flag, a registry, a hand. What was
looked at because it is the usual place on this machine, because it runs here, or because a
coordinator's `--rpc` names it, is not.
"""

from __future__ import annotations

from collections.abc import Iterator

from sollol_tui.core.faults import FaultKind
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorStatus,
    NodeStatus,
    RegistryStatus,
)

_UNASKED = ("localhost", "process", "coordinator")

_NODE_ANSWERS = (NodeStatus.UP, NodeStatus.STARTING, NodeStatus.SATURATED)
_COORDINATOR_ANSWERS = (
    CoordinatorStatus.READY,
    CoordinatorStatus.STARTING,
    CoordinatorStatus.LOADING,
)
_NEVER_REACHED = (FaultKind.UNREACHABLE, FaultKind.NAME)


def is_configured(sources: tuple[str, ...]) -> bool:
    """Whether anybody named the target to us."""
    return any(source not in _UNASKED for source in sources)


def configured(snapshot: ClusterSnapshot, registry_is_configured: bool) -> list[str]:
    """URLs and addresses of all that is configured."""
    found: list[str] = [c.url for c in snapshot.coordinators if is_configured(c.sources)]
    found += [n.url for n in snapshot.nodes if is_configured(n.sources)]
    found += [b.address for b in snapshot.backends if is_configured(b.sources)]
    if registry_is_configured and snapshot.registry is not None:
        found.append(snapshot.registry.url)
    return found


def silent(snapshot: ClusterSnapshot, registry_is_configured: bool) -> list[str]:
    """URLs and addresses of what is configured and does not answer as it should."""
    wanted = set(configured(snapshot, registry_is_configured))
    return [name for name in _silent(snapshot) if name in wanted]


def _silent(snapshot: ClusterSnapshot) -> Iterator[str]:
    for coordinator in snapshot.coordinators:
        if coordinator.status not in _COORDINATOR_ANSWERS:
            yield coordinator.url
    for node in snapshot.nodes:
        if node.status not in _NODE_ANSWERS:
            yield node.url
    for backend in snapshot.backends:
        if not _backend_is_well(backend):
            yield backend.address
    if snapshot.registry is not None and snapshot.registry.status is not RegistryStatus.UP:
        yield snapshot.registry.url


def _backend_is_well(backend: BackendState) -> bool:
    """A backend that accepts and says nothing serves somebody else: one client at a time."""
    if backend.status is BackendStatus.UNKNOWN:
        return backend.fault is not None and backend.fault.kind not in _NEVER_REACHED
    return backend.status in (BackendStatus.IDLE, BackendStatus.ATTACHED)
