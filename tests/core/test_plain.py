"""Text from outside cannot command the terminal."""

from __future__ import annotations

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.plain import cell_width, cut, plain_block, plain_line, without_password

HOSTILE = "a\x1b[2Jb\x9b31mc\x07\u202ed\u2066e\r\nf\tg\x7f"


def test_a_line_has_no_control_codes_and_no_bidi_overrides() -> None:
    assert plain_line(HOSTILE) == "a[2Jb31mcde  f g"


def test_a_block_keeps_newline_and_tab_only() -> None:
    assert plain_block(HOSTILE) == "a[2Jb31mcde\nf\tg"


def test_marks_and_joiners_that_scripts_need_stay() -> None:
    text = "क्‍ष שלום\u200f e\u0301"
    assert plain_line(text) == text
    assert plain_block(text) == text


@given(st.text(st.characters(codec=None)))
def test_whatever_comes_can_be_written_and_obeyed_by_nobody(text: str) -> None:
    line, block = plain_line(text), plain_block(text)
    assert not any(category(c) in ("Cc", "Cs") for c in line)
    assert not any(category(c) in ("Cc", "Cs") for c in block if c not in "\n\t")
    line.encode("utf-8")
    block.encode("utf-8")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379"),
        ("redis://:hunter2@h:6379/1", "redis://:•••@h:6379/1"),
        ("rediss://me:hun@ter2@h", "rediss://me:•••@h"),
        ("redis://h/0?password=hunter2", "redis://h/0?•••"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis://[oops:hunter2", "•••"),
        ("", ""),
        ("redis://user@h", "redis://user@h"),
        ("redis://:se/cr#@et@h", "redis://:•••@h"),
        ("redis://:se?cret@h", "redis://•••"),
        ("user:secret@h:6379", "user:•••@h:6379"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock?•••"),
        ("redis://h/\x1b[2J", "•••"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_widths_count_cells_not_characters() -> None:
    assert cell_width("abc") == 3
    assert cell_width("模型") == 4
    assert cell_width("e\u0301") == 1


@given(st.text(), st.integers(0, 20))
def test_what_is_cut_fits(text: str, cells: int) -> None:
    assert cell_width(cut(text, cells)) <= cells


def test_a_cut_is_marked_and_never_splits_a_wide_character() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("模型模型", 4) == "模…"
    assert cut("abcd", 4) == "abcd"
