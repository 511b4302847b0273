"""What a transcript is told of an answer, step by step: the words of `ChatSession.apply`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.text import Line


class ShowHeader(NamedTuple):
    line: Line


class ShowText(NamedTuple):
    text: str


class ShowThought(NamedTuple):
    text: str


class RewriteThought(NamedTuple):
    """Only this was thought: the rest came from a target that did not answer."""

    text: str


class FoldThought(NamedTuple):
    label: Line


class ShowNotice(NamedTuple):
    line: Line


class ShowSeam(NamedTuple):
    text: str


class ShowEnd(NamedTuple):
    """Nothing comes any more; these lines stand under the answer."""

    lines: tuple[Line, ...]


class ShowRestored(NamedTuple):
    """The new answer is none: from that turn on, everything is as it was before."""

    at: int


Update: TypeAlias = (
    ShowHeader
    | ShowText
    | ShowThought
    | RewriteThought
    | FoldThought
    | ShowNotice
    | ShowSeam
    | ShowEnd
    | ShowRestored
)


def whole(turn: Turn) -> Iterator[Update]:
    """What the transcript shall show of an answer that is over."""
    yield ShowHeader(sentences.header(turn.model, turn.decisions))
    if turn.thoughts:
        yield ShowThought("".join(turn.thoughts))
        yield FoldThought(sentences.thought_label(turn.thought_s))
    text, begin = turn.answer, 0
    marks = list[tuple[int, Update]]()
    marks += [(at, ShowNotice(sentences.notice(words))) for at, words in turn.notices]
    marks += [(seam.at_chars, ShowSeam(seam.text)) for seam in turn.seams]
    for at_chars, show in sorted(marks, key=lambda mark: mark[0]):
        if at_chars > begin:
            yield ShowText(text[begin:at_chars])
            begin = at_chars
        yield show
    yield ShowText(text[begin:])
    yield ShowEnd((*turn.end, *turn.note))
