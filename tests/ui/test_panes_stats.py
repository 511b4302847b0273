"""The figures of our requests: what is said, aligned, whole, at every size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import ClusterSnapshot, Mode, NodeState, RequestState
from sollol_tui.core.statistics import Figures, Row, Spread, Statistics, Stats
from sollol_tui.ui.panes.figures import seconds
from sollol_tui.ui.panes.measures import Group, fit_columns, group_lines
from sollol_tui.ui.panes.record import MOST_SCORES, record_lines, score_lines
from sollol_tui.ui.panes.stats import StatsView, stats_view
from sollol_tui.ui.text import line_width, plain
from tests.ui.snapshots_data import (
    COORDINATOR,
    FIGURES,
    NODES,
    NOTHING,
    NOW_S,
    RIG_URL,
    SAMPLES,
    SNAPSHOT,
    STATS,
    TPS_SAMPLES,
)

WIDTHS = (36, 47, 57, 58, 77, 97, 131, 132, 196)


def view(snapshot: ClusterSnapshot = SNAPSHOT, stats: Stats | None = STATS) -> StatsView:
    return stats_view(snapshot, stats, NOW_S, samples=TPS_SAMPLES)


def said(shown: StatsView, cells: int, rows: int) -> list[str]:
    return [plain(line).rstrip() for line in shown(cells, rows)]


# In the dashboard


def test_four_lines_compare_the_two_paths() -> None:
    lines = said(view(), 57, 4)
    assert lines[0].endswith(" 10.0 · 21 s, most 20.0")
    assert lines[1:4] == [
        "LAST 15 MIN   REQ SHARE    OK    P50    P95   TTFT TOK/S",
        "task          180  92 %  99 %  3.5 s  4.8 s 350 ms  33.1",
        "distributed    15   8 %  93 %   21 s   29 s  2.1 s   5.5",
    ]


def test_where_nothing_was_asked_lately_the_paths_are_compared_over_all() -> None:
    old = Statistics(SAMPLES[:200], NOW_S).stats(NOW_S)
    assert not old.all.recent.requests
    lines = said(view(stats=old), 57, 4)
    assert lines[1].startswith("ALL RUNS      REQ")
    assert lines[2].startswith("task          184")
    assert "nothing was asked" in lines


def test_a_quiet_cluster_claims_nothing() -> None:
    for stats in (None, Statistics().stats(NOW_S)):
        quiet = stats_view(NOTHING, stats, NOW_S)
        assert said(quiet, 56, 4) == [
            "tok/s     –",
            "asked     nothing yet",
            "running   nothing",
            "loaded    0 models on 0 nodes · VRAM –",
        ]


# Whole


def test_with_room_the_two_paths_stand_side_by_side_lately_and_over_all() -> None:
    assert said(view(), 77, 13)[1:13] == [
        "                                   LAST 15 MIN        " + since(),
        "                           TASK    DISTRIBUTED           TASK    DISTRIBUTED",
        "requests             180 (92 %)       15 (8 %)    1.2k (92 %)       99 (8 %)",
        f"{'':20}{'▰' * 24}▱▱    {'▰' * 24}▱▱",
        "succeeded                  99 %           93 %           98 %           98 %",
        "failed                        2              1             19              2",
        "answer, mean              3.5 s           21 s          3.5 s           21 s",
        "  half within             3.5 s           21 s          3.5 s           21 s",
        "  95 % within             4.8 s           29 s          4.8 s           29 s",
        "first token              350 ms          2.1 s         352 ms          2.1 s",
        "  95 % within            482 ms          2.9 s         485 ms          2.9 s",
        "tok/s                      33.1            5.5           33.2            5.5",
    ]


def since() -> str:
    from time import localtime, strftime

    assert STATS.since_s is not None
    return strftime("SINCE %Y-%m-%d %H:%M", localtime(STATS.since_s))


def test_below_it_stands_what_runs_what_failed_and_every_group() -> None:
    lines = said(view(), 77, 13)[13:]
    assert lines[:4] == [
        "running   4 · 1 waits for a first token, 2 s · gpu-rig 2 · 10.0.0.1 1",
        "loaded    3 models on 3 nodes · VRAM 11G",
        "failed    lately  2 × connection refused · 1 × no answer in time",
        "          in all  11 × connection refused · 10 × no answer in time",
    ]
    titles = [line.split("  ")[0] for line in lines if "REQ" in line]
    assert titles == 2 * ["NODE", "COORDINATOR", "RPC BACKEND", "MODEL"]
    assert "gpu-rig         120  62 %  98 %  3.4 s  3.4 s  4.8 s 341 ms  32.7    2" in lines
    assert "gpu-rig         790  62 %  98 %  3.5 s  3.5 s  4.8 s 352 ms  33.2   13" in lines


def test_a_wide_pane_has_both_periods_beside_each_other_and_bars() -> None:
    lines = said(view(), 196, 50)
    assert any("TASK DISTRIBUTION   DISTRIBUTED INFERENCE" in line for line in lines)
    (rig,) = [line for line in lines if line.startswith("gpu-rig")]
    assert rig.count("gpu-rig") == 2
    assert rig.count("▰") == 18


def test_a_target_that_is_gone_is_called_by_its_address() -> None:
    text = "\n".join(said(view(NOTHING), 77, 14))
    assert "10.0.0.4 " in text
    assert "gpu-rig" not in text


@pytest.mark.parametrize("cells", WIDTHS)
@pytest.mark.parametrize("rows", [4, 7, 14, 50])
def test_nothing_is_wider_than_the_pane_and_no_figure_is_cut(cells: int, rows: int) -> None:
    lines = view()(cells, rows)[1:]  # the curve needs some cells more
    assert max(map(line_width, lines)) <= cells
    assert not any("…" in plain(line) for line in lines)


@pytest.mark.parametrize("cells", WIDTHS)
def test_all_tables_of_a_period_are_aligned(cells: int) -> None:
    lines = [plain(line) for line in view()(cells, 4)]
    start = next(at for at, line in enumerate(lines) if line.startswith("NODE"))
    rows = [line for line in lines[start:] if line.strip() and "SINCE" not in line]
    ends = {line.index("REQ") for line in rows if line.startswith(("NODE", "MODEL"))}
    assert len(ends) == 1


def test_an_equal_view_is_made_of_equal_things() -> None:
    """So that nothing is painted while nothing changes."""
    assert view() == view()
    calm = SNAPSHOT._replace(requests=())
    later = stats_view(calm, STATS, NOW_S + 60, samples=TPS_SAMPLES)
    assert stats_view(calm, STATS, NOW_S, samples=TPS_SAMPLES) == later


def test_a_request_that_has_its_first_token_does_not_wait() -> None:
    request = RequestState("r", "m", "t", NOW_S - 9, NOW_S - 8)
    shown = said(stats_view(ClusterSnapshot(requests=(request,)), None, NOW_S), 56, 4)
    assert shown[2] == "running   1 · t 1"


@pytest.mark.parametrize("cells", [20, 54, 78, 118, 198])
def test_the_curve_takes_the_room_there_is(cells: int) -> None:
    line = view()(cells, 4)[0]
    assert line_width(line) <= max(cells, 44)
    assert sum(char in "▁▂▃▄▅▆▇█" for char in plain(line)) <= len(TPS_SAMPLES)


# Columns


@given(
    st.lists(st.text(max_size=30), max_size=4),
    st.integers(20, 200),
    st.builds(
        Figures,
        st.integers(0, 10**6),
        st.integers(0, 10**6),
        st.integers(0, 9999),
        latency_s=st.builds(Spread, mean=st.none() | st.floats(0, 1e5)),
        decode_tps=st.builds(Spread, p50=st.none() | st.floats(0, 1e5)),
    ),
)
def test_groups_of_any_name_and_size_fit_their_columns(
    names: list[str], cells: int, figures: Figures
) -> None:
    columns = fit_columns(names, cells)
    lines = group_lines("NODE", [Group(name, figures, 0.5) for name in names], columns)
    assert all(line_width(line) <= cells for line in lines)
    assert "REQ" in plain(lines[0])


@pytest.mark.parametrize(
    ("length_s", "text"),
    [
        (None, "–"),
        (0.0004, "<1 ms"),
        (0.42, "420 ms"),
        (0.9996, "1.0 s"),
        (3.14, "3.1 s"),
        (42.0, "42 s"),
        (125.4, "125 s"),
        (1020.0, "17 min"),
        (90_000.0, "1 d"),
    ],
)
def test_a_length_is_written_in_six_cells(length_s: float | None, text: str) -> None:
    assert seconds(length_s) == text


# One target


def test_a_targets_record_has_counts_failures_and_percentiles_of_both_periods() -> None:
    lines = [plain(line).rstrip() for line in record_lines(FIGURES[RIG_URL], STATS)]
    counted = "120 requests · 98 % succeeded · 2 failed · 23.9k tokens"
    assert lines[0] == f"last 15 min   {counted}"
    assert lines[2] == "              7 × connection refused · 6 × no answer in time"
    assert lines[5:] == [
        "                 MEAN    P50    P95    P99   MEAN    P50    P95    P99",
        "whole answer    3.4 s  3.4 s  4.8 s  4.9 s  3.5 s  3.5 s  4.8 s  4.9 s",
        "first token    343 ms 341 ms 481 ms 490 ms 348 ms 352 ms 485 ms 494 ms",
        "queue           48 ms  47 ms  94 ms  97 ms  49 ms  51 ms  95 ms  98 ms",
        "tok/s            32.8   32.7   38.9   39.3   33.0   33.2   39.0   39.4",
        "prompt tok/s      410    410    410    410    410    410    410    410",
    ]
    assert max(map(len, lines)) <= 74


def test_a_target_without_requests_says_so() -> None:
    assert "No request of ours" in plain(record_lines(None, STATS)[0])
    empty = record_lines(Row("x"), STATS)
    assert "nothing was asked" in plain(empty[0])


def test_stopped_requests_are_neither_successes_nor_failures() -> None:
    stopped = Sample(
        NOW_S, "m", Mode.TASK, "node", RIG_URL, 1, 0.1, 1.0, 5.0, None, 7, Fault(FaultKind.STOPPED)
    )
    stats = Statistics([stopped], NOW_S).stats(NOW_S)
    first = plain(record_lines(stats.nodes[0], stats)[0])
    assert "1 request · 0 failed · 1 stopped by hand · 7 tokens" in first


# The router's score


def decision(
    model: str, score: float | None, why: str = "", target: str = RIG_URL
) -> RouteDecision:
    parts = (("wait", 0.0), ("first token", -0.5), ("answer", -3.7)) if score else ()
    candidate = Candidate(RIG_URL, "node", "gpu-rig", score, parts, why or None)
    return RouteDecision("", model, Mode.TASK, target, "node", "x", "", (candidate,))


def test_the_score_is_the_routers_with_its_parts_and_what_it_means() -> None:
    made = {
        "llama3.2:latest": decision("a", -4.2),
        "qwen3:8b": decision("b", -9.0, target="other"),
    }
    lines = [plain(line) for line in score_lines(NODES[0], STATS, made.__getitem__)]
    assert lines[:3] == [
        "  ROUTER'S SCORE   SCORE    WAIT FIRST TOKEN  ANSWER",
        "▸ llama3.2         −4.20    0.00       −0.50   −3.70",
        "  qwen3:8b         −9.00    0.00       −0.50   −3.70",
    ]
    assert "an answer of 200 tokens" in lines[3].casefold()


def test_a_drained_node_gets_nothing_and_the_router_says_why() -> None:
    node = NODES[0]._replace(models=NODES[0].models[:1], loaded=())
    lines = score_lines(node, STATS, lambda model: decision(model, None, "drained"))
    assert plain(lines[1]).rstrip() == "  llama3.2        gets nothing: drained"


def test_scores_are_of_the_models_in_memory_then_of_those_asked_for_most() -> None:
    asked: list[str] = []

    def weigh(model: str) -> RouteDecision:
        asked.append(model)
        return decision(model, -1.0)

    many = tuple(NODES[0].models[0]._replace(name=f"m{n}:1b") for n in range(9))
    node = NODES[0]._replace(models=(*many, *NODES[0].models))
    score_lines(node, STATS, weigh)
    assert asked[:2] == ["llama3.2:latest", "qwen3:8b"]
    assert len(asked) == MOST_SCORES
    assert "nomic-embed-text:latest" not in asked  # it does not answer
    asked.clear()
    score_lines(COORDINATOR, STATS, weigh)
    assert asked == ["codellama:13b"]
    assert score_lines(NodeState(NODES[7].url), STATS, weigh) == []
