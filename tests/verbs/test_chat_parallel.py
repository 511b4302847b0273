"""`sollol-tui chat --parallel`: one answer on stdout, each part's progress on stderr."""

from __future__ import annotations

import json

import pytest

from sollol_tui.core.asks import Delta, Finished, PartMoved, PartPlanned, Usage
from sollol_tui.core.settings import Settings
from sollol_tui.verbs.arguments import UsageError, parse
from sollol_tui.verbs.chat import chat

from .fakes import FakeEngine, heard, voice

EVENTS = (
    PartPlanned(("For", "Against")),
    PartMoved(0, "writing", "a", 1),
    PartMoved(0, "writing", "a", 20),
    PartMoved(1, "done", "b", 30),
    Delta("## For"),
    Finished("complete", Usage(5, 50), 0.2, 4.0, 2, 7.5),
)


def said(*, as_json: bool = False) -> tuple[int, str, str]:
    engine, spoken = FakeEngine(), voice()
    engine.part_events = EVENTS
    settings = Settings(model="m")
    code = chat(lambda: engine, settings, "why?", spoken, as_json=as_json, parallel=2)
    assert engine.parts == 2
    return code, *heard(spoken)


def test_parts_are_told_once_per_change_and_the_end_compares() -> None:
    code, out, err = said()
    assert (code, out) == (0, "## For\n")
    assert err == (
        "in 2 parts at once: For; Against\n"
        "part 1: writing · a · 1 token\n"
        "part 2: done · b · 30 tokens\n"
        "50 tokens · first after 200 ms · 4.0 s · 2 tries · one after the other: 7.5 s\n"
    )


def test_the_json_has_the_plan_every_move_and_the_sum() -> None:
    lines = [json.loads(line) for line in said(as_json=True)[1].splitlines()]
    assert lines[0] == {"event": "parts", "titles": ["For", "Against"]}
    assert lines[1] == {
        "event": "part", "part": 0, "state": "writing", "target": "a", "tokens": 1,
    }  # fmt: skip
    assert lines[-1]["one_by_one_s"] == 7.5


@pytest.mark.parametrize(
    ("words", "parallel", "prompt"),
    [
        (["why?"], None, ("why?",)),
        (["--parallel", "3", "why?"], 3, ("why?",)),
        (["--parallel", "why", "so?"], 0, ("why", "so?")),
        (["why?", "--parallel"], 0, ("why?",)),
    ],
)
def test_the_number_of_parts_may_be_left_out(
    words: list[str], parallel: int | None, prompt: tuple[str, ...]
) -> None:
    found = parse(["chat", *words])
    assert (found.parallel, found.prompt) == (parallel, prompt)


@pytest.mark.parametrize("number", ["0", "1", "6"])
def test_other_numbers_are_refused(number: str) -> None:
    with pytest.raises(UsageError, match="2 to 5"):
        parse(["chat", "--parallel", number, "why?"])
