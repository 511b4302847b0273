"""Rows, order, filter and columns of a live table, without a screen."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.ui.text import Span
from sollol_tui.ui.widgets.table_model import (
    GAP,
    MORE,
    Cell,
    Column,
    Renewal,
    Row,
    TableModel,
    filter_words,
    matches,
    plan_columns,
    settled,
)

COLUMNS = (
    Column("name", "NAME", 6, most=12),
    Column("load", "LOAD", 5, align="right", drop=1, largest_first=True),
    Column("note", "NOTE", 4, most=30, drop=2),
    Column("dull", "DULL", 7, drop=3, yields=True),
)


def row(key: str, load: float | None, note: str = "n", **more: object) -> Row:
    cells = (
        Cell(key),
        Cell("–" if load is None else f"{load:g}", sort=load),
        Cell(note),
        Cell("x"),
    )
    return Row(key, cells, **more)  # type: ignore[arg-type]


def arranged(*rows: Row, sort: str | None = None, reverse: bool = False) -> TableModel:
    model = TableModel(COLUMNS)
    model.sort, model.reverse = sort, reverse
    model.put(rows)
    model.arrange()
    return model


# Columns


@given(
    st.lists(st.tuples(st.integers(1, 12), st.integers(0, 40), st.integers(0, 9)), min_size=1),
    st.integers(1, 220),
    st.data(),
)
def test_columns_lie_side_by_side_inside_the_line_unless_none_may_go(
    made: list[tuple[int, int, int]], cells: int, data: st.DataObject
) -> None:
    columns = [Column(str(i), "T", w, most, drop=d) for i, (w, most, d) in enumerate(made)]
    needs = data.draw(st.lists(st.integers(0, 50), min_size=len(made), max_size=len(made)))
    plan = plan_columns(columns, needs, cells)
    assert plan.dropped == len(columns) - len(plan.places)
    x = 1
    for place in plan.places:
        assert place.x == x
        x += place.width + GAP
    end = x - GAP + 1 + (MORE if plan.dropped else 0)
    may_go = [place for place in plan.places if columns[place.at].drop]
    assert end <= cells or not may_go


def test_columns_go_in_their_order_and_the_others_get_the_room() -> None:
    needs = [12, 5, 30, 7]
    shown = {
        w: [COLUMNS[p.at].key for p in plan_columns(COLUMNS, needs, w).places] for w in (80, 30)
    }
    assert shown == {80: ["name", "load", "note", "dull"], 30: ["name", "load", "note"]}
    assert [p.at for p in plan_columns(COLUMNS, needs, 20).places] == [0, 1]
    assert [p.at for p in plan_columns(COLUMNS, needs, 12).places] == [0]


def test_a_column_is_no_wider_than_what_stands_in_it() -> None:
    plan = plan_columns(COLUMNS, [3, 5, 9, 7], 200)
    assert [place.width for place in plan.places] == [4, 5, 9, 7]  # NAME has four letters


def test_a_dull_column_goes_where_others_would_be_cut() -> None:
    assert plan_columns(COLUMNS, [6, 5, 4, 7], 40).dropped == 0
    assert plan_columns(COLUMNS, [6, 5, 25, 7], 40).dropped == 1


def test_what_tells_nothing_in_any_row_goes_before_all_others_but_not_the_sorted_one() -> None:
    assert arranged(row("–", 0), row("–", None)).silent(0.0) == {1}, "a name always stays"
    assert arranged(row("a", 0), row("b", 2)).silent(0.0) == set()
    assert arranged(row("a", 0), row("b", 0), sort="load").silent(0.0) == set()
    columns = [Column("a", "A", 8), Column("b", "B", 5, drop=1), Column("c", "C", 5, drop=2)]
    for silent, shown in (
        (frozenset[int](), "ab"),
        (frozenset({1}), "ac"),
        (frozenset({1, 2}), "ab"),
    ):
        plan = plan_columns(columns, [8, 5, 5], 21, silent)
        assert "".join(columns[place.at].key for place in plan.places) == shown
    columns[0] = Column("a", "A", 8, most=20)
    assert len(plan_columns(columns, [8, 5, 5], 24, frozenset({2})).places) == 3
    assert len(plan_columns(columns, [20, 5, 5], 24, frozenset({2})).places) == 2, "it yields"


# Rows


def test_equal_rows_ask_for_nothing_and_changed_ones_for_as_little_as_possible() -> None:
    model = arranged(row("a", 1), row("b", 2), sort="load")
    assert model.put((row("a", 1), row("b", 2))) is Renewal.NOTHING
    assert model.put((row("a", 1, "m"), row("b", 2))) is Renewal.VALUES
    assert model.put((row("a", 3, "m"), row("b", 2))) is Renewal.ORDER
    assert model.put((row("b", 2), row("a", 3, "m"))) is Renewal.ROWS
    assert model.put((row("b", 2),)) is Renewal.ROWS
    assert model.put((row("b", 2, note="m"),)) is Renewal.VALUES
    assert model.put((row("b", 2)._replace(note=(("why", ""),)),)) is Renewal.ROWS


def test_a_filter_asks_for_a_new_order_when_any_value_changes() -> None:
    model = arranged(row("a", 1))
    model.words = filter_words("x")
    assert model.put((row("a", 1, "m"),)) is Renewal.ORDER


def test_a_note_is_a_line_below_its_row() -> None:
    noted = row("a", 1)._replace(note=(("why", ""),))
    model = arranged(noted, row("b", 2))
    assert model.lines == [("a", False), ("a", True), ("b", False)]
    assert model.first_lines == [0, 2]


def test_the_unknown_come_last_in_both_directions_and_equals_stay_as_given() -> None:
    rows = (row("a", None), row("b", 2), row("c", 1), row("d", 2))
    assert arranged(*rows, sort="load").order == ["c", "b", "d", "a"]
    assert arranged(*rows, sort="load", reverse=True).order == ["b", "d", "c", "a"]
    assert arranged(*rows).order == ["a", "b", "c", "d"]


def test_a_number_keeps_its_text_until_it_moves_beyond_its_slack() -> None:
    old = Row("a", (Cell("10 ms", sort=10.0, slack=3.0),))
    near = Row("a", (Cell("12 ms", sort=12.0, slack=3.0),))
    far = Row("a", (Cell("14 ms", sort=14.0, slack=3.0),))
    assert settled(old, near) == old
    assert settled(old, far) == far
    model = TableModel((Column("ms", "MS", 5),))
    model.put((old,))
    assert model.put((near,)) is Renewal.NOTHING
    assert model.put((far,)) is Renewal.VALUES


@pytest.mark.parametrize(
    ("text", "words", "is_match"),
    [
        ("gpu-rig up", "gpu", True),
        ("gpu-rig up", "GPU up", True),
        ("gpu-rig up", "!gpu", False),
        ("nas down", "!gpu down", True),
        ("nas down", "!", True),
        ("straße", "STRASSE", True),
    ],
)
def test_every_word_must_be_there_and_a_word_with_a_mark_must_not(
    text: str, words: str, is_match: bool
) -> None:
    assert matches(text, filter_words(words)) is is_match


def test_a_text_that_moves_is_found_by_what_it_sorts_by() -> None:
    def moving(now_s: float) -> Span:
        return (f"● up {now_s}", "")

    model = TableModel((Column("st", "ST", 5),))
    model.put((Row("a", (Cell(moving, sort="up"),)), Row("b", (Cell("down"),))))
    model.words = filter_words("up")
    model.arrange()
    assert model.order == ["a"]


def test_a_table_told_piece_by_piece_is_the_table_told_at_once() -> None:
    rnd = random.Random(7)
    model = TableModel(COLUMNS)
    for _ in range(400):
        keys = rnd.sample("abcdefghij", rnd.randint(0, 10))
        rows = [row(k, rnd.choice([None, 1, 2, 3]), rnd.choice("mno")) for k in keys]
        if rnd.random() < 0.3:
            model.sort, model.reverse = rnd.choice([None, "load", "note"]), rnd.random() < 0.5
        if rnd.random() < 0.2:
            model.words = filter_words(rnd.choice(["", "m", "!m", "a n"]))
        model.put(rows)
        model.arrange()
        again = TableModel(COLUMNS)
        again.sort, again.reverse, again.words = model.sort, model.reverse, model.words
        again.put(rows)
        again.arrange()
        assert (model.order, model.lines) == (again.order, again.lines)


def test_columns_get_narrower_again_only_when_told_to() -> None:
    model = TableModel([Column("a", "A", 12, most=12)])
    model.put([Row("x", (Cell("a long word"),))])
    model.put([Row("x", (Cell("short"),))])
    assert model.needs == [11]
    model.measure_anew(0.0)
    assert model.needs == [5]


def test_a_column_that_does_not_fit_keeps_no_narrower_one_away() -> None:
    columns = [Column("a", "A", 8), Column("b", "B", 20, drop=1), Column("c", "C", 4, drop=2)]
    assert [columns[p.at].key for p in plan_columns(columns, (0, 0, 0), 24).places] == ["a", "c"]
    assert len(plan_columns(columns, (0, 0, 0), 38).places) == 3
