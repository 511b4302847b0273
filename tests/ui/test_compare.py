"""Comparing: whom a line names, how columns lie, and which figures are best."""

from __future__ import annotations

import pytest

from sollol_tui.core.asks import Delta, Failed, Finished, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat.models import models_of
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.compare import Target, named, short_labels, side_by_side, summary
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.screens.compare_picker import rows_of
from sollol_tui.ui.text import line_width, plain
from tests.ui.clusters import COORDINATOR, FULL, LLAMA, QWEN, RIG, SPARK

CODE = "codellama:34b"


def labels(text: str, model: str = LLAMA.name) -> list[str]:
    return [target.label for target in named(text, FULL, model)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", []),
        ("llama3.2:3b", ["llama3.2:3b"]),
        ("llama3.2:3b qwen3:8b", ["llama3.2:3b", "qwen3:8b"]),
        ("gpu-rig spark", ["llama3.2:3b on gpu-rig", "llama3.2:3b on spark"]),
        ("qwen3:8b gpu-rig spark", ["qwen3:8b on gpu-rig", "qwen3:8b on spark"]),
        ("qwen3:8b spark llama3.2:3b", ["qwen3:8b on spark", "llama3.2:3b"]),
        ("QWEN3:8b 10.0.0.8 qwen3:8b spark", ["qwen3:8b on spark"]),
    ],
)
def test_a_line_names_models_and_nodes_for_the_model_before_them(
    text: str, wanted: list[str]
) -> None:
    assert labels(text) == wanted


def test_a_place_is_asked_whatever_the_mode_is() -> None:
    (node,) = named("qwen3:8b spark", FULL, "")
    assert node == Target(QWEN.name, SPARK, "spark")
    assert node.mode is Mode.TASK
    (coordinator,) = named(f"{CODE} coordinator", FULL, "")
    assert (coordinator.url, coordinator.mode) == (COORDINATOR, Mode.MODEL)
    assert "on coordinator" in coordinator.label
    (anywhere,) = named(CODE, FULL, "")
    assert anywhere.mode is None


@pytest.mark.parametrize(
    ("text", "model", "sentence"),
    [
        ("10.0.0.12", LLAMA.name, "“10.0.0.12” is no model and no node here."),
        ("nothing", LLAMA.name, "“nothing” is no model and no node here."),
        ("gpu-rig", "", "No model was chosen: name the model before the node."),
        ("gpu-rig", "gone:1b", "Nobody has “gone:1b”: name the model before the node."),
        ("gemma3:27b spark", "", "“spark” does not have gemma3:27b: name another model first."),
        (
            "llama3.2:3b gpu-rig nas spark qwen3:8b gemma3:27b",
            "",
            "At most 4 are compared, not 5.",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    text: str, model: str, sentence: str
) -> None:
    with pytest.raises(Refused) as refusal:
        named(text, FULL, model)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    ("count", "cells", "rows", "beside"),
    [
        (2, 80, 20, 2),
        (2, 79, 20, 0),
        (3, 80, 20, 0),
        (3, 120, 36, 3),
        (4, 120, 36, 2),
        (4, 120, 20, 0),
        (4, 200, 56, 4),
        (3, 80, 24, 2),
    ],
)
def test_columns_lie_beside_each_other_where_they_stay_readable(
    count: int, cells: int, rows: int, beside: int
) -> None:
    assert side_by_side(count, cells, rows) == beside


def test_tabs_say_what_tells_the_targets_apart() -> None:
    llama = [Target(LLAMA.name, RIG, "gpu-rig"), Target(LLAMA.name, SPARK, "spark")]
    assert short_labels([Target("a"), Target("b", RIG, "gpu-rig")]) == ["a", "b"]
    assert short_labels(llama) == ["gpu-rig", "spark"]
    assert short_labels([*llama, Target("b")]) == ["gpu-rig", "spark", "b"]
    assert short_labels([*llama, Target(LLAMA.name)]) == ["gpu-rig", "spark", "llama3.2:3b"]
    both = [Target("a", RIG, "x"), Target("a", SPARK, "x"), Target("b")]
    assert short_labels(both) == ["a on x", "a on x", "b"], "where nothing does, all there is"


def test_the_list_offers_each_model_and_its_places_where_there_is_a_choice() -> None:
    offered = [row.target.label for row in rows_of(models_of(FULL))]
    assert offered == [
        "codellama:34b",
        "gemma3:27b",
        "llama3.2:3b",
        "llama3.2:3b on gpu-rig",
        "llama3.2:3b on nas",
        "llama3.2:3b on spark",
        "qwen3:8b",
        "qwen3:8b on gpu-rig",
        "qwen3:8b on spark",
    ]


# The figures


def turn(*events: Delta | Finished | Failed) -> Turn:
    session = ChatSession("c")
    session.begin("Why?", LLAMA.name, 0.0)
    for at, event in enumerate(events, 1):
        session.apply(event, float(at))
    return session.turns[-1]


def whole(ttft_s: float | None, tps: float | None, total_s: float) -> Turn:
    usage = Usage(5, 100, None, tps)
    return turn(Delta("So."), Finished("complete", usage, ttft_s, total_s, 1))


def test_the_best_of_each_figure_is_marked_and_only_of_whole_answers() -> None:
    answers = [
        (Target("a"), whole(0.2, 30.0, 9.0)),
        (Target("b", RIG, "gpu-rig"), whole(0.5, 60.0, 4.0)),
        (Target("c"), turn(Delta("So"), Failed(Fault(FaultKind.CUT, "[/x]"), RIG, 2, 1))),
    ]
    lines = summary(answers, 80)
    assert [plain(line).split("  TTFT")[0].strip() for line in lines[:2]] == [
        "1 a",
        "2 b on gpu-rig",
    ]
    best = [[text.strip() for text, look in line if "good" in look] for line in lines]
    assert best == [["0.20 s"], ["60.0 tok/s", "4.00 s"], []]
    assert "▲ incomplete: " in plain(lines[2])
    assert "[/x]" in plain(lines[2])
    assert line_width(lines[0]) == line_width(lines[1]) <= 80


def test_what_is_not_known_is_a_dash_and_one_alone_is_no_best() -> None:
    counted = turn(Delta("a"), Delta("b"), Finished("complete", Usage(), None, 4.0, 1))
    lines = summary([(Target("a"), counted), (Target("b"), turn())], 80)
    assert "–" in plain(lines[0])
    assert "1.0 tok/s" in plain(lines[0])
    assert not any("good" in look for line in lines for _, look in line)
