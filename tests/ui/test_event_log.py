"""The event log: it follows its end, and leaves a reader where he reads."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from sollol_tui.ui.widgets import event_log
from sollol_tui.ui.widgets.event_log import EventLog, LogLine
from tests.ui.chat_host import resize
from tests.ui.terminal import Wired, painted_anew, wrong_lines


def entry(number: int, *, is_fault: bool = False) -> LogLine:
    return LogLine(str(number), ((f"entry {number}.", "bad" if is_fault else ""),), is_fault)


def entries(start: int, end: int) -> list[LogLine]:
    return [entry(number, is_fault=number % 5 == 0) for number in range(start, end)]


@asynccontextmanager
async def on_stage(
    count: int, size: tuple[int, int] = (50, 10)
) -> AsyncIterator[tuple[EventLog, Pilot[None], Wired]]:
    log = EventLog()
    log.set_title("Events")
    log.append(entries(0, count))
    app = Wired(lambda: [log])
    async with app.run_test(size=size) as pilot:
        log.focus()
        await pilot.pause()
        yield log, pilot, app


def shown(app: Wired, log: EventLog) -> list[str]:
    """The entries on the terminal, without cursor and blanks."""
    return [line.strip(" ▌") for line in app.on_terminal(log) if line.strip()]


async def settle(log: EventLog, pilot: Pilot[None]) -> None:
    log.flush()
    await pilot.pause()


async def test_it_follows_its_end() -> None:
    async with on_stage(3) as (log, pilot, app):
        assert shown(app, log) == ["entry 0.", "entry 1.", "entry 2."]
        log.append(entries(3, 100))
        await settle(log, pilot)
        assert shown(app, log) == [f"entry {n}." for n in range(92, 100)]
        assert log.cursor_key == "99"
        assert log.unseen == 0


@pytest.mark.parametrize("away", ["k", "pageup", "wheel"])
async def test_a_reader_who_left_the_end_is_never_pulled_away(away: str) -> None:
    async with on_stage(100) as (log, pilot, app):
        if away == "wheel":
            log.scroll_to(y=50, animate=False)
        else:
            await pilot.press(*[away] * 4)
        await pilot.pause()
        read, cursor = shown(app, log), log.cursor_key
        log.append(entries(100, 114))
        await settle(log, pilot)
        assert shown(app, log) == read
        assert log.cursor_key == cursor
        assert "↓ 14 new" in app.terminal.line(0, 0, 50)


async def test_what_is_read_stays_in_view_while_older_entries_fall_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_log, "KEPT_LINES", 100)
    log = EventLog()
    log._ring = type(log._ring)(maxlen=100)
    log.append(entries(0, 100))
    app = Wired(lambda: [log])
    async with app.run_test(size=(50, 10)) as pilot:
        log.focus()
        await pilot.press("pageup", "pageup", "pageup")
        await pilot.pause()
        read, cursor = shown(app, log), log.cursor_key
        for start in range(100, 160, 10):
            log.append(entries(start, start + 10))
            await settle(log, pilot)
            assert shown(app, log) == read
            assert log.cursor_key == cursor
        log.append(entries(160, 400))  # and now it is gone itself
        await settle(log, pilot)
        assert shown(app, log)[0] == "entry 300."
        assert wrong_lines(log) == []


@pytest.mark.parametrize("back", ["end", "G", "follow", "scroll"])
async def test_the_end_is_followed_again_from_the_end(back: str) -> None:
    async with on_stage(100) as (log, pilot, app):
        await pilot.press("pageup")
        log.append(entries(100, 110))
        await settle(log, pilot)
        if back == "follow":
            log.follow()
        elif back == "scroll":
            log.scroll_to(y=log.max_scroll_y, animate=False)
        else:
            await pilot.press(back)
        await settle(log, pilot)
        assert (log.is_following, log.unseen) == (True, 0)
        assert "new" not in app.terminal.line(0, 0, 50)
        log.append([entry(110)])
        await settle(log, pilot)
        assert shown(app, log)[-1] == "entry 110."


async def test_errors_only_and_the_filter_are_said_with_their_counts() -> None:
    async with on_stage(20) as (log, pilot, app):
        log.toggle_errors()
        await pilot.pause()
        assert shown(app, log) == ["entry 0.", "entry 5.", "entry 10.", "entry 15."]
        assert "Events errors only 4 of 20" in app.terminal.line(0, 0, 50)
        log.filter("1 !10")
        await pilot.pause()
        assert shown(app, log) == ["entry 15."]
        assert "errors only /1 !10 1 of 20" in app.terminal.line(0, 0, 50)
        log.filter("no such word")
        await pilot.pause()
        assert shown(app, log) == ["No entry is like that.  Esc shows all"]
        log.filter("")
        log.toggle_errors()
        await pilot.pause()
        assert shown(app, log)[-1] == "entry 19."


async def test_a_new_filter_keeps_the_cursor_on_its_entry_or_the_one_before() -> None:
    async with on_stage(100) as (log, pilot, app):
        for _ in range(26):
            log.action_move(-1)
        assert log.cursor_key == "73"
        log.toggle_errors()
        assert log.cursor_key == "70"
        await pilot.pause()
        assert any(line.startswith("▌") for line in app.on_terminal(log))
        log.toggle_errors()
        assert log.cursor_key == "70"


async def test_hidden_entries_are_not_counted_as_new() -> None:
    async with on_stage(50) as (log, pilot, _app):
        log.toggle_errors()
        await pilot.press("home")
        log.append(entries(50, 60))
        await settle(log, pilot)
        assert log.unseen == 2


async def test_before_anything_happened_it_says_so() -> None:
    async with on_stage(0) as (log, _pilot, app):
        assert shown(app, log) == ["Nothing has happened yet."]
        log.action_choose()
        log.action_move(1)
        assert log.cursor_key is None


async def test_an_entry_is_chosen_by_its_key() -> None:
    told: list[str] = []

    class Hearing(Wired):
        def on_event_log_row_chosen(self, event: EventLog.RowChosen) -> None:
            told.append(event.key)

    log = EventLog()
    log.append(entries(0, 9))
    async with Hearing(lambda: [log]).run_test(size=(50, 14)) as pilot:
        log.focus()
        await pilot.press("enter", "k", "enter")
        await pilot.click(log, offset=(5, 3), times=2)
        await pilot.pause()
    assert told == ["8", "7", "2"]


@pytest.mark.parametrize("count", [17, 40])
async def test_a_pane_that_grows_keeps_the_entry_that_is_read(count: int) -> None:
    """All entries fit then, or the last ones: nobody went to the end for that."""
    async with on_stage(count, size=(50, 8)) as (log, pilot, app):
        assert log.go_to(str(count - 2))
        await resize(pilot, 50, 24)
        await settle(log, pilot)
        assert log.cursor_key == str(count - 2)
        assert f"entry {count - 1}." in shown(app, log)
        log.append(entries(count, count + 1))
        await settle(log, pilot)
        assert log.cursor_key == str(count - 2)


async def test_copied_text_is_the_entries() -> None:
    async with on_stage(30) as (log, _pilot, app):
        log.text_select_all()
        text = app.screen.get_selected_text() or ""
        assert [line.strip() for line in text.split("\n")] == [f"entry {n}." for n in range(30)]


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_the_terminal_shows_what_a_fresh_render_shows(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "KEPT_LINES", 40)
    rnd = random.Random(seed)
    log = EventLog()
    log._ring = type(log._ring)(maxlen=40)
    app = Wired(lambda: [log])
    number = 0
    async with app.run_test(size=(40, 10)) as pilot:
        log.focus()
        for step in range(60):
            more = rnd.choice([0, 1, 1, 3, 30])
            log.append(entries(number, number + more))
            number += more
            act = rnd.randint(0, 7)
            if act == 0:
                log.toggle_errors()
            elif act == 1:
                log.filter(rnd.choice(["", "1", "!1"]))
            elif act == 2:
                await pilot.press(rnd.choice(["k", "j", "G", "g", "pageup", "pagedown"]))
            elif act == 3:
                await resize(pilot, rnd.choice([20, 40]), rnd.choice([5, 10, 30]))
            elif act == 4:
                log.scroll_to(y=rnd.randint(0, 30), animate=False)
            await settle(log, pilot)
            assert wrong_lines(log) == [], (seed, step)
            assert app.on_terminal(log) == painted_anew(log), (seed, step)
            if log.is_following and log._view:
                assert shown(app, log)[-1] == log._view[-1].line[0][0], (seed, step)
