"""Where a growing source may be cut, so that what lies before is final and never parsed again.

To cut inside quotes, lists, fences and tables the parser is told what is open there: a `stub` of a
line per container (`> #`, `3. #`, the opening line of a fence, the head of a table) comes before
the rest of the source. Its lines are parsed and not shown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.ui.markdown.blocks import Box, Leaf, Outline, Place, Start
from sollol_tui.ui.markdown.parser import parse_inline

PARAGRAPH_CUT = 1200
"""An open paragraph longer than this (characters) is cut in pieces."""

ROWS_CUT = 8
"""So many lines of an open fence, or rows of an open table, become final together."""

_FENCE_HEAD, _TABLE_HEAD = 1, 2  # lines that open them

# An unfinished line that cannot become the beginning of another kind of block any more.
_SURE = re.compile(r"(?!.*(?:```|~~~)).*[^\W\d_]{2}")
# Left over in plain text these may still find a partner: emphasis before a letter, code.
_OPEN_MARK = re.compile(r"\*(?!\s)|(?<!\w)_(?!\s)|~~(?!\s)|`")
_QUOTE = re.compile(r" {0,3}> ?")
_ITEM = re.compile(r"( {0,3}(?:[-+*]|\d{1,9}[.)]))( {1,4}(?=[^ ])| (?= +[^ ])| *$)")


class Context(NamedTuple):
    """What the parser has to know of the text before the cut."""

    stub: str = ""
    numbers: dict[Place, int] = {}
    inside: bool = False  # the cut lies within a block of the top level
    blank: bool = False  # a blank line came before it
    in_rows: bool = False  # the stub ends with the opening of a fence or a table

    @property
    def hidden_lines(self) -> int:
        return self.stub.count("\n")


class Cut(NamedTuple):
    line: int  # the first line that is not final, in lines of the parsed source
    context: Context


class ParagraphCut(NamedTuple):
    """A cut at a blank inside a long paragraph."""

    head: str  # the part of its text that is final
    rest_line: int  # the source line that holds the blank
    rest: str  # what follows the blank in that line, with the indent of its boxes
    context: Context


def find_cut(found: Outline, lines: Sequence[str], context: Context) -> Cut | None:
    """The last line before which nothing changes any more; None when there is none yet."""
    if not found.leaves:
        return None
    last, hidden_lines = found.leaves[-1], context.hidden_lines
    if cut := _after_fence(last, lines, hidden_lines) or _before_open_block(
        found.starts, lines, context
    ):
        return cut
    if last.line <= hidden_lines and last.kind in ("fence", "table"):
        return _in_rows(last, lines, hidden_lines)
    return None


def find_paragraph_cut(leaf: Leaf, lines: Sequence[str]) -> ParagraphCut | None:
    """A blank in a long paragraph where no inline markup can be open."""
    text = leaf.token.content
    if len(text) <= PARAGRAPH_CUT:
        return None
    for stop in (len(text) - 40, len(text) * 3 // 4, len(text) // 2):
        at = text.rfind(" ", 0, stop)
        if at >= 3 and _is_plain_blank(text, at) and (cut := _cut_at(leaf, lines, at)):
            return cut
    return None


def is_blank(line: str) -> bool:
    """Whether nothing but quote marks stands in a line."""
    return not line.strip(" >")


def _is_closed(fence: Leaf, lines: Sequence[str]) -> bool:
    """Whether a fence has ended: by its closing line, or with its container."""
    top, end = fence.token.map or (0, 0)
    return end < len(lines) - 1 or _has_closing_line(fence, lines[top:end])


def _has_closing_line(fence: Leaf, lines: Sequence[str]) -> bool:
    code = fence.token.content
    code_lines = code.count("\n") + (code != "" and not code.endswith("\n"))
    return len(lines) == code_lines + 2


def _after_fence(last: Leaf, lines: Sequence[str], hidden_lines: int) -> Cut | None:
    """A fence with its closing line is final at once, so that it can be coloured."""
    top, end = last.token.map or (0, 0)
    if last.kind != "fence" or not hidden_lines < end < len(lines):
        return None
    if not _has_closing_line(last, lines[top:end]) or not (stub := _stub(last.boxes, lines)):
        return None
    return Cut(end, Context(stub.text, stub.numbers))


def _before_open_block(
    starts: Sequence[Start], lines: Sequence[str], context: Context
) -> Cut | None:
    """The deepest block or item that is open at the end and has an elder sibling: all before it is
    closed for good."""
    is_sure = bool(_SURE.match(lines[-1]))
    # What follows the rows of a fence or table at once ends it; else the first line is no cut.
    first_line = context.hidden_lines + (not context.in_rows)
    open_depth = 1 << 30
    for start in reversed(starts):
        if start.depth >= open_depth:
            continue
        open_depth = start.depth
        if start.line < first_line:
            return None
        certain = is_sure or start.line < len(lines) - 1
        if start.sibling and certain and (stub := _stub(start.boxes, lines)):
            is_first = start.line == context.hidden_lines
            blank = context.blank if is_first else is_blank(lines[start.line - 1])
            return Cut(start.line, _context_at(start, stub, blank))
    return None


def _context_at(start: Start, stub: _Stub, blank: bool) -> Context:
    numbers = dict(stub.numbers)
    if start.number is not None:
        numbers[stub.text.count("\n"), len(start.boxes)] = start.number
    return Context(stub.text, numbers, start.depth > 1, blank)


def _in_rows(leaf: Leaf, lines: Sequence[str], hidden_lines: int) -> Cut | None:
    """The complete lines of an open fence or table; what opened it joins the stub."""
    top = leaf.token.map[0] if leaf.token.map else 0
    if leaf.kind == "fence":
        head, at = _FENCE_HEAD, len(lines) - 1
        if _is_closed(leaf, lines):
            return None
    else:
        head, at = _TABLE_HEAD, top + _TABLE_HEAD + len(leaf.cells) - 2  # the last row is open
    if at - max(hidden_lines, top + head) < ROWS_CUT or not (stub := _stub(leaf.boxes, lines)):
        return None
    opened = lines[top : top + head]
    opening = "".join(f"{stub.indent}{line[len(stub.indent) :]}\n" for line in opened)
    blank = is_blank(lines[at - 1])
    return Cut(at, Context(stub.text + opening, stub.numbers, blank=blank, in_rows=True))


def _is_plain_blank(text: str, at: int) -> bool:
    return text[at - 1] not in " \n\\" and text[at + 1] not in " \n"


def _cut_at(leaf: Leaf, lines: Sequence[str], at: int) -> ParagraphCut | None:
    head = text = leaf.token.content[:at]
    if _may_be_open(head):
        return None
    if not (stub := _stub(leaf.boxes, lines)):
        return None
    number = text.count("\n")
    line = lines[leaf.line + number]
    shown = leaf.token.content.split("\n")[number].rstrip()
    column = at - (text.rfind("\n") + 1)  # of the blank, in the shown line
    rest = line[len(line.rstrip()) - len(shown) + column :]
    if "|" in line:
        return None  # it may yet become the head of a table
    context = Context(stub.text, stub.numbers, inside=True)
    # The x keeps the rest a paragraph, whatever it begins with. It is not shown.
    return ParagraphCut(head, leaf.line + number, f"{stub.indent}x {rest.lstrip(' ')}", context)


def _may_be_open(head: str) -> bool:
    """Whether an unmatched mark in the text before a blank may still find its partner."""
    tokens = parse_inline(head)
    texts = [token.content for token in tokens if token.type == "text"]
    if texts and tokens[-1].type == "text":
        texts[-1] += " "  # what follows
    return any(_OPEN_MARK.search(text) for text in texts) or _has_open_bracket(texts)


def _has_open_bracket(texts: Sequence[str]) -> bool:
    depth = 0
    for bracket in re.findall(r"[\[\]]", "".join(texts)):
        depth = max(0, depth + (1 if bracket == "[" else -1))
    return depth > 0


class _Stub(NamedTuple):
    text: str  # a line for each box; empty at the top
    indent: str  # what the source lines inside all boxes begin with
    numbers: dict[Place, int]


def _stub(boxes: Sequence[Box], lines: Sequence[str]) -> _Stub | None:
    """A line for each open box; None for an odd layout: then the cut is made further out."""
    text, indent, numbers = "", "", dict[Place, int]()
    for depth, box in enumerate(boxes):
        rest = lines[box.line][len(indent) :]
        if not (mark := (_QUOTE if box.is_quote else _ITEM).match(rest)):
            return None
        lead = mark[0]
        if not box.is_quote:
            lead = mark[1] + (mark[2] if mark.end() < len(rest) else " ")
            numbers[depth, depth] = box.number
        text += f"{indent}{lead}#\n"
        indent += lead if box.is_quote else " " * len(lead)
    return _Stub(text, indent, numbers)
