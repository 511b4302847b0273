"""What SOLLOL's dashboard and routing_viewer are told of our requests, in their own shapes.

The shapes are those of SOLLOL 0.9.66: RoutingEventLogger (channel and stream), NetworkObserver and
RayHybridRouter (activity channels). No message holds anything of a prompt or an answer.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import NamedTuple

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.ids import host_of, port_of
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import CoordinatorState
from sollol_tui.core.wire import one_line

EVENTS_CHANNEL = "sollol:routing_events"
EVENTS_STREAM = "sollol:routing_stream"
STREAM_ENTRIES = 10_000
NODE_CHANNEL = "sollol:dashboard:ollama:activity"
COORDINATOR_CHANNEL = "sollol:dashboard:rpc:activity"

NAME_CHARS = 200
_PRIORITY = 5  # the middle of SOLLOL's 0 to 10; our requests have none
_SLOW_MS = {"node": 10_000, "coordinator": 15_000}  # from here on SOLLOL calls it a warning
_BACKENDS = {"node": "ollama", "coordinator": "rpc"}


class Origin(NamedTuple):
    """Who says it: one start of this program. `instance_id` is `hostname_pid_hex`, as SOLLOL's."""

    instance_id: str
    hostname: str
    pid: int


class Message(NamedTuple):
    """One message to publish; `kept` ones also go to the stream."""

    channel: str
    content: str
    kept: bool = False


def claimed_messages(
    origin: Origin, decision: RouteDecision, tries: int, instead_of: str, at_s: float
) -> list[Message]:
    """A request goes to a target, the first one or another after a failure."""
    said = []
    if instead_of:
        said.append(_fallback(origin, decision, instead_of, at_s))
    said.append(_selected(origin, decision, at_s))
    kind = _word(decision.kind)
    details = {
        "model": one_line(decision.model, NAME_CHARS),
        "operation": "chat",
        "priority": _PRIORITY,
        "tries": tries,
    }
    said.append(_activity(origin, decision, f"{kind}_request", details, at_s))
    return said


def ended_messages(origin: Origin, sample: Sample, decision: RouteDecision) -> list[Message]:
    """A request ended at a target; nothing is said of one that had none."""
    if decision.target is None:
        return []
    return [_completed(origin, sample, decision), _outcome(origin, sample, decision)]


def coordinator_messages(
    origin: Origin, state: CoordinatorState, started: bool, at_s: float
) -> list[Message]:
    """A coordinator of ours serves, or serves no more."""
    values: dict[str, object] = {
        "model": one_line(state.model or "", NAME_CHARS),
        "backend": "llamacpp",
        "coordinator_host": host_of(state.url),
        "coordinator_port": port_of(state.url),
    }
    if started:
        values["rpc_backends"] = len(state.backends)
    name = "COORDINATOR_START" if started else "COORDINATOR_STOP"
    return [_event(origin, name, values, at_s)]


def place_of(url: str) -> str:
    """`host:port`, as SOLLOL names a node."""
    host, port = host_of(url), port_of(url)
    shown = f"[{host}]" if ":" in host else host
    return shown if port is None else f"{shown}:{port}"


def _selected(origin: Origin, decision: RouteDecision, at_s: float) -> Message:
    target = decision.target or ""
    values: dict[str, object] = {
        "model": one_line(decision.model, NAME_CHARS),
        "backend": _BACKENDS[decision.kind or "node"],
        "node_url": place_of(target),
        "reason": one_line(decision.reason),
        "priority": _PRIORITY,
        "mode": decision.mode.value,
    }
    if decision.kind == "node":
        return _event(origin, "OLLAMA_NODE_SELECTED", values, at_s)
    values |= {"coordinator_host": host_of(target), "coordinator_port": port_of(target)}
    return _event(origin, "ROUTE_DECISION", values, at_s)


def _fallback(origin: Origin, decision: RouteDecision, instead_of: str, at_s: float) -> Message:
    before = next((c for c in decision.candidates if c.target == instead_of), None)
    values: dict[str, object] = {
        "model": one_line(decision.model, NAME_CHARS),
        "backend": _BACKENDS[decision.kind or "node"],
        "from_backend": _BACKENDS[before.kind if before is not None else "node"],
        "reason": one_line(f"{place_of(instead_of)} {(before and before.rejected) or 'failed'}"),
        "node_url": place_of(decision.target or ""),
    }
    return _event(origin, "FALLBACK_TRIGGERED", values, at_s)


def _completed(origin: Origin, sample: Sample, decision: RouteDecision) -> Message:
    values: dict[str, object] = {
        "model": one_line(decision.model, NAME_CHARS),
        "backend": _BACKENDS[decision.kind or "node"],
        "task_id": f"{origin.instance_id}/{decision.id}",
        "worker": place_of(sample.target),
        "duration": round(sample.total_s, 3),
        "success": sample.fault is None,
        "outcome": sample.outcome,
    }
    if sample.failed:  # the viewer shows no `success`, but a reason
        values["reason"] = one_line(str(sample.fault))
    return _event(origin, "TASK_COMPLETE", values, sample.at_s)


def _outcome(origin: Origin, sample: Sample, decision: RouteDecision) -> Message:
    kind = _word(decision.kind)
    latency_ms = round(sample.total_s * 1000, 1)
    details: dict[str, object] = {
        "model": one_line(decision.model, NAME_CHARS),
        "latency_ms": latency_ms,
        "operation": "chat",
    }
    if sample.failed:
        details["error"] = one_line(str(sample.fault))
        return _activity(origin, decision, f"{kind}_error", details, sample.at_s, "error")
    details |= {"status_code": 200, "status": "success", "completion_tokens": sample.tokens}
    if sample.stopped:
        details["status"] = "stopped"
    if decision.kind == "coordinator":
        details["rpc_backends_used"] = len(sample.backends)
    slow = latency_ms > _SLOW_MS[decision.kind or "node"]
    severity = "warning" if slow else "info"
    return _activity(origin, decision, f"{kind}_response", details, sample.at_s, severity)


def _word(kind: str | None) -> str:
    return "rpc" if kind == "coordinator" else "ollama"


def _event(origin: Origin, name: str, values: dict[str, object], at_s: float) -> Message:
    """As RoutingEventLogger writes it: the time is UTC and does not say so."""
    moment = datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
    head = {"timestamp": moment.isoformat(), **origin._asdict(), "event_type": name}
    return Message(EVENTS_CHANNEL, json.dumps(head | values), kept=True)


def _activity(
    origin: Origin,
    decision: RouteDecision,
    name: str,
    details: dict[str, object],
    at_s: float,
    severity: str = "info",
) -> Message:
    """As NetworkObserver writes it; `instance_id` is ours, so that we know our own again."""
    channel = COORDINATOR_CHANNEL if decision.kind == "coordinator" else NODE_CHANNEL
    content = {
        "timestamp": round(at_s, 3),
        "backend": place_of(decision.target or ""),
        "event_type": name,
        "severity": severity,
        "details": details,
        "instance_id": origin.instance_id,
    }
    return Message(channel, json.dumps(content))
