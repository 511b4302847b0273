"""What one look at the world brought: made by `io`, folded into the snapshot by `core.reduce`."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.state import BackendStatus, LoadedModel, NodeModel, ServerCounters, Slot


class NodeReport(NamedTuple):
    """An Ollama node answered."""

    version: str | None
    models: tuple[NodeModel, ...]
    loaded: tuple[LoadedModel, ...] | None  # None: `/api/ps` did not answer (a model is switching)
    latency_ms: float


class CoordinatorReport(NamedTuple):
    """A llama-server answered. `None` fields were not told this time and keep their last value."""

    loading: bool  # 503 "Loading model"
    latency_ms: float
    model: str | None = None
    model_path: str | None = None
    model_bytes: int | None = None
    parameters: float | None = None
    quantization: str | None = None
    context_tokens: int | None = None
    slots: tuple[Slot, ...] | None = None
    slots_total: int | None = None
    counters: ServerCounters | None = None
    sleeping: bool = False
    build: str | None = None
    fault: Fault | None = None  # alive, but part of it refused (401 on /slots)
    sees: bool | None = None  # takes pictures


class ServerProcess(NamedTuple):
    """A llama-server process on this host, read through the process table."""

    pid: int
    started_at_s: float
    port: int
    host: str
    model_path: str | None
    alias: str | None
    backends: tuple[BackendAddress, ...]  # its `--rpc`
    attached: tuple[BackendAddress, ...]  # of them, those with an ESTABLISHED socket
    lost: tuple[BackendAddress, ...]  # of them, those whose socket is in CLOSE_WAIT
    argv: tuple[str, ...] = ()


class BackendReport(NamedTuple):
    """What a probe of an RPC backend found. DOWN and UNKNOWN carry the fault."""

    status: BackendStatus
    protocol: str | None = None
    devices: tuple[Device, ...] = ()
    latency_ms: float | None = None
    fault: Fault | None = None


class FoundNode(NamedTuple):
    """A place where an Ollama node may be, and who said so."""

    url: NodeUrl
    source: str  # redis, env, config, localhost, sollol-file, hand
    name: str = ""
    age_s: float | None = None  # how old the statement is, when it says
    gpu: str = ""
    vram_total_bytes: int | None = None
    vram_free_bytes: int | None = None
    weight: float = 1.0  # of the settings


class FoundBackend(NamedTuple):
    """A place where an RPC backend may be, and who said so."""

    address: BackendAddress
    source: str
    age_s: float | None = None
    told: str = ""  # devices as registered, for people: "RTX 3090 19.2 GiB · CPU 11.7 GiB"
    beats: bool = False  # the statement is a worker's heartbeat: it is made again and again


class FoundCoordinator(NamedTuple):
    """A place where a llama-server may be, and who said so."""

    url: CoordinatorUrl
    source: str
    name: str = ""


class RegistryReport(NamedTuple):
    """Everything a SOLLOL registry says."""

    nodes: tuple[FoundNode, ...]
    backends: tuple[FoundBackend, ...]
    latency_ms: float
    apps: tuple[str, ...] = ()  # names of the SOLLOL programs that wrote there
    notes: tuple[str, ...] = ()  # values that could not be read, in plain words


class ModelDetails(NamedTuple):
    """One model as `/api/show` tells it."""

    name: str
    parameters: float | None
    layers: int | None
    trained_context_tokens: int | None
    embedding_length: int | None
    heads: int | None
    kv_heads: int | None
    experts: int | None
    capabilities: tuple[str, ...]
    architecture: str = ""
    quantization: str = ""
    blob_path: str = ""  # where the GGUF lies on that node
    remote_host: str = ""
