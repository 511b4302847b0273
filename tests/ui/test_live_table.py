"""The live table on a screen: what is shown is what is true, at the least cost."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.geometry import Region
from textual.pilot import Pilot

from sollol_tui.ui.text import Line, Span, plain
from sollol_tui.ui.widgets.live_table import STAY_S, LiveTable
from sollol_tui.ui.widgets.table_lines import (
    CURSOR,
    changed_columns,
    row_line,
    row_spans,
)
from sollol_tui.ui.widgets.table_model import Cell, Column, Row, plan_columns
from tests.ui.chat_host import resize
from tests.ui.stand_in import until
from tests.ui.terminal import Wired, painted_anew, wrong_lines

COLUMNS = (
    Column("state", "ST", 8),
    Column("name", "NAME", 8, most=20),
    Column("load", "LOAD", 6, align="right", drop=1, largest_first=True),
    Column("text", "TEXT", 6, most=40, drop=2),
)
TEXTS = (
    "x",
    "–",
    "日本語モデル-13b",
    "[/x] [red]",
    "\x1b[2J\x07",
    "a\u202eb",
    "e\u0301tude",
    "👩‍💻 ⚠️",
)


class Age(tuple[int]):
    """An age in whole seconds, as a value."""

    def __call__(self, now_s: float) -> Span:
        age_s = int(now_s) - self[0]
        return (f"{age_s}s", "warn" if age_s > 9 else "muted")


class Why(tuple[int]):
    """A note that counts down."""

    def __call__(self, now_s: float) -> Line:
        return (("refused", "bad"), (f" again in {self[0] - int(now_s)} s", "muted"))


def row(key: str, load: float | None = 1, text: str = "x", note: bool = False) -> Row:
    cells = (
        Cell(Age((int(key[1:]) % 5,)), sort="age"),
        Cell(key, "bold"),
        Cell("–" if load is None else f"{load:g}", sort=load),
        Cell(text),
    )
    return Row(key, cells, Why((60,)) if note else None)


@asynccontextmanager
async def on_stage(
    *rows: Row, size: tuple[int, int] = (60, 12)
) -> AsyncIterator[tuple[LiveTable, Pilot[None], Wired]]:
    table = LiveTable(COLUMNS)
    table.show(rows)
    app = Wired(lambda: [table])
    async with app.run_test(size=size) as pilot:
        table.focus()
        await pilot.pause()
        yield table, pilot, app


def keys_shown(table: LiveTable) -> list[str]:
    return [key for key, is_note in table._model.lines if not is_note]


def refreshed(table: LiveTable, monkeypatch: pytest.MonkeyPatch) -> list[Region]:
    """The regions that are marked for painting from now on."""
    regions: list[Region] = []
    refresh = table.refresh

    def record(*asked: Region, **how: bool) -> LiveTable:
        regions.extend(asked or (Region(0, 0, 0, 0),))
        return refresh(*asked, **how)

    monkeypatch.setattr(table, "refresh", record)
    return regions


# What is painted


async def test_equal_rows_paint_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_stage(row("r1"), row("r2")) as (table, pilot, app):
        regions = refreshed(table, monkeypatch)
        written = app.terminal.letters_written
        for _ in range(3):
            table.show((row("r1"), row("r2")))
            table.flush()
            await pilot.pause()
        assert (regions, app.terminal.letters_written) == ([], written)


async def test_a_changed_value_paints_its_cell_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with on_stage(*(row(f"r{i}") for i in range(5))) as (table, pilot, app):
        regions = refreshed(table, monkeypatch)
        table.show([row(f"r{i}", load=7 if i == 3 else 1) for i in range(5)])
        table.flush()
        await pilot.pause()
        load = table._plan.places[2]
        assert regions == [Region(load.x, 4, load.width, 1)]
        assert "7" in app.on_terminal(table)[4]


async def test_time_paints_only_the_cells_that_say_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on_stage(row("r0"), row("r1")) as (table, pilot, _app):
        table.tick(5.0)
        await pilot.pause()
        regions = refreshed(table, monkeypatch)
        table.tick(5.4)
        assert regions == []
        table.tick(6.0)
        assert regions == [Region(1, 1, 8, 2)]


async def test_changes_wait_for_the_grid_and_share_one_paint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with on_stage(row("r1")) as (table, _pilot, _app):
        planned: list[float] = []
        monkeypatch.setattr(table, "set_timer", lambda delay, _act: planned.append(delay))
        for load in range(50):
            table.show((row("r1", load),))
        assert len(planned) == 1
        assert 0 < planned[0] <= 0.25


async def test_rows_that_are_asked_for_are_made_when_they_are_painted_only() -> None:
    async with on_stage(row("r1")) as (table, pilot, app):
        made: list[int] = []

        def make(load: int) -> list[Row]:
            made.append(load)
            return [row("r1", load)]

        for load in range(20):
            table.show(partial(make, load))
        assert made == []
        table.flush()
        table.flush()
        await pilot.pause()
        assert made == [19]
        assert "19" in app.on_terminal(table)[1]


async def test_a_mouse_that_looks_at_a_line_does_not_make_it_look_shown() -> None:
    async with on_stage(row("r1"), row("r2")) as (table, pilot, app):
        table.show((row("r1", 9), row("r2")))
        table.render_line(1)  # as the compositor does to find what is under the mouse
        table.flush()
        await pilot.pause()
        assert "9" in app.on_terminal(table)[1]


@given(st.data())
def test_outside_of_the_columns_named_as_changed_nothing_changes(data: st.DataObject) -> None:
    columns = [Column(str(i), "T", 5, most=9, drop=i) for i in range(4)]
    cell = st.builds(Cell, st.one_of(st.builds(Age, st.just((3,))), st.sampled_from("ab")))
    old_cells, new_cells = data.draw(st.tuples(*[st.tuples(*[cell] * 4)] * 2))
    plan = plan_columns(columns, [4] * 4, data.draw(st.integers(8, 60)))
    old = row_line(Row("k", old_cells), plan, False, data.draw(st.integers(0, 30)))
    new = row_line(Row("k", new_cells), plan, False, data.draw(st.integers(0, 30)))
    before, after = plain(row_spans(old, columns)), plain(row_spans(new, columns))
    named = changed_columns(old, new)
    if named is None:
        assert before == after
    else:
        assert before[: named[0]] == after[: named[0]]
        assert before[named[1] :] == after[named[1] :]


async def test_a_value_that_changes_without_being_seen_paints_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def seen(at_s: int) -> Row:
        return Row("k", (Cell(Age((at_s,))), Cell("k"), Cell("1"), Cell("x")))

    async with on_stage(seen(3)) as (table, pilot, _app):
        table.tick(10.0)
        await pilot.pause()
        regions = refreshed(table, monkeypatch)
        table.show((seen(8),))
        table.tick(15.0)
        table.flush()
        assert regions == []


async def test_a_column_comes_when_it_has_something_to_tell_and_goes_a_while_after_that() -> None:
    columns = [
        Column("name", "NAME", 6),
        *(Column(k, k, 6, drop=at) for at, k in enumerate("XY", 1)),
    ]
    table = LiveTable(columns)
    app = Wired(lambda: [table])

    async with app.run_test(size=(24, 8)) as pilot:
        shown = []
        for now_s, first in (
            (100.0, "0"),
            (101.0, "3"),
            (102.0, "–"),
            (101.0 + STAY_S - 1, "–"),
            (101.0 + STAY_S, "–"),
        ):
            table.show([Row("k", (Cell("k"), Cell(first), Cell("7")))])
            table.tick(now_s)
            await pilot.pause()
            shown.append(next(key for key in "XY" if key in app.on_terminal(table)[0]))
        assert shown == ["Y", "X", "X", "X", "Y"], "at once, and without a dance"


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_the_terminal_shows_what_a_fresh_render_shows(seed: int) -> None:
    rnd = random.Random(seed)
    rows: dict[str, Row] = {f"r{i}": row(f"r{i}", i, rnd.choice(TEXTS)) for i in range(14)}

    def change() -> None:
        for key in rnd.sample(sorted(rows), min(len(rows), 3)):
            rows[key] = row(
                key, rnd.choice([None, 1, 2, 30]), rnd.choice(TEXTS), rnd.random() < 0.3
            )
        if rnd.random() < 0.2:
            rows.pop(rnd.choice(sorted(rows)), None)
        if rnd.random() < 0.3:
            key = f"r{rnd.randint(0, 40)}"
            rows[key] = row(key)

    async with on_stage(*rows.values()) as (table, pilot, app):
        now_s = 20.0
        for step in range(60):
            change()
            table.show(list(rows.values()))
            act = rnd.randint(0, 9)
            if act == 0:
                table.sort_next()
            elif act == 1:
                table.sort_reverse()
            elif act == 2:
                table.filter(rnd.choice(["", "1", "!1", "r2 x"]))
            elif act == 3:
                await pilot.press(*rnd.sample(["j", "k", "G", "g", "pagedown", "up"], 2))
            elif act == 4:
                await resize(pilot, rnd.choice([24, 40, 60, 90]), rnd.choice([6, 12, 20]))
            elif act == 5:
                table.scroll_to(y=rnd.randint(0, 20), animate=False)
            now_s += rnd.random()
            table.tick(now_s)
            table.flush()
            await pilot.pause()
            assert wrong_lines(table) == [], (seed, step)
            # a resize may still be on its way
            await until(pilot, lambda: app.on_terminal(table) == painted_anew(table))
            assert table.cursor_key in table._model.places or not table._model.order


async def test_nothing_of_foreign_text_can_steer_the_terminal() -> None:
    async with on_stage(*(row(f"r{i}", 1, text) for i, text in enumerate(TEXTS))) as (_, _p, app):
        for char in app.terminal.cells.values():
            assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs") for c in char)


async def test_a_paint_between_a_change_and_its_flush_shows_no_row_that_is_gone() -> None:
    async with on_stage(row("r1"), row("r2")) as (table, pilot, app):
        table.show((row("r1"),))
        table.refresh()
        await pilot.pause()
        assert "r2" not in "".join(app.on_terminal(table))


# Cursor


async def test_the_cursor_stays_on_its_row_when_rows_come_and_the_order_turns() -> None:
    async with on_stage(row("r1", 1), row("r2", 2), row("r3", 3)) as (table, pilot, app):
        await pilot.press("j")
        assert table.cursor_key == "r2"
        table.sort_by("load")
        table.show((row("r9", 9), row("r2", 0), row("r3", 3), row("r1", 1)))
        table.flush()
        await pilot.pause()
        lines = app.on_terminal(table)
        assert [line[0] for line in lines].index(CURSOR) == next(
            y for y, line in enumerate(lines) if "r2" in line
        )


async def test_when_its_row_goes_the_cursor_takes_the_row_in_its_place() -> None:
    async with on_stage(*(row(f"r{i}") for i in range(4))) as (table, pilot, _app):
        await pilot.press("j", "j")
        table.show([row(f"r{i}") for i in (0, 1, 3)])
        table.flush()
        assert table.cursor_key == "r3"
        table.show(())
        table.flush()
        table.action_choose()  # nothing to choose: no message, no error


async def test_keys_move_the_cursor_and_keep_it_in_view() -> None:
    rows = [row(f"r{i}", note=i % 3 == 0) for i in range(40)]
    async with on_stage(*rows) as (table, pilot, app):
        places = {}
        for key in ("j", "down", "k", "up", "pagedown", "pageup", "G", "g", "end", "home"):
            await pilot.press(key)
            places[key] = table.cursor_key
            assert any(line.startswith(CURSOR) for line in app.on_terminal(table))
        assert [places[k] for k in ("j", "down", "k", "up")] == ["r1", "r2", "r1", "r0"]
        assert [places[k] for k in ("G", "g", "end", "home")] == ["r39", "r0", "r39", "r0"]
        assert places["pageup"] == "r0" != places["pagedown"]


async def test_a_row_that_is_chosen_or_marked_is_told_by_its_key() -> None:
    told: list[tuple[str, str]] = []

    class Hearing(Wired):
        def on_live_table_row_chosen(self, event: LiveTable.RowChosen) -> None:
            told.append(("chosen", event.key))

        def on_live_table_row_marked(self, event: LiveTable.RowMarked) -> None:
            told.append(("marked", event.key))

    table = LiveTable(COLUMNS)
    table.show((row("r1"), row("r2"), row("r3")))
    async with Hearing(lambda: [table]).run_test(size=(60, 12)) as pilot:
        table.focus()
        await pilot.press("j", "enter")
        await pilot.click(table, offset=(5, 4))
        await pilot.click(table, offset=(5, 4), times=2)
        await pilot.pause()
    assert told[:3] == [("marked", "r1"), ("marked", "r2"), ("chosen", "r2")]
    assert told[3:] == [("marked", "r3"), ("chosen", "r3")]


async def test_a_double_click_selects_no_text() -> None:
    async with on_stage(row("r1")) as (table, pilot, _app):
        await pilot.click(table, offset=(5, 2), times=2)
        await pilot.pause()
        assert table.text_selection is None


async def test_a_reader_who_scrolled_away_from_the_cursor_is_left_alone() -> None:
    async with on_stage(*(row(f"r{i}", i) for i in range(40))) as (table, pilot, _app):
        table.sort_by("load", reverse=False)
        table.scroll_to(y=20, animate=False)
        await pilot.pause()
        table.sort_reverse()
        await pilot.pause()
        assert (table.scroll_offset.y, table.cursor_key) == (20, "r0")


# Order and filter


async def test_sorting_goes_through_the_visible_columns_and_back_to_the_order_given() -> None:
    async with on_stage(row("r2", 2), row("r1", 5), size=(30, 8)) as (table, _pilot, app):
        seen = []
        for _ in range(4):
            table.sort_next()
            seen.append(table.sort)
        assert seen == [("state", False), ("name", False), ("load", True), (None, False)]
        table.sort_by("load")
        assert keys_shown(table) == ["r1", "r2"]
        assert "LOAD▼" in painted_anew(table)[0]
        table.sort_reverse()
        assert keys_shown(table) == ["r2", "r1"]
        assert "LOAD▲" in painted_anew(table)[0]
        assert "+1" in painted_anew(table)[0]
        assert app.is_running


async def test_a_click_on_a_title_sorts_and_a_second_one_turns_around() -> None:
    async with on_stage(row("r1", 1), row("r2", 2)) as (table, pilot, _app):
        x = table._plan.places[2].x
        await pilot.click(table, offset=(x + 1, 1))
        assert table.sort == ("load", True)
        await pilot.click(table, offset=(x + 1, 1))
        assert table.sort == ("load", False)


async def test_the_filter_is_said_in_the_title_and_what_it_hides_is_counted() -> None:
    async with on_stage(row("r1"), row("r2"), row("r12")) as (table, pilot, app):
        table.set_title("Nodes [/x]")
        table.filter("r1")
        await pilot.pause()
        assert keys_shown(table) == ["r1", "r12"]
        assert "Nodes [/x] /r1 2 of 3" in app.terminal.line(0, 0, 60)
        table.filter("nothing like it")
        await pilot.pause()
        assert "No row is like that." in app.on_terminal(table)[1]
        table.filter("")
        assert keys_shown(table) == ["r1", "r2", "r12"]


async def test_without_rows_the_reason_stands_there() -> None:
    async with on_stage() as (table, pilot, app):
        table.show((), [(("No node is known.", "bold"),), (("a adds one", "muted"),)])
        table.flush()
        await pilot.pause()
        assert [line.strip() for line in app.on_terminal(table)[:3]] == [
            "",
            "No node is known.",
            "a adds one",
        ]


# Copying


async def test_selected_text_is_what_stands_there_without_the_cursor() -> None:
    async with on_stage(row("r1", 1, "日本 x"), row("r2")) as (table, pilot, app):
        table.tick(3.0)
        await pilot.mouse_down(table, offset=(11, 2))
        await pilot.hover(table, offset=(50, 3))
        await pilot.mouse_up(table, offset=(50, 3))
        await pilot.pause()
        selected = app.screen.get_selected_text()
        assert selected is not None
        first, second = selected.split("\n")
        assert first.split() == ["r1", "1", "日本", "x"]
        assert second.split() == ["1s", "r2", "1", "x"]
        assert table.cursor_key == "r1"


async def test_all_rows_are_copied_with_those_out_of_view() -> None:
    async with on_stage(*(row(f"r{i}") for i in range(30))) as (table, _pilot, app):
        table.text_select_all()
        text = app.screen.get_selected_text() or ""
        assert CURSOR not in text
        assert [line.split()[1] for line in text.split("\n")[1:]] == [f"r{i}" for i in range(30)]


# Terminals without glyphs


async def test_where_only_ascii_is_wanted_our_own_glyphs_are_ascii() -> None:
    table = LiveTable(COLUMNS, ascii_only=True)
    table.show((row("r1", None, "abcdefghij" * 9, note=True),))
    app = Wired(lambda: [table])
    async with app.run_test(size=(60, 8)) as pilot:
        table.sort_by("load")
        await pilot.pause()
        shown = "".join(app.terminal.line(y, 0, 60) for y in range(8))
        assert shown.isascii()
        assert "refused" in shown
