"""Routing over random clusters: what a decision may never be, whatever the cluster looks like."""

from __future__ import annotations

import math
import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions, RouteDecision
from sollol_tui.core.decision_json import decision_json, read_decision
from sollol_tui.core.ids import CoordinatorUrl, NodeUrl, same_model
from sollol_tui.core.records import FORGET_S, Measured, after_answer
from sollol_tui.core.routing import (
    AFFINITY_S,
    Circumstances,
    choose,
    serves,
    within_load_guard,
)
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
from sollol_tui.engine.ledger import AFFINITY_TTL_S, CONVERSATIONS, Ledger
from tests.core.random_clusters import GIB, NAMES, NODES, NOW_S, circumstances, requests


def decide(request: AskRequest, now: Circumstances) -> RouteDecision:
    return choose(request, now, "r1.1")


MANY = settings(max_examples=600, deadline=None)


@MANY
@given(requests(), circumstances())
def test_what_is_chosen_can_answer_and_may_be_asked(
    request: AskRequest, now: Circumstances
) -> None:
    """Never a drained, incompatible or model-less target, and never one that just failed."""
    decision = decide(request, now)
    mode = request.mode or now.snapshot.mode
    if decision.target is None:
        assert decision.reason
        assert all(c.rejected for c in decision.candidates)
        return
    assert decision.target not in now.excluded
    assert request.target in (None, decision.target)
    if decision.kind == "coordinator":
        chosen = now.snapshot.coordinator(decision.target)
        assert chosen is not None
        assert chosen.status is CoordinatorStatus.READY
        assert serves(chosen, request.model)
        assert request.target or mode in (Mode.MODEL, Mode.BOTH)
        return
    node = now.snapshot.node(decision.target)
    assert node is not None
    assert node.status is NodeStatus.UP
    assert request.target or not node.drained
    if mode is Mode.OFF and now.snapshot.pinned and request.target is None:
        assert node.url == now.snapshot.pinned
    (model,) = [m for m in node.models if same_model(m.name, request.model)]
    assert not model.remote_host
    assert "completion" in (model.capabilities or ("completion",))
    assert model.capabilities or "embed" not in model.name


@MANY
@given(requests(), circumstances())
def test_every_target_is_a_candidate_with_its_score_or_its_refusal(
    request: AskRequest, now: Circumstances
) -> None:
    decision = decide(request, now)
    every = [n.url for n in now.snapshot.nodes] + [c.url for c in now.snapshot.coordinators]
    assert sorted(c.target for c in decision.candidates) == sorted(every)
    for candidate in decision.candidates:
        assert (candidate.score is None) != (candidate.rejected is None)
        assert candidate.rejected != ""
        if candidate.score is not None:
            parts = [value for _, value in candidate.parts]
            assert math.isclose(sum(parts), candidate.score, rel_tol=1e-9, abs_tol=1e-9)
            assert all(math.isfinite(part) for part in parts)


@MANY
@given(requests(), circumstances())
def test_the_stored_record_alone_gives_the_decision_again(
    request: AskRequest, now: Circumstances
) -> None:
    """Made again from the same facts it is the same; and its record ranks as it was ranked."""
    decision = decide(request, now)
    assert decide(request, now) == decision
    stored = read_decision(decision_json(decision))
    assert stored == decision
    could = [c for c in stored.candidates if c.rejected is None]
    assert stored.target == (could[0].target if could else None)
    kinds = [c.kind for c in could]
    assert len({k for i, k in enumerate(kinds) if i and kinds[i - 1] != k}) <= 1, "kinds in groups"
    for one, next_one in pairwise(could):
        if one.kind == next_one.kind:
            assert (one.score or 0.0) >= (next_one.score or 0.0)


@MANY
@given(requests(), circumstances(), st.floats(1.01, 4.0), st.integers(0, 3))
def test_a_strictly_better_node_is_never_passed_over(
    request: AskRequest, now: Circumstances, faster: float, fewer: int
) -> None:
    """A twin of the chosen node that is better in what is known of it, and worse in nothing."""
    request, now = request._replace(target=None), now._replace(affinity=None)
    now = now._replace(snapshot=now.snapshot._replace(pinned=""))
    decision = decide(request, now)
    if decision.kind != "node" or decision.target is None:
        return
    chosen = now.snapshot.node(decision.target)
    assert chosen is not None
    key = next(n for n in NAMES if same_model(n, request.model))
    known = Measured(1.0, 20.0, None, NOW_S, 5)
    twin = chosen._replace(
        url=NodeUrl("http://zz:11434"), in_flight=max(0, chosen.in_flight - fewer)
    )
    better = known._replace(decode_tps=20.0 * faster)
    now = now._replace(
        snapshot=now.snapshot._replace(nodes=(*now.snapshot.nodes, twin)),
        records={**now.records, (chosen.url, key): known, (twin.url, key): better},
        served={**now.served, twin.url: 10_000},
    )
    assert decide(request, now).target != chosen.url


@MANY
@given(requests(), circumstances())
def test_a_conversation_stays_only_inside_the_load_guard_and_its_bonus_is_bounded(
    request: AskRequest, now: Circumstances
) -> None:
    decision = decide(request, now)
    could = {c.target: dict(c.parts) for c in decision.candidates if c.rejected is None}
    load: dict[str, int] = {n.url: n.in_flight for n in now.snapshot.nodes}
    load |= {
        c.url: max(c.in_flight, (c.slots_busy or 0) + (c.deferred or 0))
        for c in now.snapshot.coordinators
    }
    least = min((load[target] for target in could), default=0)
    for target, parts in could.items():
        stays = target == now.affinity and within_load_guard(load[target], least)
        assert parts.get("same conversation") == (AFFINITY_S if stays else None)


@given(st.integers(0, 200), st.integers(0, 200))
@example(2, 0)
@example(1, 0)
def test_the_load_guard_is_two_more_and_half_as_many_again(in_flight: int, least: int) -> None:
    guarded = in_flight <= least + 2 and in_flight <= 1.5 * least + 1
    assert within_load_guard(in_flight, least) == guarded


def test_a_conversation_is_forgotten_after_ten_minutes_and_so_many_are_known() -> None:
    ledger = Ledger()
    assert AFFINITY_TTL_S == 600
    ledger.remember("talk", "http://a:11434", 0.0)
    assert ledger.affinity("talk", 599.9) == "http://a:11434"
    assert ledger.affinity("talk", 600.0) is None
    for number in range(CONVERSATIONS):
        ledger.remember(f"other {number}", "http://b:11434", 1.0)
    assert ledger.affinity("talk", 2.0) is None, "the oldest made room"
    assert ledger.affinity("other 0", 2.0) == "http://b:11434"
    ledger.remember("", "http://b:11434", 1.0)
    assert ledger.affinity("", 1.0) is None


# A node without history


def node(name: str, loaded_too: bool = True, **changes: object) -> NodeState:
    model = NodeModel("llama3:8b", 5 * GIB, 8e9)
    state = NodeState(NodeUrl(f"http://{name}:11434"), name, status=NodeStatus.UP, models=(model,))
    state = state._replace(loaded=(LoadedModel("llama3:8b"),) if loaded_too else ())
    return state._replace(**changes)  # type: ignore[arg-type]


class Life:
    """Requests one after the other, each teaching what its node then shows."""

    def __init__(self, speeds: dict[str, float], cold: str = "", failing: str = "") -> None:
        self.speeds, self.failing = speeds, failing
        self.cold = set(cold)
        self.records: dict[tuple[str, str], Measured] = {}
        self.served: Counter[str] = Counter()
        self.now_s = NOW_S

    def one(self) -> str:
        """Who got the next one."""
        nodes = tuple(node(n, n not in self.cold) for n in self.speeds)
        now = Circumstances(
            ClusterSnapshot(nodes=nodes), self.now_s, records=self.records, served=self.served
        )
        decision = decide(AskRequest("llama3:8b", (ChatMessage("user", "hi"),)), now)
        target, name = decision.target or "", decision.name
        self.served[target] += 1
        self.now_s += 5.0
        key = (target, "llama3:8b")
        load_s = 5.4 if name in self.cold else None
        known = self.records.get(key, Measured())
        tps = self.speeds[name]
        self.records[key] = after_answer(known, self.now_s, 0.2 + (load_s or 0), tps, load_s)
        self.cold.discard(name)
        return name

    def many(self, count: int) -> Counter[str]:
        return Counter(self.one() for _ in range(count))


def test_a_node_without_history_is_tried_and_then_judged_by_what_it_showed() -> None:
    shares = Life({"a": 30.0, "b": 31.0, "slow": 3.0}).many(60)
    assert shares["slow"] == 1, "tried, and not trusted"
    assert shares["b"] > shares["a"] >= 1


def test_a_fast_node_that_has_to_load_first_is_found_behind_a_slow_one_that_is_loaded() -> None:
    life = Life({"slow": 5.0, "fast": 100.0}, cold="f")
    life.cold = {"fast"}
    first = [life.one() for _ in range(12)]
    assert first[0] == "slow", "nobody waits for a load at once"
    assert "fast" in first
    assert life.many(20) == {"fast": 20}


def test_loading_for_a_trial_costs_at_most_a_second_for_each_answer_of_others() -> None:
    life = Life({"known": 30.0, "cold": 30.0})
    life.cold = {"cold"}
    order = [life.one() for _ in range(20)]
    load_s = 5 * GIB / 1e9
    assert order.index("cold") >= math.floor(load_s)
    assert order.index("cold") <= math.ceil(load_s) + 1


def test_what_was_slow_long_ago_is_tried_again_and_what_was_fast_is_not_forgotten() -> None:
    old_s = NOW_S - FORGET_S - 1
    records = {
        ("http://slow:11434", "llama3:8b"): Measured(0.2, 5.0, None, NOW_S - 1, 40),
        ("http://fast:11434", "llama3:8b"): Measured(0.2, 100.0, 5.0, old_s, 3),
    }
    snapshot = ClusterSnapshot(nodes=(node("slow"), node("fast", loaded_too=False)))
    request = AskRequest("llama3:8b", (ChatMessage("user", "hi"),))
    fast = decide(request, Circumstances(snapshot, NOW_S, records=records))
    assert fast.name == "fast", "5 s of loading and 2 s of writing are less than 40 s"
    was_slow = {
        ("http://slow:11434", "llama3:8b"): Measured(0.2, 1.0, None, old_s, 3),
        ("http://fast:11434", "llama3:8b"): Measured(0.2, 30.0, None, NOW_S - 1, 40),
    }
    both = snapshot._replace(nodes=(node("slow"), node("fast")))
    served = {"http://fast:11434": 40}
    again = decide(request, Circumstances(both, NOW_S, records=was_slow, served=served))
    assert again.name == "slow"


def test_one_slow_answer_does_not_starve_a_node_that_is_as_good() -> None:
    """Two at a time over equal nodes, one of which was slow once, at its first answer."""
    records = {
        ("http://a:11434", "llama3:8b"): Measured(0.2, 100.0, None, NOW_S, 1),
        ("http://b:11434", "llama3:8b"): Measured(0.2, 30.0, None, NOW_S, 1),
    }
    served: Counter[str] = Counter()
    running: list[str] = []
    for number in range(40):
        busy = Counter(running)
        some = tuple(node(n, in_flight=busy[f"http://{n}:11434"]) for n in "ab")
        now_s = NOW_S + number
        now = Circumstances(ClusterSnapshot(nodes=some), now_s, records=records, served=served)
        target = decide(AskRequest("llama3:8b", (ChatMessage("user", "hi"),)), now).target or ""
        served[target] += 1
        running.append(target)
        if len(running) == 2:
            done = (running.pop(0), "llama3:8b")
            records[done] = after_answer(records[done], now_s, 0.2, 100.0)
    assert served["http://b:11434"] >= 15, served


def test_one_that_failed_its_trial_rests_before_the_next() -> None:
    records = {
        ("http://good:11434", "llama3:8b"): Measured(0.2, 30.0, None, NOW_S, 50),
        ("http://bad:11434", "llama3:8b"): Measured(failures=1, failed_at_s=NOW_S - 1),
    }
    served = {"http://good:11434": 50}
    request = AskRequest("llama3:8b", (ChatMessage("user", "hi"),))
    for is_loaded in (True, False):
        snapshot = ClusterSnapshot(nodes=(node("good"), node("bad", loaded_too=is_loaded)))
        now = Circumstances(snapshot, NOW_S, records=records, served=served)
        assert decide(request, now).name == "good"


@pytest.mark.parametrize("at_once", [1, 3, 8])
@pytest.mark.parametrize("count", [2, 5])
def test_equal_nodes_share_a_thousand_requests_while_they_learn(at_once: int, count: int) -> None:
    """Equal nodes, asked by several at a time: within 10 %."""
    names, chance = NODES[:count], random.Random(at_once)
    served: Counter[str] = Counter()
    running: list[str] = []
    known: dict[tuple[str, str], Measured] = {}
    for number in range(1000):
        busy = Counter(running)
        some = tuple(node(n, in_flight=busy[f"http://{n}:11434"]) for n in names)
        now_s = NOW_S + number
        now = Circumstances(ClusterSnapshot(nodes=some), now_s, records=known, served=served)
        target = decide(AskRequest("llama3:8b", (ChatMessage("user", "hi"),)), now).target or ""
        served[target] += 1
        running.append(target)
        if len(running) >= at_once:
            done = (running.pop(chance.randrange(len(running))), "llama3:8b")
            known[done] = after_answer(known.get(done, Measured()), now_s, 0.2, 30.0)
    assert all(0.9 * 1000 / count <= n <= 1.1 * 1000 / count for n in served.values()), served


def test_a_node_of_twice_the_weight_gets_about_twice_as_much_while_requests_run() -> None:
    served: Counter[str] = Counter()
    running: list[str] = []
    chance = random.Random(1)
    for _ in range(600):
        busy = Counter(running)
        some = (
            node("one", in_flight=busy["http://one:11434"]),
            node("two", in_flight=busy["http://two:11434"], weight=2.0),
        )
        now = Circumstances(ClusterSnapshot(nodes=some), NOW_S, served=served)
        target = decide(AskRequest("llama3:8b", (ChatMessage("user", "hi"),)), now).target or ""
        served[target] += 1
        running.append(target)
        if len(running) >= 6:
            running.pop(chance.randrange(len(running)))
    assert 1.5 <= served["http://two:11434"] / served["http://one:11434"] <= 3.0, served


# Size, fit, context


def both(
    *some: NodeState, model: str, context: int | None = None, **known: object
) -> RouteDecision:
    coordinator = CoordinatorState(
        CoordinatorUrl("http://c:18080"), "c", status=CoordinatorStatus.READY, model=model
    )._replace(**known)  # type: ignore[arg-type]
    snapshot = ClusterSnapshot(mode=Mode.BOTH, nodes=some, coordinators=(coordinator,))
    options = ChatOptions(context_tokens=context)
    request = AskRequest(model, (ChatMessage("user", "hi"),), options)
    return decide(request, Circumstances(snapshot, NOW_S))


def holder(model: NodeModel, **changes: object) -> NodeState:
    return node("a", loaded_too=False, models=(model,), **changes)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("mixtral:8x7b", "coordinator", "56 B by its name"),
        ("qwen2.5:0.5b", "node", "500 M by its name"),
        ("kimi-k2:1t", "coordinator", "1 T by its name"),
        ("gemma3n:e4b", "node", "size unknown"),
        ("qwen3:30b-a3b", "coordinator", "30 B by its name"),
        ("llama3:latest", "node", "size unknown"),
    ],
)
def test_without_metadata_the_name_decides_and_that_is_said(
    name: str, kind: str, words: str
) -> None:
    decision = both(holder(NodeModel(name)), model=name)
    assert decision.kind == kind
    assert words in decision.reason


def test_metadata_stands_before_the_name_and_the_name_is_not_mentioned() -> None:
    misnamed = both(holder(NodeModel("tiny:70b", parameters=1e9)), model="tiny:70b")
    assert (misnamed.kind, "name" in misnamed.reason) == ("node", False)
    assert misnamed.reason.startswith("1 B, below 13 B")
    moe = both(holder(NodeModel("mixtral:8x7b", parameters=46.7e9)), model="mixtral:8x7b")
    assert moe.reason.startswith("46.7 B, from 13 B on the coordinator")
    by_coordinator = both(holder(NodeModel("m:latest")), model="m:latest", parameters=70e9)
    assert by_coordinator.kind == "coordinator"


@pytest.mark.parametrize("capabilities", [("embedding",), ()])
def test_embedding_models_are_never_asked_to_chat(capabilities: tuple[str, ...]) -> None:
    for name, family in (
        ("nomic-embed-text:latest", "nomic-bert"),
        ("mxbai-embed-large:335m", "bert"),
        ("embeddinggemma:300m", "gemma3"),
        ("all-minilm:latest", "bert"),
    ):
        model = NodeModel(name, family=family, capabilities=capabilities)
        decision = decide(
            AskRequest(name, (ChatMessage("user", "hi"),)),
            Circumstances(ClusterSnapshot(nodes=(holder(model),)), NOW_S),
        )
        assert decision.target is None
        assert "cannot chat" in decision.reason


def test_a_cloud_stub_is_no_place_to_ask() -> None:
    stub = NodeModel("gpt-oss:120b-cloud", parameters=117e9, remote_host="https://ollama.com:443")
    decision = both(holder(stub), model="gpt-oss:120b-cloud", status=CoordinatorStatus.STOPPED)
    assert decision.target is None
    assert "cloud model" in decision.reason


SEVEN = NodeModel("seven:7b", 5 * GIB, 7e9)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"vram_total_bytes": 8 * GIB}, "node"),
        ({"vram_total_bytes": 4 * GIB}, "coordinator"),
        ({"vram_total_bytes": 8 * GIB, "vram_free_bytes": 3 * GIB}, "coordinator"),
        ({}, "node"),  # nobody told
        (  # what Ollama has loaded it unloads for another model
            {
                "vram_total_bytes": 8 * GIB,
                "vram_free_bytes": 3 * GIB,
                "loaded": (LoadedModel("other:7b", 4 * GIB, 4 * GIB),),
            },
            "node",
        ),
        (  # it lies there already
            {
                "vram_total_bytes": 8 * GIB,
                "vram_free_bytes": 1 * GIB,
                "loaded": (LoadedModel("seven:7b", 6 * GIB, 6 * GIB),),
            },
            "node",
        ),
        (  # and it does not lie there as a whole
            {"loaded": (LoadedModel("seven:7b", 6 * GIB, 3 * GIB),)},
            "coordinator",
        ),
    ],
)
def test_what_fits_no_single_nodes_memory_goes_to_the_coordinator(
    changes: dict[str, object], kind: str
) -> None:
    decision = both(holder(SEVEN, **changes), model="seven:7b")
    assert decision.kind == kind
    assert ("fits no single node" in decision.reason) == (kind == "coordinator")


def test_one_node_with_room_is_enough_but_not_one_that_is_down_or_drained() -> None:
    small = holder(SEVEN, vram_total_bytes=4 * GIB)
    big = small._replace(url=NodeUrl("http://big:11434"), name="big", vram_total_bytes=24 * GIB)
    assert both(small, big, model="seven:7b").kind == "node"
    for gone in (big._replace(status=NodeStatus.DOWN), big._replace(drained=True)):
        assert both(small, gone, model="seven:7b").kind == "coordinator"


def test_a_model_of_unknown_size_that_fits_no_node_goes_to_the_coordinator_too() -> None:
    nameless = NodeModel("nameless:latest", 40 * GIB)
    decision = both(holder(nameless, vram_total_bytes=24 * GIB), model="nameless:latest")
    assert decision.kind == "coordinator"
    assert "fits no single node" in decision.reason


@pytest.mark.parametrize(
    ("there", "wanted", "is_said"),
    [(4096, 8192, True), (4096, 4096, False), (4096, None, False), (None, 8192, False)],
)
def test_a_context_that_loads_the_model_anew_is_said(
    there: int | None, wanted: int | None, is_said: bool
) -> None:
    model = NodeModel("llama3:8b", 5 * GIB, 8e9)
    warm = holder(model, loaded=(LoadedModel("llama3:8b", context_tokens=there),))
    decision = both(warm, model="llama3:8b", context=wanted)
    assert decision.kind == "node"
    told = f"loads the model anew there: a context of {wanted} is asked for, {there} is loaded"
    assert (told in decision.reason) == is_said
