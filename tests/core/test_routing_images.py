"""A question with pictures goes to who sees; who did not say is not left out."""

from __future__ import annotations

import pytest

from sollol_tui.core.asks import AskRequest, ChatMessage
from sollol_tui.core.contexts import context_of
from sollol_tui.core.records import Measured, after_answer, after_old_load
from sollol_tui.core.routing import BLIND, Circumstances, choose
from sollol_tui.core.state import ClusterSnapshot, LoadedModel, Mode, NodeModel
from tests.core.test_routing import coordinator, node

BLIND_ONE = NodeModel("m", capabilities=("completion",))
SEEING_ONE = NodeModel("m", capabilities=("completion", "vision"))
UNSAID = NodeModel("m")
PICTURED = AskRequest("m", (ChatMessage("user", "what?", ("aGk=",)), ChatMessage("user", "and?")))


def _where(snapshot: ClusterSnapshot, mode: Mode = Mode.TASK) -> str | None:
    return choose(PICTURED, Circumstances(snapshot._replace(mode=mode), 0.0), "r1").target


@pytest.mark.parametrize("model", [SEEING_ONE, UNSAID])
def test_pictures_go_past_a_node_that_does_not_see(model: NodeModel) -> None:
    other = node("other", models=(model,))
    snapshot = ClusterSnapshot(nodes=(node("blind", models=(BLIND_ONE,), weight=9.0), other))
    assert _where(snapshot) == other.url
    decision = choose(PICTURED, Circumstances(snapshot, 0.0), "r1")
    assert [c.rejected for c in decision.candidates] == [None, BLIND]


def test_without_pictures_a_node_that_does_not_see_is_as_good_as_any() -> None:
    blind = node("blind", models=(BLIND_ONE,))
    request = AskRequest("m", (ChatMessage("user", "why?"),))
    now = Circumstances(ClusterSnapshot(nodes=(blind,)), 0.0)
    assert choose(request, now, "r1").target == blind.url


@pytest.mark.parametrize(("sees", "is_asked"), [(True, True), (None, True), (False, False)])
def test_a_coordinator_gets_pictures_unless_it_says_that_it_does_not_see(
    sees: bool | None, is_asked: bool
) -> None:
    serving = coordinator(model="m", sees=sees)
    where = _where(ClusterSnapshot(coordinators=(serving,)), Mode.MODEL)
    assert where == (serving.url if is_asked else None)


def test_the_context_is_that_of_the_model_as_it_is_loaded_there() -> None:
    loaded = node("a", loaded=(LoadedModel("M:latest", context_tokens=4096),))
    serving = coordinator(context_tokens=8192)
    snapshot = ClusterSnapshot(nodes=(loaded,), coordinators=(serving,))
    assert context_of(snapshot, loaded.url, "m") == 4096
    assert context_of(snapshot, loaded.url, "other") is None
    assert context_of(snapshot, serving.url, "whatever") == 8192
    assert context_of(snapshot, "http://gone:1", "m") is None


def test_the_last_load_is_remembered_beside_the_average_and_a_warm_answer_changes_it_not() -> None:
    record = after_old_load(Measured(), 40.0)
    record = after_answer(record, 1.0, 20.5, 30.0, 20.0)
    assert record.load_s == pytest.approx(34.0)
    assert record.last_load_s == 20.0
    assert after_answer(record, 2.0, 0.2, 30.0, 0.01).last_load_s == 20.0
    assert after_answer(record, 2.0, 0.2, 30.0, None).last_load_s == 20.0
