"""What is known of the cluster at one moment: frozen values, `None` where nothing was measured.

They are named tuples, not dataclasses: forty classes cost the first frame 6 ms instead of 28
(measured), comparing two snapshots stops at identical parts, and `_replace` makes the next one.
Times (`_at_s`) are seconds since the epoch, passed in by whoever measured.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl

if TYPE_CHECKING:  # what the first screen does not need stays unloaded
    from sollol_tui.core.plan_values import CoordinatorPlan
    from sollol_tui.core.problems import Problem
    from sollol_tui.core.shard_map import ShardMap


class Mode(StrEnum):
    """How requests are spread (S1)."""

    TASK = "task"
    MODEL = "model"
    BOTH = "both"
    OFF = "off"


class NodeStatus(StrEnum):
    UP = "up"
    STARTING = "starting"  # accepts connections, answers nothing yet
    STALLED = "stalled"  # answers its API, moves no token
    SATURATED = "saturated"  # says its queue is full, or 429
    UNAUTHORIZED = "unauthorized"  # 401, 403
    DOWN = "down"
    UNKNOWN = "unknown"


class BackendStatus(StrEnum):
    IDLE = "idle"  # answered a probe: free
    ATTACHED = "attached"  # a coordinator holds it: serving, and never probed
    DOWN = "down"  # refused
    UNKNOWN = "unknown"  # no answer: busy with somebody, or gone
    INCOMPATIBLE = "incompatible"  # speaks another protocol version


class CoordinatorStatus(StrEnum):
    UNKNOWN = "unknown"
    STOPPED = "stopped"  # nothing listens there
    STARTING = "starting"
    LOADING = "loading"
    READY = "ready"
    STALLED = "stalled"
    STOPPING = "stopping"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class Owner(StrEnum):
    """Whose a coordinator is."""

    OURS = "ours"  # started by this program
    ADOPTED = "adopted"  # runs on this host, started by somebody else
    REMOTE = "remote"  # runs elsewhere: monitored and used, never started or stopped


class RegistryStatus(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"
    OFF = "off"  # not configured


class Health(NamedTuple):
    """What hysteresis needs to remember of one target (see `core.health`)."""

    failures: int = 0  # in a row
    successes: int = 0  # in a row
    next_look_at_s: float = 0.0
    rests_until_s: float = 0.0  # stalled: not tried again before


class HealthRules(NamedTuple):
    """How often to look, and how many looks it takes to change one's mind."""

    interval_s: float = 5.0
    failures_to_down: int = 3
    successes_to_up: int = 2
    backoff_max_s: float = 60.0
    first_token_limit_s: float = 300.0
    token_gap_limit_s: float = 60.0


class NodeModel(NamedTuple):
    """A model that lies on a node, as its `/api/tags` says."""

    name: str
    size_bytes: int | None = None
    parameters: float | None = None  # number of weights, from metadata
    quantization: str = ""
    family: str = ""
    trained_context_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    remote_host: str = ""  # not empty: a cloud stub, nothing lies here
    digest: str = ""


class LoadedModel(NamedTuple):
    """A model in a node's memory, as its `/api/ps` says."""

    name: str
    bytes: int | None = None
    vram_bytes: int | None = None
    context_tokens: int | None = None
    expires_at_s: float | None = None


class NodeState(NamedTuple):
    """An Ollama node."""

    url: NodeUrl
    name: str = ""
    sources: tuple[str, ...] = ()
    status: NodeStatus = NodeStatus.UNKNOWN
    version: str | None = None
    models: tuple[NodeModel, ...] = ()
    loaded: tuple[LoadedModel, ...] = ()
    latency_ms: float | None = None
    fault: Fault | None = None
    seen_at_s: float | None = None  # last good answer
    asked_at_s: float | None = None  # last look
    health: Health = Health()
    in_flight: int = 0  # our own requests there
    weight: float = 1.0
    drained: bool = False
    gpu: str = ""  # what a reporter said of its GPUs, for people
    vram_total_bytes: int | None = None
    vram_free_bytes: int | None = None


class Slot(NamedTuple):
    """One parallel sequence of a llama-server."""

    id: int
    busy: bool
    context_tokens: int | None = None
    used_tokens: int | None = None  # prompt and answer so far
    decoded_tokens: int | None = None


class ServerCounters(NamedTuple):
    """llama-server's own running totals (`/metrics`), from which rates are made."""

    prompt_tokens: float
    prompt_s: float
    decoded_tokens: float
    decoded_s: float
    processing: int
    deferred: int


class CoordinatorState(NamedTuple):
    """A llama-server that spreads one model over RPC backends."""

    url: CoordinatorUrl
    name: str = ""
    sources: tuple[str, ...] = ()
    status: CoordinatorStatus = CoordinatorStatus.UNKNOWN
    owner: Owner | None = None
    pid: int | None = None
    model: str | None = None
    model_path: str | None = None
    model_bytes: int | None = None
    parameters: float | None = None
    quantization: str = ""
    context_tokens: int | None = None  # per slot
    slots: tuple[Slot, ...] | None = None
    slots_total: int | None = None
    slots_busy: int | None = None
    deferred: int | None = None  # requests that wait for a slot
    counters: ServerCounters | None = None
    prefill_tps: float | None = None
    decode_tps: float | None = None
    backends: tuple[BackendAddress, ...] = ()
    lost_backends: tuple[BackendAddress, ...] = ()  # of them, those whose connection broke
    started_at_s: float | None = None
    sleeping: bool = False
    build: str = ""
    latency_ms: float | None = None
    fault: Fault | None = None
    seen_at_s: float | None = None
    asked_at_s: float | None = None
    health: Health = Health()
    in_flight: int = 0
    moved_at_s: float | None = None  # when a busy slot last made progress
    supervised: bool = False  # this program starts, watches and restarts it
    phase: str = ""  # finer than the status, see `core.lifecycle.Phase`
    phase_at_s: float | None = None  # since when
    progress: float | None = None  # of loading, 0 to 1
    expected_s: float | None = None  # how long a start took the last time
    problems: tuple[Problem, ...] = ()
    retry_at_s: float | None = None
    plan: CoordinatorPlan | None = None
    shards: ShardMap | None = None
    offers_replan: bool = False  # a new plan would have more backends (N11)
    sees: bool | None = None  # takes pictures, as its `/props` say


class BackendState(NamedTuple):
    """A ggml-rpc-server."""

    address: BackendAddress
    sources: tuple[str, ...] = ()
    status: BackendStatus = BackendStatus.UNKNOWN
    protocol: str | None = None  # "7.0.0"
    devices: tuple[Device, ...] = ()
    told: str = ""  # what the registry says of its devices, for people
    latency_ms: float | None = None
    attached_to: CoordinatorUrl | None = None
    fault: Fault | None = None
    seen_at_s: float | None = None
    asked_at_s: float | None = None
    health: Health = Health()
    heartbeat_at_s: float | None = None  # of the worker that registered it, when it sends any
    host_answered_at_s: float | None = None  # its host, at another port, while it cannot be asked
    host_silent: int = 0  # looks at the host without an answer, in a row


class RegistryState(NamedTuple):
    """The Redis that SOLLOL clusters register in."""

    url: str
    status: RegistryStatus = RegistryStatus.UNKNOWN
    fault: Fault | None = None
    seen_at_s: float | None = None
    asked_at_s: float | None = None


class RequestState(NamedTuple):
    """One of our requests that has not ended."""

    id: str
    model: str
    target: str
    started_at_s: float
    first_token_at_s: float | None = None
    last_token_at_s: float | None = None
    tokens: int = 0


class Totals(NamedTuple):
    """Our own requests since the program started."""

    requests: int = 0
    errors: int = 0
    tokens: int = 0


class ClusterSnapshot(NamedTuple):
    """All that is known, ordered by name, never changed in place."""

    mode: Mode = Mode.TASK
    pinned: str = ""  # the node that mode `off` uses
    nodes: tuple[NodeState, ...] = ()
    coordinators: tuple[CoordinatorState, ...] = ()
    backends: tuple[BackendState, ...] = ()
    registry: RegistryState | None = None
    requests: tuple[RequestState, ...] = ()
    totals: Totals = Totals()
    looked: bool = False  # every target was looked at once
    rules: HealthRules = HealthRules()
    drained: tuple[str, ...] = ()  # nodes that get nothing new, known at the moment or not
    own_places: tuple[CoordinatorUrl, ...] = ()  # of ours, where several are set up
    promised: tuple[tuple[BackendAddress, CoordinatorUrl], ...] = ()  # by the settings, to those
    set_models: tuple[tuple[CoordinatorUrl, str], ...] = ()  # that are run there when asked for

    def node(self, url: str) -> NodeState | None:
        return next((n for n in self.nodes if n.url == url), None)

    def coordinator(self, url: str) -> CoordinatorState | None:
        return next((c for c in self.coordinators if c.url == url), None)

    def backend(self, address: str) -> BackendState | None:
        return next((b for b in self.backends if b.address == address), None)
