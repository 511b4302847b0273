"""Figures of requests: what is counted, how percentiles lie, what a window holds."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.asks import End, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.samples import Sample, outcome_of, queue_wait_s
from sollol_tui.core.state import Mode
from sollol_tui.core.statistics import (
    KEPT,
    MODEL,
    TASK,
    Figures,
    Row,
    Spread,
    Statistics,
    Stats,
    percentile,
)

CUT = Fault(FaultKind.CUT)
STOPPED = Fault(FaultKind.STOPPED)
ONE, TWO, COORDINATOR = "http://one:11434", "http://two:11434", "http://co:18080"


def sample(at_s: float = 0.0, total_s: float = 1.0, **changes: object) -> Sample:
    fault = changes.get("fault")
    outcome = fault.kind.value if isinstance(fault, Fault) else "complete"
    known = Sample(
        at_s, "llama3.2:3b", Mode.TASK, "node", ONE, 1, 0.1, total_s, 20.0, None, 10, None, "r1"
    )
    return known._replace(outcome=outcome, **changes)  # type: ignore[arg-type]


def figures(samples: Sequence[Sample], now_s: float = 0.0) -> Stats:
    taken = Statistics()
    for one in samples:
        taken.add(one)
    return taken.stats(now_s)


# Percentiles


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=60))
def test_percentiles_lie_where_the_standard_library_puts_them(values: list[float]) -> None:
    ordered = sorted(values)
    cuts = statistics.quantiles(ordered, n=20, method="inclusive")
    assert percentile(ordered, 0.95) == pytest.approx(cuts[18])
    assert percentile(ordered, 0.5) == pytest.approx(statistics.median(ordered))


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [((), None, None), ((3.0,), 3.0, 3.0), ((1.0, 3.0), 2.0, 2.9), ((1.0, 2.0, 9.0), 2.0, 8.3)],
)
def test_few_values_have_percentiles_within_them_and_no_value_has_none(
    values: tuple[float, ...], p50: float | None, p95: float | None
) -> None:
    assert percentile(values, 0.5) == p50
    assert percentile(values, 0.95) == pytest.approx(p95)


def test_nothing_measured_is_unknown_and_not_zero() -> None:
    nothing = Statistics().stats(0.0)
    assert nothing.all == Row("")
    assert nothing.paths == (Row(TASK), Row(MODEL))
    assert nothing.all.recent.success_rate is None
    assert nothing.all.recent.latency_s == Spread(0, None, None, None)
    assert nothing.share(nothing.all) is None
    assert nothing.since_s is None


# What is counted


def test_a_group_tells_mean_percentiles_and_rates_of_its_requests() -> None:
    found = figures([sample(total_s=total_s, request=f"r{total_s}") for total_s in (1.0, 2.0, 6.0)])
    (node,) = found.nodes
    assert node.key == ONE
    assert node.recent.latency_s[:3] == (3, 3.0, 2.0)
    assert node.recent.latency_s.p95 == pytest.approx(5.6)
    assert node.recent.decode_tps.mean == 20.0
    assert node.recent.prefill_tps == Spread()
    assert (node.recent.requests, node.recent.tokens) == (3, 30)


def test_stopped_requests_are_neither_successes_nor_failures() -> None:
    found = figures(
        [sample(request="a"), sample(request="b", fault=STOPPED), sample(request="c", fault=CUT)]
    ).all.recent
    assert (found.requests, found.succeeded, found.failed, found.stopped) == (3, 1, 1, 1)
    assert found.success_rate == 0.5
    assert found.faults == (("cut", 1),)
    assert found.latency_s.known == 1, "how long a failure took says nothing of answers"
    assert found.ttft_s.known == 2, "a stopped answer's first token came as any other's"


def test_task_distribution_and_distributed_inference_stand_side_by_side() -> None:
    found = figures(
        [
            sample(total_s=1.0, request="a"),
            sample(total_s=2.0, request="b", target=TWO),
            sample(
                total_s=9.0,
                request="c",
                kind="coordinator",
                target=COORDINATOR,
                model="llama3.3:70b",
                backends=("b1:50052", "b2:50052"),
            ),
        ]
    )
    task, model = found.paths
    assert (task.key, task.recent.latency_s.mean) == (TASK, 1.5)
    assert (model.key, model.recent.latency_s.mean) == (MODEL, 9.0)
    assert [row.key for row in found.nodes] == [ONE, TWO]
    assert [row.key for row in found.coordinators] == [COORDINATOR]
    assert [row.key for row in found.backends] == ["b1:50052", "b2:50052"]
    assert {row.key: found.share(row) for row in found.models} == {
        "llama3.2:3b": pytest.approx(2 / 3),
        "llama3.3:70b": pytest.approx(1 / 3),
    }


def test_a_request_that_failed_over_is_one_request_that_succeeded() -> None:
    """At the node that failed it, it is a failure; over all, by path and model, a success."""
    found = figures([sample(fault=CUT), sample(target=TWO, tries=2)])
    assert (found.all.recent.requests, found.all.recent.success_rate) == (1, 1.0)
    assert found.paths[0].recent.failed == 0
    assert found.models[0].recent.requests == 1
    assert {row.key: row.recent.success_rate for row in found.nodes} == {ONE: 0.0, TWO: 1.0}


def test_a_request_that_failed_everywhere_is_one_failure_by_its_last_cause() -> None:
    found = figures([sample(fault=CUT), sample(target=TWO, tries=2, fault=Fault(FaultKind.SERVER))])
    assert (found.all.recent.requests, found.all.recent.faults) == (1, (("server", 1),))


def test_a_request_that_nothing_could_take_counts_over_all_only() -> None:
    found = figures([sample(kind=None, target="", tries=0, fault=Fault(FaultKind.NOT_FOUND))])
    assert found.all.recent.failed == 1
    assert found.nodes == found.coordinators == ()
    assert found.paths == (Row(TASK), Row(MODEL))


def test_names_of_one_model_are_one_model() -> None:
    found = figures([sample(model="Qwen3", request="a"), sample(model="qwen3:latest", request="b")])
    assert [row.key for row in found.models] == ["qwen3:latest"]


# Windows


def test_what_is_older_than_the_window_is_in_the_whole_only() -> None:
    taken = Statistics()
    for at_s in (0.0, 50.0, 100.0):
        taken.add(sample(at_s, request=f"r{at_s}"))
    found = taken.stats(110.0, window_s=70.0)
    assert (found.all.recent.requests, found.all.overall.requests) == (2, 3)
    later = taken.stats(1000.0, window_s=70.0)
    assert (later.all.recent, later.all.overall.requests) == (Figures(), 3)
    assert [row.recent.requests for row in later.nodes] == [0], "the row stays"
    assert later.since_s == 0.0


def test_another_window_is_looked_at_anew() -> None:
    taken = Statistics()
    taken.add(sample(0.0))
    assert taken.stats(100.0, window_s=10.0).all.recent.requests == 0
    assert taken.stats(100.0, window_s=200.0).all.recent.requests == 1


def test_the_same_figures_are_the_same_object_until_something_changes() -> None:
    taken = Statistics()
    taken.add(sample(0.0))
    first = taken.stats(1.0)
    assert taken.stats(2.0) is first
    taken.add(sample(3.0, request="r2"))
    assert taken.stats(3.0) is not first


def test_only_the_last_samples_are_kept() -> None:
    taken = Statistics(most=3)
    for number in range(5):
        taken.add(sample(float(number), request=f"r{number}"))
    found = taken.stats(5.0)
    assert (found.all.overall.requests, found.since_s) == (3, 2.0)
    assert KEPT >= 1000


ANY_SAMPLE = st.builds(
    sample,
    total_s=st.floats(0, 100),
    tries=st.integers(1, 2),
    request=st.sampled_from(["", "a", "b", "c"]),
    target=st.sampled_from([ONE, TWO]),
    fault=st.sampled_from([None, CUT, STOPPED]),
    model=st.sampled_from(["m:1", "m:2"]),
)


@given(st.lists(ANY_SAMPLE, max_size=30), st.integers(1, 10), st.integers(0, 30))
def test_samples_that_came_one_by_one_and_left_give_the_figures_of_those_that_stayed(
    samples: list[Sample], most: int, begun: int
) -> None:
    timed = [one._replace(at_s=float(at)) for at, one in enumerate(samples)]
    taken = Statistics(timed[:begun], 0.0, most)
    for one in timed[begun:]:
        taken.add(one)
    window_s = 8.0
    now_s = float(len(timed))
    found = taken.stats(now_s, window_s)
    recent = [one for one in timed if one.at_s >= now_s - window_s][-most:]
    if most >= len(timed):
        assert found == Statistics(timed, now_s, most).stats(now_s, window_s)
    assert found.all.overall.succeeded == sum(s.fault is None for s in timed[-most:])
    assert found.all.recent.succeeded >= sum(s.fault is None for s in recent)


# Samples


def test_an_outcome_is_one_word() -> None:
    assert outcome_of(End("stop", Usage()), None) == "complete"
    assert outcome_of(End("length", Usage()), None) == "length"
    assert outcome_of(None, STOPPED) == "stopped"
    assert outcome_of(None, Fault(FaultKind.STALLED, "nothing for 60 s")) == "stalled"


@pytest.mark.parametrize(
    ("ttft_s", "usage", "wait_s"),
    [
        (2.0, None, None),
        (2.0, Usage(), None),
        (None, Usage(prompt_tokens=100, prefill_tps=100.0), None),
        (2.0, Usage(prompt_tokens=100, prefill_tps=100.0), 1.0),
        (2.0, Usage(prompt_tokens=100, prefill_tps=100.0, cached_tokens=60), 1.6),
        (2.0, Usage(prompt_tokens=100, prefill_tps=100.0, load_s=0.75), 0.25),
        (0.5, Usage(prompt_tokens=100, prefill_tps=100.0), 0.0),
        (2.0, Usage(queue_s=0.3), 0.3),
    ],
)
def test_waiting_is_what_loading_and_reading_leave(
    ttft_s: float | None, usage: Usage | None, wait_s: float | None
) -> None:
    assert queue_wait_s(ttft_s, usage) == (None if wait_s is None else pytest.approx(wait_s))
