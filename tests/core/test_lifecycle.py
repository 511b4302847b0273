"""The life of a coordinator: legal moves, deadlines, and when to try again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from sollol_tui.core.lifecycle import (
    FAILURE_WINDOW_S,
    FAILURES_TO_QUARANTINE,
    QUARANTINE_S,
    RestartHistory,
    load_deadline_s,
    may_move,
    next_backoff_s,
    phase_json,
    remaining_s,
    tries_again,
)
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem, problem_event_json
from sollol_tui.core.state import CoordinatorStatus as Status
from sollol_tui.core.supervised import status_of


def test_every_phase_has_a_status_and_every_status_but_unknown_a_phase() -> None:
    assert {status_of(p) for p in Phase} == set(Status) - {Status.UNKNOWN}


@pytest.mark.parametrize(
    "way",
    [
        "stopped starting loading ready stopping stopped",
        "stopped starting failed starting loading ready",
        "unknown ready stalled stopping stopped",
        "ready stalled ready",
        "ready failed quarantined starting",
        "loading stopping stopped",
        "ready loading ready",
        "stopped ready stopped",
        "loading stalled failed quarantined stopped",
        "ready stopping failed starting loading ready stopping starting",
    ],
)
def test_ways_that_a_coordinator_goes(way: str) -> None:
    statuses = [Status(word) for word in way.split()]
    assert all(may_move(a, b) for a, b in pairwise(statuses))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Status.STOPPING, Status.READY),
        (Status.FAILED, Status.READY),
        (Status.QUARANTINED, Status.READY),
        (Status.QUARANTINED, Status.FAILED),
        (Status.STARTING, Status.STALLED),
        (Status.STARTING, Status.STOPPED),
        (Status.LOADING, Status.STARTING),
        (Status.READY, Status.STARTING),
        (Status.READY, Status.QUARANTINED),
    ],
)
def test_moves_that_are_never_made(old: Status, new: Status) -> None:
    assert not may_move(old, new)


@pytest.mark.parametrize("status", Status)
def test_staying_is_legal_and_every_status_can_be_left(status: Status) -> None:
    assert may_move(status, status)
    assert any(may_move(status, other) for other in Status if other is not status)


def test_waiting_doubles_up_to_a_minute() -> None:
    assert [next_backoff_s(n) for n in range(9)] == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert next_backoff_s(10_000) == 60


def test_nothing_failed_starts_at_once() -> None:
    history = RestartHistory()
    assert history.start_at_s() is None
    assert history.wait_s(5.0) == 0
    assert not history.gives_up


def test_each_failure_waits_longer() -> None:
    history = RestartHistory().failed(100.0)
    assert history.start_at_s() == 101.0
    history = history.failed(101.0)
    assert history.wait_s(101.5) == 1.5
    assert history.wait_s(200.0) == 0


def test_five_failures_in_five_minutes_rest_for_five_minutes() -> None:
    history = RestartHistory()
    for at_s in (0, 10, 20, 30):
        history = history.failed(at_s)
        assert not history.gives_up
    history = history.failed(299.0)
    assert history.gives_up
    assert history.wait_s(300.0) == 299.0
    assert history.wait_s(599.0) == 0


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    history = RestartHistory()
    for n in range(20):
        history = history.failed(n * 100.0)
        assert len(history.failed_at_s) <= 3
    assert not history.gives_up


def test_the_failure_after_a_rest_is_the_first_again() -> None:
    history = RestartHistory(tuple(range(FAILURES_TO_QUARANTINE)))
    assert history.gives_up
    history = history.failed(400.0)
    assert not history.gives_up
    assert history.start_at_s() == 401.0


def test_trying_now_forgets_everything() -> None:
    history = RestartHistory((1.0, 2.0, 3.0, 4.0, 5.0)).reset()
    assert history == RestartHistory()
    assert history.wait_s(5.0) == 0


def test_the_deadline_grows_with_the_model() -> None:
    assert load_deadline_s(0) == 300
    assert load_deadline_s(40 << 30) == 300 + 800


@pytest.mark.parametrize(
    ("progress", "elapsed_s", "left_s"),
    [(0.5, 10.0, 10.0), (0.8, 8.0, 2.0), (1.0, 5.0, 0.0), (0.01, 1.0, None), (None, 9.0, None)],
)
def test_what_remains_follows_from_what_is_done(
    progress: float | None, elapsed_s: float, left_s: float | None
) -> None:
    found = remaining_s(progress, elapsed_s)
    assert found == (None if left_s is None else pytest.approx(left_s))


def test_events_have_the_promised_form() -> None:
    assert phase_json(1.5, Phase.LOADING, 0.25, 42) == {
        "at": 1.5,
        "event": "phase",
        "phase": "loading",
        "progress": 0.25,
        "pid": 42,
        "url": None,
    }
    problem = Problem(Cause.PORT_TAKEN, "127.0.0.1:80", ("a", "b"), "Do.")
    assert problem_event_json(2.0, problem) == {
        "at": 2.0,
        "event": "problem",
        "cause": "port_taken",
        "subject": "127.0.0.1:80",
        "evidence": ["a", "b"],
        "next": "Do.",
    }


def test_the_words_of_the_phases_are_the_promised_ones() -> None:
    words = (
        "probing starting connecting loading warming ready stalled stopping stopped failed "
        "quarantined"
    )
    assert [p.value for p in Phase] == words.split()


@pytest.mark.parametrize("cause", Cause)
def test_what_needs_a_person_is_never_tried_again_and_what_served_is_wanted_back(
    cause: Cause,
) -> None:
    hopeless = cause.value.startswith(("no_", "model_", "port_"))
    assert tries_again(cause, served=True, ran=True) is not hopeless
    backend = cause in {
        Cause.BACKEND_LOST,
        Cause.BACKEND_REFUSED,
        Cause.BACKEND_BUSY,
        Cause.BACKEND_UNREACHABLE,
    }
    assert tries_again(cause, served=False, ran=True) is backend
    assert not tries_again(cause, served=False, ran=False)


def test_the_first_lost_backend_costs_no_wait_and_the_fifth_failure_is_a_quarantine() -> None:
    history, lost, crashed = RestartHistory(), [], []
    for number in range(FAILURES_TO_QUARANTINE):
        history = history.failed(float(number))
        lost.append(history.pause_s(Cause.BACKEND_LOST))
        crashed.append(history.pause_s(Cause.COORDINATOR_CRASHED))
    assert lost == [0, 1, 2, 4, QUARANTINE_S]
    assert crashed == [1, 2, 4, 8, QUARANTINE_S]
    later = history.failed(FAILURE_WINDOW_S + 100.0)
    assert later.pause_s(Cause.COORDINATOR_CRASHED) == 1, "what is long ago does not count"
