"""A pane of lines, and the one-line strips."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widget import Widget

from sollol_tui.ui.text import Line, line_width, plain, wrap_line, wrap_parts
from sollol_tui.ui.theme import THEMES
from sollol_tui.ui.widgets.lines_pane import LinesPane
from sollol_tui.ui.widgets.strip import OneLine, Segment, place
from tests.ui.chat_host import resize
from tests.ui.terminal import Wired, painted_anew, wrong_lines


def lines(*texts: str) -> tuple[Line, ...]:
    return tuple(((text, ""),) for text in texts)


# Lines


async def test_lines_are_shown_and_cut_with_a_mark() -> None:
    pane = LinesPane()
    pane.show(lines("short", "x" * 60))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 6)):
        assert app.on_terminal(pane)[:2] == [" short".ljust(28), f" {'x' * 26}…"]


async def test_lines_that_wrap_lose_nothing() -> None:
    pane = LinesPane()
    pane.wraps = True
    pane.show(((("because   ", "muted"), ("one two three four five", "bold")),))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 6)):
        assert [line.rstrip() for line in app.on_terminal(pane)[:2]] == [
            " because   one two three",
            "           four five",
        ]


async def test_lines_made_for_a_width_are_made_anew_for_another() -> None:
    pane = LinesPane()
    pane.show(lambda cells: lines("=" * cells))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 6)) as pilot:
        assert app.on_terminal(pane)[0] == f" {'=' * 27}"
        await resize(pilot, 50, 6)
        assert app.on_terminal(pane)[0] == f" {'=' * 47}"


async def test_equal_lines_paint_nothing_and_a_new_one_only_itself() -> None:
    pane = LinesPane()
    pane.show(lines("one", "two"))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 6)) as pilot:
        await pilot.pause()
        written = app.terminal.letters_written
        pane.show(lines("one", "two"))
        pane.flush()
        await pilot.pause()
        assert app.terminal.letters_written == written
        pane.show(lines("one", "2"))
        pane.flush()
        await pilot.pause()
        assert app.terminal.letters_written - written <= 30
        assert app.on_terminal(pane)[1].strip() == "2"


async def test_keys_scroll_and_a_shorter_text_scrolls_back() -> None:
    pane = LinesPane()
    pane.show(lines(*map(str, range(40))))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 7)) as pilot:
        pane.focus()
        tops = []
        for key in ("j", "down", "k", "pagedown", "G", "g"):
            await pilot.press(key)
            await pilot.pause()
            tops.append(app.on_terminal(pane)[0].strip())
        assert tops == ["1", "2", "1", "5", "35", "0"]
        await pilot.press("end")
        pane.show(lines(*map(str, range(8))))
        pane.flush()
        await pilot.pause()
        assert app.on_terminal(pane) == painted_anew(pane)
        assert app.on_terminal(pane)[-1].strip() == "7"


async def test_titles_take_no_markup_and_no_control_codes() -> None:
    pane = LinesPane()
    pane.set_title("a [/x] [b]\x1b[2J")
    pane.set_subtitle((("esc", "key"), (" [closes]", "muted")))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(40, 6)):
        assert " a [/x] [b]·[2J " in app.terminal.line(0, 0, 40)
        assert " esc [closes] " in app.terminal.line(5, 0, 40)


@pytest.mark.parametrize("theme", [THEMES[1].name, "textual-light", "ansi-dark", "ansi-light"])
async def test_another_theme_paints_everything_in_its_colours(theme: str) -> None:
    pane = LinesPane()
    pane.show(((("good", "good"), (" bad", "bad bold"), (" muted", "muted"), (" !", "badge")),))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 6)) as pilot:
        before = [segment.style for segment in pane.render_line(0)]
        app.theme = theme
        await pilot.pause()
        after = [segment.style for segment in pane.render_line(0)]
        assert before != after
        assert len({str(style) for style in after if style}) > 4
        assert wrong_lines(pane) == []


async def test_selected_text_is_the_lines() -> None:
    pane = LinesPane()
    pane.show(lines("one", "two"))
    app = Wired(lambda: [pane])
    async with app.run_test(size=(30, 6)) as pilot:
        await pilot.mouse_down(pane, offset=(2, 1))
        await pilot.hover(pane, offset=(4, 2))
        await pilot.mouse_up(pane, offset=(4, 2))
        await pilot.pause()
        assert app.screen.get_selected_text() == "one\n two"


@given(
    st.lists(st.text(st.sampled_from("ab 日é-"), max_size=12), max_size=5),
    st.integers(2, 30),
    st.integers(0, 12),
)
def test_a_wrapped_line_fits_and_loses_nothing_but_blanks(
    texts: list[str], cells: int, indent: int
) -> None:
    line: Line = tuple((text, str(n)) for n, text in enumerate(texts))
    parts = wrap_line(line, cells, indent)
    assert all(line_width(((plain(part).rstrip(), ""),)) <= cells for part in parts)
    assert "".join("".join(map(plain, parts)).split()) == "".join(plain(line).split())


# Strips


def segment(text: str, priority: int, id: str = "") -> Segment:  # noqa: A002
    return Segment(((text, ""),), priority, id)


PART = st.builds(segment, st.text("xy", max_size=9), st.integers(0, 4))


@given(st.lists(PART, max_size=6), st.lists(PART, max_size=4), st.integers(0, 80))
def test_what_is_placed_lies_side_by_side_and_the_lowest_goes_first(
    left: list[Segment], right: list[Segment], cells: int
) -> None:
    placed = place(left, right, cells, 2)
    x = 0
    for start, part in placed.segments:
        assert start >= x
        x = start + line_width(part.spans) + 2
    kept = [part for _, part in placed.segments]
    if len(kept) > 1:
        assert x - 2 <= cells
    everything = [part for part in (*left, *right) if part.spans]
    gone = sorted(part.priority for part in everything)[: placed.dropped]
    assert (
        sorted(part.priority for part in kept)
        == sorted(p.priority for p in everything)[len(gone) :]
    )


async def strip_text(left: Sequence[Segment], right: Sequence[Segment], cells: int) -> str:
    strip = OneLine()
    strip.show(left, right)
    app = Wired(lambda: [strip])
    async with app.run_test(size=(cells, 2)):
        return app.on_terminal(strip)[0]


async def test_the_right_part_ends_at_the_edge_and_hints_drop_out_by_priority() -> None:
    left = [segment("? Help", 9), segment("m Mode", 2), segment("/ Filter", 3)]
    right = [segment("^q Quit", 10)]
    assert await strip_text(left, right, 40) == "? Help  m Mode  / Filter         ^q Quit"
    assert await strip_text(left, right, 30) == "? Help  / Filter       ^q Quit"
    assert await strip_text(left, right, 18) == "? Help     ^q Quit"
    assert await strip_text(left, right, 10) == "   ^q Quit"


async def test_a_click_tells_the_segment_and_equal_segments_paint_nothing() -> None:
    told: list[str] = []

    class Hearing(Wired):
        def on_one_line_pressed(self, event: OneLine.Pressed) -> None:
            told.append(event.segment_id)

    strip = OneLine()
    shown: list[Widget] = [strip]
    app = Hearing(lambda: shown)
    async with app.run_test(size=(40, 2)) as pilot:
        strip.show([segment("one", 1, "1"), segment("two", 1)], [segment("end", 1, "e")])
        await pilot.pause()
        written = app.terminal.letters_written
        strip.show([segment("one", 1, "1"), segment("two", 1)], [segment("end", 1, "e")])
        await pilot.pause()
        assert app.terminal.letters_written == written
        for x in (0, 3, 6, 38):
            await pilot.click(strip, offset=(x, 0))
        await pilot.pause()
    assert told == ["1", "e"]


FIGURES: Line = (
    ("■ stopped", "warn"),
    (" · 233 tok · 41.2 tok/s", "muted"),
    (" · ctx 250/4k ", "muted"),
    ("▁", "good"),
)


@pytest.mark.parametrize(
    ("cells", "rows"),
    [
        (60, ["■ stopped · 233 tok · 41.2 tok/s · ctx 250/4k ▁"]),
        (46, ["■ stopped · 233 tok · 41.2 tok/s", "  ctx 250/4k ▁"]),
        (24, ["■ stopped · 233 tok", "  41.2 tok/s", "  ctx 250/4k ▁"]),
        (12, ["■ stopped ·", "  233 tok ·", "  41.2 tok/s", "  · ctx", "  250/4k ▁"]),
    ],
)
def test_figures_stay_whole_when_their_line_is_broken(cells: int, rows: list[str]) -> None:
    broken = wrap_parts(FIGURES, cells, indent=2)
    assert [plain(row) for row in broken] == rows
    assert broken[-1][-1] == ("▁", "good")
