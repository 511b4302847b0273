"""A chat as a document: Markdown for people, JSON for programs."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from sollol_tui.core import units
from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.chats import KeptChat, KeptMessage
from sollol_tui.core.plain import plain_block, plain_line

Format: TypeAlias = Literal["md", "json"]
FORMATS: Final[tuple[Format, ...]] = ("md", "json")

NAME_CHARS = 40
_NO_ENDS = {"running": "incomplete", "failed": "no answer"}


def exported(chat: KeptChat, messages: Sequence[KeptMessage], kind: Format) -> str:
    """The chat as a document of that kind, with a newline at its end."""
    return chat_markdown(chat, messages) if kind == "md" else chat_json(chat, messages)


def file_name(chat: KeptChat, kind: Format) -> str:
    """A name that every file system takes: letters and digits of the title, and the day."""
    words = re.sub(r"[^\w]+", "-", chat.title.casefold()).strip("-_")[:NAME_CHARS].strip("-_")
    day = datetime.fromtimestamp(chat.created_s, UTC).strftime("%Y-%m-%d")
    return f"{words or 'chat'}-{day}.{kind}"


def chat_markdown(chat: KeptChat, messages: Sequence[KeptMessage]) -> str:
    """Questions as headed sections, answers as they came, what is known of each below it.

    Control characters are left out; the Markdown of answers is kept as it is.
    """
    parts = [f"# {plain_line(chat.title)}", _about(chat)]
    if chat.system:
        parts.append(f"> {plain_block(chat.system)}".replace("\n", "\n> "))
    for message in messages:
        parts += _question(message) if message.role == "user" else _answer(message)
    return "\n\n".join(part for part in parts if part) + "\n"


def chat_json(chat: KeptChat, messages: Sequence[KeptMessage]) -> str:
    """Everything that is kept of the chat: `{"title", "model", …, "messages": [{"role", …}]}`."""
    about = {
        "id": chat.id,
        "title": chat.title,
        "created": _when(chat.created_s),
        "updated": _when(chat.updated_s),
        "model": chat.model,
        "system": chat.system,
        "options": {k: v for k, v in chat.options._asdict().items() if v is not None},
        "mode": chat.mode.value if chat.mode else None,
        "target": chat.target,
        "messages": [_message_json(message) for message in messages],
    }
    return json.dumps(about, ensure_ascii=False, indent=2) + "\n"


def _about(chat: KeptChat) -> str:
    options = [f"{k} {v}" for k, v in chat.options._asdict().items() if v is not None]
    parts = [chat.model, _when(chat.created_s), *options]
    return f"*{plain_line(' · '.join(part for part in parts if part))}*"


def _question(message: KeptMessage) -> list[str]:
    pictures = " · ".join(
        plain_line(f"{image.name} ({image.kind.upper()}, {units.size(image.size_bytes)})")
        for image in message.images
    )
    sent = [f"*with {pictures}*"] if pictures else []
    return ["## Question", *sent, plain_block(message.content)]


def _answer(message: KeptMessage) -> list[str]:
    parts = [f"## Answer: {_who(message)}"]
    if message.thinking:
        thought = plain_block(message.thinking)
        parts.append(f"<details><summary>thought</summary>\n\n{thought}\n\n</details>")
    parts += [_with_marks(message), _below(message)]
    return parts


def _who(message: KeptMessage) -> str:
    names = [decision.name or decision.target or "" for decision in message.decisions]
    where = " then ".join(filter(None, names))
    return plain_line(f"{message.model} via {where}" if where else message.model)


def _with_marks(message: KeptMessage) -> str:
    """The text with its notices, and its seams after them, in their places."""
    pieces, begin = list[str](), 0
    marks = [(notice.at_chars, notice.text) for notice in message.notices]
    marks += [(seam.at_chars, seam.text) for seam in message.seams]
    for at_chars, text in sorted(marks, key=lambda mark: mark[0]):
        pieces += [message.content[begin:at_chars], f"\n\n*— {plain_line(text)} —*\n\n"]
        begin = at_chars
    return plain_block("".join((*pieces, message.content[begin:])))


def _below(message: KeptMessage) -> str:
    usage, outcome = message.usage, message.outcome
    parts = [
        _NO_ENDS.get(outcome, outcome) if outcome != "complete" else "",
        str(message.fault) if message.fault else "",
        f"{units.count(usage.completion_tokens)} tok" if usage.completion_tokens else "",
        units.rate(usage.decode_tps) if usage.decode_tps else "",
        f"TTFT {message.ttft_s:.2f} s" if message.ttft_s is not None else "",
        message.decisions[-1].reason if message.decisions else "",
    ]
    text = plain_line(" · ".join(part for part in parts if part))
    return f"*{text}*" if text else ""


def _message_json(message: KeptMessage) -> dict[str, object]:
    about: dict[str, object] = {
        "role": message.role,
        "content": message.content,
        "at": _when(message.at_s),
    }
    if message.role == "user":
        pictures = [image._asdict() for image in message.images]
        return about | ({"images": pictures} if pictures else {})
    fault = message.fault
    return about | {
        "thinking": message.thinking,
        "model": message.model,
        "target": message.target or None,
        "outcome": message.outcome,
        "fault": {"kind": fault.kind.value, "detail": fault.detail} if fault else None,
        "usage": message.usage._asdict(),
        "ttft_s": message.ttft_s,
        "total_s": message.total_s,
        "tries": message.tries,
        "seams": [seam._asdict() for seam in message.seams],
        "notices": [notice._asdict() for notice in message.notices],
        "decisions": [_decision(decision) for decision in message.decisions],
    }


def _decision(decision: RouteDecision) -> dict[str, object]:
    return decision._asdict() | {"candidates": [c._asdict() for c in decision.candidates]}


def _when(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
