"""A coordinator of ours in every state that its pane shows, and plans to look at."""

from __future__ import annotations

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.orders import Planned
from sollol_tui.core.plan_values import CoordinatorPlan, DevicePlan
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.shard_map import Shard, ShardMap
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
    Owner,
)
from tests.ui.clusters import FULL, GIB, NOW_S

MIB = 1 << 20
OURS = parse_coordinator_url("127.0.0.1:18080")
ONE = parse_backend_address("10.0.0.7:50052")
TWO = parse_backend_address("10.0.0.8:50052")
LAYERS = 48


def _device(name: str, address: str, first: int, end: int, **known: object) -> DevicePlan:
    device = DevicePlan(
        name,
        address,
        tuple(range(first, end)),
        end == LAYERS,
        (end - first) * 380 * MIB,
        (end - first) * 16 * MIB,
        300 * MIB,
        24 * GIB,
        22 * GIB,
        fits=True,
    )
    return device._replace(**known)  # type: ignore[arg-type]


HOST = DevicePlan("host", "", (), False, 417 * MIB, 0, 20 * MIB, 64 * GIB, 40 * GIB, True)
ARGV = (
    "/usr/local/bin/llama-server",
    *("--host", "127.0.0.1", "--port", "18080"),
    *("--model", "/srv/models/codellama-34b.Q4_K_M.gguf", "--alias", "codellama:34b"),
    *("--rpc", f"{ONE},{TWO}", "-ngl", "49", "-c", "8192", "-np", "1"),
    *("--log-jsonl", "-lv", "4", "--metrics", "--no-ui", "--cors-origins", "localhost"),
)
PLAN = CoordinatorPlan(
    model="codellama:34b",
    path="/srv/models/codellama-34b.Q4_K_M.gguf",
    model_bytes=19 * GIB,
    layers=LAYERS,
    context_tokens=8192,
    slots=1,
    devices=(_device("RPC0", ONE, 0, 24), _device("RPC1", TWO, 24, LAYERS)),
    host=HOST,
    fits=True,
    problems=(),
    notes=("all memory counts as free on 10.0.0.8:50052: a CPU backend cannot tell",),
    argv=ARGV,
    gpu_layers=49,
    backends=(ONE, TWO),
)
NO_MEMORY = Problem(
    Cause.OUT_OF_MEMORY,
    TWO,
    ("RPC1 needs 9.6 GiB: weights 8.9 GiB, context 384 MiB, compute 300 MiB",),
    "Set context_tokens to 2048, or add a backend.",
)
TOO_LARGE = PLAN._replace(
    devices=(PLAN.devices[0], PLAN.devices[1]._replace(free_bytes=4 * GIB, fits=False)),
    fits=False,
    problems=(NO_MEMORY,),
    notes=(),
)
FITS = Planned(PLAN, (), blocked=False)
FITS_NOT = Planned(TOO_LARGE, TOO_LARGE.problems, blocked=True)
NOT_FOUND = Problem(
    Cause.MODEL_NOT_FOUND,
    "codellama:34b",
    ("not in /usr/share/ollama/.ollama/models",),
    "Pull it here: ollama pull codellama:34b, or give the path of its GGUF file.",
)
NO_PLAN = Planned(None, (NOT_FOUND,), blocked=True)

SHARDS = ShardMap(
    (
        Shard("RPC0", ONE, tuple(range(24)), False, 9120 * MIB, 384 * MIB, 306 * MIB),
        Shard("RPC1", TWO, tuple(range(24, 48)), True, 9328 * MIB, 384 * MIB, 306 * MIB),
    ),
    Shard("host", "", (), False, 417 * MIB, 0, 20 * MIB),
    LAYERS,
    exact=True,
)
LOST = Problem(
    Cause.BACKEND_LOST,
    ONE,
    ("its connection was closed while a slot was busy", "Remote RPC server crashed"),
    "It is planned anew on the backends that are left.",
)


def _ours(status: CoordinatorStatus, phase: str, **known: object) -> CoordinatorState:
    state = CoordinatorState(
        OURS,
        "localhost",
        ("started",),
        status,
        Owner.OURS,
        4711,
        PLAN.model,
        PLAN.path,
        PLAN.model_bytes,
        backends=PLAN.backends,
        started_at_s=NOW_S - 12,
        seen_at_s=NOW_S - 1,
        asked_at_s=NOW_S - 1,
        supervised=True,
        phase=phase,
        phase_at_s=NOW_S - 10,
        plan=PLAN,
    )
    return state._replace(**known)  # type: ignore[arg-type]


PROBING = _ours(
    CoordinatorStatus.STARTING, "probing", pid=None, backends=(), started_at_s=None, plan=None
)
CONNECTING = _ours(CoordinatorStatus.STARTING, "connecting", expected_s=42.0)
LOADING = _ours(CoordinatorStatus.LOADING, "loading", progress=0.42)
WARMING = _ours(CoordinatorStatus.LOADING, "warming", expected_s=10.0)
READY = _ours(
    CoordinatorStatus.READY,
    "ready",
    shards=SHARDS,
    context_tokens=8192,
    slots_total=1,
    slots_busy=0,
    decode_tps=4.2,
    prefill_tps=61.0,
)
OFFERING = READY._replace(offers_replan=True)
STALLED = READY._replace(
    status=CoordinatorStatus.STALLED,
    fault=Fault(FaultKind.STALLED, "no token for 64 s"),
    phase="stalled",
)
STOPPING = _ours(CoordinatorStatus.STOPPING, "stopping", problems=(LOST,))
FAILED = _ours(
    CoordinatorStatus.FAILED,
    "failed",
    owner=None,
    pid=None,
    backends=(),
    started_at_s=None,
    problems=(LOST,),
    retry_at_s=NOW_S + 12,
)
GIVEN_UP = FAILED._replace(problems=(NO_MEMORY,), retry_at_s=None)
RESTING = FAILED._replace(
    status=CoordinatorStatus.QUARANTINED, phase="quarantined", retry_at_s=NOW_S + 240
)


def cluster(*coordinators: CoordinatorState, mode: Mode = Mode.BOTH) -> ClusterSnapshot:
    """The whole cluster with these coordinators in the place of a stranger's."""
    holder = next((c.url for c in coordinators if c.backends), None)
    backends = tuple(
        b._replace(attached_to=holder, status=BackendStatus.ATTACHED if holder else b.status)
        if b.address in (ONE, TWO)
        else b
        for b in FULL.backends
    )
    return FULL._replace(mode=mode, coordinators=coordinators, backends=backends)
