"""A chat as it is kept: its settings, its messages, and what is known of each answer."""

from __future__ import annotations

import json
from typing import Literal, NamedTuple

from sollol_tui.core import wire
from sollol_tui.core.asks import ChatOptions, RouteDecision, Usage
from sollol_tui.core.decision_json import decision_json, read_decision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import Image
from sollol_tui.core.state import Mode

TITLE_CHARS = 50
UNTITLED = "(no title)"


class KeptChat(NamedTuple):
    """What holds for a whole chat. Times are seconds since the epoch."""

    id: str
    title: str
    created_s: float
    updated_s: float
    model: str
    system: str = ""
    options: ChatOptions = ChatOptions()
    mode: Mode | None = None
    target: str | None = None


class SeamMark(NamedTuple):
    """From that many characters of the answer on, another target wrote, or the same one again.

    `decision` is the place of its routing decision among those of the answer; -1: not known.
    """

    at_chars: int
    text: str
    decision: int = -1


class NoticeMark(NamedTuple):
    """What was said to the reader after that many characters of the answer."""

    at_chars: int
    text: str


class KeptMessage(NamedTuple):
    """One turn. Everything after `at_s` is of answers only, but for the pictures of a question.

    `outcome` is empty for a question, `running` for an answer that was being written.
    """

    role: Literal["user", "assistant"]
    content: str
    at_s: float
    thinking: str = ""
    model: str = ""
    decisions: tuple[RouteDecision, ...] = ()  # of the targets that wrote, the last one last
    usage: Usage = Usage()
    ttft_s: float | None = None
    total_s: float = 0.0
    tries: int = 1
    outcome: str = ""
    fault: Fault | None = None
    seams: tuple[SeamMark, ...] = ()
    thought_s: float = 0.0
    images: tuple[Image, ...] = ()  # of a question
    notices: tuple[NoticeMark, ...] = ()

    @property
    def target(self) -> str:
        """Who wrote the end of it; empty when nobody did."""
        return (self.decisions[-1].target or "") if self.decisions else ""


class ChatSummary(NamedTuple):
    """A line of the list of chats."""

    id: str
    title: str
    updated_s: float
    model: str
    questions: int


def title_of(question: str) -> str:
    """A title from the first question: its first words, on one line."""
    text = " ".join("".join(c if c.isprintable() else " " for c in question).split())
    if len(text) <= TITLE_CHARS:
        return text or UNTITLED
    head = text[:TITLE_CHARS]
    whole, _, _ = head.rpartition(" ")
    return (whole if len(whole) > TITLE_CHARS // 2 else head).rstrip(" ,;:.") + "…"


def figures_json(message: KeptMessage) -> str:
    """What was measured, how it failed and what was said about it, in one line."""
    fault = message.fault
    values: dict[str, object] = {
        "usage": message.usage._asdict(),
        "ttft_s": message.ttft_s,
        "total_s": message.total_s,
        "tries": message.tries,
        "thought_s": message.thought_s,
        "fault": [fault.kind.value, fault.detail] if fault else None,
    }
    if message.notices:
        values["notices"] = message.notices
    return json.dumps(values, separators=(",", ":"))


def with_figures(message: KeptMessage, text: str) -> KeptMessage:
    """The message with what `figures_json` wrote; what cannot be read is left unknown."""
    found = wire.fields(wire.parse_json(text.encode("utf-8", "replace")))
    usage = wire.fields(found.get("usage"))
    return message._replace(
        usage=Usage(
            wire.count(usage.get("prompt_tokens")),
            wire.count(usage.get("completion_tokens")),
            wire.number(usage.get("prefill_tps")),
            wire.number(usage.get("decode_tps")),
            wire.number(usage.get("load_s")),
            wire.count(usage.get("cached_tokens")),
            wire.number(usage.get("queue_s")),
            wire.count(usage.get("context_tokens")),
        ),
        ttft_s=wire.number(found.get("ttft_s")),
        total_s=wire.number(found.get("total_s")) or 0.0,
        tries=wire.count(found.get("tries")) or 1,
        thought_s=wire.number(found.get("thought_s")) or 0.0,
        fault=_fault(wire.items(found.get("fault"))),
        notices=_notices(wire.items(found.get("notices"))),
    )


def _notices(entries: list[object]) -> tuple[NoticeMark, ...]:
    pairs = [pair for pair in map(wire.items, entries) if len(pair) == 2]
    read = ((wire.count(at_chars), wire.text(text)) for at_chars, text in pairs)
    return tuple(NoticeMark(at, text) for at, text in read if at is not None and text)


def decisions_json(decisions: tuple[RouteDecision, ...]) -> str:
    """The decisions, exactly, as a list."""
    return f"[{','.join(map(decision_json, decisions))}]"


def read_decisions(text: str) -> tuple[RouteDecision, ...]:
    """What `decisions_json` wrote, without what cannot be read."""
    found = wire.items(wire.parse_json(text.encode("utf-8", "replace")))
    read = (read_decision(json.dumps(entry)) for entry in found)
    return tuple(decision for decision in read if decision is not None)


def seams_json(seams: tuple[SeamMark, ...]) -> str:
    """The seams as a list of lists."""
    return json.dumps(seams, separators=(",", ":"))


def read_seams(text: str) -> tuple[SeamMark, ...]:
    """What `seams_json` wrote, without what cannot be read."""
    found = wire.items(wire.parse_json(text.encode("utf-8", "replace")))
    read = (_seam(wire.items(entry)) for entry in found)
    return tuple(seam for seam in read if seam is not None)


def _seam(mark: list[object]) -> SeamMark | None:
    at_chars = wire.count(mark[0]) if len(mark) > 1 else None
    if at_chars is None:
        return None
    number = wire.count(mark[2]) if len(mark) > 2 else None
    return SeamMark(at_chars, wire.text(mark[1]), -1 if number is None else number)


def options_json(options: ChatOptions) -> str:
    """The options that are set."""
    set_ones = {name: value for name, value in options._asdict().items() if value is not None}
    return json.dumps(set_ones, separators=(",", ":"))


def read_options(text: str) -> ChatOptions:
    """What `options_json` wrote; what cannot be read is left to the server."""
    found = wire.fields(wire.parse_json(text.encode("utf-8", "replace")))
    think = found.get("think")
    return ChatOptions(
        wire.number(found.get("temperature")),
        wire.count(found.get("max_tokens")),
        wire.count(found.get("seed")),
        wire.count(found.get("context_tokens")),
        wire.text(found.get("keep_alive")) or None,
        think if isinstance(think, bool) else None,
    )


def _fault(pair: list[object]) -> Fault | None:
    kind = wire.text(pair[0]) if len(pair) == 2 else ""
    return Fault(FaultKind(kind), wire.text(pair[1])) if kind in set(FaultKind) else None
