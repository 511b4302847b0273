"""What can be done with the coordinator as it is now, and whose it is."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.holding import runs
from sollol_tui.core.ids import COORDINATOR_PORT, host_of, short_name
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus, Owner
from sollol_tui.ui.panes.coordinator import coordinator_name, main_coordinator
from sollol_tui.ui.panes.phases import is_coming, waits_to_retry

_FAILED = (CoordinatorStatus.FAILED, CoordinatorStatus.QUARANTINED)
_SERVING = (CoordinatorStatus.READY, CoordinatorStatus.STALLED)


class Action(NamedTuple):
    """One thing that can be done with a row, as the command line that does it."""

    line: str
    text: str
    changes: bool = False


def own_coordinators(snapshot: ClusterSnapshot) -> tuple[CoordinatorState, ...]:
    """The coordinators that this program looks after, running or failed."""
    return tuple(c for c in snapshot.coordinators if c.supervised)


def own_coordinator(snapshot: ClusterSnapshot, named: str = "") -> CoordinatorState | None:
    """The one of them that is named, by name or URL; without a name the one that is shown."""
    own = own_coordinators(snapshot)
    if not named:
        return main_coordinator(own)
    url = coordinator_called(snapshot, named)
    return next((c for c in own if c.url == url), None)


def coordinator_called(snapshot: ClusterSnapshot, text: str) -> str | None:
    """The URL of the coordinator that a name, a short name or a URL means."""
    wanted = text.strip().casefold()
    for coordinator in snapshot.coordinators:
        short = short_name(coordinator.url, COORDINATOR_PORT)
        if wanted in (coordinator.url, coordinator.name.casefold(), short):
            return coordinator.url
    return next((url for url in snapshot.own_places if wanted == url), None)


def coordinator_actions(
    snapshot: ClusterSnapshot, shown: CoordinatorState | None
) -> tuple[Action, ...]:
    """What `a` offers on the coordinator's pane. `shown` is the one that is looked at."""
    own = own_coordinator(snapshot)
    actions = _own(own) if own is not None else _none()
    for other in own_coordinators(snapshot):
        if other is not own:
            actions += _other(other)
    actions += _free(snapshot)
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


def _other(own: CoordinatorState) -> list[Action]:
    """What can be done with another one of ours than the one that is shown."""
    name, at = coordinator_name(own), f" {own.url}"
    if is_coming(own):
        return [Action(f"coordinator stop{at}", f"{name}: cancel the start", changes=True)]
    again = Action(f"coordinator restart{at}", f"{name}: restart it", changes=True)
    stop = Action(f"coordinator stop{at}", f"{name}: stop it", changes=True)
    log = Action(f"log{at}", f"{name}: its log")
    if waits_to_retry(own):
        return [
            Action(f"coordinator retry{at}", f"{name}: try now", changes=True),
            again,
            stop,
            log,
        ]
    return [again, stop, log] if own.status in _SERVING else [again, log]


def _free(snapshot: ClusterSnapshot) -> list[Action]:
    """The places of ours where nothing runs; the usual one goes without saying."""
    kept_up = {c.url for c in own_coordinators(snapshot)}
    usual = snapshot.own_places[:1] if not kept_up else ()
    found = []
    for url in snapshot.own_places:
        state = snapshot.coordinator(url)
        is_free = state is None or not (state.supervised or runs(state))
        if is_free and url not in usual:
            name = coordinator_name(state) if state is not None else short_name(url, 0)
            found.append(Action(f"coordinator start {url}", f"{name}: start it", changes=True))
    return found


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
