"""The blocks of a document: the parser's tokens as leaves, each with the boxes it lies in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.ui.markdown.inline import inline_spans
from sollol_tui.ui.text import Span

if TYPE_CHECKING:
    from markdown_it.token import Token

QUOTE_BAR = "▌ "
_BULLETS = "•◦▪"

Place = tuple[int, int]
"""A source line, and how many boxes lie around what begins there."""


class Box(NamedTuple):
    """A block quote or a list item that holds other blocks."""

    line: int
    marker: str  # the bar of a quote; `• ` or `3. `
    number: int = 0  # of an item, counted from its list's start

    @property
    def is_quote(self) -> bool:
        return self.marker == QUOTE_BAR


class Leaf(NamedTuple):
    """A block that holds text. Lines are those of the parsed source."""

    kind: str  # paragraph h1…h6 fence code_block table hr empty
    line: int
    boxes: tuple[Box, ...]
    fresh: int  # so many of the innermost boxes begin here: their markers stand on its first row
    token: Token  # of a paragraph or heading: the one with the inline children
    cells: list[list[list[Span]]]  # of a table: the head row and the body rows
    aligns: list[str]

    @property
    def is_quoted(self) -> bool:
        return any(box.is_quote for box in self.boxes)


class Start(NamedTuple):
    """Where a block or a list item begins: the source may be cut there."""

    line: int
    depth: int  # 1 at the top
    sibling: int  # how many elder siblings it has
    boxes: tuple[Box, ...]
    number: int | None  # of a list item


class Outline(NamedTuple):
    leaves: list[Leaf]
    starts: list[Start]


def outline(tokens: Sequence[Token], numbers: Mapping[Place, int]) -> Outline:
    """Flatten the token tree.

    `numbers` are those of list items whose elder siblings are not in the source any more.
    """
    walk = _Walk(numbers)
    for index, token in enumerate(tokens):
        walk.take(token, tokens[index + 1] if index + 1 < len(tokens) else token)
    return Outline(walk.leaves, walk.starts)


class _Walk:
    """One pass over the tokens."""

    def __init__(self, numbers: Mapping[Place, int]) -> None:
        self.leaves = list[Leaf]()
        self.starts = list[Start]()
        self._numbers = numbers
        self._boxes = list[Box]()
        self._children = [0]  # so far, of each open block
        self._lists = list[tuple[int, bool]]()  # next number, is ordered
        self._filled = list[int]()  # number of leaves before each open item
        self._fresh = 0
        self._handlers: dict[str, Callable[[Token, Token], None]] = {
            "bullet_list_open": self._open_list,
            "ordered_list_open": self._open_list,
            "bullet_list_close": self._close_list,
            "ordered_list_close": self._close_list,
            "list_item_open": self._open_item,
            "list_item_close": self._close_item,
            "blockquote_open": self._open_quote,
            "blockquote_close": self._close_box,
            "paragraph_open": self._text_block,
            "heading_open": self._text_block,
            "fence": self._block,
            "code_block": self._block,
            "hr": self._block,
            "table_open": self._block,
            "tr_open": self._row,
            "th_open": self._cell,
            "td_open": self._cell,
        }

    def take(self, token: Token, following: Token) -> None:
        if handler := self._handlers.get(token.type):
            handler(token, following)

    def _begin(self, token: Token, number: int | None = None) -> int:
        line = token.map[0] if token.map else 0
        depth, boxes = len(self._children), tuple(self._boxes)
        self.starts.append(Start(line, depth, self._children[-1], boxes, number))
        self._children[-1] += 1
        return line

    def _open_list(self, token: Token, _following: Token) -> None:
        self._begin(token)
        self._children.append(0)
        self._lists.append((int(token.attrs.get("start", 1)), token.type[0] == "o"))

    def _close_list(self, _token: Token, _following: Token) -> None:
        self._children.pop()
        self._lists.pop()

    def _open_item(self, token: Token, _following: Token) -> None:
        counted, ordered = self._lists[-1]
        place = (token.map[0] if token.map else 0, len(self._boxes))
        number = self._numbers.get(place, counted)
        self._lists[-1] = number + 1, ordered
        bullet = _BULLETS[(len(self._lists) - 1) % len(_BULLETS)]
        marker = f"{number}{token.markup} " if ordered else f"{bullet} "
        self._filled.append(len(self.leaves))
        self._open_box(Box(self._begin(token, number), marker, number))

    def _close_item(self, token: Token, following: Token) -> None:
        if self._filled.pop() == len(self.leaves):
            self._leaf("empty", self._boxes[-1].line, token)
        self._close_box(token, following)

    def _open_quote(self, token: Token, _following: Token) -> None:
        self._open_box(Box(self._begin(token), QUOTE_BAR))

    def _open_box(self, box: Box) -> None:
        self._boxes.append(box)
        self._children.append(0)
        self._fresh += 1

    def _close_box(self, _token: Token, _following: Token) -> None:
        self._boxes.pop()
        self._children.pop()
        self._fresh = max(0, self._fresh - 1)  # an empty quote shows nothing

    def _text_block(self, token: Token, following: Token) -> None:
        kind = token.tag if token.type == "heading_open" else "paragraph"
        self._leaf(kind, self._begin(token), following)

    def _block(self, token: Token, _following: Token) -> None:
        self._leaf(token.type.removesuffix("_open"), self._begin(token), token)

    def _leaf(self, kind: str, line: int, token: Token) -> None:
        self.leaves.append(Leaf(kind, line, tuple(self._boxes), self._fresh, token, [], []))
        self._fresh = 0

    def _row(self, _token: Token, _following: Token) -> None:
        self.leaves[-1].cells.append([])

    def _cell(self, token: Token, following: Token) -> None:
        table = self.leaves[-1]
        is_head = token.type == "th_open"
        table.cells[-1].append(inline_spans(following.children or [], "th" if is_head else ""))
        if is_head:
            table.aligns.append(str(token.attrs.get("style", "")).rpartition(":")[2])
