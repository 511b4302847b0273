"""A chat as lines: messages that grow, without a widget.

A message is its head, what was thought before it, its text with marks in it, its foot, and an
empty line. Everything is laid out for one width; another width lays it out again.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from sollol_tui.ui.markdown.plain import PlainLines
from sollol_tui.ui.text import Line, clean_block, wrap_line, wrap_parts

if TYPE_CHECKING:
    from sollol_tui.ui.markdown.stream import MarkdownLines

Role: TypeAlias = Literal["user", "assistant"]

YOU_BAR = ("▌ ", "you")
FOLDED, UNFOLDED = "▸ ", "▾ "
_LONGEST_CLUSTER = 16
_LETTER = "q"  # accents never melt with it
_HEAD, _THOUGHT, _TEXT, _FOOT = range(4)


class Place(NamedTuple):
    """Where a line lies in its message, whatever the message's width."""

    section: int
    line: int
    of: int  # lines in the section


class Harmless:
    """Makes streamed text harmless piece by piece, as if it had come at once.

    A letter is held back until it is known which accents follow it, and a carriage return until it
    is known whether it ends a line.
    """

    def __init__(self) -> None:
        self._held = ""

    def take(self, text: str) -> str:
        text = self._held + text
        settled = _settled(text)
        self._held = text[settled:]
        return _clean(text[:settled])

    def rest(self) -> str:
        held, self._held = self._held, ""
        return _clean(held)


def _clean(text: str) -> str:
    if text and unicodedata.category(text[0])[0] == "M":
        return clean_block(_LETTER + text)[1:]  # accents of a letter that is shown already
    return clean_block(text)


def _settled(text: str) -> int:
    """How much of a growing text can be made harmless now."""
    if not text or (text[-1] < "\x80" and text[-1] != "\r"):
        return len(text)
    at = len(text) - 1
    while at > 0 and unicodedata.category(text[at])[0] == "M":
        at -= 1
    return at if len(text) - at <= _LONGEST_CLUSTER else len(text)


class _Mark(NamedTuple):
    """A line of ours between the lines of a text: a notice, a seam."""

    line: Line


class _Placed(NamedTuple):
    """The lines of a mark, after so many lines of the text."""

    after: int
    lines: list[Line]


class Thought:
    """What a model thought before its answer: shown while it thinks, then folded to one line."""

    def __init__(self) -> None:
        self.label: Line = (("thinking", "thought"),)
        self.is_folded = False
        self._shown: Line = ()  # the label as it was laid out
        self._is_open = True
        self._parts = list[str]()
        self._taken = 0
        self._lines = PlainLines(1)
        self._harmless = Harmless()

    def add(self, text: str) -> None:
        self._parts.append(text)

    def fold(self, label: Line) -> None:
        self.label, self.is_folded = label, True

    def lay_out(self, cells: int) -> None:
        if self._lines.cells != cells:
            self._lines = PlainLines(cells, "thought", ("  ", ""))
            self._harmless, self._taken = Harmless(), 0
        if self._taken < len(self._parts):
            new = self._parts[self._taken :]
            self._taken = len(self._parts)
            self._lines.feed(self._harmless.take("".join(new)))
        self._is_open = not self.is_folded
        self._shown = ((UNFOLDED if self._is_open else FOLDED, "thought"), *self.label)

    def __len__(self) -> int:
        if not self._taken:
            return 0
        return 1 + len(self._lines) if self._is_open else 1

    def __getitem__(self, index: int) -> Line:
        return self._lines[index - 1] if index else self._shown


class Message:
    """One turn of a chat: its exact source, which is what is copied, and its lines."""

    def __init__(self, role: Role, header: Line = (), source: str = "") -> None:
        self.role = role
        self.header = header
        self.footer: Sequence[Line] = ()
        self.thought = Thought()
        self.is_finished = False
        self._parts: list[str | _Mark] = [source] if source else []
        self._taken = 0  # parts that are laid out
        self._cells = 0
        self._head = list[Line]()
        self._foot = list[Line]()
        self._text: MarkdownLines | PlainLines = PlainLines(1)
        self._markdown: MarkdownLines | None = None  # the same, when it is Markdown
        self._marks = list[_Placed]()
        self._harmless = Harmless()
        self._is_closed = False

    # What it says

    @property
    def source(self) -> str:
        """The text exactly as it came, without our marks."""
        return "".join(part for part in self._parts if isinstance(part, str))

    def append(self, text: str) -> None:
        self._parts.append(text)

    def add_mark(self, line: Line) -> None:
        """Put a line of ours where the text ends now."""
        self._parts.append(_Mark(line))

    def finish(self) -> None:
        """No text comes any more."""
        self.is_finished = True

    def reopen(self) -> None:
        """More text comes, after all: what is there is laid out once more, from its beginning."""
        self.is_finished, self.footer = False, ()
        self._cells = 0

    def rethink(self, text: str) -> None:
        """Replace what was thought."""
        self.thought = Thought()
        if text:
            self.thought.add(text)

    # Its lines

    @property
    def cells(self) -> int:
        """The width it is laid out for; 0 before it is."""
        return self._cells

    @property
    def has_uncoloured(self) -> bool:
        return self._markdown is not None and self._markdown.has_uncoloured

    def lay_out(self, cells: int) -> None:
        """Bring the lines up to date: what is new, or everything for another width."""
        if self._cells != cells:
            self._begin(cells)
        self.thought.lay_out(cells)
        self._head = _wrapped(self.header, cells)
        self._foot = [row for line in self.footer for row in wrap_parts(line, cells, indent=2)]
        new, self._taken = self._parts[self._taken :], len(self._parts)
        for part in _joined(new):
            if isinstance(part, str):
                self._text.feed(self._harmless.take(part))
            else:
                self._place(part)
        if self.is_finished and not self._is_closed:
            self._close()

    def _begin(self, cells: int) -> None:
        if self.role == "user":
            self._text = PlainLines(cells, "", YOU_BAR)
        else:
            self._text = self._markdown = _markdown_lines(cells)
        self._cells, self._taken, self._marks = cells, 0, []
        self._harmless, self._is_closed = Harmless(), False

    def _place(self, mark: _Mark) -> None:
        """After the line that was the last when the mark came."""
        if rest := self._harmless.rest():
            self._text.feed(rest)
        self._marks.append(_Placed(len(self._text), _wrapped(mark.line, self._cells)))

    def _close(self) -> None:
        self._text.finish(self._harmless.rest())
        self._parts = _joined(self._parts)
        self._taken = len(self._parts)
        self._is_closed = True

    def colour_next(self) -> bool:
        """Colour one closed code block; False when there is none."""
        return self._markdown is not None and self._markdown.colour_next()

    @property
    def height(self) -> int:
        return sum(self._sections())

    def line(self, index: int) -> Line:
        """A line of the message; the last one is empty."""
        section, index = self._section_of(index)
        if section == _HEAD:
            return self._head[index]
        if section == _THOUGHT:
            return self.thought[index]
        if section == _TEXT:
            return self._text_line(index)
        return self._foot[index] if index < len(self._foot) else ()

    def place(self, index: int) -> Place:
        """Where a line lies, to find it again when lines before it have changed."""
        section, line = self._section_of(index)
        return Place(section, line, self._sections()[section])

    def index(self, place: Place, *, is_rewrapped: bool = False) -> int:
        """The line that lies at a place now; in a text of another width, in proportion."""
        sections = self._sections()
        line, now = place.line, sections[place.section]
        if is_rewrapped and place.section == _TEXT:
            line = line * now // place.of
        return sum(sections[: place.section]) + max(0, min(line, now - 1))

    def is_thought_label(self, index: int) -> bool:
        return self._section_of(index) == (_THOUGHT, 0)

    def is_header(self, index: int) -> bool:
        return self._section_of(index)[0] == _HEAD

    def _sections(self) -> tuple[int, int, int, int]:
        marks = sum(len(mark.lines) for mark in self._marks)
        return len(self._head), len(self.thought), len(self._text) + marks, len(self._foot) + 1

    def _section_of(self, index: int) -> tuple[int, int]:
        for section, height in enumerate(self._sections()):
            if index < height:
                return section, index
            index -= height
        return _FOOT, len(self._foot)

    def _text_line(self, index: int) -> Line:
        for mark in self._marks:
            after = min(mark.after, len(self._text))
            if index < after:
                break
            if index < after + len(mark.lines):
                return mark.lines[index - after]
            index -= len(mark.lines)
        return self._text[index]


class History:
    """The messages of a transcript as one run of lines."""

    def __init__(self) -> None:
        self.messages = list[Message]()
        self.total = 0
        self._starts = list[int]()

    def add(self, message: Message) -> None:
        self.messages.append(message)
        self._starts.append(self.total)
        self.total += message.height

    def clear(self) -> None:
        self.cut(0)

    def cut(self, number: int) -> None:
        """Forget a message and all after it."""
        self.total = self._starts[number] if number < len(self._starts) else self.total
        del self.messages[number:], self._starts[number:]

    def recount(self, first: int = 0) -> None:
        """The heights of the messages from one on may have changed."""
        total = self._starts[first] if first < len(self._starts) else self.total
        for number in range(first, len(self.messages)):
            self._starts[number] = total
            total += self.messages[number].height
        self.total = total

    def start(self, number: int) -> int:
        return self._starts[number]

    def span(self, number: int) -> range:
        """The lines of a message, the empty one at its end included."""
        start = self._starts[number]
        return range(start, start + self.messages[number].height)

    def at(self, line: int) -> tuple[int, int]:
        """(number of the message, line in it) of a line; the first ones before the start."""
        number = max(0, bisect_right(self._starts, line) - 1)
        return number, line - self._starts[number] if self._starts else 0

    def line(self, index: int) -> Line:
        """A line of the whole; empty past the end."""
        if not 0 <= index < self.total:
            return ()
        number, line = self.at(index)
        return self.messages[number].line(line)


def _joined(parts: Sequence[str | _Mark]) -> list[str | _Mark]:
    """The parts with neighbouring texts as one."""
    joined, texts = list[str | _Mark](), list[str]()
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if texts:
            joined.append("".join(texts))
            texts = []
        joined.append(part)
    return [*joined, "".join(texts)] if texts else joined


def _markdown_lines(cells: int) -> MarkdownLines:
    """Loaded with the first answer, not with the screen."""
    from sollol_tui.ui.markdown.stream import MarkdownLines

    return MarkdownLines(cells)


def _wrapped(line: Line, cells: int) -> list[Line]:
    return wrap_line(line, cells, indent=2) if line else []
