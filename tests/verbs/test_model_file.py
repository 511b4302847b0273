"""`sollol-tui chat -m FILE.gguf`: asked of a coordinator, or refused with a sentence."""

from __future__ import annotations

import pytest

from sollol_tui.core.asks import Delta
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import Mode
from sollol_tui.verbs.chat import EXIT_COMPLETE, EXIT_USAGE, chat
from tests.verbs.fakes import FakeEngine, heard, voice
from tests.verbs.test_chat import DONE, ROUTED


@pytest.mark.parametrize(
    ("model", "mode", "asked_in"),
    [
        ("/m/tiny.gguf", None, Mode.MODEL),
        ("tiny.gguf", None, Mode.MODEL),
        ("~/tiny.gguf", Mode.BOTH, Mode.BOTH),
        ("llama3", None, None),
        ("llama3", Mode.TASK, Mode.TASK),
    ],
)
def test_a_file_is_asked_of_a_coordinator_unless_a_mode_was_set(
    model: str, mode: Mode | None, asked_in: Mode | None
) -> None:
    engine = FakeEngine(events=[ROUTED, Delta("yes"), DONE])
    settings = Settings(model=model, mode=mode)
    assert chat(lambda: engine, settings, "why?", voice()) == EXIT_COMPLETE
    assert (engine.asked[0].model, engine.asked[0].mode) == (model, asked_in)


@pytest.mark.parametrize("mode", [Mode.TASK, Mode.OFF])
def test_a_mode_without_a_coordinator_refuses_a_file(mode: Mode) -> None:
    engine, spoken = FakeEngine(events=[ROUTED, Delta("yes"), DONE]), voice()
    settings = Settings(model="/m/tiny.gguf", mode=mode)
    assert chat(lambda: engine, settings, "why?", spoken) == EXIT_USAGE
    assert engine.asked == []
    assert f"a file needs a coordinator, and mode {mode} uses none" in heard(spoken)[1]
