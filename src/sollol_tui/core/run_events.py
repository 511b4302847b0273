"""What happens to a coordinator that is kept up, as events: the lines of `coordinator run`."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from sollol_tui.core.lifecycle import phase_json
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem, problem_event_json
from sollol_tui.core.state import CoordinatorState, CoordinatorStatus

_WATCHED = "It is watched on; with restart_hung = true in the settings it would be started anew."


class PhaseSeen(NamedTuple):
    """It is in another phase, or further in it. `state` is all that is known of it then."""

    at_s: float
    phase: Phase
    state: CoordinatorState


class ProblemSeen(NamedTuple):
    """Something went wrong."""

    at_s: float
    problem: Problem


RunEvent: TypeAlias = PhaseSeen | ProblemSeen


def run_events(
    before: CoordinatorState | None, after: CoordinatorState | None, at_s: float
) -> list[RunEvent]:
    """What lies between two states of one coordinator: the problems first, then the phase."""
    if after is None or after is before:
        return []
    phase, old_phase = phase_of(after), phase_of(before) if before is not None else None
    known = before.problems if before is not None else ()
    events: list[RunEvent] = [ProblemSeen(at_s, p) for p in after.problems if p not in known]
    if phase is Phase.STALLED and old_phase is not Phase.STALLED:
        events.append(ProblemSeen(at_s, hung(after)))
    old_progress = before.progress if before is not None else None
    if phase is not None and (phase, after.progress) != (old_phase, old_progress):
        events.append(PhaseSeen(at_s, phase, after))
    return events


def phase_of(state: CoordinatorState) -> Phase | None:
    """The phase, as far as whoever keeps it up has told; None for one that nobody of us does."""
    if not state.phase:
        return None
    return Phase.STALLED if state.status is CoordinatorStatus.STALLED else Phase(state.phase)


def hung(state: CoordinatorState) -> Problem:
    """The problem of a coordinator that says ok and moves no token."""
    evidence = (str(state.fault),) if state.fault is not None else ()
    return Problem(Cause.COORDINATOR_HUNG, state.url, evidence, _WATCHED)


def run_event_json(event: RunEvent) -> dict[str, object]:
    """The event as `coordinator run --json` prints it."""
    if isinstance(event, ProblemSeen):
        return problem_event_json(event.at_s, event.problem)
    state = event.state
    return phase_json(event.at_s, event.phase, state.progress, state.pid, state.url)
