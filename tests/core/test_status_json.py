"""The JSON that `status --json` promises."""

from __future__ import annotations

import json

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    LoadedModel,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
    Owner,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.core.status_json import status_json

NODE = NodeState(
    NodeUrl("http://gpu:11434"),
    "gpu",
    ("config", "redis"),
    NodeStatus.UP,
    "0.12.3",
    (NodeModel("llama3:8b"), NodeModel("qwen:4b")),
    (LoadedModel("llama3:8b", 5_000_000_000, 4_000_000_000, 4096, 1_790_000_000.25),),
    latency_ms=12.3456,
    seen_at_s=99.0,
    in_flight=2,
)
COORDINATOR = CoordinatorState(
    CoordinatorUrl("http://127.0.0.1:18080"),
    "127.0.0.1",
    ("localhost",),
    CoordinatorStatus.READY,
    Owner.ADOPTED,
    4711,
    "llama-2-13b",
    context_tokens=8192,
    slots_total=4,
    slots_busy=1,
    backends=(BackendAddress("10.0.0.2:50052"),),
)
BACKEND = BackendState(
    BackendAddress("10.0.0.2:50052"),
    ("env",),
    BackendStatus.IDLE,
    "7.0.0",
    (Device(24 * 2**30, 20 * 2**30),),
)


def test_a_whole_cluster_is_told_exactly_as_promised() -> None:
    snapshot = ClusterSnapshot(
        Mode.BOTH,
        nodes=(NODE,),
        coordinators=(COORDINATOR,),
        backends=(BACKEND,),
        registry=RegistryState("redis://:hunter2@10.0.0.1:6379", RegistryStatus.UP),
    )
    assert status_json(snapshot, 1_790_000_000.12345) == {
        "schema": 1,
        "at": 1_790_000_000.123,
        "mode": "both",
        "coordinators": [
            {
                "url": "http://127.0.0.1:18080",
                "status": "ready",
                "owner": "adopted",
                "pid": 4711,
                "model": "llama-2-13b",
                "context_tokens": 8192,
                "slots": {"busy": 1, "total": 4},
                "backends": ["10.0.0.2:50052"],
                "sources": ["localhost"],
                "error": None,
            }
        ],
        "nodes": [
            {
                "url": "http://gpu:11434",
                "status": "up",
                "version": "0.12.3",
                "models": ["llama3:8b", "qwen:4b"],
                "loaded": [
                    {
                        "name": "llama3:8b",
                        "bytes": 5_000_000_000,
                        "vram_bytes": 4_000_000_000,
                        "context_tokens": 4096,
                        "expires_at": 1_790_000_000.25,
                    }
                ],
                "in_flight": 2,
                "latency_ms": 12.3,
                "sources": ["config", "redis"],
                "error": None,
            }
        ],
        "backends": [
            {
                "address": "10.0.0.2:50052",
                "status": "idle",
                "protocol": "7.0.0",
                "devices": [{"total_bytes": 24 * 2**30, "free_bytes": 20 * 2**30}],
                "sources": ["env"],
                "error": None,
            }
        ],
        "registry": {"url": "redis://:•••@10.0.0.1:6379", "status": "up", "error": None},
    }


def test_unknown_is_null_and_never_zero_or_empty() -> None:
    fault = Fault(FaultKind.REFUSED, "connect")
    told = json.loads(
        json.dumps(
            status_json(
                ClusterSnapshot(
                    nodes=(NodeState(NodeUrl("http://x:1"), fault=fault),),
                    coordinators=(CoordinatorState(CoordinatorUrl("http://y:1")),),
                    backends=(BackendState(BackendAddress("z:1")),),
                ),
                1.0,
            )
        )
    )
    node, coordinator, backend = told["nodes"][0], told["coordinators"][0], told["backends"][0]
    for key in ("version", "models", "loaded", "latency_ms"):
        assert node[key] is None
    assert node["error"] == "connection refused: connect"
    for key in ("owner", "pid", "model", "context_tokens", "backends", "error"):
        assert coordinator[key] is None
    assert coordinator["slots"] == {"busy": None, "total": None}
    assert (backend["protocol"], backend["devices"]) == (None, None)
    assert told["registry"] == {"url": None, "status": "off", "error": None}


def test_an_empty_list_is_what_a_server_said_to_be_empty() -> None:
    node = NodeState(NodeUrl("http://x:1"), seen_at_s=1.0)
    coordinator = CoordinatorState(CoordinatorUrl("http://y:1"), pid=1)
    told = status_json(ClusterSnapshot(nodes=(node,), coordinators=(coordinator,)), 1.0)
    text = json.dumps(told)
    assert '"models": [], "loaded": []' in text
    assert '"backends": [], "sources"' in text


def test_figures_that_are_no_numbers_are_null() -> None:
    node = NODE._replace(latency_ms=float("nan"))
    told = status_json(ClusterSnapshot(nodes=(node,)), 1.0)
    assert '"latency_ms": null' in json.dumps(told, allow_nan=False)
