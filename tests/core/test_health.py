"""When a target counts as up or down."""

from __future__ import annotations

import pytest

from sollol_tui.core import health
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import CoordinatorStatus, Health, HealthRules, NodeStatus

RULES = HealthRules(interval_s=5.0)
REFUSED = Fault(FaultKind.REFUSED)
SILENT = Fault(FaultKind.TIMEOUT)


def _fail(status: NodeStatus, times: int, fault: Fault = REFUSED) -> NodeStatus:
    counts = Health()
    for turn in range(times):
        status, counts = health.node_failed(status, counts, fault, 100.0 + turn, RULES)
    return status


def test_the_first_look_counts_as_it_is() -> None:
    assert _fail(NodeStatus.UNKNOWN, 1) is NodeStatus.DOWN
    assert health.node_answered(NodeStatus.UNKNOWN, Health(), 0.0, RULES)[0] is NodeStatus.UP


def test_a_first_connect_without_answer_is_starting_not_dead() -> None:
    assert _fail(NodeStatus.UNKNOWN, 1, SILENT) is NodeStatus.STARTING
    assert _fail(NodeStatus.UNKNOWN, 9, SILENT) is NodeStatus.STARTING


def test_three_failures_make_an_up_node_down_and_two_answers_bring_it_back() -> None:
    assert _fail(NodeStatus.UP, 2) is NodeStatus.UP
    assert _fail(NodeStatus.UP, 3) is NodeStatus.DOWN
    status, counts = health.node_answered(NodeStatus.DOWN, Health(3, 0, 0.0), 10.0, RULES)
    assert status is NodeStatus.DOWN
    assert counts.next_look_at_s == 10.0 + health.CONFIRM_S, "a return is confirmed soon"
    status, _ = health.node_answered(status, counts, 11.0, RULES)
    assert status is NodeStatus.UP


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (FaultKind.UNAUTHORIZED, NodeStatus.UNAUTHORIZED),
        (FaultKind.RATE_LIMITED, NodeStatus.SATURATED),
        (FaultKind.SATURATED, NodeStatus.SATURATED),
    ],
)
def test_a_refusal_by_policy_is_a_state_of_its_own_and_no_failure(
    kind: FaultKind, status: NodeStatus
) -> None:
    after, counts = health.node_failed(NodeStatus.UP, Health(), Fault(kind), 0.0, RULES)
    assert (after, counts.failures) == (status, 0)
    assert health.node_answered(status, counts, 1.0, RULES)[0] is NodeStatus.UP


def test_back_off_doubles_up_to_its_limit() -> None:
    waits = [
        health.next_look_at_s(100.0, Health(failures=n), RULES, False) - 100.0 for n in range(3, 12)
    ]
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0, 60.0, 60.0]


def test_looks_share_one_grid() -> None:
    dues = {health.next_look_at_s(t, Health(), RULES, False) for t in (100.1, 102.0, 104.9)}
    assert dues == {105.0}


def test_a_failed_request_counts_at_once() -> None:
    status, counts = health.node_let_down(NodeStatus.UP, Health(), REFUSED, 7.0)
    assert (status, counts.next_look_at_s) == (NodeStatus.DOWN, 7.0)
    stalled = Fault(FaultKind.STALLED)
    assert health.node_let_down(NodeStatus.UP, Health(), stalled, 7.0)[0] is NodeStatus.STALLED


def test_a_refused_request_says_nothing_of_health() -> None:
    for kind in (FaultKind.BAD_REQUEST, FaultKind.NOT_FOUND, FaultKind.SERVER):
        after = health.node_let_down(NodeStatus.UP, Health(), Fault(kind), 7.0)
        assert after == (NodeStatus.UP, Health())


def test_a_stall_outlives_good_looks_until_it_has_rested_or_served() -> None:
    status, counts = health.node_let_down(NodeStatus.UP, Health(), Fault(FaultKind.STALLED), 0.0)
    assert health.node_answered(status, counts, 5.0, RULES)[0] is NodeStatus.STALLED
    rested_s = health.STALL_REST_S + 1
    assert health.node_answered(status, counts, rested_s, RULES)[0] is NodeStatus.UP
    assert health.node_served(status) is NodeStatus.UP


def test_a_stall_stays_through_every_good_look_of_its_rest() -> None:
    status, counts = health.node_let_down(NodeStatus.UP, Health(), Fault(FaultKind.STALLED), 0.0)
    for at_s in (5.0, 10.0, 15.0, 20.0, 40.0):
        status, counts = health.node_answered(status, counts, at_s, RULES)
        assert status is NodeStatus.STALLED, at_s


@pytest.mark.parametrize(
    ("before", "failures", "kind", "after"),
    [
        ("unknown", 1, FaultKind.REFUSED, "stopped"),
        ("unknown", 1, FaultKind.TIMEOUT, "unknown"),
        ("unknown", 1, FaultKind.UNREACHABLE, "unknown"),
        ("unknown", 1, FaultKind.PROTOCOL, "failed"),
        ("ready", 1, FaultKind.REFUSED, "ready"),
        ("ready", 3, FaultKind.REFUSED, "stopped"),
        ("ready", 3, FaultKind.TIMEOUT, "stalled"),
        ("ready", 3, FaultKind.UNREACHABLE, "unknown"),
    ],
)
def test_what_silence_means_for_a_coordinator(
    before: str, failures: int, kind: FaultKind, after: str
) -> None:
    status = health.coordinator_failed(CoordinatorStatus(before), failures, Fault(kind), RULES)
    assert status == after


def test_health_of_the_port_does_not_lift_a_stall() -> None:
    stalled = CoordinatorStatus.STALLED
    assert health.coordinator_answered(False, stalled) is stalled
    assert health.coordinator_answered(True, stalled) is CoordinatorStatus.LOADING
