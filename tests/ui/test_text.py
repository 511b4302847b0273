"""Foreign text on the screen: harmless, one width on which all agree, marked where it is cut."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content

from sollol_tui.ui.text import (
    Line,
    clean,
    clean_block,
    content,
    fit,
    fit_line,
    line_width,
    plain,
    width,
    wrap,
)

ANYTHING = st.text(
    st.one_of(
        st.characters(codec=None, exclude_categories=()),
        st.sampled_from("a\x1b\x9b\x00\n\t\r·日本語\u202e\u2066\u200d\ufe0f\U0001f1e9\U0001f3fd"),
        st.characters(min_codepoint=0x300, max_codepoint=0x36F),
        st.characters(min_codepoint=0x1F300, max_codepoint=0x1FAFF),
    ),
    max_size=60,
)

NASTY = [
    "\x1b]0;owned\x07",
    "\x9b31m",
    "evil\u202egnp.exe",
    "\ud800lone",
    "e\u0301" + "\u0301" * 90,
    "👨\u200d👩\u200d👧 🇩🇪 👍🏽 ⚠️",
    "\u0301first",
    "\U000e0041\U000e0042hidden tags",
    "ｗｉｄｅ 日本語モデル",
]


def is_harmless(text: str, *allowed: str) -> bool:
    return all(
        char in allowed or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Cn", "Co")
        for char in text
    )


def cells_by_the_rules(text: str) -> int:
    """Widths as POSIX `wcwidth` has them, except where its versions differ (marks that space)."""
    return sum(
        0
        if unicodedata.category(char) in ("Mn", "Me", "Mc") or 0x1160 <= ord(char) <= 0x11FF
        else 2
        if unicodedata.east_asian_width(char) in "WF"
        else 1
        for char in text
    )


@given(ANYTHING, st.integers(0, 40), st.sampled_from(("left", "right")))
@example("日本語", 4, "left")
@example("日本語", 1, "right")
def test_fit_takes_exactly_its_cells_and_lets_nothing_steer_the_terminal(
    text: str, cells: int, align: str
) -> None:
    fitted = fit(text, cells, "right" if align == "right" else "left")
    assert cell_len(fitted) == cells == width(fitted)
    assert is_harmless(fitted)
    fitted.encode("utf-8")


@pytest.mark.parametrize("text", NASTY)
def test_widths_of_nasty_texts_follow_the_terminals_own_rules(text: str) -> None:
    assert cells_by_the_rules(fit(text, 24)) == 24


@given(ANYTHING)
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    assert clean(clean(text)) == clean(text)
    assert clean_block(clean_block(text)) == clean_block(text)


@given(ANYTHING)
def test_a_clean_line_is_one_line_and_a_clean_block_parts_lines_with_newlines_only(
    text: str,
) -> None:
    assert is_harmless(clean(text))
    assert is_harmless(clean_block(text), "\n")
    assert len(clean_block(text).split("\n")) >= len(clean_block(text).splitlines())


def test_control_characters_and_bidi_overrides_are_made_visible() -> None:
    assert clean("a\x1b[2Jb\x07\u202ec") == "a·[2Jb··c"
    assert clean("a\tb\r\nc") == "a b  c"
    assert clean_block("a\tb\r\nc\x1b") == "a    b\nc·"


def test_what_has_no_sure_width_is_replaced() -> None:
    assert clean("\ue0b0\ud800") == "��"
    assert clean("🇩🇪 👍🏽 ⚠️") == "DE 👍 ⚠"


def test_a_letter_keeps_three_accents_at_most_and_an_accent_on_nothing_goes() -> None:
    assert clean("q" + "\u0301" * 40) == "q" + "\u0301" * 3
    assert clean("\u0301q") == "q"


def test_a_long_text_is_cut_and_says_so() -> None:
    assert clean("x" * 1000, 10) == "x" * 9 + "…"
    assert fit("abcdef", 4) == "abc…"
    assert fit("abc", 5, "right") == "  abc"
    assert fit("abc", 0) == ""
    assert fit("日本語", 4) == "日… "


def test_content_takes_no_markup() -> None:
    assert content("a [red]b[/red] [/x]").plain == "a [red]b[/red] [/x]"
    assert isinstance(content("x"), Content)


@given(ANYTHING, st.integers(2, 30))
def test_wrapped_lines_fit_and_lose_nothing_but_blanks(text: str, cells: int) -> None:
    lines = wrap(text, cells)
    assert all(cell_len(line) <= cells for line in lines)
    shown = "".join("".join(lines).split())
    assert shown == "".join(clean_block(text).split())


def test_words_stay_whole_where_they_can() -> None:
    assert wrap("connection refused by gpu-rig", 12) == ["connection", "refused by", "gpu-rig"]
    assert wrap("one\n\ntwo", 9) == ["one", "", "two"]


@given(st.lists(ANYTHING, max_size=5), st.integers(1, 40))
def test_a_line_that_is_too_long_ends_with_a_mark(texts: list[str], cells: int) -> None:
    line: Line = tuple((clean(text), "good") for text in texts)
    cut = fit_line(line, cells)
    assert line_width(cut) <= cells
    if line_width(line) > cells:
        assert plain(cut).rstrip().endswith("…")
    else:
        assert cut == line
