"""From leaves to lines: markers, indents, wrapped text, code blocks, tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sollol_tui.ui.markdown.blocks import QUOTE_BAR, Box, Leaf
from sollol_tui.ui.markdown.inline import inline_spans
from sollol_tui.ui.markdown.lines import Spans, chop, padded, wrap
from sollol_tui.ui.text import Line, Span, clean

_NARROWEST = 4


class Row(NamedTuple):
    """One laid-out line and the source line it comes from."""

    source_line: int
    line: Line


def room_in(boxes: Sequence[Box], cells: int) -> int:
    """The width that quotes and items leave for what lies in them."""
    return max(_NARROWEST, cells - sum(len(box.marker) for box in boxes))


def leaf_spans(leaf: Leaf) -> list[Span]:
    """The text of a paragraph or heading."""
    return inline_spans(leaf.token.children or [], "quote" if leaf.is_quoted else "")


def text_lines(leaf: Leaf, spans: Spans, cells: int) -> list[list[Span]]:
    """A paragraph's or heading's lines, without what its boxes put before them."""
    styled = spans
    if leaf.kind != "paragraph":
        styled = [(text, f"{style} {leaf.kind}".lstrip()) for text, style in spans]
    return wrap(styled, room_in(leaf.boxes, cells))


def rule(leaf: Leaf, cells: int) -> Spans:
    return [("─" * room_in(leaf.boxes, cells), "bar")]


def code_lines(leaf: Leaf, cells: int) -> Iterator[tuple[int, Spans]]:
    """(source line, spans) of a code block: a label, then code broken at the width."""
    room = room_in(leaf.boxes, cells)
    is_fence = leaf.kind == "fence"
    if is_fence:
        yield leaf.line, [(padded(f" {label(leaf)[: room - 2]}", room), "label")]
    for number, text in enumerate(split_code(leaf.token.content), leaf.line + is_fence):
        for piece in chop(text, room - 2):
            yield number, [(padded(f" {piece}", room), "code")]


def split_code(code: str) -> list[str]:
    """The lines of a code block, made harmless."""
    return [clean(text, len(text)) for text in code.removesuffix("\n").split("\n")] if code else []


def label(fence: Leaf) -> str:
    """The language of a fence, as it was written."""
    words = fence.token.info.split()
    return clean(words[0]) if words else "text"


def in_boxes(leaf: Leaf, lines: Sequence[Spans]) -> list[Line]:
    """The lines behind their quote bars, markers and indents."""
    rest = [_lead(box) for box in leaf.boxes]
    old = len(rest) - leaf.fresh
    first = [*rest[:old], *((box.marker, _style(box)) for box in leaf.boxes[old:])]
    return [(*(rest if number else first), *line) for number, line in enumerate(lines)]


def gap_in_boxes(leaf: Leaf) -> Line:
    """The empty line before a leaf: only the bars of the quotes that go on."""
    return tuple(_lead(box) for box in leaf.boxes[: len(leaf.boxes) - leaf.fresh])


def _lead(box: Box) -> Span:
    return (QUOTE_BAR, "bar") if box.is_quote else (" " * len(box.marker), "")


def _style(box: Box) -> str:
    return "bar" if box.is_quote else "marker"
