"""Columns of text that fit a width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from sollol_tui.core.plain import cell_width, cut

GAP = "  "
LEAST_CELLS = 6  # no column is squeezed below


class Column(NamedTuple):
    """A column: its title, and when it is cut if the table is too wide.

    Columns that give 1 are cut first, those that give 2 when that was not enough, others never.
    """

    title: str
    gives: int = 0


def table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width_cells: int,
    paint: Callable[[int, int, str], str] = lambda _row, _column, text: text,
) -> list[str]:
    """The lines of a table, titles first. `paint(row, column, padded text)` colours a cell.

    Cells must be plain text (`core.plain.plain_line`).
    """
    titles = [column.title for column in columns]
    widths = _widths(columns, [titles, *rows], width_cells)
    lines = [_line([_padded(t, w) for t, w in zip(titles, widths, strict=True)])]
    for number, row in enumerate(rows):
        cells = [_padded(text, width) for text, width in zip(row, widths, strict=True)]
        lines.append(_line([paint(number, at, cell) for at, cell in enumerate(cells)]))
    return lines


def _widths(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], width_cells: int
) -> list[int]:
    """Natural widths; while they are too many, the widest column that gives loses one cell."""
    widths = [max(cell_width(row[at]) for row in rows) for at in range(len(columns))]
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - width_cells
    for turn in (1, 2):
        giving = [at for at, column in enumerate(columns) if column.gives == turn]
        while excess > 0 and giving:
            widest = max(giving, key=lambda at: widths[at])
            if widths[widest] <= LEAST_CELLS:
                break
            widths[widest] -= 1
            excess -= 1
    return widths


def _padded(text: str, width: int) -> str:
    fitted = cut(text, width)
    return fitted + " " * (width - cell_width(fitted))


def _line(cells: Sequence[str]) -> str:
    return GAP.join(cells).rstrip()
