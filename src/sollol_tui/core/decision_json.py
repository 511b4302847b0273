"""A routing decision as JSON and back: exactly, so that the record of it can be replayed."""

from __future__ import annotations

import json

from sollol_tui.core import wire
from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.state import Mode

_KINDS = ("node", "coordinator")


def decision_json(decision: RouteDecision) -> str:
    """The decision in one line. Scores keep every digit: the ranking follows from them."""
    values = decision._asdict() | {"candidates": [c._asdict() for c in decision.candidates]}
    return json.dumps(values, separators=(",", ":"))


def read_decision(text: str) -> RouteDecision | None:
    """What `decision_json` wrote; None when it is something else."""
    found = wire.parse_json(text.encode("utf-8", "replace"))
    if not isinstance(found, dict):
        return None
    try:
        candidates = tuple(_candidate(c) for c in wire.items(found["candidates"]))
        decision = RouteDecision(
            **(found | {"candidates": candidates, "mode": Mode(found["mode"])})
        )
    except (KeyError, TypeError, ValueError):
        return None
    return decision if decision.kind in (None, *_KINDS) else None


def _candidate(value: object) -> Candidate:
    found = wire.fields(value)
    parts = tuple((str(name), float(part)) for name, part in found["parts"])  # type: ignore[attr-defined]
    candidate = Candidate(**(found | {"parts": parts}))  # type: ignore[arg-type]
    if candidate.kind not in _KINDS:
        raise ValueError(candidate.kind)
    return candidate
