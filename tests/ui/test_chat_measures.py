"""What was measured of an answer, in words: only what is known, and nothing that is not."""

from __future__ import annotations

import pytest

from sollol_tui.core.asks import Finished, Progress, Usage, Waiting
from sollol_tui.ui.chat.measures import coming, gauge, loading, told
from sollol_tui.ui.chat.sentences import finished, waiting
from sollol_tui.ui.text import plain

GIB = 1024**3


def test_the_figures_tell_the_speed_of_the_prompt_where_the_server_told_it() -> None:
    usage = Usage(31, 212, 400.0, 33.1)
    line = finished(Finished("complete", usage, 0.21, 6.4, 2), "")
    assert plain(line) == (
        "212 tok · 33.1 tok/s · TTFT 0.21 s · 6.4 s · 2 tries · prompt 400 tok/s"
    )
    unsaid = Finished("complete", usage._replace(prefill_tps=None), None, 6.4, 1)
    assert plain(finished(unsaid, "")) == told(unsaid) == "212 tok · 33.1 tok/s · 6.4 s"


@pytest.mark.parametrize(
    ("used", "whole", "words", "look"),
    [
        (243, 8192, " · ctx 243/8k ▁", "muted"),
        (1229, 8192, " · ctx 1.2k/8k ▂", "muted"),
        (4096, 8192, " · ctx 4k/8k ▅", "muted"),
        (6800, 8192, " · ctx 6.6k/8k ▇", "warn"),
        (8192, 8192, " · ctx 8k/8k █", "bad"),
        (9000, 8192, " · ctx 8.8k/8k █", "bad"),
    ],
)
def test_the_gauge_fills_and_warns(used: int, whole: int, words: str, look: str) -> None:
    line = gauge(Usage(used - 43, 43, context_tokens=whole))
    assert plain(line) == words
    assert line[-1][1] == look


@pytest.mark.parametrize(
    "usage",
    [Usage(31, 212), Usage(None, 212, context_tokens=8), Usage(31, None, context_tokens=8)],
)
def test_without_a_measured_part_there_is_no_gauge(usage: Usage) -> None:
    assert gauge(usage) == ()
    assert "ctx" not in plain(finished(Finished("complete", usage, 0.2, 1.0, 1), "counted"))


def test_the_gauge_stands_under_an_answer_and_under_one_that_was_cut() -> None:
    usage = Usage(31, 212, None, 33.1, context_tokens=4096)
    for outcome in ("complete", "length"):
        line = finished(Finished(outcome, usage, 0.2, 1.0, 1), "")
        assert plain(line).endswith("1.0 s · ctx 243/4k ▁")


def test_a_load_is_measured_against_the_last_one() -> None:
    assert loading(12.4, 40.2) == "12 s, last time 40 s"
    assert loading(12.4, None) == "12 s"
    event = Waiting(0, 12.0, loading=True, last_load_s=40.0)
    assert waiting("llama3.2", "rig", event, 12.0) == (
        "loading llama3.2 on rig… 12 s, last time 40 s"
    )


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            Waiting(0, 9.0, True, Progress(40, 100), "loading", 41.0, int(7.9 * GIB)),
            "the coordinator loads 3.2 of 7.9 GiB · 9 s, last time 41 s",
        ),
        (
            Waiting(0, 9.0, True, Progress(4, 100), "loading", None, int(7.9 * GIB)),
            "the coordinator loads 324 MiB of 7.9 GiB · 9 s",
        ),
        (
            Waiting(0, 9.0, True, Progress(40, 100), "loading"),
            "the coordinator loads the model: 40 % · 9 s",
        ),
        (Waiting(0, 9.0, True, None, "loading"), "the coordinator loads the model · 9 s"),
        (
            Waiting(0, 9.0, True, None, "connecting"),
            "the coordinator connects to its backends · 9 s",
        ),
        (Waiting(0, 9.0, True, None, "what"), "the coordinator comes up · 9 s"),
    ],
)
def test_a_coordinator_that_comes_up_says_how_far_it_is(event: Waiting, words: str) -> None:
    assert coming(event, 9.0) == words
    assert waiting("m", "", event, 9.0) == words
