"""From a conversation to tokens: the same ones on every server, for the same seed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.demo import texts

_TOKEN_CHARS = 4
_LONGEST_TOKEN = 6  # a short word with its space stays whole
_WORD = re.compile(r"\n+|\s?[^\s]+|\s+")
_QUOTED_CHARS = 60


class Turn(NamedTuple):
    """One message of a conversation."""

    role: str
    content: str


class Answer(NamedTuple):
    """What a model says: first what it thinks, then `tokens`, which go on from `so_far`."""

    thoughts: tuple[str, ...]
    so_far: str
    tokens: tuple[str, ...]


class Piece(NamedTuple):
    """A token: of the answer, or of what the model thinks before it."""

    text: str
    thought: bool = False


def tokens(text: str) -> tuple[str, ...]:
    """A text as tokens of about four characters; joined they are the text."""
    return tuple(part for word in _WORD.findall(text) for part in _parts(word))


def prompt_tokens(turns: Sequence[Turn]) -> tuple[str, ...]:
    """The tokens a server reads: the conversation in a chat template."""
    rendered = "".join(f"<|{turn.role}|>\n{turn.content}\n" for turn in turns)
    return tokens(f"{rendered}<|assistant|>\n")


def compose(turns: Sequence[Turn], seed: int, *, think: bool, said: str | None = None) -> Answer:
    """The answer to a conversation; a last turn of the assistant is gone on with.

    `said` is what the answer is to be, instead of one found by the question.
    """
    continued = bool(turns) and turns[-1].role == "assistant"
    so_far, asked = (turns[-1].content, turns[:-1]) if continued else ("", turns)
    whole = said if said is not None else _whole(asked, seed)
    thoughts = _thoughts(asked) if think and not so_far else ()
    return Answer(thoughts, so_far, tokens(_rest(whole, so_far)))


def pieces_of(answer: Answer, most: int | None) -> tuple[list[Piece], str]:
    """What is written for an answer of at most so many tokens, and why it ends there."""
    pieces = [Piece(token, thought=True) for token in answer.thoughts]
    pieces += [Piece(token) for token in answer.tokens]
    cut_short = most is not None and len(pieces) > most
    pieces = pieces[:most]
    if answer.so_far and pieces:  # the first piece repeats the text that is gone on with
        pieces[0] = Piece(answer.so_far + pieces[0].text)
    return pieces, "length" if cut_short else "stop"


def _parts(word: str) -> list[str]:
    if len(word) <= _LONGEST_TOKEN:
        return [word]
    return [word[at : at + _TOKEN_CHARS] for at in range(0, len(word), _TOKEN_CHARS)]


def _whole(turns: Sequence[Turn], seed: int) -> str:
    chance = zlib.crc32(repr((seed, [tuple(turn) for turn in turns])).encode())
    opening = texts.OPENINGS[chance % len(texts.OPENINGS)]
    words = set(re.findall(r"\w+", _question(turns).lower()))
    if words & texts.GREETING.words:
        return texts.GREETING.text
    if words & texts.ESSAY_WORDS:
        return opening + "\n\n".join(topic.text for topic in texts.TOPICS)
    best = max(texts.TOPICS, key=lambda topic: len(topic.words & words))
    if best.words & words:
        return opening + best.text
    return opening + texts.GENERAL[chance // len(texts.OPENINGS) % len(texts.GENERAL)]


def _question(turns: Sequence[Turn]) -> str:
    return next((turn.content for turn in reversed(turns) if turn.role == "user"), "")


def _thoughts(turns: Sequence[Turn]) -> tuple[str, ...]:
    question = " ".join(_question(turns).split())[:_QUOTED_CHARS]
    return tokens("".join(texts.THOUGHTS).replace("{question}", question))


def _rest(whole: str, so_far: str) -> str:
    for head in (so_far, so_far.rstrip()):
        if whole.startswith(head):
            return whole[len(head) :]
    return texts.CLOSING  # somebody else's words: end them decently
