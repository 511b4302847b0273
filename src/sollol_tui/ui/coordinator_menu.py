"""What can be done with the coordinator as it is now, and whose it is."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.ids import host_of
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus, Owner
from sollol_tui.ui.panes.phases import is_coming, waits_to_retry

_FAILED = (CoordinatorStatus.FAILED, CoordinatorStatus.QUARANTINED)
_SERVING = (CoordinatorStatus.READY, CoordinatorStatus.STALLED)


class Action(NamedTuple):
    """One thing that can be done with a row, as the command line that does it."""

    line: str
    text: str
    changes: bool = False


def own_coordinator(snapshot: ClusterSnapshot) -> CoordinatorState | None:
    """The coordinator that this program looks after, running or failed."""
    return next((c for c in snapshot.coordinators if c.supervised), None)


def coordinator_actions(
    snapshot: ClusterSnapshot, shown: CoordinatorState | None
) -> tuple[Action, ...]:
    """What `a` offers on the coordinator's pane. `shown` is the one that is looked at."""
    own = own_coordinator(snapshot)
    actions = _own(own) if own is not None else _none()
    actions.append(Action("log", "The coordinator's log"))
    actions.append(Action("rpc start", "Start an RPC backend on this machine", changes=True))
    if shown is not None:
        actions.append(Action(f"refresh {shown.url}", "Look again"))
    return tuple(actions)


def _none() -> list[Action]:
    return [
        Action("coordinator start", "Start a coordinator on this machine", changes=True),
        Action("coordinator switch", "Start one with a model to choose", changes=True),
    ]


def _own(own: CoordinatorState) -> list[Action]:
    switch = Action("coordinator switch", "Run another model", changes=True)
    if is_coming(own):
        return [Action("coordinator stop", "Cancel the start", changes=True), switch]
    if own.status in _FAILED:
        again = Action("coordinator restart", "Start it again, with a new plan", changes=True)
        if not waits_to_retry(own):
            return [again, switch]
        now = Action("coordinator retry", "Try now", changes=True)
        return [now, again, switch, Action("coordinator stop", "Give it up", changes=True)]
    if own.status not in _SERVING:
        return [switch]
    offers = [
        Action("coordinator replan", "Plan again: more RPC backends are free", changes=True)
        for _ in range(own.offers_replan)
    ]
    return [
        *offers,
        Action("coordinator restart", "Restart it", changes=True),
        switch,
        Action("coordinator stop", "Stop it", changes=True),
    ]


def whose(coordinator: CoordinatorState) -> str:
    """Whose a coordinator is, and what that means; empty while nobody knows."""
    pid = f" (PID {coordinator.pid})" if coordinator.pid is not None else ""
    if coordinator.owner is Owner.REMOTE:
        where = host_of(coordinator.url)
        return f"It runs on {where}: it is watched and used, and started and stopped there."
    if coordinator.owner is Owner.ADOPTED:
        return f"Somebody else started it{pid}: it is watched and used, never stopped from here."
    if coordinator.supervised:
        return f"This program looks after it{pid}."
    if coordinator.owner is Owner.OURS:
        return f"Another sollol-tui on this machine looks after it{pid}."
    return ""
