"""Columns of text that fit a width."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.plain import cell_width
from sollol_tui.verbs.table import Column, table


def test_columns_are_aligned_by_cells_not_characters() -> None:
    lines = table([Column("A"), Column("B")], [("模型", "x"), ("abc", "y")], 80)
    assert lines == ["A     B", "模型  x", "abc   y"]


def test_the_column_that_gives_first_is_cut_first() -> None:
    columns = [Column("KEY", gives=2), Column("FIX"), Column("TEXT", gives=1)]
    rows = [("key-of-a-row", "fixed", "long text")]
    assert table(columns, rows, 28)[1] == "key-of-a-row  fixed  long t…"
    assert table(columns, rows, 25)[1] == "key-of-a-…  fixed  long …"


@given(st.lists(st.text("aé模\u0301 ", max_size=30), min_size=3, max_size=3))
def test_a_table_that_can_give_fits(row: list[str]) -> None:
    columns = [Column("A", gives=1), Column("B", gives=1), Column("C", gives=2)]
    assert all(cell_width(line) <= 30 for line in table(columns, [row], 30))
