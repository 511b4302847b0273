"""Help and status: made from what is live, so they are never out of date."""

from __future__ import annotations

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.live_keys import live_keys
from sollol_tui.ui.overview import status_lines, status_page
from sollol_tui.ui.screens.help import help_lines
from sollol_tui.ui.text import line_width, plain
from tests.ui.clusters import BROKEN, EMPTY, FULL, NOW_S
from tests.ui.stand_in import StillEngine, shown, until, until_shown


def told(snapshot: ClusterSnapshot) -> str:
    return "\n".join(plain(line) for line in status_lines(snapshot, NOW_S))


async def test_help_lists_the_keys_of_the_focused_pane_first() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 50)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("question_mark")
        await until_shown(pilot, "Keys", "In this pane", "Everything known about the row")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_help_has_no_key_that_does_nothing_here() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        here = {key.deed for key in live_keys(app.dashboard)}
        assert {"sort", "filter", "pane.choose", "zoom", "help"} <= here
        await pilot.press("5")
        there = {key.deed for key in live_keys(app.dashboard)}
    assert "sort" not in there
    assert "errors" not in here | there


async def test_help_says_everything_in_80_cells_and_under_it_only_the_way_out_is_a_key() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        keys = live_keys(app.dashboard)
        lines = help_lines(keys, 74)
        text = " ".join(" ".join(plain(line).split()) for line in lines)
        assert max(line_width(line) for line in lines) <= 74
        assert all(key.help in text for key in keys)
        assert "super" not in text
        assert "…" not in "".join(key.title for key in keys)
        await pilot.press("question_mark")
        await until_shown(pilot, "Esc closes")
        await until(pilot, lambda: shown(app).splitlines()[-1].split() == ["^q", "Quit"])
        await pilot.press("escape")
        await until_shown(pilot, "? Help  Enter Detail")


async def test_two_keys_of_one_command_are_one_line_of_help() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        keys = {key.deed: key.names for key in live_keys(app.dashboard)}
    assert keys["help"] == ("?", "F1")
    assert keys["mode"] == ("m", "^o")
    assert keys["pane.up"] == ("↑", "k")


async def test_a_command_line_says_how_to_begin_and_leads_to_the_list_of_all() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("colon")
        await until_shown(pilot, "First letters, or Tab, show what fits", "^P lists all commands.")
        await pilot.press("x")
        await until(pilot, lambda: "First letters" not in shown(app))
        await pilot.press("backspace")
        await until_shown(pilot, "First letters")
        assert "more" not in shown(app)
        await pilot.press("tab")
        await until_shown(pilot, "more", "▌ ")
        await pilot.press("ctrl+p")
        await until_shown(pilot, "Search for commands")


async def test_a_filter_says_what_its_words_do() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("slash")
        await until_shown(pilot, "All words must be in a row, and no !word.")


async def test_the_palette_has_every_command_and_the_keys_of_those_that_have_one() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        entries = {entry.title: entry.help for entry in app.get_system_commands(app.screen)}
    assert entries["Mode"].endswith("·  m")
    assert entries["Add an RPC backend"] == "Add an RPC backend by its address"


def test_status_names_what_is_wrong_with_its_cause_and_the_next_step() -> None:
    text = told(BROKEN)
    assert text.startswith("8 of 8 need a look.")
    assert "cause  connection refused: 10.0.0.9:11434 · last seen 5 min ago" in text
    assert "next   put the key under headers in the configuration file" in text
    assert "one client at a time" in text


def test_status_of_a_cluster_that_is_well_says_so() -> None:
    text = told(FULL)
    assert text.startswith("All 8 are well.")
    rows = [line for line in text.splitlines() if "RPC backend" in line or "node " in line]
    assert len({line.index(next(w for w in ("RPC", "node") if w in line)) for line in rows}) == 1


def test_status_says_that_a_missing_redis_hurts_nothing_else() -> None:
    assert "nothing else needs it" in told(EMPTY)


def test_status_says_everything_in_the_width_it_has() -> None:
    lines = [plain(line) for line in status_page(BROKEN, NOW_S)(44)]
    assert max(map(len, lines)) <= 44
    assert " ".join(" ".join(lines).split()) == " ".join(told(BROKEN).split())


def test_status_before_the_first_look_claims_nothing() -> None:
    assert told(ClusterSnapshot()) == "Still looking …"
    assert told(ClusterSnapshot(looked=True)).startswith("Nothing was found.")


def test_status_shows_foreign_names_harmlessly() -> None:
    assert "\x1b" not in told(BROKEN)
    assert "\u202e" not in told(BROKEN)
