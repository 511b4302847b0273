"""When a target counts as up or down: hysteresis, back-off, and the states that are neither.

Look every 5 s; three failures make it down, two answers bring it back; a failed request counts at
once; a refusal by policy (401, 403, 429, full queue) is a state of its own, not a failure. The
first look counts as it is.
"""

from __future__ import annotations

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import CoordinatorStatus, Health, HealthRules, NodeStatus

CONFIRM_S = 1.0  # a change of mind is confirmed by looking again this soon
STALL_REST_S = 60.0  # a stalled target is tried again after so long

_POLICY = {
    FaultKind.UNAUTHORIZED: NodeStatus.UNAUTHORIZED,
    FaultKind.RATE_LIMITED: NodeStatus.SATURATED,
    FaultKind.SATURATED: NodeStatus.SATURATED,
}
_FATAL_FOR_REQUESTS = {FaultKind.REFUSED, FaultKind.UNREACHABLE, FaultKind.NAME, FaultKind.TLS}


def next_look_at_s(now_s: float, health: Health, rules: HealthRules, confirm: bool) -> float:
    """When to look again: soon to confirm, else on the common grid, rarer the longer it is down.

    All targets share the grid: ten looks in one burst cost half of ten looks spread (measured).
    """
    interval_s = rules.interval_s
    if confirm:
        return now_s + min(CONFIRM_S, interval_s)
    excess = health.failures - rules.failures_to_down
    if excess > 0:
        wait_s = min(interval_s * float(2 ** min(excess, 10)), max(rules.backoff_max_s, interval_s))
        return now_s + wait_s
    return (now_s // interval_s + 1) * interval_s


def node_answered(
    status: NodeStatus, health: Health, now_s: float, rules: HealthRules
) -> tuple[NodeStatus, Health]:
    """Status and counters of a node after a good look."""
    successes = health.successes + 1
    returning = status is NodeStatus.DOWN and successes < rules.successes_to_up
    resting = status is NodeStatus.STALLED and now_s < health.rests_until_s
    after = status if returning or resting else NodeStatus.UP
    counted = Health(failures=0, successes=successes, rests_until_s=health.rests_until_s)
    return after, counted._replace(next_look_at_s=next_look_at_s(now_s, counted, rules, returning))


def node_failed(
    status: NodeStatus, health: Health, fault: Fault, now_s: float, rules: HealthRules
) -> tuple[NodeStatus, Health]:
    """Status and counters of a node after a look that brought no answer."""
    counted = Health(failures=health.failures + 1, successes=0)
    policy = _POLICY.get(fault.kind)
    if policy is not None:
        calm = Health()
        return policy, calm._replace(next_look_at_s=next_look_at_s(now_s, calm, rules, False))
    after = _failed_status(status, counted.failures, fault, rules)
    confirm = after is not NodeStatus.DOWN and counted.failures < rules.failures_to_down
    return after, counted._replace(next_look_at_s=next_look_at_s(now_s, counted, rules, confirm))


def _failed_status(
    status: NodeStatus, failures: int, fault: Fault, rules: HealthRules
) -> NodeStatus:
    connects = fault.kind is FaultKind.TIMEOUT
    if status is NodeStatus.UNKNOWN:
        return NodeStatus.STARTING if connects else NodeStatus.DOWN
    if failures >= rules.failures_to_down and not (status is NodeStatus.STARTING and connects):
        return NodeStatus.DOWN
    return status


def node_let_down(
    status: NodeStatus, health: Health, fault: Fault, now_s: float
) -> tuple[NodeStatus, Health]:
    """Status and counters of a node after one of our requests failed there: counts at once."""
    if fault.kind in _POLICY:
        return _POLICY[fault.kind], health._replace(next_look_at_s=now_s + CONFIRM_S)
    if fault.kind is FaultKind.STALLED:
        return NodeStatus.STALLED, health._replace(rests_until_s=now_s + STALL_REST_S)
    if fault.kind in _FATAL_FOR_REQUESTS:
        return NodeStatus.DOWN, Health(health.failures + 1, 0, now_s)
    if fault.kind is FaultKind.CUT:
        return status, Health(health.failures + 1, 0, now_s)
    return status, health  # refused as asked (400, 404, 500): says nothing of the node's health


def node_served(status: NodeStatus) -> NodeStatus:
    """A whole answer came from there: whatever was suspected, it serves."""
    return NodeStatus.UP if status is NodeStatus.STALLED else status


def coordinator_answered(loading: bool, status: CoordinatorStatus) -> CoordinatorStatus:
    """Status of a coordinator after a good look. A stall is lifted by tokens, not by `/health`."""
    if loading:
        return CoordinatorStatus.LOADING
    if status in {CoordinatorStatus.STALLED, CoordinatorStatus.STOPPING}:
        return status
    return CoordinatorStatus.READY


def coordinator_failed(
    status: CoordinatorStatus, failures: int, fault: Fault, rules: HealthRules
) -> CoordinatorStatus:
    """Status of a coordinator after a look that brought no answer.

    A refused port is a stopped server; an open port that never answers is a hung one; silence of
    the host says nothing.
    """
    first = status is CoordinatorStatus.UNKNOWN
    if not first and failures < rules.failures_to_down:
        return status
    if fault.kind is FaultKind.REFUSED:
        return CoordinatorStatus.STOPPED
    if fault.kind is FaultKind.TIMEOUT:
        return CoordinatorStatus.UNKNOWN if first else CoordinatorStatus.STALLED
    if fault.kind in {FaultKind.UNREACHABLE, FaultKind.NAME}:
        return CoordinatorStatus.UNKNOWN
    return CoordinatorStatus.FAILED
