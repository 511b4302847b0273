"""Where requests go, and why."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions, RouteDecision
from sollol_tui.core.decision_json import decision_json, read_decision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import CoordinatorUrl, NodeUrl
from sollol_tui.core.model_size import size_in_name
from sollol_tui.core.records import Measured, after_answer, after_failure
from sollol_tui.core.route_words import NOBODY_HAS_IT
from sollol_tui.core.routing import Circumstances, choose, within_load_guard
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    LoadedModel,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
)

SMALL = NodeModel("llama3:8b", 5_000_000_000, 8e9)
LARGE = NodeModel("llama3:70b", 40_000_000_000, 70e9)


def node(name: str, **changes: object) -> NodeState:
    state = NodeState(NodeUrl(f"http://{name}:11434"), name, ("config",), NodeStatus.UP)
    return state._replace(**{"models": (SMALL, LARGE), **changes})  # type: ignore[arg-type]


def coordinator(**changes: object) -> CoordinatorState:
    state = CoordinatorState(CoordinatorUrl("http://c:18080"), "c", ("config",))
    ready = state._replace(status=CoordinatorStatus.READY, model="llama3:70b", parameters=70e9)
    return ready._replace(**changes)  # type: ignore[arg-type]


def ask(model: str = "llama3:8b", **changes: object) -> AskRequest:
    request = AskRequest(model, (ChatMessage("user", "hi"),))
    return request._replace(**changes)  # type: ignore[arg-type]


def decide(
    *nodes: NodeState,
    mode: Mode = Mode.TASK,
    request: AskRequest | None = None,
    coordinators: tuple[CoordinatorState, ...] = (),
    pinned: str = "",
    **changes: object,
) -> RouteDecision:
    snapshot = ClusterSnapshot(mode=mode, pinned=pinned, nodes=nodes, coordinators=coordinators)
    circumstances = Circumstances(snapshot, 1000.0)._replace(**changes)  # type: ignore[arg-type]
    return choose(request or ask(), circumstances, "d1")


def rejection(decision: RouteDecision, name: str) -> str:
    return next(c.rejected or "" for c in decision.candidates if name in c.name)


def test_a_loaded_model_wins_over_a_cold_one_and_the_reason_says_so() -> None:
    warm = node("warm", loaded=(LoadedModel("llama3:8b", None, None, 4096, None),))
    decision = decide(node("cold"), warm)
    assert decision.name == "warm"
    assert decision.reason == "the model is loaded there, not on cold"


def test_a_context_that_would_reload_the_model_makes_it_cold() -> None:
    warm = node("warm", loaded=(LoadedModel("llama3:8b", None, None, 4096, None),))
    other = node("other", loaded=(LoadedModel("llama3:8b", None, None, 8192, None),))
    wants = ask(options=ChatOptions(context_tokens=8192))
    assert decide(warm, other, request=wants).name == "other"


def test_a_busy_node_gives_way_to_an_idle_one() -> None:
    decision = decide(node("busy", in_flight=2), node("idle"))
    assert decision.name == "idle"
    assert "shorter queue" in decision.reason


def test_measured_speed_decides_between_idle_nodes() -> None:
    records = {
        ("http://slow:11434", "llama3:8b"): Measured(0.5, 10.0, None, 990.0, 3),
        ("http://fast:11434", "llama3:8b"): Measured(0.5, 60.0, None, 990.0, 3),
    }
    decision = decide(node("slow"), node("fast"), records=records)
    assert decision.name == "fast"
    assert "writes faster" in decision.reason


def test_a_node_without_history_is_tried() -> None:
    records = {("http://known:11434", "llama3:8b"): Measured(0.5, 60.0, None, 990.0, 3)}
    served = {"http://known:11434": 3}
    assert decide(node("known"), node("new"), records=records, served=served).name == "new"


def test_a_recent_failure_weighs_and_fades() -> None:
    failed = after_failure(Measured(), 995.0)
    records = {("http://a:11434", "llama3:8b"): failed}
    assert decide(node("a"), node("b"), records=records, served={"http://b:11434": 9}).name == "b"
    faded = {("http://a:11434", "llama3:8b"): after_failure(Measured(), 0.0)}
    served = {"http://b:11434": 9}
    assert decide(node("a"), node("b"), records=faded, served=served).name == "a"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": NodeStatus.DOWN, "fault": Fault(FaultKind.REFUSED)}, "connection refused"),
        ({"status": NodeStatus.STALLED}, "stalled"),
        ({"status": NodeStatus.SATURATED}, "saturated"),
        ({"drained": True}, "drained"),
        ({"models": ()}, "does not have the model"),
        ({"models": (SMALL._replace(remote_host="https://x"),)}, "cloud"),
        ({"models": (SMALL._replace(capabilities=("embedding",)),)}, "embedding"),
    ],
)
def test_every_rejection_has_its_reason(changes: dict[str, object], words: str) -> None:
    decision = decide(node("a", **changes))
    assert decision.target is None
    assert words in rejection(decision, "a")
    assert words in decision.reason or decision.reason == NOBODY_HAS_IT


def test_mode_both_goes_by_size_from_metadata() -> None:
    one = coordinator()
    small = decide(node("a"), mode=Mode.BOTH, coordinators=(one,))
    large = decide(node("a"), mode=Mode.BOTH, coordinators=(one,), request=ask("llama3:70b"))
    assert (small.kind, large.kind) == ("node", "coordinator")
    assert "8 B, below 13 B" in small.reason
    assert "70 B, from 13 B" in large.reason


def test_a_size_that_only_the_name_tells_is_said_to_be_so() -> None:
    unknown = NodeModel("mystery:30b")
    decision = decide(node("a", models=(unknown,)), mode=Mode.BOTH, request=ask("mystery:30b"))
    assert "30 B by its name" in decision.reason


def test_a_model_that_fits_no_single_node_goes_to_the_coordinator() -> None:
    tight = node("a", vram_total_bytes=4_000_000_000)
    serving = coordinator(model="llama3:8b", parameters=8e9)
    decision = decide(tight, mode=Mode.BOTH, coordinators=(serving,))
    assert decision.kind == "coordinator"
    assert "fits no single node" in decision.reason


def test_without_a_coordinator_mode_model_falls_back_to_a_node_and_says_so() -> None:
    stopped = coordinator(status=CoordinatorStatus.STOPPED)
    decision = decide(
        node("a"), mode=Mode.MODEL, coordinators=(stopped,), request=ask("llama3:70b")
    )
    assert decision.kind == "node"
    assert "no coordinator can take it;" in decision.reason


def test_who_stands_in_for_whom_is_a_sentence_of_its_own() -> None:
    gone = coordinator(status=CoordinatorStatus.STOPPED, fault=Fault(FaultKind.REFUSED))
    large = ask("llama3:70b")
    decision = decide(node("a"), mode=Mode.MODEL, coordinators=(gone,), request=large)
    assert decision.stands_in == (
        "Coordinator c cannot take it (stopped: connection refused): node a answers instead."
    )
    down = node("gpu1", status=NodeStatus.DOWN)
    small = coordinator(model="llama3:8b", parameters=8e9)
    decision = decide(down, mode=Mode.BOTH, coordinators=(small,))
    assert decision.stands_in == ("Node gpu1 cannot take it (down): coordinator c answers instead.")
    decision = decide(node("a"), mode=Mode.MODEL)
    assert decision.stands_in == "No coordinator is known: node a answers instead."
    other = coordinator(model="qwen:32b")
    decision = decide(node("a"), mode=Mode.MODEL, coordinators=(other,))
    assert decision.stands_in == "No coordinator serves this model: node a answers instead."


def test_nobody_stands_in_where_the_cluster_is_made_so_or_a_person_chose() -> None:
    serving = coordinator(model="only:8b", parameters=8e9)
    for some in ((), (node("a"),), (node("a", drained=True),)):
        there = decide(*some, mode=Mode.BOTH, coordinators=(serving,), request=ask("only:8b"))
        assert (there.kind, there.stands_in) == ("coordinator", "")
    asked_for = ask("llama3:70b", target="http://a:11434")
    decision = decide(node("a"), mode=Mode.MODEL, coordinators=(coordinator(),), request=asked_for)
    assert (decision.name, decision.stands_in) == ("a", "")
    assert decide(node("a"), mode=Mode.BOTH, coordinators=(coordinator(),)).stands_in == ""


def test_the_coordinator_never_answers_for_another_model() -> None:
    decision = decide(mode=Mode.MODEL, coordinators=(coordinator(model="qwen:32b"),))
    assert decision.target is None
    assert "serves qwen:32b" in decision.reason


def test_a_coordinator_is_known_by_its_files_name() -> None:
    by_path = coordinator(model="/models/big-Q4.gguf", model_path="/models/big-Q4.gguf")
    decision = decide(mode=Mode.MODEL, coordinators=(by_path,), request=ask("big-Q4"))
    assert decision.kind == "coordinator"


def test_mode_task_leaves_the_coordinator_alone_and_mode_off_uses_the_pinned_node() -> None:
    task = decide(node("a"), coordinators=(coordinator(),), request=ask("llama3:70b"))
    assert task.kind == "node"
    pinned = decide(node("a"), node("b"), mode=Mode.OFF, pinned="http://b:11434")
    assert pinned.name == "b"


def test_a_target_that_was_asked_for_is_the_only_one() -> None:
    decision = decide(node("a"), node("b", drained=True), request=ask(target="http://b:11434"))
    assert (decision.name, decision.reason) == ("b", "you chose it")
    assert rejection(decision, "a") == "another target was asked for"
    alone = decide(node("b"), mode=Mode.BOTH, request=ask(target="http://b:11434"))
    assert alone.reason == "you chose it", "nothing was weighed, and no size asked for"
    away = node("b", status=NodeStatus.DOWN)
    decision = decide(node("a"), away, request=ask(target="http://b:11434"))
    assert decision.reason == "nothing can take it (b: down)", "and of the others nothing"


def test_a_conversation_stays_while_the_load_allows() -> None:
    served = {"http://a:11434": 9}
    assert decide(node("a"), node("b"), served=served, affinity="http://a:11434").name == "a"
    loaded = node("a", in_flight=4)
    assert decide(loaded, node("b"), affinity="http://a:11434").name == "b"
    assert within_load_guard(1, 0)
    assert not within_load_guard(2, 0)
    assert not within_load_guard(9, 6)


def test_targets_that_failed_this_request_are_not_tried_again() -> None:
    decision = decide(node("a"), node("b"), excluded={"http://a:11434": "failed: refused"})
    assert decision.name == "b"
    assert rejection(decision, "a") == "failed: refused"


def test_nothing_known_is_said() -> None:
    assert decide().reason == "no node and no coordinator is known"
    assert decide(node("a", models=())).reason == NOBODY_HAS_IT
    nobody = decide(node("a", models=()), mode=Mode.BOTH, coordinators=(coordinator(),))
    assert nobody.reason.endswith("coordinator c: serves llama3:70b)")


def test_equal_nodes_share_a_thousand_requests_within_ten_percent() -> None:
    names = ("a", "b", "c", "d")
    served: dict[str, int] = {}
    for _ in range(1000):
        target = decide(*(node(n) for n in names), served=served).target or ""
        served[target] = served.get(target, 0) + 1
    assert all(225 <= n <= 275 for n in Counter(served).values())


@pytest.mark.parametrize("at_once", [2, 4, 7, 16])
def test_equal_nodes_share_within_ten_percent_also_while_requests_run(at_once: int) -> None:
    """Each request claims its node when it is decided; equal nodes take about equally long."""
    names, chance = ("a", "b", "c", "d"), random.Random(at_once)
    served: Counter[str] = Counter()
    running: list[str] = []
    for _ in range(1000):
        busy = Counter(running)
        nodes = [node(n, in_flight=busy[f"http://{n}:11434"]) for n in names]
        target = decide(*nodes, served=served).target or ""
        served[target] += 1
        running.append(target)
        if len(running) >= at_once:
            running.pop(chance.randrange(2))
    assert all(225 <= n <= 275 for n in served.values()), served


def test_two_coordinators_of_one_model_share_by_their_queues() -> None:
    """What a server tells of its slots and queue holds our own requests: they count once."""
    one = coordinator(in_flight=3, slots_busy=1, deferred=2, slots_total=1)
    url = CoordinatorUrl("http://d:18080")
    two = coordinator(url=url, name="d", in_flight=4, slots_busy=1, deferred=1, slots_total=1)
    decision = decide(mode=Mode.MODEL, coordinators=(one, two), request=ask("llama3:70b"))
    assert decision.target == one.url
    gone = one._replace(status=CoordinatorStatus.STOPPED)
    decision = decide(mode=Mode.MODEL, coordinators=(gone, two), request=ask("llama3:70b"))
    assert decision.target == two.url


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("llama3:8b", 8e9),
        ("mixtral:8x7b", 56e9),
        ("qwen2.5:0.5b-instruct-q4_0", 0.5e9),
        ("smollm2:135m", 135e6),
        ("hf.co/org/Llama-3.3-70B-Instruct-GGUF:Q4_K_M", 70e9),
        ("nomic-embed-text", None),
        ("llama3:latest", None),
        ("phi4-mini", None),
        ("model-q4b3", None),
    ],
)
def test_sizes_in_names(name: str, parameters: float | None) -> None:
    assert size_in_name(name) == parameters


def test_a_cold_start_does_not_count_as_a_slow_first_token() -> None:
    record = after_answer(Measured(), 1.0, ttft_s=5.2, decode_tps=30.0, load_s=5.0)
    assert record.load_s == 5.0
    assert record.ttft_s == pytest.approx(0.2)


statuses = st.sampled_from(list(NodeStatus))
nodes = st.lists(
    st.builds(
        lambda name, status, models, drained, in_flight, loaded: node(
            name,
            status=status,
            models=models,
            drained=drained,
            in_flight=in_flight,
            loaded=(LoadedModel("llama3:8b"),) if loaded else (),
        ),
        st.sampled_from("abcdefgh"),
        statuses,
        st.sampled_from([(), (SMALL,), (SMALL, LARGE), (SMALL._replace(remote_host="x"),)]),
        st.booleans(),
        st.integers(0, 5),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda n: n.url,
)
records = st.dictionaries(
    st.tuples(st.sampled_from([f"http://{n}:11434" for n in "abcdefgh"]), st.just("llama3:8b")),
    st.builds(
        lambda ttft, tps, failures: Measured(ttft, tps, None, 900.0, 1, failures, 990.0),
        st.floats(0.01, 10),
        st.floats(0.1, 200),
        st.integers(0, 3),
    ),
)


@settings(max_examples=300, deadline=None)
@given(nodes, records)
def test_a_target_is_always_up_undrained_and_has_the_model(
    some: list[NodeState], known: dict[tuple[str, str], Measured]
) -> None:
    decision = decide(*some, records=known)
    assert decision == decide(*some, records=known), "the same arguments, the same decision"
    assert len(decision.candidates) == len(some)
    if decision.target is None:
        return
    chosen = next(n for n in some if n.url == decision.target)
    assert chosen.status is NodeStatus.UP
    assert not chosen.drained
    assert any(m.name == "llama3:8b" and not m.remote_host for m in chosen.models)


@settings(max_examples=300, deadline=None)
@given(nodes, records, st.integers(0, 3), st.floats(1.01, 5.0))
def test_a_strictly_better_node_is_never_passed_over(
    some: list[NodeState], known: dict[tuple[str, str], Measured], fewer: int, faster: float
) -> None:
    decision = decide(*some, records=known)
    if decision.target is None:
        return
    chosen = next(n for n in some if n.url == decision.target)
    old = known.get((chosen.url, "llama3:8b"), Measured(1.0, 20.0, None, 900.0, 1))
    better = node("z", in_flight=max(0, chosen.in_flight - fewer), loaded=chosen.loaded)
    twin = old._replace(
        decode_tps=(old.decode_tps or 20.0) * faster,
        measured_at_s=999.0,
        ttft_s=old.ttft_s or 1.0,
        failed_at_s=None,
    )
    fixed = {**known, (chosen.url, "llama3:8b"): old, (better.url, "llama3:8b"): twin}
    after = decide(*some, better, records=fixed)
    assert after.target != chosen.url


@settings(max_examples=200, deadline=None)
@given(nodes, records, st.sampled_from([Mode.TASK, Mode.MODEL, Mode.BOTH]), st.booleans())
def test_a_decision_is_reproduced_from_its_stored_record(
    some: list[NodeState], known: dict[tuple[str, str], Measured], mode: Mode, serves: bool
) -> None:
    """The record alone tells why: the parts make the score, the best score the target."""
    one = coordinator(model="llama3:8b" if serves else "qwen:32b")
    decision = decide(*some, mode=mode, records=known, coordinators=(one,))
    stored = read_decision(decision_json(decision))
    assert stored == decision
    assert len(stored.candidates) == len(some) + 1
    open_ones = [c for c in stored.candidates if c.score is not None]
    assert all((c.score is None) == (c.rejected is not None) for c in stored.candidates)
    for candidate in open_ones:
        total = sum(value for _, value in candidate.parts)
        assert math.isclose(candidate.score or 0.0, total, abs_tol=1e-9)
    assert stored.target == (open_ones[0].target if open_ones else None)
    rivals = [c.score or 0.0 for c in open_ones if c.kind == stored.kind]
    assert not rivals or rivals == sorted(rivals, reverse=True)
