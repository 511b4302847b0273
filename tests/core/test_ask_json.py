"""The lines that `chat --json` promises."""

from __future__ import annotations

import json

import pytest

from sollol_tui.core.ask_json import ask_json
from sollol_tui.core.asks import (
    AskEvent,
    Candidate,
    Delta,
    Failed,
    Finished,
    Notice,
    Progress,
    Routed,
    RouteDecision,
    Seam,
    Thinking,
    Usage,
    Waiting,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode

DECISION = RouteDecision(
    "r1.1",
    "llama3:8b",
    Mode.TASK,
    "http://a:11434",
    "node",
    "a",
    "loaded there",
    (
        Candidate("http://a:11434", "node", "a", 1.5, (("loaded", 1.0), ("load", 0.5))),
        Candidate("http://b:11434", "node", "b", None, (), "down"),
        Candidate("http://c:11434", "node", "c", float("-inf"), (("load", float("nan")),)),
    ),
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Routed(DECISION),
            {
                "event": "routed",
                "target": "http://a:11434",
                "kind": "node",
                "reason": "loaded there",
                "candidates": [
                    {
                        "target": "http://a:11434",
                        "score": 1.5,
                        "parts": {"loaded": 1.0, "load": 0.5},
                        "rejected": None,
                    },
                    {"target": "http://b:11434", "score": None, "parts": {}, "rejected": "down"},
                    {
                        "target": "http://c:11434",
                        "score": None,
                        "parts": {"load": None},
                        "rejected": None,
                    },
                ],
            },
        ),
        (
            Waiting(2, 1.23456, True),
            {
                "event": "waiting",
                "position": 2,
                "age_s": 1.235,
                "loading": True,
                "progress": None,
                "phase": None,
                "last_load_s": None,
                "size_bytes": None,
            },
        ),
        (
            Waiting(0, 9.0, True, Progress(25, 100), "loading"),
            {
                "event": "waiting",
                "position": 0,
                "age_s": 9.0,
                "loading": True,
                "progress": 0.25,
                "phase": "loading",
                "last_load_s": None,
                "size_bytes": None,
            },
        ),
        (Delta("a\x1bb"), {"event": "delta", "text": "a\x1bb"}),
        (Thinking("hm"), {"event": "thinking", "text": "hm"}),
        (Notice("b takes over"), {"event": "notice", "text": "b takes over"}),
        (Seam("a", "b", 12), {"event": "seam", "from": "a", "to": "b", "at_chars": 12}),
        (
            Finished("length", Usage(5, 7, 100.04, 33.33), 0.1234, 2.0, 1),
            {
                "event": "finished",
                "outcome": "length",
                "prompt_tokens": 5,
                "completion_tokens": 7,
                "context_tokens": None,
                "ttft_s": 0.123,
                "prefill_tps": 100.0,
                "decode_tps": 33.3,
                "total_s": 2.0,
                "tries": 1,
            },
        ),
        (
            Failed(Fault(FaultKind.CUT, "EOF"), "http://a:11434", 3, 1),
            {"event": "failed", "cause": "cut", "evidence": "EOF", "kept_chars": 3},
        ),
    ],
)
def test_every_event_is_told_as_promised(event: AskEvent, line: dict[str, object]) -> None:
    assert ask_json(event) == line
    assert json.loads(json.dumps(ask_json(event), allow_nan=False)) == line
