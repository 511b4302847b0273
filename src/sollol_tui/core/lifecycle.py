"""The life of a coordinator: its states and phases, which moves are legal, when to try again."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause
from sollol_tui.core.state import CoordinatorStatus as Status

BACKOFF_FIRST_S, BACKOFF_MAX_S = 1.0, 60.0
FAILURES_TO_QUARANTINE = 5
FAILURE_WINDOW_S = 300.0
QUARANTINE_S = 300.0
LOAD_DEADLINE_S = 300.0
LOAD_DEADLINE_PER_GIB_S = 20.0
_GIB = 1 << 30


# From a look at a server that nobody here started, anything may follow.
_FOUND = {Status.STARTING, Status.LOADING, Status.READY, Status.STALLED, Status.STOPPED}
_MOVES: dict[Status, frozenset[Status]] = {
    Status.UNKNOWN: frozenset(_FOUND | {Status.FAILED, Status.QUARANTINED}),
    Status.STOPPED: frozenset(_FOUND - {Status.STOPPED} | {Status.FAILED, Status.UNKNOWN}),
    Status.STARTING: frozenset({Status.LOADING, Status.READY, Status.STOPPING, Status.FAILED}),
    Status.LOADING: frozenset({Status.READY, Status.STALLED, Status.STOPPING, Status.FAILED}),
    # A sleeping server loads again; one that somebody else runs may end without a failure of ours.
    Status.READY: frozenset(
        {Status.STALLED, Status.LOADING, Status.STOPPING, Status.STOPPED, Status.FAILED}
    ),
    Status.STALLED: frozenset({Status.READY, Status.STOPPING, Status.STOPPED, Status.FAILED}),
    Status.STOPPING: frozenset({Status.STOPPED, Status.STARTING, Status.FAILED}),
    Status.FAILED: frozenset({Status.STARTING, Status.STOPPED, Status.QUARANTINED}),
    Status.QUARANTINED: frozenset({Status.STARTING, Status.STOPPED}),
}


# What another try cannot mend.
_NEEDS_A_PERSON = frozenset(
    {
        Cause.NO_BINARY,
        Cause.NO_RPC_SUPPORT,
        Cause.PORT_TAKEN,
        Cause.MODEL_NOT_FOUND,
        Cause.MODEL_UNREADABLE,
        Cause.MODEL_CORRUPT,
        Cause.MODEL_REFUSED,
    }
)
_OTHERS_MAY_CARRY_IT = frozenset(
    {
        Cause.BACKEND_LOST,
        Cause.BACKEND_REFUSED,
        Cause.BACKEND_UNREACHABLE,
        Cause.BACKEND_BUSY,
    }
)


def tries_again(cause: Cause, *, served: bool, ran: bool) -> bool:
    """Whether another start may go better without anybody's help.

    One that `served` is wanted back, whatever stopped it. A first start is tried again only when it
    `ran` and a backend failed under it: the next plan is made without that one.
    """
    if cause in _NEEDS_A_PERSON:
        return False
    return served or (ran and cause in _OTHERS_MAY_CARRY_IT)


def may_move(old: Status, new: Status) -> bool:
    """Whether one status may follow the other; staying is legal."""
    return new is old or new in _MOVES[old]


def next_backoff_s(failures: int) -> float:
    """How long to wait after so many failures in a row: 1, 2, 4 … 60 s; none after none."""
    if failures <= 0:
        return 0.0
    return min(BACKOFF_FIRST_S * 2.0 ** min(failures - 1, 16), BACKOFF_MAX_S)


def load_deadline_s(model_bytes: int) -> float:
    """How long loading may take: five minutes, and 20 s for each GiB of the model."""
    return LOAD_DEADLINE_S + LOAD_DEADLINE_PER_GIB_S * model_bytes / _GIB


def remaining_s(progress: float | None, elapsed_s: float) -> float | None:
    """How long loading will still take, from how far it is; None while that is a guess."""
    if progress is None or not 0.05 <= progress <= 1.0 or elapsed_s <= 0:
        return None
    return elapsed_s * (1.0 - progress) / progress


class RestartHistory(NamedTuple):
    """The failures of the last five minutes, oldest first; times come from one steady clock."""

    failed_at_s: tuple[float, ...] = ()

    def failed(self, now_s: float) -> RestartHistory:
        """The history after one more failure; what is older than the window is forgotten."""
        recent = (t for t in self.failed_at_s if now_s - t < FAILURE_WINDOW_S)
        return RestartHistory((*recent, now_s))

    def reset(self) -> RestartHistory:
        """The history after somebody said: try now."""
        return RestartHistory()

    @property
    def gives_up(self) -> bool:
        """Whether it failed so often that it has to rest."""
        return len(self.failed_at_s) >= FAILURES_TO_QUARANTINE

    def start_at_s(self) -> float | None:
        """When the next start is due; None: now, nothing failed."""
        if not self.failed_at_s:
            return None
        pause_s = QUARANTINE_S if self.gives_up else next_backoff_s(len(self.failed_at_s))
        return self.failed_at_s[-1] + pause_s

    def pause_s(self, cause: Cause) -> float:
        """How long to wait after the last failure.

        Nothing for the first, when a backend was to blame: the next plan is made without it.
        """
        failures = len(self.failed_at_s)
        if self.gives_up:
            return QUARANTINE_S
        return next_backoff_s(failures - 1 if cause in _OTHERS_MAY_CARRY_IT else failures)

    def wait_s(self, now_s: float) -> float:
        """How long until the next start; 0 when it is due."""
        due_s = self.start_at_s()
        return 0.0 if due_s is None else max(due_s - now_s, 0.0)


def phase_json(
    at_s: float,
    phase: Phase,
    progress: float | None = None,
    pid: int | None = None,
    url: str | None = None,
) -> dict[str, object]:
    """The event that `coordinator run --json` prints for a phase."""
    return {
        "at": at_s,
        "event": "phase",
        "phase": phase.value,
        "progress": progress,
        "pid": pid,
        "url": url,
    }
