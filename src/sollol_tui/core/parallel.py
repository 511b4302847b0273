"""When a question is worth several writers at once, and what each of them writes (S27).

Rules, no model: the same prompt is always read and divided the same way.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

from sollol_tui.core.asks import AskRequest
from sollol_tui.core.parallel_words import PARTS_DE, PARTS_EN

LEAST_PARTS, MOST_PARTS = 2, 5
SURE = 0.6  # from this confidence on it is offered
TITLE_CHARS = 80

Wish: TypeAlias = Literal["no", "offer", "run"]


class Kind(StrEnum):
    """What sort of long answer a question asks for."""

    RESEARCH = "research"
    DISCUSSION = "discussion"
    STORY = "story"
    EXPLANATION = "explanation"
    ANALYSIS = "analysis"
    NONE = "none"


class Recognition(NamedTuple):
    """What a question was taken for. `confidence` is 0…1 that it is long and can be divided."""

    kind: Kind
    confidence: float
    parts: int


class Part(NamedTuple):
    """One part: its heading in the answer, and what its writer is told besides the question."""

    title: str
    instruction: str


_STORY = r"(?:story|tale|novel|fairy tale|chapters?|geschichte|märchen|roman|kapiteln?)"
_DISCUSSION = (
    r"(?:pros and cons|discuss|debate|arguments? (?:for|against)|advantages|disadvantages|"
    r"should we|vor- und nachteile|für und wider|diskutiere|erörtere|argumente|pro und contra)"
)
_ANALYSIS = (
    r"(?:analy[sz]e|analysis|compare|comparison|evaluate|assess|differences between|"
    r"analysiere|analyse|vergleiche|vergleich|bewerte|unterschiede zwischen)"
)
_RESEARCH = (
    r"(?:research|survey|state of the art|literature|overview of|report on|history of|"
    r"recherchiere|forschungsstand|überblick über|bericht über|geschichte (?:der|des|von))"
)
_EXPLANATION = (
    r"(?:explain|how (?:does|do)|describe|guide to|tutorial|teach me|introduction to|"
    r"erkläre|erklär|beschreibe|wie funktioniert|einführung in|anleitung)"
)
_KINDS: tuple[tuple[Kind, str], ...] = (
    (Kind.RESEARCH, _RESEARCH),
    (Kind.STORY, _STORY),
    (Kind.DISCUSSION, _DISCUSSION),
    (Kind.ANALYSIS, _ANALYSIS),
    (Kind.EXPLANATION, _EXPLANATION),
)
_LONG = (
    r"(?:in detail|detailed|in[- ]depth|comprehensive|thorough(?:ly)?|essay|long|extensive|"
    r"chapters|step by step|ausführlich\w*|umfassend\w*|detailliert\w*|aufsatz|lange?|kapiteln?|"
    r"schritt für schritt)"
)
_DIVIDES = (
    r"(?:pros and cons|compare|comparison|advantages and disadvantages|differences between|"
    r"chapters|sections|vor- und nachteile|vergleiche|vergleich|unterschiede zwischen|kapiteln?|"
    r"abschnitten?|pro und contra|für und wider)"
)
_SHORT = (
    r"(?:brief(?:ly)?|short|in one sentence|one word|tl;?dr|yes or no|quick(?:ly)?|"
    r"kurz\w*|in einem satz|ja oder nein)"
)
_CODE = r"(?:function|regex|bug|stack ?trace|compile|one-liner|funktion|fehlermeldung)"
_GERMAN = re.compile(
    r"\b(?:der|die|das|und|ist|wie|ein|eine|über|für|mit|von|nicht|warum|erkläre|schreibe)\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(\S.*)$", re.MULTILINE)
_COUNTED = re.compile(
    r"\b(\d{1,2}|two|three|four|five|zwei|drei|vier|fünf)\s+"
    r"(?:chapters|parts|sections|kapiteln?|teilen?|abschnitten?)\b",
    re.IGNORECASE,
)
_NUMBERS = {
    "two": 2, "three": 3, "four": 4, "five": 5, "zwei": 2, "drei": 3, "vier": 4, "fünf": 5,
}  # fmt: skip
_MANY_WORDS = re.compile(r"\b(\d{3,5})[ -](?:words?|wörtern?|worten?)\b", re.IGNORECASE)
_LONG_WORDS = 400


def recognise(prompt: str) -> Recognition:
    """What kind of long answer a question wants, how surely, and in how many parts (2–5)."""
    kind, hits = _kind_of(prompt)
    items = _items(prompt)
    if kind is Kind.NONE and len(items) >= LEAST_PARTS:
        kind, hits = Kind.EXPLANATION, 1
    if kind is Kind.NONE:
        return Recognition(kind, 0.0, LEAST_PARTS)
    is_long = _has(_LONG, prompt) or _wants_many_words(prompt)
    divides = len(items) >= LEAST_PARTS or _has(_DIVIDES, prompt) or bool(_COUNTED.search(prompt))
    words = len(prompt.split())
    confidence = 0.3 + 0.1 * min(hits - 1, 2) + 0.3 * is_long + 0.3 * divides
    confidence += 0.2 if words >= 25 else 0.1 if words >= 12 else 0.0
    confidence -= 0.4 * _has(_SHORT, prompt) + 0.3 * _has(_CODE, prompt)
    return Recognition(
        kind, round(min(max(confidence, 0.0), 1.0), 2), _count(prompt, items, is_long)
    )


def plan_parts(prompt: str, kind: Kind, n: int) -> tuple[Part, ...]:
    """`n` parts (2–5) that make up the answer: the question's own list, else the kind's usual."""
    n = min(max(n, LEAST_PARTS), MOST_PARTS)
    german = len(_GERMAN.findall(prompt)) >= 2
    items = _items(prompt)
    usual = (PARTS_DE if german else PARTS_EN)[
        Kind.EXPLANATION.value if kind is Kind.NONE else kind.value
    ]
    titles = tuple(items) if len(items) == n else usual[n - LEAST_PARTS]
    return tuple(Part(title, _instruction(titles, i, german)) for i, title in enumerate(titles))


def plan_for(prompt: str, wanted: int = 0) -> tuple[Part, ...]:
    """The parts of a question, `wanted` of them (2–5), or as many as suit it for 0."""
    found = recognise(prompt)
    return plan_parts(prompt, found.kind, wanted or found.parts)


def wants_parallel(setting: str, recognition: Recognition, up_nodes: int) -> Wish:
    """Whether to offer, or at once to do it: never for less than two nodes that are up."""
    if setting == "never" or up_nodes < LEAST_PARTS or recognition.confidence < SURE:
        return "no"
    return "run" if setting == "always" else "offer"


def part_request(request: AskRequest, part: Part) -> AskRequest:
    """The question for one writer. It belongs to no conversation, whose node would get all."""
    last = request.messages[-1]
    told = last._replace(content=f"{last.content}\n\n{part.instruction}")
    return request._replace(messages=(*request.messages[:-1], told), conversation="")


def _kind_of(prompt: str) -> tuple[Kind, int]:
    """The kind with the most words in the prompt, the first one of equals; and how many."""
    found = [(kind, len(_found(words, prompt))) for kind, words in _KINDS]
    kind, hits = max(found, key=lambda pair: pair[1])
    return (kind, hits) if hits else (Kind.NONE, 0)


def _found(words: str, text: str) -> list[str]:
    return re.findall(rf"(?<!\w){words}(?!\w)", text, re.IGNORECASE)


def _has(words: str, text: str) -> bool:
    return bool(_found(words, text))


def _items(prompt: str) -> list[str]:
    """The entries of a list in the prompt, as titles."""
    return [_title(text) for text in _ITEM.findall(prompt)]


def _title(text: str) -> str:
    line = " ".join(text.split()).rstrip(".;,:")
    return line if len(line) <= TITLE_CHARS else f"{line[: TITLE_CHARS - 1]}…"


def _wants_many_words(prompt: str) -> bool:
    return any(int(number) >= _LONG_WORDS for number in _MANY_WORDS.findall(prompt))


def _count(prompt: str, items: list[str], is_long: bool) -> int:
    if counted := _COUNTED.search(prompt):
        word = counted[1].casefold()
        said = _NUMBERS.get(word) or int(word)
        return min(max(said, LEAST_PARTS), MOST_PARTS)
    if len(items) >= LEAST_PARTS:
        return min(len(items), MOST_PARTS)
    return 4 if is_long else 3


def _instruction(titles: tuple[str, ...], index: int, german: bool) -> str:
    listed = "; ".join(f"{number}. {title}" for number, title in enumerate(titles, 1))
    number, title = index + 1, titles[index]
    if german:
        return (
            f"Mehrere beantworten das gleichzeitig, jeder einen Teil. Die Teile: {listed}. "
            f"Schreibe nur Teil {number}, „{title}“, ohne Überschrift, Einleitung oder "
            "Schlusswort, und nichts, was in die anderen Teile gehört."
        )
    return (
        f"Several writers answer this at the same time, one part each. The parts: {listed}. "
        f"Write only part {number}, “{title}”, without a heading, an opening or closing remark, "
        "and nothing that belongs to the other parts."
    )
