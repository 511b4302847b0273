"""A believable cluster at one fixed moment: every kind of node, backend and coordinator."""

from __future__ import annotations

from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.journal import Area, Entry, Level
from sollol_tui.core.samples import Sample
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
from sollol_tui.core.statistics import Statistics

NOW_S = 1_764_034_875.0  # 2025-11-25 01:41:15 UTC
GIB = 1024**3

COORDINATOR_URL = CoordinatorUrl("http://10.0.0.1:18080")
RIG_URL, SPARK_URL = NodeUrl("http://10.0.0.4:11434"), NodeUrl("http://10.0.0.5:11434")
CAN = ("completion", "tools")

MODELS = (
    NodeModel("llama3.2:latest", 2_019_393_189, 3.2e9, "Q4_K_M", "llama", 131_072, CAN),
    NodeModel("qwen3:8b", 5_225_388_164, 8.2e9, "Q4_K_M", "qwen3", 40_960, (*CAN, "thinking")),
    NodeModel("nomic-embed-text:latest", 274_302_450, 137e6, "F16", "bert", 2048, ("embedding",)),
    NodeModel("gpt-oss:120b-cloud", remote_host="ollama.com:443"),
)


def _node(url: str, name: str, status: NodeStatus) -> NodeState:
    return NodeState(
        NodeUrl(url),
        name,
        ("redis",),
        status,
        "0.12.11",
        MODELS,
        latency_ms=2.3,
        seen_at_s=NOW_S - 2,
        asked_at_s=NOW_S - 2,
        health=Health(0, 41, NOW_S + 3),
    )


def _down(url: str, name: str, fault: Fault, again_s: float) -> NodeState:
    return NodeState(
        NodeUrl(url),
        name,
        ("redis", "config"),
        NodeStatus.DOWN,
        fault=fault,
        asked_at_s=NOW_S - 9,
        health=Health(7, 0, NOW_S + again_s),
    )


NODES = (
    _node(RIG_URL, "gpu-rig", NodeStatus.UP)._replace(
        sources=("redis", "config"),
        loaded=(
            LoadedModel("llama3.2:latest", 2_900_000_000, 2_900_000_000, 8192, NOW_S + 262),
            LoadedModel("qwen3:8b", 6_100_000_000, 5_600_000_000, 8192, NOW_S + 1900),
        ),
        in_flight=2,
        gpu="NVIDIA RTX 3090",
        vram_total_bytes=24 * GIB,
        vram_free_bytes=int(16.1 * GIB),
    ),
    _node(SPARK_URL, "spark", NodeStatus.UP)._replace(
        loaded=(LoadedModel("llama3.2:latest", 2_900_000_000, 2_900_000_000, 4096, NOW_S + 31),),
        in_flight=1,
        latency_ms=38.0,
        vram_total_bytes=16 * GIB,
        vram_free_bytes=int(13.2 * GIB),
    ),
    _node("http://10.0.0.6:11434", "attic", NodeStatus.UP)._replace(latency_ms=0.6),
    _node("http://10.0.0.7:11435/lab", "", NodeStatus.STARTING)._replace(
        version=None, models=(), seen_at_s=None, latency_ms=None
    ),
    _node("http://10.0.0.8:11434", "mac-mini", NodeStatus.STALLED)._replace(
        fault=Fault(FaultKind.STALLED, "no token for 60 s"), latency_ms=1310.0
    ),
    _down("http://10.0.0.9:11434", "nas", Fault(FaultKind.REFUSED, "10.0.0.9:11434"), 42.0),
    _node("https://gpu.example.org:443", "office", NodeStatus.UNAUTHORIZED)._replace(
        fault=Fault(FaultKind.UNAUTHORIZED, "HTTP 401"), models=(), version=None, sources=("env",)
    ),
    NodeState(NodeUrl("http://10.0.0.20:11434"), "日本語ノード\x1b[31m", ("redis",)),
)

BACKENDS = (
    BackendState(
        BackendAddress("10.0.0.4:50052"),
        ("redis",),
        BackendStatus.ATTACHED,
        told="RTX 3090 24.0 GiB",
        devices=(Device(24 * GIB, int(17.9 * GIB)),),
        attached_to=COORDINATOR_URL,
        seen_at_s=NOW_S - 2,
    ),
    BackendState(
        BackendAddress("10.0.0.5:50052"),
        ("redis", "config"),
        BackendStatus.ATTACHED,
        attached_to=COORDINATOR_URL,
        seen_at_s=NOW_S - 2,
    ),
    BackendState(
        BackendAddress("10.0.0.6:50052"),
        ("sollol-file",),
        BackendStatus.IDLE,
        "7.0.0",
        (Device(12 * GIB, 11 * GIB), Device(64 * GIB, 64 * GIB)),
        "RTX 3060 12.0 GiB · CPU 64.0 GiB",
        0.4,
        seen_at_s=NOW_S - 1,
    ),
    BackendState(
        BackendAddress("10.0.0.7:50052"),
        ("redis",),
        BackendStatus.INCOMPATIBLE,
        "3.6.1",
        fault=Fault(FaultKind.PROTOCOL, "protocol 3.6.1, the coordinator speaks 7.0.0"),
        seen_at_s=NOW_S - 1,
    ),
    BackendState(
        BackendAddress("10.0.0.9:50052"),
        ("config",),
        BackendStatus.DOWN,
        fault=Fault(FaultKind.REFUSED, "10.0.0.9:50052"),
        health=Health(4, 0, NOW_S + 3),
    ),
    BackendState(
        BackendAddress("[fd00::12]:50053"),
        ("hand",),
        BackendStatus.UNKNOWN,
        fault=Fault(FaultKind.TIMEOUT, "2.0 s"),
        health=Health(2, 0, NOW_S + 17),
    ),
)

COORDINATOR = CoordinatorState(
    COORDINATOR_URL,
    sources=("env", "redis"),
    status=CoordinatorStatus.READY,
    owner=Owner.ADOPTED,
    pid=4242,
    model="codellama:13b",
    model_path="/usr/share/ollama/.ollama/models/blobs/sha256-9f438cb9cd581fc025612d27f7c1a669",
    model_bytes=7_365_960_935,
    parameters=13.02e9,
    quantization="Q4_K_M",
    context_tokens=4096,
    slots=(
        Slot(0, True, 4096, 1228, 211),
        Slot(1, False, 4096),
        Slot(2, False, 4096),
        Slot(3, False, 4096),
    ),
    slots_total=4,
    slots_busy=1,
    deferred=0,
    prefill_tps=61.2,
    decode_tps=4.18,
    backends=(BACKENDS[0].address, BACKENDS[1].address),
    started_at_s=NOW_S - 8040,
    build="b10488-1d99508b",
    latency_ms=1.2,
    seen_at_s=NOW_S - 1,
    asked_at_s=NOW_S - 1,
    in_flight=1,
)

STOPPED = CoordinatorState(
    CoordinatorUrl("http://127.0.0.1:18080"),
    sources=("default",),
    status=CoordinatorStatus.STOPPED,
    fault=Fault(FaultKind.REFUSED, "127.0.0.1:18080"),
    asked_at_s=NOW_S - 1,
    health=Health(9, 0, NOW_S + 31),
)

SNAPSHOT = ClusterSnapshot(
    mode=Mode.BOTH,
    nodes=NODES,
    coordinators=(COORDINATOR, STOPPED),
    backends=BACKENDS,
    registry=RegistryState("redis://127.0.0.1:6379", RegistryStatus.UP, seen_at_s=NOW_S - 3),
    requests=(
        RequestState("r-81f2", "llama3.2", RIG_URL, NOW_S - 6.4, NOW_S - 6.2, NOW_S - 0.1, 212),
        RequestState("r-81f3", "qwen3:8b", RIG_URL, NOW_S - 3, NOW_S - 2, NOW_S - 0.2, 40),
        RequestState("r-81f4", "llama3.2", SPARK_URL, NOW_S - 2),
        RequestState("r-81f5", "codellama:13b", COORDINATOR_URL, NOW_S - 30, NOW_S - 28, NOW_S, 90),
    ),
    totals=Totals(1284, 14, 342_100),
    looked=True,
)

NOTHING = ClusterSnapshot(coordinators=(STOPPED,), looked=True)
"""A first run on a machine where nothing runs."""

DECISION = RouteDecision(
    "d-81f2",
    "llama3.2",
    Mode.BOTH,
    RIG_URL,
    "node",
    "gpu-rig",
    "3.2 B is below 13 B; the model is warm there and its queue is the shortest",
    (
        Candidate(
            SPARK_URL, "node", "spark", 2.31, (("warm", 3.0), ("queue", -1.0), ("speed", 0.31))
        ),
        Candidate(
            RIG_URL, "node", "gpu-rig", 3.83, (("warm", 3.0), ("queue", 0.0), ("speed", 0.83))
        ),
        Candidate(NODES[5].url, "node", "nas", None, rejected="down: connection refused"),
        Candidate(NODES[4].url, "node", "mac-mini", None, rejected="stalled: no token for 60 s"),
        Candidate(
            COORDINATOR_URL, "coordinator", "codellama:13b", None, rejected="holds another model"
        ),
    ),
)

_SAID: tuple[tuple[float, Level, Area, str, str, str | None], ...] = (
    (68, "good", "coordinator", COORDINATOR_URL, "coordinator is ready · codellama:13b", None),
    (61, "good", "node", RIG_URL, "gpu-rig is up · Ollama 0.12.11 · 4 models", None),
    (60, "info", "mode", "", "mode task → both", None),
    (44, "info", "route", RIG_URL, "llama3.2 → gpu-rig: warm, shortest queue", "d-81f2"),
    (
        31,
        "warn",
        "backend",
        "10.0.0.7:50052",
        "10.0.0.7:50052 is incompatible · protocol 3.6.1",
        None,
    ),
    (22, "error", "node", NODES[5].url, "is down · connection refused: 10.0.0.9:11434", None),
    (9, "warn", "route", SPARK_URL, "llama3.2 → spark after gpu-rig refused", "d-81f4"),
    (
        3,
        "info",
        "registry",
        "redis://127.0.0.1:6379",
        "SOLLOL program “gateway-1\x1b[2J” seen",
        None,
    ),
)

ENTRIES = tuple(
    Entry(number, NOW_S - ago_s, level, area, subject, text, decision)
    for number, (ago_s, level, area, subject, text, decision) in enumerate(_SAID, start=1)
)

TPS_SAMPLES: tuple[float | None, ...] = (
    *(None,) * 8,
    *(float(abs((i * 7919) % 41 - 20)) for i in range(112)),
)

ASKED_AGO_S = 3 * 86_400.0  # the oldest request of the record


def _sample(number: int) -> Sample:
    """One of many requests: most go to the nodes, some to the coordinator, a few fail."""
    on_coordinator = number % 13 == 0
    target = COORDINATOR_URL if on_coordinator else (RIG_URL, SPARK_URL, RIG_URL)[number % 3]
    model = "codellama:13b" if on_coordinator else ("llama3.2", "qwen3:8b")[number % 2]
    kind = (FaultKind.TIMEOUT, FaultKind.REFUSED)[number % 2] if number % 61 == 7 else None
    slow = 6.0 if on_coordinator else 1.0
    spread = (number * 7919) % 97 / 97
    return Sample(
        at_s=NOW_S - ASKED_AGO_S * (1 - number / 1283) ** 3,
        model=model,
        mode=Mode.BOTH,
        kind="coordinator" if on_coordinator else "node",
        target=target,
        tries=1,
        ttft_s=slow * (0.2 + 0.3 * spread),
        total_s=slow * (2.0 + 3.0 * spread),
        decode_tps=33.1 / slow * (0.8 + 0.4 * spread),
        prefill_tps=410 / slow,
        tokens=100 + number % 200,
        fault=Fault(kind) if kind else None,
        request=f"r-{number}",
        outcome=kind.value if kind else "complete",
        queue_s=0.1 * spread,
        backends=COORDINATOR.backends if on_coordinator else (),
    )


SAMPLES = tuple(_sample(number) for number in range(1284))
STATS = Statistics(SAMPLES, NOW_S).stats(NOW_S)
FIGURES = {row.key: row for row in (*STATS.nodes, *STATS.coordinators, *STATS.backends)}
