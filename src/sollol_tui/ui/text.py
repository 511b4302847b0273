"""Text for the screen: foreign text made harmless, measured and cut in terminal cells.

Model names, hosts, errors, logs and answers come from elsewhere. Nothing of them is ever markup,
and no character of them may steer the terminal or have a width on which terminals disagree.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from rich.cells import cell_len
from textual.content import Content

Span = tuple[str, str]
"""A text and the names of its styles: "" or some of `STYLES`, parted by blanks."""

Line = tuple[Span, ...]

STYLES = ("muted", "good", "warn", "bad", "accent", "bold", "head", "key", "badge")

SEPARATOR = " · "
"""Between parts of a line that could stand alone."""

ELLIPSIS = "…"
UNKNOWN = "–"
LABEL_CELLS = 10  # what a line is about, before what it says

_BAD = "\N{REPLACEMENT CHARACTER}"
_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_MARKS_IN_A_ROW = 3  # accents on one letter; more of them only paint over their neighbours


class _Shown(dict[int, str]):
    """Code point → what is shown for it; filled as characters come."""

    def __missing__(self, code: int) -> str:
        if len(self) > 20_000:  # somebody sends all of Unicode
            self.clear()
        shown = self[code] = _shown(code)
        return shown


def _shown(code: int) -> str:
    char = chr(code)
    category = unicodedata.category(char)
    if char in "\t\n\v\f\r" or category[0] == "Z":
        return " "
    if category == "Cc" or code in _BIDI:
        return "·"
    if category in ("Cs", "Cn", "Co"):  # a lone surrogate raises in the writer, no width is sure
        return _BAD
    if category == "Cf" or _changes_width(code):  # joiners, byte order marks, tags
        return ""
    if 0x1F1E6 <= code <= 0x1F1FF:  # flags: one cell or two, as the terminal likes; so letters
        return chr(code - 0x1F1E6 + ord("A"))
    return char


def _changes_width(code: int) -> bool:
    """Variation selectors and skin tones: half of the terminals add a cell for them."""
    return 0xFE00 <= code <= 0xFE0F or 0x1F3FB <= code <= 0x1F3FF or code >= 0xE0100


_TABLE = _Shown()
_TABLE_OF_BLOCKS = _Shown({ord("\n"): "\n", ord("\t"): "    "})


def clean(text: str, limit: int = 400) -> str:
    """One harmless line: control characters are `·`, what has no sure width is `�`.

    At most `limit` characters; what is cut off is marked with `…`.
    """
    if len(text) > limit:
        text = text[: max(0, limit - 1)] + ELLIPSIS
    if text.isascii() and text.isprintable():
        return text
    return _tame(unicodedata.normalize("NFC", text).translate(_TABLE))


def clean_block(text: str) -> str:
    """Several harmless lines, parted by newlines; a tab is four blanks."""
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _tame(unicodedata.normalize("NFC", text).translate(_TABLE_OF_BLOCKS))


def _tame(text: str) -> str:
    """The text with few accents on each letter and none on nothing."""
    return text if text.isascii() else "".join(_tamed(text))


def _tamed(text: str) -> Iterator[str]:
    marks = _MARKS_IN_A_ROW
    for char in text:
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        if marks <= _MARKS_IN_A_ROW:
            yield char
        if char == "\n":
            marks = _MARKS_IN_A_ROW


def width(text: str) -> int:
    """How many terminal cells a clean text takes."""
    return len(text) if text.isascii() else cell_len(text)


@lru_cache(maxsize=4096)
def fit(text: str, cells: int, align: Literal["left", "right"] = "left") -> str:
    """The text, made harmless, in exactly `cells` cells; what is cut off is marked with `…`."""
    if cells <= 0:
        return ""
    text = clean(text, 8 * cells + 8)
    if width(text) > cells:
        text = _head(text, cells - 1) + ELLIPSIS
    pad = " " * (cells - width(text))
    return pad + text if align == "right" else text + pad


def _head(text: str, cells: int) -> str:
    """The longest beginning of a clean text that fits in `cells`."""
    if text.isascii():
        return text[:cells]
    for end, char in enumerate(text):
        cells -= cell_len(char)
        if cells < 0:
            return text[:end]
    return text


def wrap(text: str, cells: int) -> list[str]:
    """A text in lines of at most `cells`, made harmless, broken at blanks where there are some."""
    cells = max(1, cells)
    lines = []
    for paragraph in clean_block(text).split("\n"):
        line = ""
        for word in paragraph.split(" "):
            joined = f"{line} {word}" if line else word
            if width(joined) <= cells:
                line = joined
                continue
            if line:
                lines.append(line)
            *full, line = _pieces(word, cells)
            lines += full
        lines.append(line)
    return lines


def _pieces(word: str, cells: int) -> list[str]:
    """A word that is broken where it must; a wide letter that never fits stands for itself."""
    pieces = []
    while width(word) > cells:
        head = _head(word, cells) or word[0]
        pieces.append(head)
        word = word[len(head) :]
    return [*pieces, word]


def content(text: str) -> Content:
    """One harmless line as Textual takes it without looking for markup in it."""
    return Content(clean(text))


def line_width(line: Line) -> int:
    """How many cells a line of clean texts takes."""
    return sum(width(text) for text, _ in line)


def plain(line: Line) -> str:
    """A line's text without its styles."""
    return "".join(text for text, _ in line)


def fit_line(line: Line, cells: int) -> Line:
    """The line in at most `cells` cells; what is cut off is marked with `…`."""
    if line_width(line) <= cells:
        return line
    spans: list[Span] = []
    for text, style in line:
        if width(text) < cells:  # one cell is kept for the mark
            spans.append((text, style))
            cells -= width(text)
            continue
        spans.append((fit(f"{text} .", cells), style))  # never whole, so always marked
        break
    return tuple(spans)


def wrap_line(line: Line, cells: int, indent: int = 0) -> list[Line]:
    """The line in lines of at most `cells`, broken at blanks; all but the first are indented."""
    if line_width(line) <= cells:
        return [line]
    indent = indent if 2 * indent < cells else 0
    lines: list[Line] = []
    spans, used = list[Span](), 0
    for word, style in _words(line, max(1, cells - indent)):
        if used + width(word.rstrip()) > cells and spans:
            lines.append((*spans[:-1], (spans[-1][0].rstrip(), spans[-1][1])))
            spans, used = ([(" " * indent, "")] if indent else []), indent
            word = word.lstrip()  # noqa: PLW2901
        spans.append((word, style))
        used += width(word)
    return [*lines, tuple(spans)]


def wrap_parts(line: Line, cells: int, indent: int = 0) -> list[Line]:
    """The line in lines of at most `cells`, broken between its parts where each of them has room,
    else at blanks; all but the first are indented."""
    parts = _parts(line)
    if line_width(line) <= cells or any(line_width(p) > cells - indent for p in parts):
        return wrap_line(line, cells, indent)
    rows: list[Line] = [parts[0]]
    for part in parts[1:]:
        longer: Line = (*rows[-1], (SEPARATOR, "muted"), *part)
        if line_width(longer) <= cells:
            rows[-1] = longer
        else:
            rows.append(((" " * indent, ""), *part))
    return rows


def _parts(line: Line) -> list[Line]:
    """What stands between separators."""
    parts: list[Line] = [()]
    for text, style in line:
        first, *others = text.split(SEPARATOR)
        parts[-1] += ((first, style),) if first else ()
        parts += [((other, style),) if other else () for other in others]
    return parts


def _words(line: Line, cells: int) -> Iterator[Span]:
    """The words of a line, each with the blanks after it; longer ones in pieces."""
    for text, style in line:
        for word in re.findall(r"\s+|\S+\s*", text):
            for piece in _pieces(word, cells):
                yield (piece, style)
