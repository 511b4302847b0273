"""The chat in the dashboard: keys while typing, the way back, commands from the prompt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from sollol_tui.core.asks import Delta, Routed
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.live_keys import live_keys
from sollol_tui.ui.screens.help import help_lines
from sollol_tui.ui.text import plain
from tests.ui.clusters import DECISION, EMPTY, FULL, LLAMA
from tests.ui.stand_in import StillEngine, shown, until, until_shown


@asynccontextmanager
async def running(app: SollolApp, *, answering: bool = False) -> AsyncIterator[Pilot[None]]:
    """The app with the cursor in the prompt; `answering`: with an answer that does not end."""
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "gpu-rig" if app.snapshot is not EMPTY else "localhost")
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        await pilot.press("6")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "prompt")
        if answering:
            await pilot.press(*"why?", "enter")
            await until(pilot, lambda: app.dashboard.is_answering)
        yield pilot


def answering_engine() -> StillEngine:
    engine = StillEngine(FULL)
    engine.answer = [Routed(DECISION), Delta("Because it is so.")]
    return engine


async def test_letters_are_text_in_the_prompt_and_control_keys_are_keys() -> None:
    app = SollolApp(StillEngine(FULL))
    async with running(app) as pilot:
        await pilot.press(*"mz1q?:")
        chat = app.dashboard.panes.chat
        assert chat is not None
        assert chat.prompt.text == "mz1q?:"
        assert app.screen is app.dashboard
        await pilot.press("ctrl+o")
        await until_shown(pilot, "How are requests spread?")
        await pilot.press("escape")
        await pilot.press("f1")
        await until(pilot, lambda: type(app.screen).__name__ == "HelpScreen")


async def test_help_in_the_prompt_lists_no_key_that_would_be_text() -> None:
    app = SollolApp(StillEngine(FULL))
    async with running(app):
        names = {name for key in live_keys(app.dashboard) for name in key.names}
    assert {"Enter", "^o", "F1", "^q", "^p", "Esc"} <= names
    assert not names & {"m", "?", "z", "1", "/", ":"}


async def test_help_in_the_prompt_has_its_own_keys_first_and_those_of_every_input_last() -> None:
    app = SollolApp(StillEngine(FULL))
    async with running(app):
        keys = live_keys(app.dashboard)
    lines = [plain(line) for line in help_lines(keys, 74)]
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert titles == ["Writing", "Messages", "Cluster", "Panes", "Anywhere", "Editing"]
    assert "…" not in "".join(lines)
    names = [name for key in keys for name in key.names]
    assert {"^PgUp", "Shift+^←", "Alt+Del", "^j", "↑"} <= set(names)
    assert names.count("^j") == 1
    assert "chat.write" not in {key.id for key in keys}


async def test_escape_stops_the_answer_then_leaves_the_prompt_to_the_pane_before() -> None:
    app = SollolApp(answering_engine())
    async with running(app, answering=True) as pilot:
        await pilot.press("escape")
        await until(pilot, lambda: not app.dashboard.is_answering)
        assert app.dashboard.current == "chat"
        await pilot.press("escape")
        await until(pilot, lambda: app.dashboard.current == "nodes")


async def test_a_slash_command_in_the_prompt_is_the_same_command() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with running(app) as pilot:
        await pilot.press(*"/distributed task", "enter")
        await until(pilot, lambda: ("mode", "task", "") in engine.calls)
        await pilot.press(*"/rpc add 10.0.0.50", "enter")
        await until(pilot, lambda: app.snapshot.backend("10.0.0.50:50052") is not None)


async def test_a_question_goes_to_the_engine_with_a_model_of_the_cluster() -> None:
    engine = answering_engine()
    app = SollolApp(engine)
    async with running(app) as pilot:
        await pilot.press(*f"/model {LLAMA.name}", "enter")
        await until_shown(pilot, f"{LLAMA.name} answers from the next question on.")
        await pilot.press(*"why?", "enter")
        await until(pilot, lambda: ("ask", LLAMA.name) in engine.calls)
        await until_shown(pilot, "Because it is so.")
    assert engine.last_model == LLAMA.name


async def test_quitting_while_an_answer_is_written_asks_first() -> None:
    app = SollolApp(answering_engine())
    async with running(app, answering=True) as pilot:
        app.dashboard.show_pane("nodes")
        await until(pilot, lambda: app.dashboard.current == "nodes")
        await pilot.press("q")
        await until_shown(pilot, "An answer is being written")
        await pilot.press("enter")  # the safe answer has the cursor
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.dashboard.is_answering
        await pilot.press("q", "down", "enter")
        await until(pilot, lambda: app.return_code == 0)


async def test_the_model_picker_opens_by_command_and_follows_the_cluster() -> None:
    engine = StillEngine(EMPTY)
    app = SollolApp(engine)
    async with running(app) as pilot:
        await pilot.press(*"/model", "enter")
        await until_shown(pilot, "Which model answers?")
        assert LLAMA.name not in shown(app)
        engine.show(FULL)
        await until_shown(pilot, LLAMA.name)


async def test_a_model_that_is_nowhere_is_refused_with_a_sentence() -> None:
    app = SollolApp(StillEngine(FULL))
    async with running(app) as pilot:
        await pilot.press(*"/model nothing", "enter")
        await until_shown(pilot, "Nobody has a model “nothing”. “model” alone lists them.")


async def test_an_unknown_slash_command_comes_back_in_the_command_line() -> None:
    app = SollolApp(StillEngine(FULL))
    async with running(app) as pilot:
        await pilot.press(*"/mdel", "enter")
        await until_shown(pilot, "There is no command “mdel”. Did you mean “model”?")


async def test_a_question_without_a_model_asks_for_one_and_stays_written() -> None:
    app = SollolApp(StillEngine(EMPTY))
    async with running(app) as pilot:
        await pilot.press(*"hi", "enter")
        await until_shown(pilot, "Which model answers?")
        chat = app.dashboard.panes.chat
        assert chat is not None
        assert chat.prompt.text == "hi"
