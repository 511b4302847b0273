"""What silence means while a model loads, or others are before it."""

from __future__ import annotations

import pytest

from sollol_tui.core.ids import NodeUrl
from sollol_tui.core.patience import first_token_limit_s, is_cold, others_moved_at_s
from sollol_tui.core.state import (
    ClusterSnapshot,
    HealthRules,
    LoadedModel,
    NodeModel,
    NodeState,
    NodeStatus,
    RequestState,
)

MODEL, URL = "llama3:8b", NodeUrl("http://a:11434")
RULES = HealthRules(first_token_limit_s=10.0)


def cluster(status: NodeStatus = NodeStatus.UP, *, loaded: bool = False) -> ClusterSnapshot:
    node = NodeState(URL, "a", ("config",), status, models=(NodeModel(MODEL, 2**30),))
    warm = node._replace(loaded=(LoadedModel(MODEL),) if loaded else ())
    return ClusterSnapshot(nodes=(warm,), rules=RULES)


def test_a_cold_model_may_take_longer_and_more_the_larger_it_is() -> None:
    assert first_token_limit_s(cluster(), URL, MODEL) == 10.0 + 300.0 + 20.0
    assert first_token_limit_s(cluster(loaded=True), URL, MODEL) == 10.0


@pytest.mark.parametrize("status", [NodeStatus.DOWN, NodeStatus.STALLED])
def test_a_node_that_answers_nothing_is_not_believed_to_load(status: NodeStatus) -> None:
    assert is_cold(cluster(status), URL, MODEL)
    assert first_token_limit_s(cluster(status), URL, MODEL) == 10.0


def test_a_coordinator_is_never_cold() -> None:
    assert not is_cold(cluster(), "http://c:18080", MODEL)
    assert first_token_limit_s(cluster(), "http://c:18080", MODEL) == 10.0


def test_what_moved_before_it_is_that_of_others_at_the_same_target() -> None:
    requests = (
        RequestState("r1", MODEL, URL, 1.0, last_token_at_s=5.0),
        RequestState("r2", MODEL, URL, 1.0, last_token_at_s=9.0),
        RequestState("r3", MODEL, "http://b:11434", 1.0, last_token_at_s=8.0),
    )
    snapshot = cluster()._replace(requests=requests)
    assert others_moved_at_s(snapshot, URL, "r2") == 5.0
    assert others_moved_at_s(cluster(), URL, "r2") == 0.0
