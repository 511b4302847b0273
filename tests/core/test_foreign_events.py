"""What other SOLLOL programs publish becomes lines that can be read, and harm nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.foreign_events import (
    CHANNELS,
    LINE_CHARS,
    LOG_CHANNEL,
    TRACES_CHANNEL,
    LineRate,
    read_event,
    said_at_s,
)
from sollol_tui.core.registry_events import COORDINATOR_CHANNEL, EVENTS_CHANNEL, NODE_CHANNEL
from sollol_tui.core.telling import Told

NOW_S = 1_795_479_940.0
OWN = "here_1_aa"

ROUTING_LOGGER = {  # RoutingEventLogger: naive UTC
    "timestamp": "2026-11-24T00:19:38.235943",
    "instance_id": "vm_11339_6662ef38",
    "hostname": "vm",
    "pid": 11339,
    "event_type": "OLLAMA_NODE_SELECTED",
    "model": "llama3.2",
    "backend": "ollama",
    "node_url": "127.0.0.1:19998",
    "reason": "generation",
    "confidence": 0,
    "priority": 5,
}
RAY_ROUTER = {  # RayHybridRouter: epoch seconds
    "timestamp": NOW_S,
    "event_type": "rpc_coordinator_route",
    "model": "codellama:13b",
    "coordinator_url": "http://127.0.0.1:18080/v1/chat/completions",
    "rpc_backends": ["192.0.2.2:50052", "192.0.2.2:50053"],
    "routing_reason": "Model sharding",
    "trace_id": "2e0190b7",
}
OBSERVER = {  # NetworkObserver: `event`, not `event_type`
    "timestamp": NOW_S,
    "event": "coordinator_start",
    "backend": "127.0.0.1:18080",
    "details": {"model": "codellama:13b"},
    "severity": "info",
}
TRACE = {
    "event": "trace_complete",
    "trace": {
        "trace_id": "2e0190b7",
        "model": "codellama:13b",
        "num_backends": 2,
        "coordinator_url": "http://127.0.0.1:18080/v1/chat/completions",
        "latency_ms": 147171.7,
        "status": "completed",
    },
}
NODE_ERROR = {
    "timestamp": NOW_S,
    "backend": "127.0.0.1:11434",
    "event_type": "ollama_error",
    "severity": "error",
    "details": {"model": "llama3.2", "error": "HTTP 500", "latency_ms": 3.1},
}
RPC_RESPONSE = {
    "timestamp": NOW_S,
    "event_type": "rpc_response",
    "backend": "http://127.0.0.1:18080/v1/chat/completions",
    "details": {"model": "codellama:13b", "status": "success", "latency_ms": 147171.7},
}


def read(channel: str, message: object) -> Told | None:
    return read_event(channel, json.dumps(message).encode(), OWN, NOW_S)


@pytest.mark.parametrize(
    ("channel", "message", "level", "subject", "text"),
    [
        (
            EVENTS_CHANNEL,
            ROUTING_LOGGER,
            "info",
            "127.0.0.1:19998",
            "OLLAMA_NODE_SELECTED · llama3.2 → 127.0.0.1:19998 · generation · vm · 6 min ago",
        ),
        (
            EVENTS_CHANNEL,
            RAY_ROUTER,
            "info",
            "127.0.0.1:18080",
            "rpc_coordinator_route · codellama:13b → 127.0.0.1:18080 · Model sharding",
        ),
        (
            EVENTS_CHANNEL,
            OBSERVER,
            "info",
            "127.0.0.1:18080",
            "coordinator_start · codellama:13b → 127.0.0.1:18080",
        ),
        (
            TRACES_CHANNEL,
            TRACE,
            "info",
            "127.0.0.1:18080",
            "trace_complete · codellama:13b → 127.0.0.1:18080 · 2 RPC backends · 2 min 27 s",
        ),
        (
            NODE_CHANNEL,
            NODE_ERROR,
            "error",
            "127.0.0.1:11434",
            "ollama_error · llama3.2 → 127.0.0.1:11434 · HTTP 500 · 3.1 ms",
        ),
        (
            COORDINATOR_CHANNEL,
            RPC_RESPONSE,
            "info",
            "127.0.0.1:18080",
            "rpc_response · codellama:13b → 127.0.0.1:18080 · success · 2 min 27 s",
        ),
    ],
    ids=["routing logger", "ray router", "observer", "trace", "node", "rpc"],
)
def test_each_shape_is_one_line(
    channel: str, message: object, level: str, subject: str, text: str
) -> None:
    assert read(channel, message) == Told(level, "sollol", subject, text)  # type: ignore[arg-type]


def test_a_fallback_says_instead_of_what_and_is_a_warning() -> None:
    message = {
        "event_type": "FALLBACK_TRIGGERED",
        "model": "m",
        "backend": "rpc",
        "from_backend": "ollama",
        "reason": "ollama_error: HTTP 500",
    }
    told = read(EVENTS_CHANNEL, message)
    assert told is not None
    assert told.level == "warn"
    assert told.text == (
        "FALLBACK_TRIGGERED · m → rpc · instead of ollama · ollama_error: HTTP 500"
    )


def test_a_failed_trace_is_an_error() -> None:
    trace = {"model": "m", "error": "timeout"}
    told = read(TRACES_CHANNEL, {"event": "trace_failed", "trace": trace})
    assert told == Told("error", "sollol", "", "trace_failed · m · timeout")


def test_a_line_of_a_coordinators_log_is_itself() -> None:
    told = read_event(LOG_CHANNEL, b"srv  load_model: loading\x1b[31m model\r\n", OWN, NOW_S)
    assert told == Told("info", "sollol", "", "llama.cpp · srv load_model: loading[31m model")
    assert read_event(LOG_CHANNEL, b" \n", OWN, NOW_S) is None


def test_our_own_messages_are_not_told_to_us() -> None:
    assert read(EVENTS_CHANNEL, {**ROUTING_LOGGER, "instance_id": OWN}) is None
    assert read(NODE_CHANNEL, {**NODE_ERROR, "instance_id": OWN}) is None


@pytest.mark.parametrize("message", [None, 3, "x", [], {}, {"event_type": 3}, {"event": ""}])
def test_what_has_no_kind_says_nothing(message: object) -> None:
    assert read(EVENTS_CHANNEL, message) is None


@given(st.sampled_from(CHANNELS), st.binary(max_size=60))
def test_whatever_comes_nothing_is_raised(channel: str, content: bytes) -> None:
    read_event(channel, content, OWN, NOW_S)


JUNK = st.none() | st.integers() | st.floats() | st.text(max_size=400) | st.just([1])


@given(
    st.fixed_dictionaries(
        {"event_type": st.text(min_size=1, max_size=400)},
        optional={
            key: JUNK | st.fixed_dictionaries({"model": JUNK, "latency_ms": JUNK, "error": JUNK})
            for key in ("timestamp", "model", "backend", "details", "trace", "severity")
        }
        | dict.fromkeys(("node_url", "reason", "duration", "from_backend", "hostname"), JUNK),
    )
)
def test_a_line_is_one_line_without_control_codes_and_not_too_long(message: object) -> None:
    told = read(EVENTS_CHANNEL, message)
    if told is not None:
        assert len(told.text) <= LINE_CHARS
        assert told.text.isprintable() or not set(told.text) & set("\n\r\t\x1b\x00\x07\u202e")


@pytest.mark.parametrize(
    ("timestamp", "at_s"),
    [
        (1795479614.03, 1795479614.03),
        ("1970-01-01T00:01:00.500000", 60.5),
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T01:01:00+01:00", 60.0),
        ("yesterday", None),
        (None, None),
        (True, None),
        (float("inf"), None),
    ],
)
def test_both_kinds_of_time_are_read(timestamp: object, at_s: float | None) -> None:
    assert said_at_s(timestamp) == at_s


def test_so_many_lines_pass_in_a_second_and_the_rest_is_counted() -> None:
    rate = LineRate(3)
    assert [rate.admits(10.0 + n / 10) for n in range(5)] == [True, True, True, False, False]
    assert rate.admits(11.0)
    assert rate.take_held_back() == 2
    assert rate.take_held_back() == 0


def test_a_clock_that_goes_back_stops_no_lines() -> None:
    rate = LineRate(1)
    assert rate.admits(10.0)
    assert rate.admits(5.0)
