"""Coordinator, events, decisions, figures and details in lines."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.journal import Entry
from sollol_tui.core.state import (
    CoordinatorState,
    CoordinatorStatus,
    Owner,
    Slot,
)
from sollol_tui.ui.panes.coordinator import (
    context_line,
    coordinator_lines,
    main_coordinator,
    slots_line,
    speed_line,
)
from sollol_tui.ui.panes.detail import (
    backend_detail_lines,
    coordinator_detail_lines,
    node_detail_lines,
)
from sollol_tui.ui.panes.events import decision_lines, entry_lines, event_line, log_line
from sollol_tui.ui.panes.figures import bar, gib, listed, memory, share, sparkline, tokens, tps
from sollol_tui.ui.panes.queues import Queue
from sollol_tui.ui.text import Line, line_width, plain
from tests.ui.snapshots_data import (
    BACKENDS,
    COORDINATOR,
    DECISION,
    ENTRIES,
    GIB,
    NODES,
    NOW_S,
    STOPPED,
)

DRAINED = NODES[0]._replace(drained=True)


def said(lines: Sequence[Line]) -> list[str]:
    return [plain(line) for line in lines]


def coordinator(state: CoordinatorState | None, cells: int = 54, **how: object) -> list[str]:
    lines = coordinator_lines(state, cells, NOW_S, backends=BACKENDS, **how)  # type: ignore[arg-type]
    return said(lines)


# The coordinator


def test_a_ready_coordinator_says_what_it_is_does_and_holds() -> None:
    assert coordinator(COORDINATOR, others=[STOPPED]) == [
        "● ready  codellama:13b  Q4_K_M · 13 B · 6.9G",
        "slots     ▰▱▱▱ 1 of 4 busy",
        "context   ▰▰▰▱▱▱▱▱▱▱ 30 % · 1.2k of 4.1k tokens",
        "speed     4.2 tok/s · prompt 61.2 tok/s",
        "rpc       ◆ 10.0.0.4:50052  ◆ 10.0.0.5:50052",
        "server    http://10.0.0.1:18080 · adopted",
        "life      up 2 h 14 min · PID 4242 · from env, redis",
        "others    ○ 127.0.0.1",
    ]


def test_of_a_coordinator_that_told_nothing_yet_everything_is_a_dash() -> None:
    bare = CoordinatorState(COORDINATOR.url, status=CoordinatorStatus.LOADING)
    assert coordinator(bare)[:4] == [
        "◐ loading  –",
        "slots     –",
        "context   –",
        "speed     –",
    ]
    assert "up –" in coordinator(bare)[-1]


def test_a_stopped_coordinator_says_where_was_looked_why_and_which_key_helps() -> None:
    assert coordinator(STOPPED) == [
        "○ stopped  127.0.0.1:18080  nothing listens there",
        "known by  default",
        "because   connection refused · 127.0.0.1:18080 · again in 35 s",
        "a starts one   r looks again   m another mode   ? help",
    ]
    assert coordinator(STOPPED, looked=False)[-1].startswith("because")


def test_without_any_coordinator_it_says_how_to_name_one() -> None:
    assert coordinator(None)[0] == "No coordinator is known."
    assert coordinator(None, looked=False) == ["Looking for a coordinator …"]


def test_one_that_was_not_looked_at_yet_is_being_looked_at() -> None:
    fresh = CoordinatorState(COORDINATOR.url)
    assert coordinator(fresh) == ["? looking at 10.0.0.1:18080 …"]


def test_trouble_of_a_running_one_is_the_second_line() -> None:
    state = COORDINATOR._replace(
        status=CoordinatorStatus.STALLED, fault=Fault(FaultKind.STALLED, "no token for 60 s")
    )
    assert coordinator(state)[1] == "trouble   no progress · no token for 60 s"


def test_a_lost_backend_is_marked_and_one_that_nobody_knows_is_a_question() -> None:
    state = COORDINATOR._replace(
        backends=(*COORDINATOR.backends, BackendAddress("10.9.9.9:50052")),
        lost_backends=COORDINATOR.backends[:1],
    )
    shown = coordinator(state, cells=40)
    assert shown[4:7] == [
        "rpc       ✗ 10.0.0.4:50052",
        "          ◆ 10.0.0.5:50052",
        "          ? 10.9.9.9:50052",
    ]


def test_the_one_that_serves_is_shown_before_those_that_do_not() -> None:
    loading = COORDINATOR._replace(status=CoordinatorStatus.LOADING)
    assert main_coordinator([STOPPED, loading, COORDINATOR]) is COORDINATOR
    assert main_coordinator([STOPPED, loading]) is loading
    assert main_coordinator([STOPPED]) is STOPPED
    assert main_coordinator([]) is None


def test_whose_it_is_is_said() -> None:
    remote = coordinator(COORDINATOR._replace(owner=Owner.REMOTE, pid=None))
    assert any("remote: not ours to start or stop" in line for line in remote)
    assert not any("PID" in line for line in remote)


@pytest.mark.parametrize(
    ("busy", "total", "deferred", "words"),
    [
        (None, None, None, "slots     –"),
        (None, 4, None, "slots     4 · how many are busy is not told"),
        (0, 2, 0, "slots     ▱▱ 0 of 2 busy"),
        (2, 2, 3, "slots     ▰▰ 2 of 2 busy · 3 waiting"),
        (1, 64, 0, "slots     ▰▱▱▱▱▱▱▱▱▱ 1 of 64 busy"),
    ],
)
def test_slots_are_drawn(
    busy: int | None, total: int | None, deferred: int | None, words: str
) -> None:
    state = COORDINATOR._replace(slots_busy=busy, slots_total=total, deferred=deferred)
    assert plain(slots_line(state)) == words


def test_the_context_is_that_of_the_fullest_busy_slot() -> None:
    slots = (Slot(0, True, 4096, 100), Slot(1, True, 4096, 4000), Slot(2, False, 4096, 4096))
    assert "98 % · 4.0k of 4.1k" in plain(context_line(COORDINATOR._replace(slots=slots)))
    idle = COORDINATOR._replace(slots=(Slot(0, False, 4096, 4096),))
    assert plain(context_line(idle)) == "context   4.1k tokens a slot"
    assert plain(speed_line(COORDINATOR._replace(decode_tps=None))) == (
        "speed     – tok/s · prompt 61.2 tok/s"
    )


@given(st.integers(20, 200), st.integers(0, 12))
def test_what_it_holds_is_listed_within_the_width(cells: int, count: int) -> None:
    addresses = tuple(BackendAddress(f"10.0.0.{n}:50052") for n in range(count))
    lines = coordinator_lines(COORDINATOR._replace(backends=addresses), cells, NOW_S)
    held = [line for line in lines if ":50052" in plain(line)]
    assert sum(plain(line).count(":50052") for line in held) == count
    assert all(line_width(line) <= max(cells, 27) for line in held)


def test_the_uptime_does_not_tick_by_the_second() -> None:
    shown = {
        plain(line)
        for second in range(59)
        for line in coordinator_lines(COORDINATOR, 80, NOW_S + second)
        if "life" in plain(line)
    }
    assert len(shown) == 1


# Events and decisions


def test_an_event_says_when_how_bad_about_what_and_what() -> None:
    assert plain(event_line(ENTRIES[1])) == (
        "01:40:14 ● node    gpu-rig is up · Ollama 0.12.11 · 4 models"
    )
    assert plain(event_line(ENTRIES[4], ascii_only=True)).startswith("01:40:44 [!!] rpc ")
    assert [entry.level for entry in ENTRIES if log_line(entry).is_fault] == [
        "warn",
        "error",
        "warn",
    ]
    assert log_line(ENTRIES[0]).key == "1"


def test_an_event_from_outside_is_harmless_and_one_line() -> None:
    entry = Entry(9, NOW_S, "info", "sollol", "", "a\nb\x1b[31m \u202e" + "x" * 5000)
    text = plain(event_line(entry))
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 500
    assert said(entry_lines(entry))[0].startswith("· a b·[31m ·x")


def test_a_decision_shows_every_candidate_the_best_first_and_why_the_others_were_not() -> None:
    assert said(decision_lines(DECISION)) == [
        "llama3.2 → gpu-rig",
        "because   3.2 B is below 13 B; the model is warm there and its queue is the shortest",
        "mode      both",
        "request   d-81f2",
        "",
        "  CANDIDATE              SCORE  MADE OF",
        "▸ gpu-rig                 3.83  warm +3.00 · queue +0.00 · speed +0.83",
        "  spark                   2.31  warm +3.00 · queue −1.00 · speed +0.31",
        "  nas                        –  down: connection refused",
        "  mac-mini                   –  stalled: no token for 60 s",
        "  codellama:13b              –  holds another model",
    ]


def test_a_decision_that_found_nobody_says_nowhere() -> None:
    lost = DECISION._replace(target=None, kind=None, name="", candidates=())
    shown = said(decision_lines(lost))
    assert shown[0] == "llama3.2 → nowhere"
    assert "no target" in shown[-1]


# Figures


def test_bytes_are_short_and_zero_is_not_unknown() -> None:
    assert [gib(n) for n in (None, 0, 5, 420 * 1024**2, 7.9 * GIB, 24 * GIB)] == [
        "–",
        "0",
        "1M",
        "420M",
        "7.9G",
        "24G",
    ]
    assert share(7.9 * GIB, 24 * GIB) == "7.9/24G"
    assert share(420 * 1024**2, 24 * GIB) == "420M/24G"
    assert share(None, 24 * GIB) == "24G"
    assert (share(None, None), memory(())) == ("–", "–")
    assert [tokens(n) for n in (None, 850, 4096, 131072)] == ["–", "850", "4.1k", "131k"]
    assert [tps(n) for n in (None, 4.18, 99.96, 120.4)] == ["–", "4.2", "100", "120"]


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 30))
def test_a_bar_is_full_and_empty_only_when_it_is(part: int, whole: int, cells: int) -> None:
    (full, _), (empty, _) = bar(part, whole, cells)
    assert len(full) + len(empty) == cells
    if 0 < part < whole and cells > 1:
        assert full
        assert empty
    if part == 0 or whole == 0:
        assert not full
    if 0 < whole <= part:
        assert not empty


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=60), st.integers(0, 50))
def test_a_curve_has_its_width_and_a_gap_where_nothing_is_known(
    samples: list[float | None], cells: int
) -> None:
    drawn = sparkline(samples, cells)
    assert len(drawn) == cells
    newest = samples[-cells:] if cells else []
    for sample, spark in zip(reversed(newest), reversed(drawn), strict=False):
        assert (spark == " ") is (sample is None)
        assert (spark == "▁") is (sample == 0) or sample is None or sample < 1e6


def test_a_curve_reaches_the_top_at_its_largest_and_lies_flat_at_zero() -> None:
    assert sparkline([0, 1, 5, 10], 4) == "▁▂▅█"
    assert sparkline([0, 0], 4) == "  ▁▁"


def test_a_list_is_one_label_and_no_line_longer_than_there_is_room() -> None:
    items: list[Line] = [((f"item-{n}", ""),) for n in range(5)]
    assert said(listed("things", items, 26)) == [
        "things    item-0  item-1",
        "          item-2  item-3",
        "          item-4",
    ]


# Details


def test_a_nodes_detail_lists_its_models_with_what_they_can() -> None:
    text = "\n".join(said(node_detail_lines(NODES[0], NOW_S, wait=Queue(1, NOW_S - 14))))
    for part in (
        "url       http://10.0.0.4:11434",
        "seen      2 s ago · answered in 2.3 ms",
        "load      2 of our requests now · 1 waits for a first token, 14 s",
        "vram      7.9/24G · NVIDIA RTX 3090",
        "qwen3:8b  5.7G     5.2G     8.2k      31 min",
        "gpt-oss:120b-cloud  at ollama.com:443",
        "completion, tools, thinking",
    ):
        assert part in text


def test_a_drained_nodes_detail_says_what_that_means_and_what_still_runs() -> None:
    (line,) = [s for s in said(node_detail_lines(DRAINED, NOW_S)) if s.startswith("load")]
    assert line == "load      2 of our requests now · draining: takes nothing new"
    idle = said(node_detail_lines(DRAINED._replace(in_flight=0), NOW_S))
    assert "load      0 of our requests now · drained: takes nothing new" in idle


def test_details_say_what_a_state_means_and_what_failed() -> None:
    down = "\n".join(said(node_detail_lines(NODES[5], NOW_S)))
    assert "gives no answer" in down
    assert "fault     connection refused · 10.0.0.9:11434 · again in 45 s" in down
    assert "health    7 looks in a row failed" in down
    attached = "\n".join(said(backend_detail_lines(BACKENDS[0], NOW_S)))
    assert "it takes one client only" in attached
    assert "held by   10.0.0.1" in attached
    free = "\n".join(said(backend_detail_lines(BACKENDS[2], NOW_S)))
    assert "device 0  11.0 GiB of 12.0 GiB free" in free
    assert "device 1  64.0 GiB in all" in free


def test_a_coordinators_detail_has_its_slots_and_file() -> None:
    lines = coordinator_detail_lines(COORDINATOR, 80, NOW_S, backends=BACKENDS)
    text = "\n".join(said(lines))
    assert "sha256-9f438cb9cd58" in text
    assert "   0  busy     1.2k     4.1k      211" in text
    assert "build     b10488-1d99508b" in text


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
def test_no_detail_lets_a_control_character_through(nasty: str) -> None:
    node = NODES[0]._replace(
        name=nasty,
        gpu=nasty,
        version=nasty,
        sources=(nasty,),
        models=(
            NODES[0].models[0]._replace(name=nasty, quantization=nasty, capabilities=(nasty,)),
        ),
    )
    state = COORDINATOR._replace(model=nasty, model_path=nasty, build=nasty, sources=(nasty,))
    backend = BACKENDS[2]._replace(told=nasty, protocol=nasty, sources=(nasty,))
    lines = [
        *node_detail_lines(node, NOW_S),
        *coordinator_detail_lines(state, 80, NOW_S),
        *backend_detail_lines(backend, NOW_S),
        *decision_lines(DECISION._replace(name=nasty, reason=nasty, model=nasty)),
        *coordinator_lines(STOPPED._replace(url=CoordinatorUrl("http://h:1")), 80, NOW_S),
    ]
    for line in lines:
        assert all(char.isprintable() or char in "\u202f " for char in plain(line)), line
