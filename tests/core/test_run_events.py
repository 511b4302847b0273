"""What `coordinator run` tells of a coordinator's life, from two of its states."""

from __future__ import annotations

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.run_events import (
    PhaseSeen,
    ProblemSeen,
    RunEvent,
    run_event_json,
    run_events,
)
from sollol_tui.core.state import CoordinatorState, CoordinatorStatus, Slot

URL = CoordinatorUrl("http://127.0.0.1:18080")
LOST = Problem(Cause.BACKEND_LOST, "b:1", ("its connection broke",), "Bring it back.")
NOTHING = CoordinatorState(URL)
LOADING = CoordinatorState(
    URL, status=CoordinatorStatus.LOADING, phase="loading", progress=0.4, pid=7
)
READY = LOADING._replace(status=CoordinatorStatus.READY, phase="ready", progress=None)


def test_a_new_phase_and_further_progress_are_told() -> None:
    assert run_events(NOTHING, LOADING, 5.0) == [PhaseSeen(5.0, Phase.LOADING, LOADING)]
    further = LOADING._replace(progress=0.5)
    assert run_events(LOADING, further, 6.0) == [PhaseSeen(6.0, Phase.LOADING, further)]
    assert run_events(LOADING, READY, 7.0) == [PhaseSeen(7.0, Phase.READY, READY)]


def test_what_merely_was_measured_again_is_not() -> None:
    busy = READY._replace(slots=(Slot(0, True),), latency_ms=3.0)
    assert run_events(READY, busy, 5.0) == []
    assert run_events(READY, READY, 5.0) == []


def test_a_coordinator_that_nobody_of_us_keeps_up_tells_nothing() -> None:
    stranger = CoordinatorState(URL, status=CoordinatorStatus.READY)
    assert run_events(None, stranger, 5.0) == []
    assert run_events(READY, None, 5.0) == []


def test_a_problem_comes_before_the_phase_and_once() -> None:
    stopping = READY._replace(status=CoordinatorStatus.STOPPING, phase="stopping", problems=(LOST,))
    failed = stopping._replace(status=CoordinatorStatus.FAILED, phase="failed", retry_at_s=9.0)
    assert run_events(READY, stopping, 5.0) == [
        ProblemSeen(5.0, LOST),
        PhaseSeen(5.0, Phase.STOPPING, stopping),
    ]
    assert run_events(stopping, failed, 6.0) == [PhaseSeen(6.0, Phase.FAILED, failed)]


def test_the_same_problem_after_another_try_is_told_again() -> None:
    failed = READY._replace(status=CoordinatorStatus.FAILED, phase="failed", problems=(LOST,))
    probing = CoordinatorState(URL, status=CoordinatorStatus.STARTING, phase="probing")
    assert ProblemSeen(5.0, LOST) in run_events(probing, failed, 5.0)


def test_one_that_hangs_is_stalled_with_what_shows_it_and_ready_when_it_moves_again() -> None:
    fault = Fault(FaultKind.STALLED, "no token for 60 s while it says ok")
    hung = READY._replace(status=CoordinatorStatus.STALLED, fault=fault)
    problem, phase = run_events(READY, hung, 5.0)
    assert isinstance(problem, ProblemSeen)
    assert problem.problem.cause is Cause.COORDINATOR_HUNG
    assert problem.problem.evidence == (str(fault),)
    assert phase == PhaseSeen(5.0, Phase.STALLED, hung)
    assert run_events(hung, hung._replace(latency_ms=1.0), 6.0) == []
    assert run_events(hung, READY, 7.0) == [PhaseSeen(7.0, Phase.READY, READY)]


def test_the_lines_are_the_promised_ones() -> None:
    told: list[RunEvent] = [PhaseSeen(5.0, Phase.LOADING, LOADING), ProblemSeen(5.0, LOST)]
    assert [run_event_json(event) for event in told] == [
        {
            "at": 5.0,
            "event": "phase",
            "phase": "loading",
            "progress": 0.4,
            "pid": 7,
            "url": URL,
        },
        {
            "at": 5.0,
            "event": "problem",
            "cause": "backend_lost",
            "subject": "b:1",
            "evidence": ["its connection broke"],
            "next": "Bring it back.",
        },
    ]
