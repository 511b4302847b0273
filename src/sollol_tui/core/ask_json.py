"""What happens to a question, as the lines of `chat --json` (a promise, see the README)."""

from __future__ import annotations

from sollol_tui.core.asks import (
    Candidate,
    Delta,
    Failed,
    Finished,
    Notice,
    PartMoved,
    PartPlanned,
    Progress,
    Routed,
    RouteDecision,
    Said,
    Seam,
    Thinking,
    Waiting,
)
from sollol_tui.core.status_json import finite


def ask_json(event: Said) -> dict[str, object]:
    """One event as an object whose `event` says its kind. The deltas joined are the answer."""
    match event:
        case Routed(decision):
            return _routed(decision)
        case Waiting():
            return {
                "event": "waiting",
                "position": event.position,
                "age_s": finite(event.age_s),
                "loading": event.loading,
                "progress": _share(event.progress),
                "phase": event.phase or None,
                "last_load_s": finite(event.last_load_s),
                "size_bytes": event.size_bytes,
            }
        case Delta(text):
            return {"event": "delta", "text": text}
        case Thinking(text):
            return {"event": "thinking", "text": text}
        case Notice(text):
            return {"event": "notice", "text": text}
        case Seam(from_target, to_target, at_chars):
            return {"event": "seam", "from": from_target, "to": to_target, "at_chars": at_chars}
        case PartPlanned(titles):
            return {"event": "parts", "titles": list(titles)}
        case PartMoved(part, state, target, tokens):
            return {
                "event": "part",
                "part": part,
                "state": state,
                "target": target or None,
                "tokens": tokens,
            }
        case Finished():
            return _finished(event)
        case Failed():
            return {
                "event": "failed",
                "cause": event.fault.kind.value,
                "evidence": event.fault.detail,
                "kept_chars": event.kept_chars,
            }


def _routed(decision: RouteDecision) -> dict[str, object]:
    return {
        "event": "routed",
        "target": decision.target,
        "kind": decision.kind,
        "reason": decision.reason,
        "candidates": [_candidate(candidate) for candidate in decision.candidates],
    }


def _candidate(candidate: Candidate) -> dict[str, object]:
    return {
        "target": candidate.target,
        "score": finite(candidate.score),
        "parts": {name: finite(part) for name, part in candidate.parts},
        "rejected": candidate.rejected,
    }


def _share(progress: Progress | None) -> float | None:
    return finite(progress.processed / progress.total) if progress and progress.total else None


def _finished(event: Finished) -> dict[str, object]:
    told: dict[str, object] = {
        "event": "finished",
        "outcome": event.outcome,
        "prompt_tokens": event.usage.prompt_tokens,
        "completion_tokens": event.usage.completion_tokens,
        "context_tokens": event.usage.context_tokens,
        "ttft_s": finite(event.ttft_s),
        "prefill_tps": finite(event.usage.prefill_tps, 1),
        "decode_tps": finite(event.usage.decode_tps, 1),
        "total_s": finite(event.total_s),
        "tries": event.tries,
    }
    if event.one_by_one_s is not None:
        told["one_by_one_s"] = finite(event.one_by_one_s)
    return told
