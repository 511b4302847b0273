"""What other SOLLOL programs publish, as lines of the event log.

Read are the five shapes that SOLLOL 0.9.66 publishes: RoutingEventLogger's, RayHybridRouter's
events and traces, NetworkObserver's activity, and raw lines of coordinator logs. Times are epoch
seconds or UTC without saying so; the kind is `event_type` or `event`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sollol_tui.core import units, wire
from sollol_tui.core.journal import Level
from sollol_tui.core.registry_events import (
    COORDINATOR_CHANNEL,
    EVENTS_CHANNEL,
    NODE_CHANNEL,
)
from sollol_tui.core.telling import Told

TRACES_CHANNEL = "sollol:traces"
LOG_CHANNEL = "sollol:logs:llama_cpp"
CHANNELS = (EVENTS_CHANNEL, TRACES_CHANNEL, NODE_CHANNEL, COORDINATOR_CHANNEL, LOG_CHANNEL)

LINE_CHARS = 240
_NAME_CHARS = 80
_LATE_S = 5.0

_LEVELS: dict[str, Level] = {"warning": "warn", "error": "error", "critical": "error"}
_EVENT_LEVELS: dict[str, Level] = {
    "FALLBACK_TRIGGERED": "warn",
    "COORDINATOR_START": "good",
    "COORDINATOR_STOP": "warn",
    "trace_failed": "error",
}


def read_event(channel: str, content: bytes, own: str, now_s: float) -> Told | None:
    """The line that a message is worth; None for our own and for what says nothing.

    Args:
        channel: the channel or stream that it came by.
        content: foreign bytes.
        own: our own instance id.
        now_s: seconds since the epoch.
    """
    if channel == LOG_CHANNEL:
        line = wire.one_line(content[: 4 * LINE_CHARS].decode("utf-8", "replace"), LINE_CHARS)
        return Told("info", "sollol", "", f"llama.cpp · {line}") if line else None
    document = wire.parse_json(content)
    if not isinstance(document, dict) or document.get("instance_id") == own:
        return None
    name = _name(document.get("event_type")) or _name(document.get("event"))
    if not name:
        return None
    trace = wire.fields(document.get("trace"))
    parts = _trace_parts(trace) if trace else _event_parts(document)
    parts.append(_age(document.get("timestamp"), now_s))
    text = " · ".join([name, *(part for part in parts if part)])
    subject = _place(trace or document)
    return Told(_level(document, name), "sollol", subject, wire.one_line(text, LINE_CHARS))


def said_at_s(timestamp: object) -> float | None:
    """When it was said: epoch seconds, or an ISO text, in UTC when it names no zone."""
    at_s = wire.number(timestamp)
    if at_s is not None:
        return at_s
    try:
        moment = datetime.fromisoformat(wire.text(timestamp))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class LineRate:
    """Lets so many lines pass in each second, and counts the rest.

    Args:
        most: lines in a second.
    """

    def __init__(self, most: int) -> None:
        self.held_back = 0
        self._most = most
        self._second = 0
        self._passed = 0

    def admits(self, now_s: float) -> bool:
        """Whether a line may pass now; one that may not is counted."""
        second = int(now_s)
        if second != self._second:
            self._second, self._passed = second, 0
        self._passed += 1
        if self._passed <= self._most:
            return True
        self.held_back += 1
        return False

    def take_held_back(self) -> int:
        """How many did not pass since the last call."""
        count, self.held_back = self.held_back, 0
        return count


def _event_parts(document: Mapping[str, object]) -> list[str]:
    details = wire.fields(document.get("details"))
    model = _name(document.get("model")) or _name(details.get("model"))
    reason = _name(document.get("reason")) or _name(document.get("routing_reason"))
    return [
        _arrow(model, _place(document)),
        _instead(document),
        reason or _name(details.get("error")) or _name(details.get("status")),
        _latency(details.get("latency_ms")) or _duration(document.get("duration")),
        _name(document.get("hostname")),
    ]


def _trace_parts(trace: Mapping[str, object]) -> list[str]:
    backends = wire.count(trace.get("num_backends"))
    return [
        _arrow(_name(trace.get("model")), _place(trace)),
        units.counted(backends, "RPC backend") if backends else "",
        _name(trace.get("error")),
        _latency(trace.get("latency_ms")),
    ]


def _place(document: Mapping[str, object]) -> str:
    """Where it went: a node, a coordinator, or what stands under `backend`."""
    host, port = _name(document.get("coordinator_host")), document.get("coordinator_port")
    found = (
        _name(document.get("node_url"))
        or _name(document.get("coordinator_url"))
        or (f"{host}:{port}" if host and wire.positive(port) else host)
        or _name(document.get("worker"))
        or _name(document.get("backend"))
    )
    return found.removeprefix("http://").partition("/v1/")[0]


def _instead(document: Mapping[str, object]) -> str:
    before = _name(document.get("from_backend")) or _name(document.get("from_model"))
    return f"instead of {before}" if before else ""


def _level(document: Mapping[str, object], name: str) -> Level:
    by_severity = _LEVELS.get(wire.text(document.get("severity")), "info")
    return _EVENT_LEVELS.get(name, by_severity)


def _arrow(model: str, place: str) -> str:
    return " → ".join(part for part in (model, place) if part)


def _latency(value: object) -> str:
    latency_ms = wire.number(value)
    return "" if latency_ms is None else units.latency(latency_ms)


def _duration(value: object) -> str:
    seconds = wire.number(value)
    return "" if seconds is None else units.duration(seconds)


def _age(timestamp: object, now_s: float) -> str:
    at_s = said_at_s(timestamp)
    return units.age(at_s, now_s) if at_s is not None and now_s - at_s > _LATE_S else ""


def _name(value: object) -> str:
    return wire.one_line(wire.text(value), _NAME_CHARS)
