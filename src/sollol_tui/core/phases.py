"""What a coordinator, or a worker's backend, is doing."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """What a coordinator is doing, finer than its status. The words are part of the JSON."""

    PROBING = "probing"  # the backends are asked, nothing is started
    STARTING = "starting"  # the process is made
    CONNECTING = "connecting"  # it runs and has said nothing: it connects to its backends
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    STALLED = "stalled"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    QUARANTINED = "quarantined"
