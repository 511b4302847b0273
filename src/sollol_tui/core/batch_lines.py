"""The lines of a batch: prompts that go in, results that come out, one JSON object each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from sollol_tui.core import wire
from sollol_tui.core.faults import Fault
from sollol_tui.core.status_json import finite

Id = str | int

RESULT_START = b'{"id": '  # every line of results begins so
_WHOLE = "complete"
_BOM = b"\xef\xbb\xbf"


class Prompt(NamedTuple):
    """One question of the file. `line` counts from 1."""

    id: Id
    prompt: str
    model: str
    line: int


class BadLine(NamedTuple):
    """A line that cannot be asked, and why."""

    line: int
    reason: str


class Result(NamedTuple):
    """What came of one prompt. `outcome` is `complete`, `length` or the kind of the failure."""

    id: Id
    model: str
    target: str | None  # who wrote, or failed, last
    outcome: str
    text: str
    tries: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ttft_s: float | None = None
    decode_tps: float | None = None
    total_s: float | None = None
    fault: Fault | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole answer."""
        return self.outcome == _WHOLE


class Known(NamedTuple):
    """A line of a results file: whose it is, and how it ended."""

    key: str
    outcome: str

    @property
    def is_whole(self) -> bool:
        """Whether it is a whole answer."""
        return self.outcome == _WHOLE


def key_of(prompt_id: Id) -> str:
    """The form in which ids are compared: 1 and "1" are two."""
    return json.dumps(prompt_id)


def read_prompts(lines: Iterable[bytes], default_model: str) -> tuple[list[Prompt], list[BadLine]]:
    """The prompts of a file, in its order, and the lines that are none; blank ones are passed over.

    `default_model` is asked where a line names none; empty: then the line is a bad one.
    """
    prompts: list[Prompt] = []
    bad: list[BadLine] = []
    first_at: dict[str, int] = {}
    for number, raw in enumerate(lines, 1):
        line = raw.removeprefix(_BOM).strip() if number == 1 else raw.strip()
        if not line:
            continue
        found = _prompt(line, number, default_model)
        if isinstance(found, Prompt):
            first = first_at.setdefault(key_of(found.id), number)
            if first == number:
                prompts.append(found)
                continue
            found = f"its id {key_of(found.id)} is the one of line {first}"
        bad.append(BadLine(number, found))
    return prompts, bad


def _prompt(line: bytes, number: int, default_model: str) -> Prompt | str:
    """The prompt, or what is wrong with the line."""
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        return "it is not UTF-8"
    except json.JSONDecodeError as error:
        return f"it is no JSON: {wire.one_line(error.msg, 80)} at character {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"it is no JSON: {wire.one_line(str(error), 80)}"
    if not isinstance(value, dict):
        return "it is no object"
    prompt_id, prompt, model = value.get("id"), value.get("prompt"), value.get("model")
    if isinstance(prompt_id, bool) or not isinstance(prompt_id, str | int) or prompt_id == "":
        return "its id is missing, or neither a text nor a whole number"
    if not isinstance(prompt, str) or not prompt.strip():
        return "its prompt is missing, empty or no text"
    if model is not None and not isinstance(model, str):
        return "its model is no text"
    chosen = (model or "").strip() or default_model
    if not chosen:
        return "it names no model, and none was chosen"
    return Prompt(prompt_id, wire.text(prompt), chosen, number)


def result_line(result: Result) -> bytes:
    """The line of a result, with its end. Nothing of it is left out: the text is as it came."""
    values = {
        "id": result.id,
        "model": result.model,
        "target": result.target,
        "outcome": result.outcome,
        "text": result.text,
        "tries": result.tries,
        "prompt_tokens": result.prompt_tokens,
        "completion_tokens": result.completion_tokens,
        "ttft_s": finite(result.ttft_s),
        "decode_tps": finite(result.decode_tps, 1),
        "total_s": finite(result.total_s),
        "error": None if result.fault is None else str(result.fault),
    }
    return json.dumps(values).encode() + b"\n"


def read_result(line: bytes) -> Known | None:
    """Whose a line of results is; None when it is none."""
    found = wire.parse_json(line)
    if not isinstance(found, dict):
        return None
    prompt_id, outcome = found.get("id"), found.get("outcome")
    if isinstance(prompt_id, bool) or not isinstance(prompt_id, str | int):
        return None
    return Known(key_of(prompt_id), outcome) if isinstance(outcome, str) else None
