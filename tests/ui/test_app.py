"""The app: commands by line and palette, the mode, what it answers, and its way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from sollol_tui.core.settings import Settings
from sollol_tui.ui import crash
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.messages import CommandGiven, CopyAsked, Told
from tests.ui.clusters import FULL, RIG, SPARK
from tests.ui.stand_in import StillEngine, shown, until, until_shown


async def test_a_mode_by_line_is_applied_and_said() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "BOTH")
        await pilot.press(*":mode task", "enter")
        await until_shown(pilot, "TASK", "Mode task, from the next request on.")
    assert engine.calls == [("mode", "task", "")]


async def test_the_words_of_synapticllamas_work_as_a_command() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "BOTH")
        app.post_message(CommandGiven("/distributed off spark"))
        await until_shown(pilot, "OFF")
    assert engine.calls == [("mode", "off", SPARK)]


async def test_mode_off_without_a_node_asks_which() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "BOTH")
        await pilot.press(*":mode off", "enter")
        await until_shown(pilot, "Which node answers everything?")
        await pilot.press("enter")
        await until_shown(pilot, "OFF")
    assert engine.calls == [("mode", "off", RIG)]


async def test_the_picker_applies_what_was_chosen() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "BOTH")
        await pilot.press("m", "up", "enter")
        await until_shown(pilot, "MODEL")
    assert engine.calls == [("mode", "model", "")]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("mdoe both", "There is no command “mdoe”. Did you mean “mode”?"),
        ("mode bth", "“bth” is no mode: task, model, both or off."),
        ("mode task spark", "Mode task takes no node; only off does."),
        ("mode off nowhere", "There is no node “nowhere” to pin."),
        ("rpc add http://x/y", "Not added: 'http://x/y' is not host:port."),
        ("node add ftp://x", "Not added: 'ftp://x': only http and https are spoken here."),
        ("node remove nowhere", "There is no node “nowhere”."),
        ("rpc remove 1.2.3.4", "There is no RPC backend 1.2.3.4:50052."),
        ("refresh nowhere", "Nothing here is called “nowhere”."),
        ("theme nothing", "There is no theme “nothing”."),
    ],
)
async def test_a_line_that_cannot_be_done_comes_back_with_a_sentence(
    line: str, sentence: str
) -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*f":{line}", "enter")
        await until_shown(pilot, sentence)
        assert app.screen.query_one(Input).value == line
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_tab_completes_the_line() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*":mo", "tab")
        await until(pilot, lambda: app.screen.query_one(Input).value == "mode")
        await pilot.press(*" b")
        await until_shown(pilot, "mode both")
        await pilot.press("tab", "enter")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_a_node_that_was_added_by_hand_is_forgotten_after_a_question() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*":node add 10.0.0.99", "enter")
        await until_shown(pilot, "Added http://10.0.0.99:11434")
        await pilot.press(*":node remove 10.0.0.99", "enter")
        await until_shown(pilot, "Forget http://10.0.0.99:11434?")
        await pilot.press("enter")  # the safe answer has the cursor
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.snapshot.node("http://10.0.0.99:11434")
        await pilot.press(*":node remove 10.0.0.99", "enter")
        await until_shown(pilot, "Forget it")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.snapshot.node("http://10.0.0.99:11434") is None)


async def test_a_node_from_elsewhere_cannot_be_forgotten() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*":node remove gpu-rig", "enter", "down", "enter")
        await until_shown(pilot, "was not added by hand")


async def test_a_copy_is_told_without_markup_or_control_codes() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "gpu-rig")
        app.post_message(CopyAsked("the text", "[/bold]\x1b[31mname"))
        await until_shown(pilot, "Copied [/bold]·[31mname.")
        assert app.clipboard == "the text"
        app.post_message(Told("[/x] is fine", refused=True))
        await until_shown(pilot, "[/x] is fine")


async def test_a_palette_entry_that_needs_an_argument_asks_for_it() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        entry = next(e for e in app.get_system_commands(app.screen) if "RPC backend" in e.title)
        entry.callback()
        await until(pilot, lambda: bool(app.screen.query(Input)))
        assert app.screen.query_one(Input).value == "rpc add "


async def test_a_theme_of_the_settings_is_used_and_an_unknown_one_is_not() -> None:
    for wanted, used in (("sollol-light", "sollol-light"), ("nothing", "sollol-dark")):
        app = SollolApp(StillEngine(FULL, Settings(theme=wanted)))
        async with app.run_test(size=(80, 24)):
            assert app.theme == used


async def test_in_ascii_no_glyph_beyond_ascii_is_drawn() -> None:
    app = SollolApp(StillEngine(FULL, Settings(ascii=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig", "Quit", "Ask the cluster")
        assert {letter for letter in shown(app) if not letter.isascii()} == set()
        for key in ("m", "question_mark", "enter", "a", "colon"):
            await pilot.press(key)
            await until(pilot, lambda: app.screen is not app.dashboard)
            assert {letter for letter in shown(app) if not letter.isascii()} == set(), key
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.dashboard)


def test_a_report_that_cannot_be_written_is_not_another_crash(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert crash.write_report(RuntimeError("x"), file) is None
    assert crash.write_report(RuntimeError("x"), None) is None
    assert "no report could be written" in crash.sentence(RuntimeError("x"), None)


def test_only_the_last_reports_are_kept(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"crash-2020010{number}-000000-1.txt").touch()
    path = crash.write_report(RuntimeError("x"), tmp_path)
    kept = list(tmp_path.glob("crash-*"))
    assert path in kept
    assert len(kept) == crash.REPORTS_KEPT


async def test_colours_that_were_chosen_are_those_of_the_next_run() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "BOTH")
        await pilot.press(*":theme nord", "enter")
        await until(pilot, lambda: app.theme == "nord")
    assert engine.last_theme == "nord"
    assert SollolApp(engine).theme == "nord"


async def test_a_start_alone_keeps_no_colours_and_settings_count_more() -> None:
    engine = StillEngine(FULL, Settings(theme="sollol-light"))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "BOTH")
    assert engine._kept.theme == ""
    engine.keep_theme("nord")
    assert SollolApp(engine).theme == "sollol-light"


async def test_colours_that_are_not_there_are_said() -> None:
    app = SollolApp(StillEngine(FULL, Settings(theme="[b]nope")))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until_shown(pilot, "No colours are called “[b]nope”")
