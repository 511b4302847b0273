"""Tables: columns as wide as their cells and the screen allow, cells that wrap."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.ui.markdown.lines import Spans, wrap
from sollol_tui.ui.text import Span, line_width

Cells = Sequence[Spans]

_GAP, _CROSS = " │ ", "─┼─"
_NARROWEST = 3


class TableRows:
    """Lays out one table that may still grow: rows are laid out again when a column changes."""

    def __init__(self) -> None:
        self._widths = list[int]()
        self._done = dict[int, list[Spans]]()

    def lay_out(
        self, rows: Sequence[Cells], aligns: Sequence[str], cells: int, kept: int
    ) -> list[Spans]:
        """The lines of head and body. The first `kept` rows are whole: their lines are reused."""
        widths = column_widths(rows, cells)
        if widths != self._widths:
            self._widths, self._done = widths, {}
        lines = list[Spans]()
        for number, row in enumerate(rows):
            done = self._done.get(number)
            if done is None:
                done = _row_lines(row, widths, aligns)
                if number == 0:
                    done.append([(_CROSS.join("─" * w for w in widths), "bar")])
                if number < kept:
                    self._done[number] = done
            lines += done
        return lines


def column_widths(rows: Sequence[Cells], cells: int) -> list[int]:
    """The natural width of each column; the widest are narrowed until the table fits."""
    natural = [
        max(_NARROWEST, *(line_width(tuple(cell)) for cell in column))
        for column in zip(*rows, strict=False)
    ]
    room = cells - len(_GAP) * (len(natural) - 1)
    cap = max(natural)
    while cap > _NARROWEST and sum(min(wide, cap) for wide in natural) > room:
        cap -= 1
    return [min(wide, cap) for wide in natural]


def _row_lines(row: Cells, widths: Sequence[int], aligns: Sequence[str]) -> list[Spans]:
    columns = [wrap(cell, wide) for cell, wide in zip(row, widths, strict=False)]
    lines = list[Spans]()
    for number in range(max(map(len, columns))):
        line = list[Span]()
        for column, wide, align in zip(columns, widths, aligns, strict=False):
            part = column[number] if number < len(column) else []
            line += [(_GAP, "bar")] if line else []
            line += _aligned(part, wide, align)
        lines.append(line)
    return lines


def _aligned(part: Spans, cells: int, align: str) -> list[Span]:
    free = max(0, cells - line_width(tuple(part)))
    left = free if align == "right" else free // 2 if align == "center" else 0
    spans = [(" " * left, ""), *part, (" " * (free - left), "")]
    return [span for span in spans if span[0]]
