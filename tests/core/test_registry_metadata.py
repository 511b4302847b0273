"""Our part of the router's metadata: what others wrote stays, and stays no longer than it would."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url, parse_node_url
from sollol_tui.core.registry_events import Origin
from sollol_tui.core.registry_mark import MARK
from sollol_tui.core.registry_metadata import (
    LASTING_TTL_S,
    OUR_TTL_S,
    Metadata,
    OurPart,
    our_part,
    redis_is_here,
    renewed,
    withdrawn,
)
from sollol_tui.core.registry_shapes import METADATA_KEY, RegistryValue, read_value
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    Mode,
    NodeState,
    NodeStatus,
    Owner,
)
from sollol_tui.core.statistics import Statistics

ME, OTHER = Origin("here_1_aa", "here", 1), Origin("there_2_bb", "there", 2)
NOW_S = 1_790_000_000.0

RAY = {  # RayHybridRouter, an hour to live
    "nodes": [{"host": "10.9.66.45", "port": "11434"}],
    "rpc_backends": [{"host": "10.9.66.48", "port": 50052}],
    "metrics": {"router_type": "ray_hybrid", "ray_pools": {"num_pools": 0}},
}
POOL = {  # OllamaPool, thirty seconds
    "source": "ollamapool",
    "app_name": "OllamaPool",
    "metrics": {"analytics": {"p50_latency_ms": 60.37, "total_requests": 1}, "total_pools": 2},
    "nodes": [{"url": "http://127.0.0.1:11434", "host": "127.0.0.1:11434", "available": True}],
    "applications": [{"app_id": "ollamapool", "name": "OllamaPool"}],
    "timestamp": NOW_S - 3,
}
ADOPTED = {"rpc_backends": [{"host": "coordinator", "port": 0}]}  # CoordinatorManager, for ever
ODD = {"nodes": "many", "metrics": 3, "extra": {"a": [1]}}

OUR_NODE = {"url": "http://gpu1:11434", "host": "gpu1:11434", "available": True}
PART = OurPart(
    (OUR_NODE, {"url": "http://10.9.66.45:11434", "host": "10.9.66.45:11434"}),
    ({"host": "10.0.0.3", "port": 50052}, {"host": "10.9.66.48", "port": 50052}),
    {"mode": "both"},
    {"p50_latency_ms": 12.0},
)


def told(entries: object, key: str) -> list[object]:
    assert isinstance(entries, list)
    return [entry.get(key) for entry in entries]


def holds(document: object, part: object) -> bool:
    """Whether everything in the part is in the document, in its place."""
    if isinstance(part, dict):
        return isinstance(document, dict) and all(
            key in document and holds(document[key], value) for key, value in part.items()
        )
    if isinstance(part, list) and isinstance(document, list):
        return document[: len(part)] == part
    return document == part


def written(metadata: Metadata | None) -> Metadata:
    """The same as Redis holds it."""
    assert metadata is not None
    return Metadata(json.loads(json.dumps(metadata.document, allow_nan=False)), metadata.ttl_s)


def test_a_key_of_our_own_has_sollols_shape_and_a_short_life() -> None:
    document, ttl_s = renewed(None, ME, PART, NOW_S)
    assert ttl_s == OUR_TTL_S
    assert document["source"] == document["app_name"] == "sollol-tui"
    assert document["timestamp"] == NOW_S
    assert holds(document["metrics"], {"analytics": {"p50_latency_ms": 12.0}})
    assert told(document["nodes"], "host") == ["gpu1:11434", "10.9.66.45:11434"]
    assert told(document["rpc_backends"], "port") == [50052, 50052]
    assert told(document["applications"], "name") == ["sollol-tui"]


@pytest.mark.parametrize(
    ("foreign", "ttl_s", "kept_ttl_s"),
    [(RAY, 3600, 3600), (POOL, 28, OUR_TTL_S), (ADOPTED, None, LASTING_TTL_S)],
    ids=["ray", "pool", "adopted"],
)
def test_every_field_of_every_other_writer_is_preserved(
    foreign: dict[str, object], ttl_s: int | None, kept_ttl_s: int
) -> None:
    document, given_s = renewed(Metadata(foreign, ttl_s), ME, PART, NOW_S)
    assert holds(document, foreign)
    assert given_s == kept_ttl_s
    assert "gpu1:11434" in told(document["nodes"], "host")


def test_what_others_name_already_is_not_named_twice() -> None:
    document, _ = renewed(Metadata(dict(RAY), 3600), ME, PART, NOW_S)
    assert told(document["nodes"], "host") == ["10.9.66.45", "gpu1:11434"]
    assert told(document["rpc_backends"], "host") == ["10.9.66.48", "10.0.0.3"]


def test_what_is_no_list_and_no_object_is_left_alone() -> None:
    document, _ = renewed(Metadata(dict(ODD), 60), ME, PART, NOW_S)
    assert holds(document, ODD)
    assert written(withdrawn(Metadata(document, 60), ME.instance_id, NOW_S)).document == ODD


@pytest.mark.parametrize(("foreign", "ttl_s"), [(RAY, 3000), (POOL, 28), (ADOPTED, None), (ODD, 9)])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=8))
def test_after_all_of_us_have_gone_the_key_is_as_if_we_had_never_been_there(
    foreign: dict[str, object], ttl_s: int | None, steps: list[tuple[bool, int]]
) -> None:
    """Two starts of this program come, renew and go in any order, within the foreign life."""
    now_s, left_s = NOW_S, ttl_s
    held = Metadata(foreign, ttl_s)
    for is_me, passed_s in steps:
        if left_s is not None and now_s + passed_s - NOW_S > (ttl_s or 0):
            break
        now_s += passed_s
        ttl_now_s = None if held.ttl_s is None else held.ttl_s - passed_s
        held = Metadata(held.document, ttl_now_s)
        held = written(renewed(held, ME if is_me else OTHER, PART, now_s))
        assert holds(held.document, foreign)
        assert held.ttl_s is not None
    for origin in (ME, OTHER):
        held = written(withdrawn(held, origin.instance_id, now_s))
    assert held.document == foreign
    if ttl_s is None:
        assert held.ttl_s is None
    else:
        assert held.ttl_s == pytest.approx(max(1, NOW_S + ttl_s - now_s), abs=1)


def test_what_others_wrote_does_not_outlive_its_time_because_of_us() -> None:
    first = written(renewed(Metadata(POOL, 28), ME, PART, NOW_S))
    later = renewed(first._replace(ttl_s=5), ME, PART, NOW_S + 40)
    assert told(later.document["nodes"], "host") == ["gpu1:11434", "10.9.66.45:11434"]
    assert told(later.document["applications"], "name") == ["sollol-tui"]
    assert later.document["source"] == "sollol-tui"


@pytest.mark.parametrize("ttl_s", [None, 3600])
def test_a_writer_that_kept_our_mark_is_noticed_by_the_life_it_gave(ttl_s: int | None) -> None:
    """CoordinatorManager reads, changes and writes the whole, and takes the time to live away."""
    ours = written(renewed(None, ME, PART, NOW_S))
    backends = [{"host": "10.9.66.99", "port": 50052}]
    changed = Metadata({**ours.document, "rpc_backends": backends}, ttl_s)
    later = renewed(changed, ME, PART, NOW_S + 100)
    assert holds(later.document["rpc_backends"], backends)
    then = later._replace(ttl_s=(later.ttl_s or 0) - 10)
    end = withdrawn(written(then), ME.instance_id, NOW_S + 110)
    assert end is not None
    assert end.document == {"rpc_backends": backends}
    assert end.ttl_s == (None if ttl_s is None else 3590)


def test_nothing_is_left_of_a_key_that_only_we_wrote() -> None:
    held = written(renewed(None, ME, PART, NOW_S))
    assert withdrawn(held, ME.instance_id, NOW_S + 5) is None


def test_a_start_that_died_is_forgotten_and_one_that_lives_is_not() -> None:
    part = OurPart(({"url": "http://old:11434", "host": "old:11434"},))
    held = written(renewed(None, OTHER, part, NOW_S))
    soon = renewed(held, ME, PART, NOW_S + 5)
    assert "old:11434" in told(soon.document["nodes"], "host")
    late = renewed(written(soon), ME, PART, NOW_S + 50)
    assert "old:11434" not in told(late.document["nodes"], "host")
    assert told(late.document["applications"], "app_id") == [ME.instance_id]


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    )
)
def test_whatever_the_mark_and_the_lists_hold_nothing_is_raised(junk: object) -> None:
    keys = (MARK, "nodes", "rpc_backends", "applications", "metrics", "source")
    for document in [{key: junk} for key in keys] + [
        {MARK: {"instances": junk, "others_until": junk, "fields": junk}}
    ]:
        held = renewed(Metadata(document, 10), ME, PART, NOW_S)
        withdrawn(held, ME.instance_id, NOW_S)


# What we tell


def node(url: str, *sources: str, **changes: object) -> NodeState:
    state = NodeState(parse_node_url(url), url, sources, NodeStatus.UP, seen_at_s=1.0)
    return state._replace(**changes)  # type: ignore[arg-type]


def backend(text: str, *sources: str, **changes: object) -> BackendState:
    state = BackendState(parse_backend_address(text), sources, BackendStatus.IDLE)
    return state._replace(**changes)  # type: ignore[arg-type]


SNAPSHOT = ClusterSnapshot(
    Mode.BOTH,
    nodes=(
        node("gpu1", "config", "redis", latency_ms=12.34, in_flight=2, vram_free_bytes=3 << 30),
        node("gpu2", "redis"),
        node("gpu3", "config", seen_at_s=None, status=NodeStatus.DOWN),
        node("gpu4", "hand", drained=True),
        node("127.0.0.1", "localhost"),
    ),
    coordinators=(CoordinatorState(parse_coordinator_url("127.0.0.1"), owner=Owner.OURS),),
    backends=(
        backend("10.0.0.2", "coordinator", status=BackendStatus.ATTACHED),
        backend("10.0.0.3", "redis"),
        backend("10.0.0.4", "config", status=BackendStatus.DOWN),
        backend("[fe80::1]:50053", "config"),
    ),
)


def hosts(entries: Iterable[dict[str, object]]) -> list[object]:
    return [entry["host"] for entry in entries]


def test_only_what_answers_and_is_not_known_from_redis_alone_is_told() -> None:
    nothing = Statistics().stats(0.0)
    part = our_part(SNAPSHOT, nothing, loopback_is_here=True)
    assert hosts(part.nodes) == ["gpu1:11434", "gpu4:11434", "127.0.0.1:11434"]
    assert hosts(part.backends) == ["10.0.0.2", "fe80::1"]
    far = our_part(SNAPSHOT, nothing, loopback_is_here=False)
    assert hosts(far.nodes) == ["gpu1:11434", "gpu4:11434"]


def test_nodes_and_figures_are_told_as_sollol_tells_them() -> None:
    whole = Sample(
        1.0, "m:1", Mode.TASK, "node", "http://gpu1:11434", 1, 0.1, 2.0, 9.0, None, 5, request="a"
    )
    failed = whole._replace(request="b", fault=Fault(FaultKind.CUT), outcome="cut")
    part = our_part(SNAPSHOT, Statistics([whole, failed]).stats(0.0), loopback_is_here=True)
    assert part.nodes[0] == {
        "url": "http://gpu1:11434",
        "host": "gpu1:11434",
        "available": True,
        "latency_ms": 12.34,
        "success_rate": 0.5,
        "total_requests": 2,
        "failed_requests": 1,
        "gpu_free_mem": 3072,
        "active_requests": 2,
        "priority": 999,
    }
    assert part.nodes[1]["available"] is False, "drained"
    assert part.analytics == {
        "p50_latency_ms": 2000.0,
        "p95_latency_ms": 2000.0,
        "p99_latency_ms": 2000.0,
        "avg_duration_ms": 2000.0,
        "success_rate": 0.5,
        "total_requests": 2,
        "successful_requests": 1,
    }
    assert part.metrics["task"] == {"requests": 2, "errors": 1, "avg_latency_ms": 2000.0}


def test_our_own_reader_reads_what_we_write() -> None:
    held = renewed(Metadata(dict(RAY), 3600), OTHER, PART, NOW_S)
    value = RegistryValue(METADATA_KEY, json.dumps(held.document).encode(), held.ttl_s)
    shape = read_value(value, NOW_S + 5)
    assert [n.url for n in shape.nodes] == ["http://10.9.66.45:11434", "http://gpu1:11434"]
    assert [b.address for b in shape.backends] == ["10.9.66.48:50052", "10.0.0.3:50052"]
    assert shape.notes == ()
    assert shape.nodes[0].age_s == 5.0


def test_our_own_entries_are_no_news_to_us_and_those_of_another_start_are() -> None:
    held = renewed(Metadata(dict(RAY), 3600), ME, PART, NOW_S)
    value = RegistryValue(METADATA_KEY, json.dumps(held.document).encode(), held.ttl_s)
    shape = read_value(value, NOW_S, own_instance=ME.instance_id)
    assert [n.url for n in shape.nodes] == ["http://10.9.66.45:11434"]
    assert [b.address for b in shape.backends] == ["10.9.66.48:50052"]
    assert len(read_value(value, NOW_S, own_instance=OTHER.instance_id).nodes) == 2


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("redis://127.0.0.1:6379", True),
        ("redis://localhost", True),
        ("unix:///run/redis.sock", True),
        ("redis://:secret@10.0.0.2:6379/0", False),
        ("rediss://redis.example.org", False),
    ],
)
def test_a_redis_on_this_machine_is_known_by_its_url(url: str, is_here: bool) -> None:
    assert redis_is_here(url) is is_here
