"""What counts as configured, and what counts as not answering."""

from __future__ import annotations

import pytest

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    NodeState,
    NodeStatus,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.core.verdict import configured, silent


def with_node(status: NodeStatus, *sources: str) -> ClusterSnapshot:
    return ClusterSnapshot(nodes=(NodeState(NodeUrl("n"), sources=sources, status=status),))


def with_coordinator(status: CoordinatorStatus) -> ClusterSnapshot:
    url = CoordinatorUrl("c")
    return ClusterSnapshot(coordinators=(CoordinatorState(url, sources=("env",), status=status),))


def with_backend(status: BackendStatus, fault: FaultKind | None = None) -> ClusterSnapshot:
    told = Fault(fault) if fault else None
    address = BackendAddress("b")
    state = BackendState(address, sources=("redis",), status=status, fault=told)
    return ClusterSnapshot(backends=(state,))


@pytest.mark.parametrize("source", ["config", "env", "flag", "sollol-file", "redis", "hand"])
def test_a_target_that_anybody_named_must_answer(source: str) -> None:
    assert silent(with_node(NodeStatus.DOWN, source), False) == ["n"]
    assert silent(with_node(NodeStatus.DOWN, "localhost", source), False) == ["n"]


@pytest.mark.parametrize("source", ["localhost", "process", "coordinator"])
def test_what_was_looked_at_unasked_need_not_answer(source: str) -> None:
    assert silent(with_node(NodeStatus.DOWN, source), False) == []
    assert configured(with_node(NodeStatus.UP, source), False) == []


@pytest.mark.parametrize(
    ("status", "answers"),
    [
        (NodeStatus.UP, True),
        (NodeStatus.STARTING, True),
        (NodeStatus.SATURATED, True),
        (NodeStatus.STALLED, False),
        (NodeStatus.UNAUTHORIZED, False),
        (NodeStatus.DOWN, False),
        (NodeStatus.UNKNOWN, False),
    ],
)
def test_which_nodes_answer(status: NodeStatus, answers: bool) -> None:
    assert (silent(with_node(status, "config"), False) == []) is answers


@pytest.mark.parametrize("status", CoordinatorStatus)
def test_a_coordinator_answers_when_it_serves_or_is_about_to(status: CoordinatorStatus) -> None:
    answers = status in ("ready", "loading", "starting")
    assert (silent(with_coordinator(status), False) == []) is answers


@pytest.mark.parametrize(
    ("status", "fault", "answers"),
    [
        (BackendStatus.IDLE, None, True),
        (BackendStatus.ATTACHED, None, True),
        (BackendStatus.UNKNOWN, FaultKind.TIMEOUT, True),  # it serves somebody else
        (BackendStatus.UNKNOWN, FaultKind.UNREACHABLE, False),
        (BackendStatus.UNKNOWN, FaultKind.NAME, False),
        (BackendStatus.UNKNOWN, None, False),
        (BackendStatus.DOWN, FaultKind.REFUSED, False),
        (BackendStatus.INCOMPATIBLE, None, False),
    ],
)
def test_a_backend_that_accepts_and_says_nothing_is_busy_not_gone(
    status: BackendStatus, fault: FaultKind | None, answers: bool
) -> None:
    assert (silent(with_backend(status, fault), False) == []) is answers


def test_a_registry_must_answer_only_when_somebody_named_it() -> None:
    snapshot = ClusterSnapshot(registry=RegistryState("redis://h", RegistryStatus.DOWN))
    assert silent(snapshot, True) == ["redis://h"]
    assert silent(snapshot, False) == []
