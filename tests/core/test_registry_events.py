"""Our requests in SOLLOL's shapes: the fields that its readers use."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.registry_events import (
    COORDINATOR_CHANNEL,
    EVENTS_CHANNEL,
    NODE_CHANNEL,
    Message,
    Origin,
    claimed_messages,
    coordinator_messages,
    ended_messages,
)
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import CoordinatorState, Mode

ORIGIN = Origin("vm_11339_6662ef38", "vm", 11339)
AT_S = 1_795_479_938.25
NODE, COORDINATOR = "http://10.0.0.2:11434", "http://10.0.0.9:18080"

TO_NODE = RouteDecision(
    "r1.1", "llama3.2:3b", Mode.BOTH, NODE, "node", "10.0.0.2", "3.2 B, below 13 B", ()
)
TO_COORDINATOR = RouteDecision(
    "r1.2",
    "llama3.3:70b",
    Mode.BOTH,
    COORDINATOR,
    "coordinator",
    "coordinator 10.0.0.9",
    "70 B, from 13 B on the coordinator",
    (Candidate(NODE, "node", "10.0.0.2", None, (), "failed this request: connection refused"),),
)
ANSWER = Sample(
    AT_S, "llama3.2:3b", Mode.BOTH, "node", NODE, 1, 0.1, 0.0604, 30.0, None, 12, request="r1"
)


def contents(messages: list[Message]) -> list[dict[str, Any]]:
    return [json.loads(m.content) for m in messages]


def test_a_node_that_is_chosen_is_told_as_routing_logger_tells_it() -> None:
    messages = claimed_messages(ORIGIN, TO_NODE, 1, "", AT_S)
    assert [(m.channel, m.kept) for m in messages] == [
        (EVENTS_CHANNEL, True),
        (NODE_CHANNEL, False),
    ]
    event, request = contents(messages)
    assert event == {
        "timestamp": "2026-11-24T00:25:38.250000",
        "instance_id": "vm_11339_6662ef38",
        "hostname": "vm",
        "pid": 11339,
        "event_type": "OLLAMA_NODE_SELECTED",
        "model": "llama3.2:3b",
        "backend": "ollama",
        "node_url": "10.0.0.2:11434",
        "reason": "3.2 B, below 13 B",
        "priority": 5,
        "mode": "both",
    }
    assert request == {
        "timestamp": AT_S,
        "backend": "10.0.0.2:11434",
        "event_type": "ollama_request",
        "severity": "info",
        "details": {"model": "llama3.2:3b", "operation": "chat", "priority": 5, "tries": 1},
        "instance_id": ORIGIN.instance_id,
    }


def test_a_coordinator_that_takes_over_is_a_fallback_and_a_decision() -> None:
    messages = claimed_messages(ORIGIN, TO_COORDINATOR, 2, NODE, AT_S)
    fallback, decision, request = contents(messages)
    assert fallback["event_type"] == "FALLBACK_TRIGGERED"
    assert (fallback["from_backend"], fallback["backend"]) == ("ollama", "rpc")
    assert fallback["reason"] == "10.0.0.2:11434 failed this request: connection refused"
    assert decision["event_type"] == "ROUTE_DECISION"
    assert (decision["coordinator_host"], decision["coordinator_port"]) == ("10.0.0.9", 18080)
    assert request["event_type"] == "rpc_request"
    assert messages[2].channel == COORDINATOR_CHANNEL


def test_an_answer_is_a_completed_task_and_a_response_with_its_time() -> None:
    event, response = contents(ended_messages(ORIGIN, ANSWER, TO_NODE))
    assert (event["event_type"], event["worker"]) == ("TASK_COMPLETE", "10.0.0.2:11434")
    assert (event["duration"], event["success"]) == (0.06, True)
    assert response["event_type"] == "ollama_response"
    assert response["details"]["latency_ms"] == 60.4
    assert response["details"]["status_code"] == 200
    assert response["severity"] == "info"


def test_slow_answers_are_warnings_as_sollol_has_it() -> None:
    slow = ANSWER._replace(total_s=12.0)
    assert contents(ended_messages(ORIGIN, slow, TO_NODE))[1]["severity"] == "warning"
    sharded = slow._replace(kind="coordinator", target=COORDINATOR, backends=("a:1", "b:1"))
    _, response = contents(ended_messages(ORIGIN, sharded, TO_COORDINATOR))
    assert (response["severity"], response["event_type"]) == ("info", "rpc_response")
    assert response["details"]["rpc_backends_used"] == 2


def test_a_failure_is_an_error_and_a_stop_is_none() -> None:
    failed = ANSWER._replace(fault=Fault(FaultKind.SERVER, "HTTP 500"), outcome="server")
    event, error = contents(ended_messages(ORIGIN, failed, TO_NODE))
    assert (event["success"], event["reason"]) == (False, "server error: HTTP 500")
    assert (error["event_type"], error["severity"]) == ("ollama_error", "error")
    assert error["details"]["error"] == "server error: HTTP 500"
    stopped = ANSWER._replace(fault=Fault(FaultKind.STOPPED), outcome="stopped")
    assert contents(ended_messages(ORIGIN, stopped, TO_NODE))[1]["details"]["status"] == "stopped"


def test_a_request_that_nothing_could_take_is_not_told() -> None:
    nobody = TO_NODE._replace(target=None, kind=None)
    assert ended_messages(ORIGIN, ANSWER._replace(target="", kind=None), nobody) == []


def test_a_coordinator_of_ours_that_starts_and_stops_is_told() -> None:
    state = CoordinatorState(
        parse_coordinator_url("10.0.0.9"),
        model="llama3.3:70b",
        backends=(parse_backend_address("10.0.0.3"),),
    )
    (start,) = contents(coordinator_messages(ORIGIN, state, True, AT_S))
    assert start["event_type"] == "COORDINATOR_START"
    assert (start["backend"], start["rpc_backends"], start["coordinator_port"]) == (
        "llamacpp",
        1,
        18080,
    )
    (stop,) = contents(coordinator_messages(ORIGIN, state, False, AT_S))
    assert stop["event_type"] == "COORDINATOR_STOP"


def test_foreign_texts_are_cut_and_cleaned() -> None:
    long = TO_NODE._replace(model="m\x1b[31m" * 1000, reason="because\n" * 1000)
    for message in claimed_messages(ORIGIN, long, 1, "", AT_S):
        assert len(message.content) < 1500
        assert "\\u001b" not in message.content


def test_every_text_that_the_viewer_formats_is_a_text() -> None:
    """routing_viewer formats model and backend with a width: None would end it."""
    messages = claimed_messages(ORIGIN, TO_COORDINATOR, 2, NODE, AT_S)
    messages += ended_messages(ORIGIN, ANSWER, TO_NODE)
    messages += coordinator_messages(
        ORIGIN, CoordinatorState(parse_coordinator_url("10.0.0.9")), True, AT_S
    )
    for event in contents([m for m in messages if m.kept]):
        for key in ("timestamp", "instance_id", "hostname", "event_type", "model", "backend"):
            assert isinstance(event[key], str)
        assert event["backend"] in {"ollama", "rpc", "llamacpp"}, "what its filter knows"
        assert isinstance(event.get("duration", 0.0), float)
        assert datetime.fromisoformat(event["timestamp"]).tzinfo is None
