"""What facts mean for the coordinator that this program starts and watches itself.

Its supervisor knows how it is: looks from outside say how fast it answers, and whether it hangs.
"""

from __future__ import annotations

from sollol_tui.core.events import CoordinatorStepped
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.holding import hold_backends, vanished
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, host_of, port_of
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import ServerProcess
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Owner,
)

GONE = {CoordinatorStatus.STOPPED, CoordinatorStatus.FAILED, CoordinatorStatus.QUARANTINED}
_STATUSES = {
    "probing": CoordinatorStatus.STARTING,
    "starting": CoordinatorStatus.STARTING,
    "connecting": CoordinatorStatus.STARTING,
    "loading": CoordinatorStatus.LOADING,
    "warming": CoordinatorStatus.LOADING,
    "ready": CoordinatorStatus.READY,
    "stalled": CoordinatorStatus.STALLED,
    "stopping": CoordinatorStatus.STOPPING,
    "stopped": CoordinatorStatus.STOPPED,
    "failed": CoordinatorStatus.FAILED,
    "quarantined": CoordinatorStatus.QUARANTINED,
}


def status_of(phase: str) -> CoordinatorStatus:
    """The status that the snapshot shows in a phase (`core.lifecycle.Phase`)."""
    return _STATUSES[phase]


def stepped(snapshot: ClusterSnapshot, event: CoordinatorStepped) -> ClusterSnapshot:
    """The supervisor moved a coordinator of ours: its word counts, not that of a look."""
    coordinators = tuple(
        _after_step(c, event) if c.url == event.url else c for c in snapshot.coordinators
    )
    return hold_backends(snapshot._replace(coordinators=coordinators), event.at_s)


def _after_step(state: CoordinatorState, event: CoordinatorStepped) -> CoordinatorState:
    status = status_of(event.phase)
    gone = status in GONE or event.phase == "probing"  # nothing runs, nothing is held
    base = without_run(state) if gone else state
    plan = event.plan or (None if event.phase == "probing" else state.plan)
    same_phase = state.phase == event.phase
    problem = event.problems[0] if event.problems else None
    lost = problem.subject.split(", ") if problem and problem.cause is Cause.BACKEND_LOST else ()
    backends = event.backends or (plan.backends if plan else state.backends)
    return base._replace(
        status=status,
        phase=str(event.phase),
        phase_at_s=state.phase_at_s if same_phase else event.at_s,
        pid=event.pid,
        owner=Owner.OURS if status not in GONE else None,
        supervised=status is not CoordinatorStatus.STOPPED,
        progress=event.progress,
        expected_s=event.expected_s or state.expected_s,
        problems=event.problems,
        retry_at_s=event.retry_at_s,
        plan=plan,
        shards=None if gone else event.shards or state.shards,
        model=(plan.model if plan else None) or base.model,
        model_path=(plan.path if plan else None) or base.model_path,
        backends=() if gone else backends,
        lost_backends=tuple(b for b in base.backends if b in {*base.lost_backends, *lost}),
        fault=Fault(FaultKind.SERVER, problem.sentence) if problem else None,
        seen_at_s=state.seen_at_s if gone else event.at_s,
        started_at_s=None if gone else state.started_at_s or event.at_s,
    )


def without_run(state: CoordinatorState) -> CoordinatorState:
    """What stays known of a coordinator that does not run."""
    return CoordinatorState(state.url, state.name, state.sources, in_flight=state.in_flight)


def told_by_supervisor(
    state: CoordinatorState, looked: CoordinatorStatus
) -> CoordinatorStatus | None:
    """The status after a look, where the supervisor's word counts; None where the look's does.

    A look can tell only that it hangs, and that it does no longer. One whose port is closed while
    its process runs hangs at its end: told to stop, llama-server waits for its clients, and as a
    router's child for a word on its input (server.cpp:28, SM:1833).
    """
    if not state.supervised or state.status is CoordinatorStatus.STALLED:
        return None
    silent = looked in {CoordinatorStatus.STALLED, CoordinatorStatus.STOPPED}
    if silent and state.status is CoordinatorStatus.READY:
        return CoordinatorStatus.STALLED
    return state.status


def is_anothers(state: CoordinatorState, asked_at_s: float) -> bool:
    """Whether an answer from there is another server's: ours had ended before it was asked.

    Its problem goes on being shown: the port is taken by whoever answers.
    """
    ended_at_s = state.phase_at_s or 0.0
    return state.supervised and state.status in GONE and asked_at_s >= ended_at_s


def of_another(state: CoordinatorState) -> CoordinatorState:
    """The state of a place where another server was found when ours did not run."""
    found = without_run(state)
    return found._replace(problems=state.problems, status=CoordinatorStatus.UNKNOWN)


def with_own_process(state: CoordinatorState, process: ServerProcess) -> CoordinatorState:
    """What the process table adds to what the supervisor knows of its own process.

    Where a script stands before the server, the process that listens is its child.
    """
    return state._replace(
        backends=process.backends or state.backends,
        lost_backends=lost_of(state, process),
        started_at_s=process.started_at_s,
    )


def lost_of(state: CoordinatorState, process: ServerProcess) -> tuple[BackendAddress, ...]:
    """The backends whose connection broke. While it starts, a server opens and closes a dozen to
    each (llama.cpp RPC:585): they say nothing then.
    """
    starts = state.status in {CoordinatorStatus.STARTING, CoordinatorStatus.LOADING}
    return () if starts else process.lost


def hang_problem(
    snapshot: ClusterSnapshot, url: CoordinatorUrl, restart_hung: bool
) -> Problem | None:
    """Why a coordinator that is shown as stalled is to be started anew; None when it is not."""
    state = snapshot.coordinator(url)
    if state is None or state.status is not CoordinatorStatus.STALLED:
        return None
    seen = (str(state.fault),) if state.fault is not None else ()
    address = f"{host_of(url)}:{port_of(url)}"
    if gone := vanished(snapshot, url):
        evidence = (*(f"{b.address}: {b.fault}" for b in gone), *seen)
        subject = ", ".join(b.address for b in gone)
        return Problem(Cause.BACKEND_LOST, subject, evidence, "See whether its host is up.")
    if state.fault is not None and state.fault.kind is FaultKind.REFUSED:
        ends = "its port is closed and its process still runs: somebody told it to end"
        said = f"The coordinator {address} listens no more."
        return Problem(Cause.UNKNOWN, address, (ends, *seen), "It is started anew.", said)
    if restart_hung:
        return Problem(Cause.COORDINATOR_HUNG, address, seen, "It is started anew.")
    return None
