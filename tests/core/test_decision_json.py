"""A decision that was kept is the decision, to the last digit, and bears itself out."""

from __future__ import annotations

from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.asks import AskRequest, Candidate, ChatMessage, RouteDecision
from sollol_tui.core.decision_json import decision_json, read_decision
from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.records import Measured
from sollol_tui.core.routing import Circumstances, choose
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
)

MODEL = "llama3.2:3b"

NODE = st.builds(
    lambda number, in_flight, status, drained: NodeState(
        parse_node_url(f"gpu{number}"),
        f"gpu{number}",
        status=status,
        models=(NodeModel(MODEL, 2_000_000_000, 3.2e9),),
        in_flight=in_flight,
        drained=drained,
    ),
    st.integers(1, 6),
    st.integers(0, 5),
    st.sampled_from(NodeStatus),
    st.booleans(),
)
RECORDS = st.dictionaries(
    st.tuples(st.sampled_from([f"http://gpu{n}:11434" for n in range(1, 7)]), st.just(MODEL)),
    st.builds(
        Measured,
        ttft_s=st.floats(0.01, 9),
        decode_tps=st.floats(1, 99),
        load_s=st.none() | st.floats(0.1, 99),
        measured_at_s=st.just(990.0),
        failed_at_s=st.none() | st.floats(900, 1000),
    ),
)


@given(st.lists(NODE, max_size=6, unique_by=lambda n: n.url), RECORDS, st.sampled_from(Mode))
def test_a_kept_decision_is_the_same_and_says_why_it_was_made(
    nodes: list[NodeState], records: dict[tuple[str, str], Measured], mode: Mode
) -> None:
    url = parse_coordinator_url("127.0.0.1")
    serving = CoordinatorState(url, "here", status=CoordinatorStatus.READY, model=MODEL)
    snapshot = ClusterSnapshot(mode, nodes=tuple(nodes), coordinators=(serving,))
    request = AskRequest(MODEL, (ChatMessage("user", "?"),))
    decision = choose(request, Circumstances(snapshot, 1000.0, records=records), "r1.1")
    assert read_decision(decision_json(decision)) == decision
    bears_itself_out(decision)


def bears_itself_out(decision: RouteDecision) -> None:
    """Scores are the sums of their parts, the best of a kind is first, and the first is taken."""
    accepted = [c for c in decision.candidates if c.rejected is None]
    assert decision.target == (accepted[0].target if accepted else None)
    for candidate in accepted:
        assert candidate.score == pytest.approx(sum(part for _, part in candidate.parts))
    assert len([kind for kind, _ in groupby(accepted, lambda c: c.kind)]) <= 2
    for better, worse in pairwise(accepted):
        assert better.kind != worse.kind or (better.score or 0.0) >= (worse.score or 0.0)


def test_a_decision_for_nobody_and_foreign_text_survive() -> None:
    candidate = Candidate("http://gpu1:11434", "node", "gp\ud800u\x1b[31m", None, (), "drained")
    decision = RouteDecision("r1.1", "m:1", Mode.TASK, None, None, "", "nothing", (candidate,))
    text = decision_json(decision)
    assert text.isascii()
    assert "\n" not in text
    kept = read_decision(text)
    assert kept is not None
    assert kept.candidates[0].rejected == "drained"


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '{"candidates":[1]}', '{"candidates":[],"mode":"fast"}', "{" * 9999],
)
def test_what_is_no_decision_is_none(text: str) -> None:
    assert read_decision(text) is None
