"""The coordinator's log: read as it grows, by levels, filtered, kept after a crash."""

from __future__ import annotations

import json
from collections import deque

import pytest

from sollol_tui.io.log_file import RING_LINES
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.panes.server_log import AT_ONCE, LogFeed, log_entries
from sollol_tui.ui.screens.log import LogScreen
from sollol_tui.ui.text import plain
from tests.ui import coordinators as ours
from tests.ui.stand_in import StillEngine, shown, until, until_shown

SIZES = [(80, 24), (120, 40)]


def line(text: str, level: str = "info") -> str:
    return json.dumps({"type": "log", "time": 1_160_000, "level": level, "msg": text})


class Growing:
    """A log in memory."""

    def __init__(self, *lines: str) -> None:
        self.lines: deque[str] = deque(maxlen=RING_LINES)
        self.number = 0
        self.write(*lines)

    def write(self, *lines: str) -> None:
        self.lines.extend(lines)
        self.number += len(lines)


def logged(engine: StillEngine, log: Growing | None) -> Growing | None:
    engine.log = log  # type: ignore[assignment]
    return log


def test_only_what_is_new_is_read_and_every_line_once() -> None:
    log, feed = Growing(line("one"), line("two")), LogFeed()
    assert [plain(e.line).split()[-1] for e in feed.fresh(log)] == ["one", "two"]
    assert feed.fresh(log) == []
    log.write(line("three"))
    assert [plain(e.line).split()[-1] for e in feed.fresh(log)] == ["three"]


def test_of_a_flood_the_end_is_shown_and_what_was_left_out_is_counted() -> None:
    log, feed = Growing(line("first")), LogFeed()
    feed.fresh(log)
    log.write(*(f"line {n}" for n in range(20_000)))
    entries = feed.fresh(log)
    assert len(entries) == AT_ONCE + 1
    assert plain(entries[0].line) == f"… {20_000 - AT_ONCE} lines left out: they came too fast …"
    assert plain(entries[-1].line).split()[-1] == "19999"
    assert len({entry.key for entry in entries}) == len(entries)


def test_words_that_only_repeat_are_shown_once() -> None:
    """A server at rest says at each look that it rests."""
    log, feed = Growing(line("start"), line("idle"), line("idle")), LogFeed()
    log.write("", line("idle"))
    assert [plain(e.line).split()[-1] for e in feed.fresh(log)] == ["start", "idle"]
    log.write(line("idle"))
    assert feed.fresh(log) == []
    log.write(line("busy"), line("idle"))
    assert [plain(e.line).split()[-1] for e in feed.fresh(log)] == ["busy", "idle"]


def test_levels_have_colours_and_foreign_letters_are_tamed() -> None:
    entries = log_entries(
        [line("bad\x1b[31m", "error"), line("so so", "warn"), "plain", "", "cmd_child_to_router:x"]
    )
    assert [e.is_fault for e in entries] == [True, True, False]
    assert [e.line[-1][1] for e in entries] == ["bad", "warn", ""]
    assert "\x1b" not in plain(entries[0].line)


@pytest.mark.parametrize("size", SIZES)
async def test_the_log_is_followed_live_from_its_key(size: tuple[int, int]) -> None:
    engine = StillEngine(ours.cluster(ours.READY))
    log = Growing(line("hello world"))
    logged(engine, log)
    app = SollolApp(engine)
    async with app.run_test(size=size) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1", "l")
        await until_shown(pilot, "Coordinator log", "hello world")
        log.write(*(line(f"step {n}") for n in range(100)))
        await until_shown(pilot, "step 99")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_filter_and_errors_only_narrow_the_log_and_escape_widens_it() -> None:
    engine = StillEngine(ours.cluster(ours.READY))
    logged(engine, Growing(line("apple"), line("pear", "error"), line("plum")))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*":log", "enter")
        await until_shown(pilot, "apple", "plum")
        await pilot.press("e")
        await until(pilot, lambda: "apple" not in shown(app) and "pear" in shown(app))
        await pilot.press("escape")
        await until_shown(pilot, "apple")
        await pilot.press("slash", *"plum", "enter")
        await until(pilot, lambda: "apple" not in shown(app) and "plum" in shown(app))
        await pilot.press("escape")
        await until_shown(pilot, "apple")
        assert isinstance(app.screen, LogScreen)


async def test_the_run_before_is_one_key_away_and_so_is_the_way_back() -> None:
    engine = StillEngine(ours.cluster(ours.READY))
    logged(engine, Growing(line("this run")))
    engine.still_here.logs[True] = (line("it broke here", "error"),)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1", "l")
        await until_shown(pilot, "this run")
        await pilot.press("b")
        await until_shown(pilot, "the run before", "it broke here")
        assert "this run" not in shown(app)
        await pilot.press("b")
        await until_shown(pilot, "this run")


async def test_without_a_run_of_this_program_the_last_one_on_disk_is_shown() -> None:
    engine = StillEngine(ours.cluster())
    engine.still_here.logs[False] = (line("yesterday"),)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1", "l")
        await until_shown(pilot, "yesterday")
        await pilot.press("b")
        await until_shown(pilot, "There was no run before.")


async def test_a_new_run_begins_with_an_empty_log() -> None:
    engine = StillEngine(ours.cluster(ours.READY))
    logged(engine, Growing(line("old words")))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1", "l")
        await until_shown(pilot, "old words")
        logged(engine, Growing(line("new words")))
        await until_shown(pilot, "new words")
        assert "old words" not in shown(app)


async def test_a_long_line_is_shown_whole_and_copied_whole() -> None:
    engine = StillEngine(ours.cluster(ours.READY))
    text = " ".join(f"word{n}" for n in range(60))
    logged(engine, Growing(line(text)))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1", "l")
        await until_shown(pilot, "word0")
        await pilot.press("enter")
        await until_shown(pilot, "Line of the log", "word59")
        await pilot.press("escape", "y")
        await until(pilot, lambda: "word59" in app.clipboard)
