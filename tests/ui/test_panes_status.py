"""The status strip says what the cluster is, how old that is, and never guesses."""

from __future__ import annotations

import pytest

from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorStatus,
    HealthRules,
    Mode,
    NodeStatus,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.ui.panes.status import oldest_seen_at_s, status_segments
from sollol_tui.ui.text import line_width, plain
from sollol_tui.ui.widgets.strip import place
from tests.ui.snapshots_data import COORDINATOR, NODES, NOTHING, NOW_S, SNAPSHOT


def said(snapshot: ClusterSnapshot, late_s: float = 0.0, **how: object) -> dict[str, str]:
    left, right = status_segments(snapshot, NOW_S + late_s, **how)  # type: ignore[arg-type]
    return {segment.id: plain(segment.spans).strip() for segment in (*left, *right)}


def test_it_says_mode_counts_and_what_runs() -> None:
    shown = said(SNAPSHOT, decode_tps=45.52)
    assert shown == {
        "mode": "BOTH",
        "coordinator": "coord ● codellama:13b",
        "nodes": "nodes 3/8 ✗",
        "rpc": "rpc 3/6 ✗",
        "run": "run 4",
        "tps": "45.5 t/s",
        "errors": "err 14",
        "redis": "redis ●",
        "age": "live",
    }


def test_what_is_not_known_is_a_dash_and_what_is_not_there_is_none() -> None:
    shown = said(NOTHING)
    assert shown["tps"] == "– t/s"
    assert shown["nodes"] == "nodes none"
    assert shown["coordinator"] == "coord ○ stopped"
    assert said(ClusterSnapshot())["coordinator"] == "coord none"


def test_demo_and_read_only_are_written_on_it() -> None:
    shown = said(SNAPSHOT, demo=True, read_only=True)
    assert (shown["demo"], shown["read-only"]) == ("DEMO", "RO")
    assert not {"demo", "read-only"} & set(said(SNAPSHOT))


def test_the_pinned_node_of_mode_off_is_named() -> None:
    snapshot = SNAPSHOT._replace(mode=Mode.OFF, pinned=NODES[1].url)
    assert said(snapshot)["mode"] == "OFF  spark"


@pytest.mark.parametrize(
    ("late_s", "words"),
    [
        (0.0, "live"),
        (5.9, "live"),
        (6.5, "8 s ago"),
        (12.9, "14 s ago"),
        (13.5, "STALE 15 s"),
        (300.0, "STALE 5 min"),
    ],
)
def test_the_age_is_that_of_the_oldest_answer_and_after_three_intervals_stale(
    late_s: float, words: str
) -> None:
    assert oldest_seen_at_s(SNAPSHOT) == NOW_S - 2
    assert said(SNAPSHOT, late_s)["age"] == words


def test_the_age_goes_by_the_interval_that_is_set() -> None:
    slow = SNAPSHOT._replace(rules=HealthRules(interval_s=30.0))
    assert said(slow, 25.0)["age"] == "live"
    assert said(slow, 100.0)["age"] == "STALE 1 min"


def test_what_is_down_does_not_make_the_data_old() -> None:
    down = NODES[0]._replace(status=NodeStatus.DOWN, seen_at_s=NOW_S - 500)
    assert said(SNAPSHOT._replace(nodes=(down, NODES[1])))["age"] == "live"


def test_before_the_first_look_ended_it_is_looking_and_without_answers_it_says_so() -> None:
    assert said(ClusterSnapshot())["age"] == "looking …"
    assert said(NOTHING)["age"] == "no answers"
    assert said(SNAPSHOT, 30.0, paused=True)["age"] == "PAUSED STALE 32 s"


def test_a_registry_that_is_down_outlives_one_that_is_well_on_a_narrow_screen() -> None:
    def priority(status: RegistryStatus) -> int:
        snapshot = SNAPSHOT._replace(registry=RegistryState("redis://x", status))
        left, _ = status_segments(snapshot, NOW_S)
        return next(segment.priority for segment in left if segment.id == "redis")

    assert priority(RegistryStatus.DOWN) > priority(RegistryStatus.UP)
    assert said(SNAPSHOT._replace(registry=RegistryState("", RegistryStatus.OFF)))["redis"] == (
        "redis off"
    )


def test_a_long_model_name_is_cut_and_a_state_that_is_not_ready_has_its_word() -> None:
    odd = COORDINATOR._replace(model="a" * 60, status=CoordinatorStatus.STALLED)
    shown = said(SNAPSHOT._replace(coordinators=(odd,)))["coordinator"]
    assert shown == f"coord ▲ stalled {'a' * 17}…"


def test_without_glyphs_everything_of_ours_is_ascii() -> None:
    shown = said(SNAPSHOT, ascii_only=True)
    assert shown["nodes"] == "nodes 3/8 [XX]"
    assert shown["coordinator"] == "coord [ok] codellama:13b"


@pytest.mark.parametrize("cells", [50, 80, 120, 200])
def test_it_fits_and_mode_and_age_are_always_there(cells: int) -> None:
    placed = place(*status_segments(SNAPSHOT, NOW_S, decode_tps=1.0, demo=True), cells, 2)
    ids = [segment.id for _, segment in placed.segments]
    assert {"mode", "age", "demo"} <= set(ids)
    assert max(start + line_width(s.spans) for start, s in placed.segments) <= cells
    assert (placed.dropped == 0) is (cells >= 120)
