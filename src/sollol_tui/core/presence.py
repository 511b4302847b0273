"""Whether a backend that a coordinator holds is still there, when its connection cannot tell.

A host that vanishes (power, cable) sends no FIN: the coordinator's socket stays established for
hours (llama.cpp has no keepalive). A backend that serves cannot be asked. What can be asked is its
host, at another port, and the registry, for the heartbeat of its worker.
"""

from __future__ import annotations

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import BackendState

SILENT_LOOKS = 2  # one may be lost on the way
HEARTBEAT_LIMIT_S = 30.0  # a worker's entry lives no longer (`worker_entry.TTL_S`)


def doubt_of(backend: BackendState, registry_seen_at_s: float | None) -> Fault | None:
    """Why a held backend may be gone; None when nothing speaks for that.

    The host's silence counts only when it has answered before: many drop such connections. While
    it answers, a worker without heartbeat says nothing: had the backend died, the host would have
    closed its connection.
    """
    if backend.host_answered_at_s is not None:
        if backend.host_silent >= SILENT_LOOKS:
            return Fault(FaultKind.UNREACHABLE, "its host answered before and does not now")
        if backend.host_silent == 0 and not _older(backend):
            return None
    beat_at_s = backend.heartbeat_at_s
    if beat_at_s is None or registry_seen_at_s is None:
        return None
    if registry_seen_at_s - beat_at_s <= HEARTBEAT_LIMIT_S:
        return None
    return Fault(FaultKind.TIMEOUT, "the heartbeat of its worker stopped")


def _older(backend: BackendState) -> bool:
    """Whether the host was last heard of before the last heartbeat."""
    answered, beat = backend.host_answered_at_s, backend.heartbeat_at_s
    return answered is not None and beat is not None and answered < beat


def host_looked(backend: BackendState, at_s: float, answered: bool) -> BackendState:
    """The backend after a look at its host."""
    if answered:
        return backend._replace(host_answered_at_s=at_s, host_silent=0)
    return backend._replace(host_silent=backend.host_silent + 1)


def heartbeat_seen(backend: BackendState, at_s: float) -> BackendState:
    """The backend after its worker's heartbeat of that time was read; an older one is no news."""
    known = backend.heartbeat_at_s
    return backend if known is not None and known >= at_s else backend._replace(heartbeat_at_s=at_s)
