"""Lines as they are laid out: spans of text with the names of their styles, wrapped to a width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sollol_tui.ui.text import Span, width

Spans = Sequence[Span]

_NOT_FIRST = "、。，．：；！？）」』】〕〉》”’…"  # a row does not begin with these


def wrap(spans: Spans, cells: int) -> list[list[Span]]:
    """Rows of at most so many cells: broken at blanks and beside wide characters, long words cut.

    A newline in the text begins a row. Every row but the last stays as it is when text is added
    at the end: streaming relies on that.
    """
    text = "".join(part for part, _ in spans)
    return cut_spans(spans, breaks(text, max(1, cells)))


def breaks(text: str, cells: int) -> list[tuple[int, int]]:
    """Where the rows of a text begin and end (character indices)."""
    fit = _fit_narrow if text.isascii() else fit_wide
    bounds, start = list[tuple[int, int]](), 0
    for stop in _line_ends(text):
        while (end := fit(text, start, stop, cells)) < stop:
            cut = _break_before(text, start, end)
            bounds.append((start, cut))
            start = _skip_blanks(text, cut, stop)
        bounds.append((start, stop))
        start = stop + 1
    return bounds


def chop(text: str, cells: int) -> list[str]:
    """The text in pieces of at most so many cells, cut anywhere: nothing of code is lost."""
    if text.isascii():
        return [text[at : at + cells] for at in range(0, len(text), cells)] or [""]
    pieces, start = list[str](), 0
    while (end := fit_wide(text, start, len(text), cells)) < len(text):
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


def cut_spans(spans: Spans, bounds: Iterable[tuple[int, int]]) -> list[list[Span]]:
    """The spans of each stretch of the joined text; the stretches lie in order and apart."""
    rows, index, offset = list[list[Span]](), 0, 0  # offset: where spans[index] begins
    for low, high in bounds:
        row: list[Span] = []
        while index < len(spans):
            text, style = spans[index]
            if part := text[max(0, low - offset) : high - offset]:
                row.append((part, style))
            if offset + len(text) > high:
                break
            offset += len(text)
            index += 1
        rows.append(row)
    return rows


def padded(text: str, cells: int) -> str:
    """The text with blanks up to a width."""
    return text + " " * (cells - width(text))


def fit_wide(text: str, start: int, stop: int, cells: int) -> int:
    """The index of the first character that does not fit; at least one always does."""
    for index in range(start, stop):
        cells -= width(text[index])
        if cells < 0:
            return max(index, start + 1)
    return stop


def _fit_narrow(_text: str, start: int, stop: int, cells: int) -> int:
    return min(stop, start + cells)


def _line_ends(text: str) -> Iterable[int]:
    at = text.find("\n")
    while at >= 0:
        yield at
        at = text.find("\n", at + 1)
    yield len(text)


def _break_before(text: str, start: int, end: int) -> int:
    """The best place to end a row that may reach to `end`: a blank, or beside a wide character."""
    blank = text.rfind(" ", start + 1, end + 1)
    if text.isascii():
        return blank if blank > start else end
    for at in range(end, max(start, blank), -1):
        beside_wide = width(text[at - 1]) == 2 or width(text[at]) == 2
        if beside_wide and text[at] not in _NOT_FIRST and width(text[at]):
            return at
    return blank if blank > start else end


def _skip_blanks(text: str, at: int, stop: int) -> int:
    while at < stop and text[at] == " ":
        at += 1
    return at
