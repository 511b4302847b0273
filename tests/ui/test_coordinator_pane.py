"""The coordinator's pane: phases, countdown, problems, shard map; the layers in the RPC table."""

from __future__ import annotations

import pytest

from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.shard_map import Shard, ShardMap
from sollol_tui.core.state import CoordinatorState, CoordinatorStatus
from sollol_tui.ui.panes.backends import backend_columns, backend_rows
from sollol_tui.ui.panes.coordinator import coordinator_lines, main_coordinator
from sollol_tui.ui.panes.plan import plan_lines
from sollol_tui.ui.panes.shards import held_layers, layers_text, shard_lines
from sollol_tui.ui.text import line_width, plain
from tests.ui import coordinators as ours
from tests.ui.clusters import FULL, NOW_S


def pane(coordinator: CoordinatorState, cells: int = 76, now_s: float = NOW_S) -> list[str]:
    lines = coordinator_lines(coordinator, cells, now_s, backends=FULL.backends)
    return [plain(line) for line in lines]


def test_a_start_says_its_phase_its_step_how_long_it_takes_and_how_to_cancel() -> None:
    assert pane(ours.CONNECTING)[:3] == [
        "◐ starting  codellama:34b  19G",
        "phase     connecting · step 3 of 6 · Esc cancels",
        "time      12 s so far · about 30 s left",
    ]


def test_probing_needs_no_process_to_count_its_time() -> None:
    assert pane(ours.PROBING)[1:3] == [
        "phase     probing · step 1 of 6 · Esc cancels",
        "time      10 s so far",
    ]


def test_loading_draws_how_far_it_is_and_reckons_the_rest_from_that() -> None:
    lines = pane(ours.LOADING)
    assert lines[2] == f"loaded    {'▰' * 10}{'▱' * 14} 42 %"
    assert lines[3] == "time      12 s so far · about 13 s left"  # 10 s for 42 %


def test_a_start_that_takes_longer_than_the_last_one_says_so() -> None:
    assert pane(ours.WARMING)[2] == "time      12 s so far · longer than the last time (10 s)"


def test_stopping_tells_why_and_reckons_nothing() -> None:
    lines = pane(ours.STOPPING)
    assert lines[1:3] == ["phase     stopping", "time      10 s so far"]
    assert "problem   The RPC backend 10.0.0.7:50052 was lost." in lines


def test_a_failure_has_its_countdown_sentence_advice_and_evidence() -> None:
    assert pane(ours.FAILED)[:5] == [
        "✗ failed  again in 12 s · r tries now",
        "problem   The RPC backend 10.0.0.7:50052 was lost.",
        "do        It is planned anew on the backends that are left.",
        "shown by  its connection was closed while a slot was busy",
        "          Remote RPC server crashed",
    ]
    assert pane(ours.FAILED, now_s=NOW_S + 11.2)[0] == "✗ failed  again in 1 s · r tries now"
    assert pane(ours.FAILED, now_s=NOW_S + 13)[0] == "✗ failed  again now · r tries now"


def test_no_more_than_two_lines_of_evidence_are_shown() -> None:
    problem = Problem(Cause.UNKNOWN, "x", ("one", "two", "three"), "Look.")
    lines = pane(ours.FAILED._replace(problems=(problem,)))
    assert "          two" in lines
    assert not any("three" in line for line in lines)


def test_one_that_rests_or_was_given_up_says_so() -> None:
    assert pane(ours.RESTING)[0] == "✗ resting  again in 4 min · r tries now · failed too often"
    assert pane(ours.GIVEN_UP)[0] == "✗ failed  given up · a starts it anew"


def test_a_stalled_one_gives_its_reason_and_what_helps() -> None:
    lines = pane(ours.STALLED)
    at = lines.index("trouble   no progress · no token for 64 s")
    assert lines[at + 1] == "do        a restarts it · or wait: it may go on"
    narrow = pane(ours.STALLED, cells=34)
    assert narrow[at : at + 2] == ["trouble   no progress · no token", "          for 64 s"]
    elsewhere = pane(ours.STALLED._replace(supervised=False))
    assert "do        start it anew where it was started" in elsewhere


def test_a_line_of_llama_cpps_source_is_shown_without_where_it_was_built() -> None:
    words = "ggml-rpc.cpp:566: Remote RPC server crashed or returned malformed response"
    built = f"/home/somebody/llama.cpp/ggml/src/ggml-rpc/{words}"
    problem = Problem(Cause.BACKEND_LOST, ours.ONE, (built, "/srv/a: b"), "Bring it back.")
    lines = pane(ours.FAILED._replace(problems=(problem,)))
    assert f"shown by  {words}" in lines
    assert "          /srv/a: b" in lines


def test_free_backends_are_offered_with_the_key_that_takes_them() -> None:
    assert pane(ours.OFFERING)[1] == "offer     more RPC backends are free: a plans again"


@pytest.mark.parametrize("cells", [54, 76])
def test_the_shard_map_draws_a_bar_per_device_and_the_host(cells: int) -> None:
    head, *rows = (plain(line) for line in shard_lines(ours.SHARDS, cells))
    assert head.split() == ["LAYERS", "WEIGHTS", "KV", "COMP", "AT"]
    assert [row.split()[0] for row in rows] == ["RPC0", "RPC1", "host"]
    assert rows[0].split()[2:] == ["0–23", "8.9G", "384M", "306M", "10.0.0.7"]
    assert rows[1].split()[2:] == ["24–47", "+out", "9.1G", "384M", "306M", "10.0.0.8"]
    assert rows[2].split()[2:] == ["none", "417M", "0", "20M", "here"]
    filled = [row.count("▰") / (row.count("▰") + row.count("▱")) for row in rows]
    assert filled == pytest.approx([0.5, 0.5, 0.0], abs=0.08)
    assert all(line_width(line) <= cells for line in shard_lines(ours.SHARDS, cells))


def test_the_map_is_drawn_from_what_was_reported_never_from_the_plan() -> None:
    lines = pane(ours.READY._replace(shards=None))
    assert not any("LAYERS" in line for line in lines)
    assert any("LAYERS" in line for line in pane(ours.READY))


def test_layers_are_written_as_runs_and_what_is_not_told_is_not_none() -> None:
    assert layers_text((0, 1, 2, 7, 9, 10), has_output=True) == "0–2 7 9–10 +out"
    assert layers_text((), has_output=True) == "out"
    assert layers_text((), has_output=False) == "none"
    assert layers_text(None, has_output=False) == "–"


def test_the_rpc_table_shows_the_layers_over_all_devices_of_a_backend() -> None:
    two = ShardMap(
        (
            Shard("RPC0", ours.ONE, (0, 1, 2), False, 1, 1, 1),
            Shard("RPC1", ours.ONE, (3, 4), True, 1, 1, 1),
        ),
        ours.SHARDS.host,
        5,
        exact=True,
    )
    layers = held_layers([ours.READY._replace(shards=two)])
    column = [c.key for c in backend_columns()].index("layers")
    rows = {row.key: row.cells[column] for row in backend_rows(FULL.backends, layers=layers)}
    assert rows[ours.ONE].text == "5/5"
    assert rows[ours.ONE].sort == 5.0
    assert rows[ours.TWO].text == "–"


def test_the_coordinator_that_is_kept_up_is_shown_before_one_of_others() -> None:
    theirs = FULL.coordinators[0]
    assert theirs.status is CoordinatorStatus.READY
    assert main_coordinator((theirs, ours.LOADING)) is ours.LOADING
    assert main_coordinator((theirs, ours.FAILED)) is ours.FAILED
    assert main_coordinator((theirs, ours.GIVEN_UP)) is theirs


def test_foreign_words_in_a_problem_steer_nothing() -> None:
    problem = Problem(Cause.MODEL_CORRUPT, "a\x1b[31m", ("x\x1b]8;;y\x07",), "do\x07")
    text = "\n".join(pane(ours.FAILED._replace(problems=(problem,))))
    assert "\x1b" not in text
    assert "\x07" not in text


@pytest.mark.parametrize("cells", [60, 79])
def test_a_plan_says_what_where_how_much_whether_it_fits_and_the_command(cells: int) -> None:
    lines = [plain(line) for line in plan_lines(ours.FITS, cells)]
    text = " ".join(" ".join(lines).replace("\\", "").split())
    assert lines[0].startswith("codellama:34b  19.0 GiB · 48 layers · 8.2k tokens of context")
    assert "/srv/models/codellama-34b.Q4_K_M.gguf" in lines
    assert "24–47 +out 8.9G 384M 300M 22G 10.0.0.8" in text
    assert "● It fits. Enter starts it." in text
    assert " ".join(ours.ARGV) in text
    assert "note all memory counts as free on 10.0.0.8:50052" in text


def test_a_plan_that_replaces_what_runs_says_what_is_stopped() -> None:
    text = "\n".join(plain(line) for line in plan_lines(ours.FITS, 79, "old:7b"))
    assert "Enter stops old:7b, then starts this." in text


def test_a_plan_that_does_not_fit_marks_the_device_and_says_what_helps() -> None:
    lines = [plain(line) for line in plan_lines(ours.FITS_NOT, 79)]
    assert next(line for line in lines if line.startswith("RPC1")).endswith("10.0.0.8  ✗")
    assert "✗ It does not fit." in lines
    assert "problem   There is not enough memory on 10.0.0.8:50052." in lines
    assert "do        Set context_tokens to 2048, or add a backend." in lines


def test_without_a_plan_the_reason_stands_there() -> None:
    lines = [plain(line) for line in plan_lines(ours.NO_PLAN, 79)]
    assert lines[0] == "There is no plan."
    assert "problem   The model codellama:34b is not on this machine." in lines
