"""A snapshot as the JSON that `status --json` promises (schema 1, described in the README).

`null` is unknown. A list that nobody told of is `null` too; an empty one means there is nothing.
"""

from __future__ import annotations

from math import isfinite

from sollol_tui.core.faults import Fault
from sollol_tui.core.plain import without_password
from sollol_tui.core.state import (
    BackendState,
    ClusterSnapshot,
    CoordinatorState,
    NodeState,
    RegistryState,
    RegistryStatus,
)

SCHEMA = 1


def status_json(snapshot: ClusterSnapshot, at_s: float) -> dict[str, object]:
    """The whole snapshot, as values that `json.dumps` takes. `at_s` is when it was looked."""
    return {
        "schema": SCHEMA,
        "at": round(at_s, 3),
        "mode": snapshot.mode.value,
        "coordinators": [coordinator_json(c) for c in snapshot.coordinators],
        "nodes": [_node(n) for n in snapshot.nodes],
        "backends": [_backend(b) for b in snapshot.backends],
        "registry": _registry(snapshot.registry),
    }


def finite(number: float | None, digits: int = 3) -> float | None:
    """A measured number as JSON can hold it: rounded, and null when it is no number."""
    if number is None or not isfinite(number):
        return None
    return round(number, digits) + 0.0  # -0.0 is no figure for people


def coordinator_json(state: CoordinatorState) -> dict[str, object]:
    """One coordinator."""
    # Which backends it holds is known from its process; of a remote one, only when it is told.
    told = bool(state.backends) or state.pid is not None
    return {
        "url": state.url,
        "status": state.status.value,
        "owner": state.owner.value if state.owner else None,
        "pid": state.pid,
        "model": state.model,
        "context_tokens": state.context_tokens,
        "slots": {"busy": state.slots_busy, "total": state.slots_total},
        "backends": list(state.backends) if told else None,
        "sources": list(state.sources),
        "error": _error(state.fault),
    }


def _node(state: NodeState) -> dict[str, object]:
    told = state.seen_at_s is not None
    return {
        "url": state.url,
        "status": state.status.value,
        "version": state.version,
        "models": [model.name for model in state.models] if told else None,
        "loaded": [
            {
                "name": model.name,
                "bytes": model.bytes,
                "vram_bytes": model.vram_bytes,
                "context_tokens": model.context_tokens,
                "expires_at": finite(model.expires_at_s),
            }
            for model in state.loaded
        ]
        if told
        else None,
        "in_flight": state.in_flight,
        "latency_ms": finite(state.latency_ms, 1),
        "sources": list(state.sources),
        "error": _error(state.fault),
    }


def _backend(state: BackendState) -> dict[str, object]:
    devices = [{"total_bytes": d.total_bytes, "free_bytes": d.free_bytes} for d in state.devices]
    return {
        "address": state.address,
        "status": state.status.value,
        "protocol": state.protocol,
        "devices": devices or None,  # every backend has a device: none told is unknown
        "sources": list(state.sources),
        "error": _error(state.fault),
    }


def _registry(state: RegistryState | None) -> dict[str, object]:
    if state is None:
        return {"url": None, "status": RegistryStatus.OFF.value, "error": None}
    return {
        "url": without_password(state.url) or None,
        "status": state.status.value,
        "error": _error(state.fault),
    }


def _error(fault: Fault | None) -> str | None:
    return str(fault) if fault else None
