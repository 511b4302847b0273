"""Markdown that grows: pieces of text in, laid-out lines out, at the same cost per piece always."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sollol_tui.ui.markdown import layout
from sollol_tui.ui.markdown.blocks import Leaf, Outline, outline
from sollol_tui.ui.markdown.code import HIGHLIGHTED_LINES, highlight
from sollol_tui.ui.markdown.cuts import (
    Context,
    Cut,
    ParagraphCut,
    find_cut,
    find_paragraph_cut,
    is_blank,
)
from sollol_tui.ui.markdown.inline import inline_spans
from sollol_tui.ui.markdown.layout import Row
from sollol_tui.ui.markdown.lines import Spans, chop, cut_spans, padded
from sollol_tui.ui.markdown.parser import parse, parse_inline
from sollol_tui.ui.markdown.tables import TableRows
from sollol_tui.ui.text import Line, Span

NARROWEST = 8
_END = Cut(1 << 30, Context())


class ClosedFence(NamedTuple):
    """A code block that is final and not coloured yet."""

    first: int  # its first code line, among the final lines
    language: str
    code: tuple[str, ...]
    cells: int  # its width inside its boxes


class MarkdownLines:
    """Lays Markdown out line by line.

    `final` only grows; `tail` is what may still change, and is replaced by each `feed`. Lines
    together are those of the whole text parsed at once (a property test says so), except that a
    heading's underline that comes after more than `cuts.PARAGRAPH_CUT` characters comes too late.

    Args:
        cells: the width of the lines; less than 8 counts as 8.
    """

    def __init__(self, cells: int) -> None:
        self.cells = max(NARROWEST, cells)
        self.final = list[Line]()
        self.tail = list[Line]()
        self._source = ""  # from the last cut on
        self._context = Context()
        self._carry: list[Span] | None = None  # the open line of a paragraph that was cut
        self._rows = list[list[list[Span]]]()  # of a table that was cut, so far
        self._table = TableRows()
        self._table_gap = False
        self._open_code: tuple[int, list[str]] | None = None  # of a fence that was cut
        self._uncoloured = deque[ClosedFence]()

    def __len__(self) -> int:
        return len(self.final) + len(self.tail)

    def __getitem__(self, index: int) -> Line:
        settled = len(self.final)
        return self.final[index] if index < settled else self.tail[index - settled]

    def feed(self, text: str) -> None:
        """Add clean source text (no control characters but newlines)."""
        self._source += text
        while self._advance():
            pass

    def finish(self, text: str = "") -> None:
        """Add the last text, or the whole: all is final then. It is parsed once and not cut."""
        self._source += text
        lines, found = self._parsed()
        self._lay_out(found, lines, _END)
        self._context, self._source, self._carry = Context(), "", None

    def colour_next(self) -> bool:
        """Colour the oldest closed code block that is not coloured; False when there is none."""
        if not self._uncoloured:
            return False
        fence = self._uncoloured.popleft()
        for index, line in enumerate(_coloured(fence), fence.first):
            self.final[index] = (*self.final[index][:-1], *line)
        return True

    @property
    def has_uncoloured(self) -> bool:
        return bool(self._uncoloured)

    # One step

    def _advance(self) -> bool:
        """Parse, lay out, cut. True when a paragraph was cut: the rest is to be parsed again."""
        lines, found = self._parsed()
        cut = find_cut(found, lines, self._context)
        if cut is None and self._cut_paragraph(found, lines):
            return True
        self._lay_out(found, lines, cut)
        if cut is not None:
            self._commit(cut, found, lines)
        return False

    def _parsed(self) -> tuple[list[str], Outline]:
        source = self._context.stub + self._source
        found = outline(parse(source), self._context.numbers)
        return source.split("\n"), found

    def _lay_out(self, found: Outline, lines: Sequence[str], cut: Cut | None) -> None:
        self.tail = []
        tops = self._tops(found)
        for leaf in found.leaves:
            is_hidden = leaf.line < self._context.hidden_lines
            if is_hidden and leaf.kind not in ("fence", "table"):
                continue  # a heading of the stub
            has_gap = not is_hidden and self._has_gap(leaf, lines, tops)
            is_held = cut is not None and cut.context.in_rows and leaf is found.leaves[-1]
            for row in self._leaf_rows(leaf, is_held, has_gap):
                is_final = cut is not None and row.source_line < cut.line
                (self.final if is_final else self.tail).append(row.line)
            if cut is not None and leaf.kind == "fence" and not is_held and leaf.line < cut.line:
                self._close_fence(leaf)

    def _tops(self, found: Outline) -> set[int]:
        """The lines where blocks of the top level begin."""
        tops = {start.line for start in found.starts if start.depth == 1}
        return tops - {self._context.hidden_lines} if self._context.inside else tops

    def _has_gap(self, leaf: Leaf, lines: Sequence[str], tops: set[int]) -> bool:
        if self._continues(leaf):
            return False
        if leaf.line == self._context.hidden_lines and leaf.line not in tops:
            return self._context.blank
        return leaf.line in tops or is_blank(lines[leaf.line - 1])

    def _continues(self, leaf: Leaf) -> bool:
        return self._carry is not None and leaf.line == self._context.hidden_lines

    # Leaves to rows

    def _leaf_rows(self, leaf: Leaf, is_held: bool, has_gap: bool) -> Iterator[Row]:
        if leaf.kind == "table":
            yield from self._table_rows(leaf, is_held, has_gap)
            return
        if leaf.kind in ("fence", "code_block"):
            numbered = layout.code_lines(leaf, self.cells)
            shown = [(n, spans) for n, spans in numbered if n >= self._context.hidden_lines]
        elif leaf.kind in ("hr", "empty"):
            spans: Spans = layout.rule(leaf, self.cells) if leaf.kind == "hr" else []
            shown = [(leaf.line, spans)]
        else:
            shown = [(leaf.line, spans) for spans in self._text_lines(leaf)]
        if not shown:
            return
        if has_gap and len(self):
            yield Row(shown[0][0], layout.gap_in_boxes(leaf))
        boxed = layout.in_boxes(leaf, [spans for _, spans in shown])
        for (number, _), line in zip(shown, boxed, strict=True):
            yield Row(number, line)

    def _text_lines(self, leaf: Leaf) -> list[list[Span]]:
        spans = layout.leaf_spans(leaf)
        if self._continues(leaf) and self._carry is not None:
            first, *others = spans
            spans = [*self._carry, (first[0].removeprefix("x "), first[1]), *others]
            leaf = leaf._replace(kind="paragraph")  # an underline comes too late for the first part
        return layout.text_lines(leaf, spans, self.cells)

    def _table_rows(self, leaf: Leaf, is_held: bool, has_gap: bool) -> Iterator[Row]:
        """A wider cell may still come, so that no row of an open table is final."""
        hidden = self._context.hidden_lines
        if leaf.line >= hidden:
            self._table_gap = has_gap and bool(len(self))
        room = layout.room_in(leaf.boxes, self.cells)
        spans = self._table.lay_out(self._all_rows(leaf), leaf.aligns, room, len(self._rows))
        number = _END.line if is_held else leaf.line
        if self._table_gap:
            yield Row(number, layout.gap_in_boxes(leaf))
        for line in layout.in_boxes(leaf, spans):
            yield Row(number, line)

    def _all_rows(self, leaf: Leaf) -> list[list[list[Span]]]:
        is_cut = leaf.line < self._context.hidden_lines
        return self._rows + leaf.cells[1:] if is_cut else leaf.cells

    # Cutting

    def _commit(self, cut: Cut, found: Outline, lines: Sequence[str]) -> None:
        last = found.leaves[-1]
        rows = self._all_rows(last)[:-1] if cut.context.in_rows and last.kind == "table" else []
        if cut.context.in_rows and last.kind == "fence":
            self._open_code = self._code_until(last, cut.line)
        self._rows = rows
        if not rows:
            self._table = TableRows()
        self._carry = None
        self._context = cut.context
        self._source = "\n".join(lines[cut.line :])

    def _cut_paragraph(self, found: Outline, lines: Sequence[str]) -> bool:
        if not found.leaves or (leaf := found.leaves[-1]).kind != "paragraph":
            return False
        if self._context.in_rows:  # of a table that has just ended and is not final yet
            return False
        if leaf.line > self._context.hidden_lines or not (cut := find_paragraph_cut(leaf, lines)):
            return False
        spans = self._head_spans(leaf, cut)
        *done, last = layout.text_lines(leaf, spans, self.cells)
        if not done:
            return False
        if self.final and self._has_gap(leaf, lines, self._tops(found)):
            self.final.append(layout.gap_in_boxes(leaf))
        self.final += layout.in_boxes(leaf, done)
        self._carry = [*last, (" ", "quote" if leaf.is_quoted else "")]
        self._context = cut.context
        self._source = "\n".join([cut.rest, *lines[cut.rest_line + 1 :]])
        return True

    def _head_spans(self, leaf: Leaf, cut: ParagraphCut) -> list[Span]:
        head = inline_spans(parse_inline(cut.head), "quote" if leaf.is_quoted else "")
        if not self._continues(leaf) or self._carry is None:
            return head
        (text, style), *others = head
        return [*self._carry, (text.removeprefix("x "), style), *others]

    # Code to colour

    def _code_until(self, fence: Leaf, line: int) -> tuple[int, list[str]]:
        """Where a fence's code begins among the final lines, and its lines before a source line."""
        first, code = self._open_code or (0, [])
        hidden = self._context.hidden_lines
        new = layout.split_code(fence.token.content)
        if fence.line >= hidden:
            taken = line - fence.line - 1
            pieces = sum(self._pieces(text, fence) for text in new[:taken])
            return len(self.final) - pieces, new[:taken]
        return first, code + new[: line - hidden]

    def _pieces(self, text: str, fence: Leaf) -> int:
        return len(chop(text, layout.room_in(fence.boxes, self.cells) - 2))

    def _close_fence(self, fence: Leaf) -> None:
        """Remember a fence whose last line has just become final."""
        first, code = self._code_until(fence, _END.line)
        self._open_code = None
        if code and len(code) <= HIGHLIGHTED_LINES:
            room = layout.room_in(fence.boxes, self.cells)
            self._uncoloured.append(ClosedFence(first, layout.label(fence), tuple(code), room))


def _coloured(fence: ClosedFence) -> Iterator[list[Span]]:
    """The code's lines as they are laid out, with colours."""
    for spans in highlight(fence.language, fence.code):
        text = "".join(part for part, _ in spans)
        start = 0
        for piece in chop(text, fence.cells - 2):
            (row,) = cut_spans(spans, [(start, start + len(piece))])
            fill = padded(f" {piece}", fence.cells)[len(piece) + 1 :]
            yield [(" ", "code"), *row, (fill, "code")] if fill else [(" ", "code"), *row]
            start += len(piece)
