"""Lines of a batch: what can be asked, what cannot and why, and results that are whole again."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.batch_lines import (
    RESULT_START,
    BadLine,
    Id,
    Known,
    Prompt,
    Result,
    key_of,
    read_prompts,
    read_result,
    result_line,
)
from sollol_tui.core.capacity import capacity
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
    NodeState,
    NodeStatus,
)


def line(**values: object) -> bytes:
    return json.dumps(values).encode()


def test_prompts_come_in_the_order_of_the_file_with_their_own_model_or_the_chosen_one() -> None:
    lines = [line(id="a", prompt="One?"), b"", b"  ", line(id=2, prompt="Two?", model="big:70b")]
    assert read_prompts(lines, "m:1") == (
        [Prompt("a", "One?", "m:1", 1), Prompt(2, "Two?", "big:70b", 4)],
        [],
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"hello", "it is no JSON"),
        (b'{"id": "a", "prompt": "cut', "it is no JSON"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[1]", "it is no object"),
        (b"{" * 9999, "it is no JSON"),
        (line(prompt="?"), "its id is missing"),
        (line(id="", prompt="?"), "its id is missing"),
        (line(id=True, prompt="?"), "its id is missing"),
        (line(id=1.5, prompt="?"), "its id is missing"),
        (line(id="b"), "its prompt is missing"),
        (line(id="b", prompt="  "), "its prompt is missing"),
        (line(id="b", prompt=["x"]), "its prompt is missing"),
        (line(id="b", prompt="?", model=3), "its model is no text"),
        (line(id="a", prompt="?"), 'its id "a" is the one of line 1'),
    ],
)
def test_a_bad_line_is_named_with_number_and_reason_and_the_others_are_asked(
    raw: bytes, reason: str
) -> None:
    good = [line(id="a", prompt="One?"), raw, line(id="z", prompt="Last?")]
    prompts, bad = read_prompts(good, "m:1")
    assert [p.id for p in prompts] == ["a", "z"]
    ((number, said),) = bad
    assert number == 2
    assert said.startswith(reason)


def test_without_any_model_a_line_cannot_be_asked() -> None:
    _, bad = read_prompts([line(id="a", prompt="?")], "")
    assert bad == [BadLine(1, "it names no model, and none was chosen")]


def test_a_byte_order_mark_is_passed_over_and_the_numbers_1_and_text_1_are_two() -> None:
    lines = [b"\xef\xbb\xbf" + line(id=1, prompt="?"), line(id="1", prompt="?")]
    prompts, bad = read_prompts(lines, "m:1")
    assert ([p.id for p in prompts], bad) == ([1, "1"], [])


TEXT = st.text(max_size=50)


@given(st.one_of(st.integers(), TEXT), TEXT, st.sampled_from(["complete", "length", "cut"]))
def test_a_result_is_one_line_that_is_known_again(prompt_id: Id, text: str, outcome: str) -> None:
    written = result_line(Result(prompt_id, "m:1", "http://gpu1:11434", outcome, text, 1))
    assert written.count(b"\n") == 1
    assert written.endswith(b"\n")
    assert written.startswith(RESULT_START)
    assert read_result(written) == Known(key_of(prompt_id), outcome)
    assert json.loads(written)["text"] == text


def test_a_result_tells_figures_and_the_failure() -> None:
    result = Result(
        "a", "m:1", None, "cut", "Half an", 2, fault=Fault(FaultKind.CUT, "peer closed")
    )
    assert json.loads(result_line(result)) == {
        "id": "a",
        "model": "m:1",
        "target": None,
        "outcome": "cut",
        "text": "Half an",
        "tries": 2,
        "prompt_tokens": None,
        "completion_tokens": None,
        "ttft_s": None,
        "decode_tps": None,
        "total_s": None,
        "error": "answer broke off: peer closed",
    }
    assert not result.is_whole


@pytest.mark.parametrize(
    "raw", [b"", b"x", b"[]", line(id="a"), line(outcome="cut"), line(id=1.5, outcome="cut")]
)
def test_what_is_no_result_is_not_taken_for_one(raw: bytes) -> None:
    assert read_result(raw) is None


def test_places_are_counted_by_mode() -> None:
    def node(name: str, **changes: object) -> NodeState:
        state = NodeState(parse_node_url(name), name, status=NodeStatus.UP)
        return state._replace(**changes)  # type: ignore[arg-type]

    snapshot = ClusterSnapshot(
        pinned="http://one:11434",
        nodes=(
            node("one"),
            node("two"),
            node("off", drained=True),
            node("x", status=NodeStatus.DOWN),
        ),
        coordinators=(
            CoordinatorState(
                parse_coordinator_url("c"), status=CoordinatorStatus.READY, slots_total=4
            ),
            CoordinatorState(parse_coordinator_url("d"), slots_total=8),
        ),
    )
    assert {mode: capacity(snapshot, mode) for mode in Mode} == {
        Mode.TASK: 2,
        Mode.MODEL: 4,
        Mode.BOTH: 6,
        Mode.OFF: 1,
    }
    assert capacity(ClusterSnapshot(), Mode.TASK) == 1
