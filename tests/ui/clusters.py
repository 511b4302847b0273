"""Clusters to show: none, one that is well, one that is broken. `NOW_S` is their clock."""

from __future__ import annotations

from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url, parse_node_url
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Health,
    LoadedModel,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
    Owner,
    RegistryState,
    RegistryStatus,
    RequestState,
    Slot,
    Totals,
)

NOW_S = 1_760_000_000.0
GIB = 1 << 30

LLAMA = NodeModel("llama3.2:3b", 2 * GIB, 3.2e9, "Q4_K_M", "llama", 131072, ("completion", "tools"))
QWEN = NodeModel("qwen3:8b", 5 * GIB, 8.2e9, "Q4_K_M", "qwen3", 40960, ("completion", "thinking"))
GEMMA = NodeModel("gemma3:27b", 17 * GIB, 27.4e9, "Q4_K_M", "gemma3", 131072, ("completion",))

RIG = parse_node_url("http://10.0.0.7:11434")
SPARK = parse_node_url("http://10.0.0.8:11434")
NAS = parse_node_url("http://10.0.0.9:11434")
COORDINATOR = parse_coordinator_url("http://10.0.0.1:18080")
BACKEND_1 = parse_backend_address("10.0.0.7:50052")
BACKEND_2 = parse_backend_address("10.0.0.8:50052")
BACKEND_3 = parse_backend_address("10.0.0.12:50052")


def _node(url: str, name: str, **known: object) -> NodeState:
    node = NodeState(
        parse_node_url(url),
        name,
        ("redis", "config"),
        NodeStatus.UP,
        "0.32.15",
        (LLAMA, QWEN),
        seen_at_s=NOW_S - 1,
        asked_at_s=NOW_S - 1,
    )
    return node._replace(**known)  # type: ignore[arg-type]


def _backend(address: str, status: BackendStatus, **known: object) -> BackendState:
    backend = BackendState(
        parse_backend_address(address),
        ("redis",),
        status,
        "3.6.1",
        (Device(24 * GIB, 18 * GIB),),
        seen_at_s=NOW_S - 2,
        asked_at_s=NOW_S - 2,
        latency_ms=0.4,
    )
    return backend._replace(**known)  # type: ignore[arg-type]


EMPTY = ClusterSnapshot(
    nodes=(
        NodeState(
            parse_node_url("127.0.0.1:11434"),
            "localhost",
            ("localhost",),
            NodeStatus.DOWN,
            fault=Fault(FaultKind.REFUSED, "127.0.0.1:11434"),
            asked_at_s=NOW_S,
            health=Health(failures=1, next_look_at_s=NOW_S + 5),
        ),
    ),
    coordinators=(
        CoordinatorState(
            parse_coordinator_url("127.0.0.1:18080"),
            "localhost",
            ("default",),
            CoordinatorStatus.STOPPED,
            fault=Fault(FaultKind.REFUSED, "127.0.0.1:18080"),
            asked_at_s=NOW_S,
        ),
    ),
    registry=RegistryState(
        "redis://127.0.0.1:6379",
        RegistryStatus.DOWN,
        Fault(FaultKind.REFUSED, "127.0.0.1:6379"),
        asked_at_s=NOW_S,
    ),
    looked=True,
)

FULL = ClusterSnapshot(
    mode=Mode.BOTH,
    nodes=(
        _node(
            RIG,
            "gpu-rig",
            models=(LLAMA, QWEN, GEMMA),
            loaded=(
                LoadedModel(LLAMA.name, 3 * GIB, 3 * GIB, 8192, NOW_S + 280),
                LoadedModel(QWEN.name, 6 * GIB, 6 * GIB, 8192, NOW_S + 120),
            ),
            latency_ms=2.1,
            in_flight=2,
            vram_total_bytes=24 * GIB,
            vram_free_bytes=15 * GIB,
        ),
        _node(
            NAS,
            "nas",
            models=(LLAMA,),
            latency_ms=8.4,
            gpu="none",
        ),
        _node(
            SPARK,
            "spark",
            loaded=(LoadedModel(LLAMA.name, 3 * GIB, 3 * GIB, 8192, NOW_S + 60),),
            latency_ms=3.8,
            in_flight=1,
            vram_total_bytes=16 * GIB,
            vram_free_bytes=13 * GIB,
        ),
    ),
    coordinators=(
        CoordinatorState(
            COORDINATOR,
            "10.0.0.1",
            ("env",),
            CoordinatorStatus.READY,
            Owner.ADOPTED,
            4711,
            "codellama:34b",
            "/models/codellama-34b.Q4_K_M.gguf",
            19 * GIB,
            33.7e9,
            "Q4_K_M",
            4096,
            slots=tuple(Slot(i, i < 1, 4096, 750 if i < 1 else None, 90) for i in range(4)),
            slots_total=4,
            slots_busy=1,
            deferred=0,
            prefill_tps=61.0,
            decode_tps=4.2,
            backends=(BACKEND_1, BACKEND_2),
            started_at_s=NOW_S - 8040,
            build="b6123",
            latency_ms=1.1,
            seen_at_s=NOW_S - 1,
            asked_at_s=NOW_S - 1,
            in_flight=1,
        ),
    ),
    backends=(
        _backend(BACKEND_3, BackendStatus.IDLE),
        _backend(BACKEND_1, BackendStatus.ATTACHED, attached_to=COORDINATOR),
        _backend(BACKEND_2, BackendStatus.ATTACHED, attached_to=COORDINATOR),
    ),
    registry=RegistryState("redis://10.0.0.1:6379", RegistryStatus.UP, seen_at_s=NOW_S - 1),
    requests=(
        RequestState("r1", LLAMA.name, RIG, NOW_S - 3, NOW_S - 2, NOW_S, 66),
        RequestState("r2", "codellama:34b", COORDINATOR, NOW_S - 20, NOW_S - 18, NOW_S, 84),
    ),
    totals=Totals(128, 3, 51200),
    looked=True,
)

BROKEN = FULL._replace(
    nodes=(
        FULL.nodes[0]._replace(
            status=NodeStatus.STALLED,
            fault=Fault(FaultKind.STALLED, "no token for 64 s"),
        ),
        _node(
            NAS,
            "nas [/bold]\x1b[31mred\u202e",
            status=NodeStatus.DOWN,
            fault=Fault(FaultKind.REFUSED, "10.0.0.9:11434"),
            seen_at_s=NOW_S - 320,
            health=Health(failures=4, next_look_at_s=NOW_S + 12),
            models=(),
            version=None,
        ),
        FULL.nodes[2]._replace(
            status=NodeStatus.UNAUTHORIZED,
            fault=Fault(FaultKind.UNAUTHORIZED, "401"),
            loaded=(),
        ),
    ),
    coordinators=(
        FULL.coordinators[0]._replace(
            status=CoordinatorStatus.FAILED,
            fault=Fault(FaultKind.CUT, "the process ended"),
            slots=None,
            slots_busy=None,
            decode_tps=None,
            prefill_tps=None,
            lost_backends=(BACKEND_1,),
            seen_at_s=NOW_S - 12,
        ),
    ),
    backends=(
        _backend(BACKEND_3, BackendStatus.INCOMPATIBLE, protocol="2.0.0"),
        _backend(
            BACKEND_1,
            BackendStatus.DOWN,
            fault=Fault(FaultKind.REFUSED, "10.0.0.7:50052"),
            devices=(),
            latency_ms=None,
            seen_at_s=NOW_S - 40,
        ),
        _backend(
            BACKEND_2,
            BackendStatus.UNKNOWN,
            fault=Fault(FaultKind.TIMEOUT, "2 s"),
            devices=(),
            latency_ms=None,
        ),
    ),
    registry=RegistryState(
        "redis://10.0.0.1:6379",
        RegistryStatus.DOWN,
        Fault(FaultKind.REFUSED, "10.0.0.1:6379"),
        seen_at_s=NOW_S - 60,
    ),
    requests=(),
    totals=Totals(128, 17, 51200),
)

DECISION = RouteDecision(
    "d1",
    LLAMA.name,
    Mode.BOTH,
    RIG,
    "node",
    "gpu-rig",
    "3.2 B, below 13 B; shortest wait",
    (
        Candidate(RIG, "node", "gpu-rig", -4.2, (("write", -3.7), ("first token", -0.5))),
        Candidate(SPARK, "node", "spark", -6.1, (("write", -5.4), ("first token", -0.7))),
        Candidate(NAS, "node", "nas", None, (), "connection refused"),
        Candidate(COORDINATOR, "coordinator", "coordinator 10.0.0.1", None, (), "below 13 B"),
    ),
)
