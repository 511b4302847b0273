"""Nodes and RPC backends as rows: what is true of each, why, and what nobody knows."""

from __future__ import annotations

import pytest

from sollol_tui.core import statistics
from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import (
    BackendStatus,
    Health,
    LoadedModel,
    NodeState,
    NodeStatus,
    RequestState,
)
from sollol_tui.ui.panes.backends import backend_columns, backend_empty, backend_rows
from sollol_tui.ui.panes.figures import FaultNote, Live, Until
from sollol_tui.ui.panes.marks import BACKEND_MARKS, COORDINATOR_MARKS, NODE_MARKS, REGISTRY_MARKS
from sollol_tui.ui.panes.nodes import node_columns, node_empty, node_rows
from sollol_tui.ui.panes.queues import Queue, queues
from sollol_tui.ui.panes.shards import Held
from sollol_tui.ui.text import plain, width
from sollol_tui.ui.widgets.table_model import Row, TableModel, plan_columns
from tests.ui.snapshots_data import (
    BACKENDS,
    COORDINATOR_URL,
    FIGURES,
    GIB,
    NODES,
    NOW_S,
    RIG_URL,
)


def said(row: Row, columns: tuple[str, ...], now_s: float = NOW_S) -> dict[str, str]:
    """The texts of a row by column."""
    texts = [c.text if isinstance(c.text, str) else c.text(now_s)[0] for c in row.cells]
    return dict(zip(columns, texts, strict=True))


def node(state: NodeState, now_s: float = NOW_S, **how: object) -> dict[str, str]:
    (row,) = node_rows([state], **how)  # type: ignore[arg-type]
    return said(row, tuple(c.key for c in node_columns()), now_s)


def note(row: Row, now_s: float = NOW_S) -> str:
    assert callable(row.note)
    return plain(row.note(now_s))


# Nodes


def test_a_node_is_shown_with_all_that_it_told() -> None:
    waits = {RIG_URL: Queue(1, NOW_S - 14)}
    assert node(NODES[0], figures=FIGURES, waits=waits) == {
        "status": "● up",
        "name": "gpu-rig",
        "loaded": "llama3.2  qwen3:8b",
        "running": "2",
        "waiting": " 1 · 14 s",
        "tps": "32.7",
        "p50": "3.4 s",
        "ttft": "341 ms",
        "requests": "790",
        "errors": "13",
        "latency": "2 ms",
        "vram": "7.9/24G",
        "expires": "4 min",
        "models": "4",
        "version": "0.12.11",
        "sources": "redis config",
    }


def test_of_a_node_that_never_answered_nothing_is_known_but_our_own_requests() -> None:
    shown = node(NODES[7])
    unknown = set(shown) - {"status", "name", "running", "waiting", "sources"}
    assert {shown[key] for key in unknown} == {"–"}
    assert (shown["status"], shown["running"], shown["waiting"]) == ("? unknown", "0", "0")
    asked = node(NODES[7], figures=FIGURES)
    assert (asked["requests"], asked["errors"], asked["tps"]) == ("0", "0", "–")


def test_a_node_that_was_not_asked_lately_shows_its_older_speed_and_says_so() -> None:
    old = statistics.Row(RIG_URL, statistics.Figures(), FIGURES[RIG_URL].overall)
    (row,) = node_rows([NODES[0]], figures={RIG_URL: old})
    cells = dict(zip((c.key for c in node_columns()), row.cells, strict=True))
    assert [(cells[key].text, cells[key].style) for key in ("tps", "p50", "ttft")] == [
        ("33.2", "muted"),
        ("3.5 s", "muted"),
        ("352 ms", "muted"),
    ]


def test_who_waits_is_counted_by_target_with_the_age_of_the_oldest() -> None:
    requests = (
        RequestState("a", "m", RIG_URL, NOW_S - 14),
        RequestState("b", "m", RIG_URL, NOW_S - 40),
        RequestState("c", "m", RIG_URL, NOW_S - 90, first_token_at_s=NOW_S - 80),
        RequestState("d", "m", COORDINATOR_URL, NOW_S - 1),
    )
    found = queues(requests)
    assert found == {RIG_URL: Queue(2, NOW_S - 40), COORDINATOR_URL: Queue(1, NOW_S - 1)}
    assert found[RIG_URL](NOW_S) == (" 2 · 40 s", "warn")
    assert found[COORDINATOR_URL](NOW_S) == ("        0", "muted"), "every answer begins once"
    assert found[COORDINATOR_URL](NOW_S + 1) == ("  1 · 2 s", "")


@pytest.mark.parametrize("waiting", [1, 12, 123])
@pytest.mark.parametrize("ago_s", [3, 59, 720, 86_000])
def test_a_queue_fits_its_column(waiting: int, ago_s: int) -> None:
    assert width(Queue(waiting, NOW_S - ago_s)(NOW_S)[0]) <= 10


def test_what_a_node_told_before_it_went_down_is_not_shown_as_if_it_were_so() -> None:
    down = NODES[0]._replace(status=NodeStatus.DOWN)
    shown = node(down)
    assert (shown["latency"], shown["models"], shown["expires"]) == ("–", "–", "–")


def test_a_node_that_has_nothing_loaded_says_none_and_not_unknown() -> None:
    assert node(NODES[2])["loaded"] == "none"
    assert node(NODES[3])["loaded"] == "–"


def test_more_models_than_a_row_can_name_are_counted() -> None:
    models = tuple(LoadedModel(f"m{n}") for n in range(6))
    assert node(NODES[0]._replace(loaded=models))["loaded"] == "m0  m1  m2  +3"
    assert node(NODES[0]._replace(loaded=models[:3]))["loaded"] == "m0  m1  m2"


def test_a_state_that_nobody_confirmed_for_three_intervals_is_a_question() -> None:
    assert node(NODES[0], NOW_S + 12.9)["status"] == "● up"
    assert node(NODES[0], NOW_S + 13.1)["status"] == "? up"
    assert node(NODES[0], NOW_S + 13.1, interval_s=30.0)["status"] == "● up"
    assert node(NODES[5], NOW_S + 900)["status"] == "✗ down"


def test_a_drained_node_says_so_and_what_it_waits_for() -> None:
    (row,) = node_rows([NODES[0]._replace(drained=True)])
    assert said(row, tuple(c.key for c in node_columns()))["status"] == "◐ draining"
    assert note(row) == "draining · 2 running"
    (row,) = node_rows([NODES[0]._replace(drained=True, in_flight=0)])
    assert said(row, tuple(c.key for c in node_columns()))["status"] == "○ drained"
    assert row.note is None


def test_a_drained_node_that_is_down_says_both() -> None:
    (row,) = node_rows([NODES[5]._replace(drained=True)])
    assert note(row) == "connection refused · 10.0.0.9:11434 · again in 45 s · drained"


def test_a_fault_stands_below_its_row_with_the_next_look_where_it_is_far() -> None:
    (row,) = node_rows([NODES[5]])
    assert note(row) == "connection refused · 10.0.0.9:11434 · again in 45 s"
    assert note(row, NOW_S + 38) == "connection refused · 10.0.0.9:11434"
    assert node_rows([NODES[0]])[0].note is None


def test_the_countdown_moves_in_steps_so_that_it_writes_little() -> None:
    shown = FaultNote(Fault(FaultKind.TIMEOUT), NOW_S + 60)
    texts = {plain(shown(NOW_S + second)) for second in range(60)}
    assert len(texts) <= 13


@pytest.mark.parametrize(
    ("left_s", "words"),
    [(3700, "1 h"), (262, "4 min"), (31.4, "<1 min"), (0.2, "now"), (-90, "now"), (9e9, "never")],
)
def test_when_a_model_goes_is_told_by_the_largest_unit(left_s: float, words: str) -> None:
    assert Until(NOW_S + left_s)(NOW_S)[0] == words


def test_memory_that_one_model_does_not_tell_is_unknown_as_a_whole() -> None:
    models = (LoadedModel("a", 1, 2 * GIB), LoadedModel("b"))
    silent = NODES[0]._replace(loaded=models, vram_total_bytes=None, vram_free_bytes=None)
    assert node(silent)["vram"] == "–"
    assert node(silent._replace(loaded=models[:1]))["vram"] == "2.0G"


def test_jitter_of_the_latency_is_no_news() -> None:
    columns = node_columns()
    model = TableModel(columns)
    for latency_ms in (20.0, 23.0, 18.0, 25.0):
        model.put(node_rows([NODES[0]._replace(latency_ms=latency_ms)]))
        (row,) = model.rows.values()
        assert said(row, tuple(c.key for c in columns))["latency"] == "20 ms"
    model.put(node_rows([NODES[0]._replace(latency_ms=40.0)]))
    (row,) = model.rows.values()
    assert said(row, tuple(c.key for c in columns))["latency"] == "40 ms"


def test_a_look_that_finds_the_same_makes_equal_rows() -> None:
    later = [n._replace(asked_at_s=NOW_S + 5, health=Health(0, 42, NOW_S + 8)) for n in NODES[:3]]
    assert node_rows(later) == node_rows(NODES[:3])


def test_foreign_names_are_harmless_in_rows_and_notes() -> None:
    nasty = "\x1b[2J[/x]\u202e"
    state = NODES[0]._replace(
        name=nasty,
        version=nasty,
        sources=(nasty,),
        loaded=(LoadedModel(nasty),),
        fault=Fault(FaultKind.SERVER, nasty),
    )
    (row,) = node_rows([state])
    texts = [*node(state).values(), note(row)]
    assert not any(char in "".join(texts) for char in "\x1b\u202e")
    assert "·[2J[/x]·" in texts


# Backends


def backend(index: int, now_s: float = NOW_S) -> dict[str, str]:
    return said(backend_rows(BACKENDS)[index], tuple(c.key for c in backend_columns()), now_s)


def test_an_attached_backend_names_its_coordinator_and_is_never_stale() -> None:
    assert backend(0, NOW_S + 900) == {
        "status": "◆ attached",
        "host": "10.0.0.4:50052",
        "protocol": "–",
        "devices": "RTX 3090 24.0 GiB",
        "memory": "6.1/24G",
        "layers": "–",
        "share": "–",
        "attached": "10.0.0.1",
        "requests": "–",
        "ok": "–",
        "mean": "–",
        "latency": "–",
        "sources": "redis",
    }


def test_a_backend_shows_its_share_and_the_requests_that_went_over_it() -> None:
    address = BACKENDS[0].address
    rows = backend_rows(BACKENDS, layers={address: Held(13, 41)}, figures=FIGURES)
    shown = said(rows[0], tuple(c.key for c in backend_columns()))
    keys = ("layers", "share", "requests", "ok", "mean")
    assert [shown[key] for key in keys] == ["13/41", "32 %", "99", "98 %", "21 s"]
    free = said(rows[2], tuple(c.key for c in backend_columns()))
    assert [free[key] for key in keys] == ["–", "–", "0", "–", "–"]


def test_a_free_backend_shows_its_probe_and_a_cpu_its_memory_without_use() -> None:
    shown = backend(2)
    assert (shown["status"], shown["protocol"], shown["latency"]) == ("○ idle", "7.0.0", "<1 ms")
    assert shown["memory"] == "1.0/12G + 64G"
    assert backend(2, NOW_S + 15)["status"] == "? idle"


@pytest.mark.parametrize(
    ("index", "status", "why"),
    [
        (3, "▲ mismatch", "unexpected answer · protocol 3.6.1, the coordinator speaks 7.0.0"),
        (4, "✗ down", "connection refused · 10.0.0.9:50052"),
        (5, "? unknown", "no answer in time · 2.0 s · again in 20 s"),
    ],
)
def test_a_backend_that_is_no_use_says_why(index: int, status: str, why: str) -> None:
    assert backend(index)["status"] == status
    assert note(backend_rows(BACKENDS)[index]) == why


def test_devices_that_nobody_named_are_counted() -> None:
    bare = BACKENDS[2]._replace(told="")
    keys = tuple(c.key for c in backend_columns())
    assert said(backend_rows([bare])[0], keys)["devices"] == "2 devices"
    one = bare._replace(devices=(Device(GIB, GIB),), status=BackendStatus.IDLE)
    assert said(backend_rows([one])[0], keys)["devices"] == "1 device"
    assert COORDINATOR_URL.endswith(
        said(backend_rows([BACKENDS[1]])[0], keys)["attached"] + ":18080"
    )


# Both


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("cells", [54, 58, 78, 118, 198])
def test_state_and_name_are_whole_in_every_width(cells: int, ascii_only: bool) -> None:
    for columns, rows in (
        (
            node_columns(ascii_only),
            node_rows(NODES[:3], figures=FIGURES, ascii_only=ascii_only),
        ),
        (backend_columns(ascii_only), backend_rows(BACKENDS[:5], ascii_only=ascii_only)),
    ):
        model = TableModel(columns)
        model.put(rows, NOW_S)
        plan = plan_columns(columns, model.needs, cells)
        assert plan.places[-1].x + plan.places[-1].width <= cells
        for row in rows:
            for place in plan.places[:2]:
                cell = row.cells[place.at]
                text = cell.text if isinstance(cell.text, str) else cell.text(NOW_S)[0]
                assert width(text) <= place.width
        titles = {columns[p.at].key for p in plan.places}
        assert {"status", "loaded"} <= titles or {"status", "host"} <= titles or ascii_only


def test_beside_the_chat_a_node_shows_its_speed_and_a_wait_only_while_somebody_waits() -> None:
    def shown(**told: object) -> list[str]:
        model = TableModel(node_columns())
        model.put(node_rows(NODES[:3], **told), NOW_S)  # type: ignore[arg-type]
        plan = plan_columns(model.columns, model.needs, 58, model.silent(NOW_S))
        return [model.columns[place.at].title for place in plan.places]

    assert shown(figures=FIGURES) == ["ST", "NAME", "LOADED", "RUN", "TOK/S", "P50"]
    waits = {RIG_URL: Queue(1, NOW_S - 14)}
    assert shown(figures=FIGURES, waits=waits) == ["ST", "NAME", "LOADED", "RUN", "WAIT", "TOK/S"]


def test_beside_the_chat_a_backend_shows_its_part_of_the_model_and_of_the_work() -> None:
    held = {str(backend.address): Held(12, 61) for backend in BACKENDS[:2]}
    model = TableModel(backend_columns())
    model.put(backend_rows(BACKENDS[:2], layers=held), NOW_S)
    plan = plan_columns(model.columns, model.needs, 58, model.silent(NOW_S))
    titles = [model.columns[place.at].title for place in plan.places]
    assert titles[:4] == ["ST", "HOST", "MEM", "SHARE"]


def test_wide_screens_show_every_column() -> None:
    for columns, rows in (
        (node_columns(), node_rows(NODES)),
        (backend_columns(), backend_rows(BACKENDS)),
    ):
        model = TableModel(columns)
        model.put(rows, NOW_S)
        assert plan_columns(columns, model.needs, 198).dropped == 0


@pytest.mark.parametrize("marks", [NODE_MARKS, BACKEND_MARKS, COORDINATOR_MARKS, REGISTRY_MARKS])
def test_every_state_has_glyph_word_and_ascii_sign(marks: dict[object, object]) -> None:
    (states,) = {type(state) for state in marks}
    assert set(marks) == set(states)  # type: ignore[call-overload]
    for mark in (NODE_MARKS | BACKEND_MARKS | COORDINATOR_MARKS | REGISTRY_MARKS).values():
        assert width(mark.glyph) == 1
        assert (len(mark.ascii), mark.ascii[0], mark.ascii[-1]) == (4, "[", "]")
        assert 0 < len(mark.word) <= 11
        assert mark.text(ascii_only=True).isascii()


def test_a_live_state_keeps_its_word_when_it_becomes_a_question() -> None:
    live = Live("[ok] up", "good", 4, NOW_S, 15.0, "[??]")
    assert live(NOW_S + 15) == ("[ok] up", "good")
    assert live(NOW_S + 16) == ("[??] up", "muted")


def test_empty_tables_say_where_was_looked_and_which_key_helps() -> None:
    for empty, key in ((node_empty, ":node add"), (backend_empty, ":rpc add")):
        text = "\n".join(map(plain, empty(True)))
        assert key in text
        assert "Looked at" in text
        assert "Looking" in plain(empty(False)[0])
        assert all(width(plain(line)) <= 76 for line in empty(True))
