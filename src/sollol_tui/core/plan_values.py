"""The plan of a coordinator as values: what it is made from, what it says, its JSON form."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.devices import Device
from sollol_tui.core.gguf import GgufHeader
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.problems import Cause, Problem, problem_json
from sollol_tui.core.server_flags import LocalDevice

GIB = 1 << 30
HOST = "host"


class PlanBackend(NamedTuple):
    """A free RPC backend, as its probe told."""

    address: BackendAddress
    devices: tuple[Device, ...]
    protocol: str | None = None


class PlanModel(NamedTuple):
    """The model to run: the name asked for, its file, what its header says."""

    name: str
    path: str
    header: GgufHeader
    adapters: tuple[str, ...] = ()  # LoRA files that belong to it
    projector: str = ""  # the file that it sees pictures with
    projector_bytes: int = 0


class HostMemory(NamedTuple):
    """The memory of the coordinator's machine."""

    total_bytes: int
    free_bytes: int


class PlanOptions(NamedTuple):
    """What a person may want."""

    context_tokens: int = 8192  # in each slot
    slots: int = 1
    tensor_split: tuple[float, ...] = ()  # share of each device; empty: found here
    gpu_layers: int | None = None  # of the layers and the output; None: as many as fit
    reserve_bytes: int = GIB  # left free on every device, llama-server's own margin
    host: str = "127.0.0.1"
    port: int = 18080
    threads: int | None = None
    protocol: str | None = None  # the RPC version that llama-server speaks, when it is known
    extra: tuple[str, ...] = ()  # more words for the command line


class DevicePlan(NamedTuple):
    """One device's part, or the host's."""

    name: str  # "RPC0", "CUDA0", "host"
    address: str  # of the backend; "" on the coordinator's own machine
    layers: tuple[int, ...]  # repeating layers, by number
    has_output: bool
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int  # an estimate, see memory_need
    total_bytes: int | None
    free_bytes: int | None  # None: not told
    fits: bool

    @property
    def bytes(self) -> int:
        """All that it will hold."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes


class CoordinatorPlan(NamedTuple):
    """Everything that is shown before a coordinator is started."""

    model: str
    path: str
    model_bytes: int
    layers: int
    context_tokens: int  # in each slot
    slots: int
    devices: tuple[DevicePlan, ...]
    host: DevicePlan
    fits: bool
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    argv: tuple[str, ...]
    gpu_layers: int
    backends: tuple[BackendAddress, ...]  # those that it uses, in their order
    left_out: tuple[BackendAddress, ...] = ()  # free ones that it does without
    layer_kv_bytes: tuple[int, ...] = ()  # what each layer's context takes: not all take the same
    projector: str = ""  # the file that it sees pictures with, loaded on this machine

    @property
    def startable(self) -> bool:
        """Whether nothing speaks against starting; a backend left out does not."""
        return self.fits and not any(p.cause in _BLOCKING for p in self.problems)


_BLOCKING = {Cause.NO_BINARY, Cause.NO_RPC_SUPPORT, Cause.OUT_OF_MEMORY, Cause.MODEL_REFUSED}


class Question(NamedTuple):
    """The inputs of a plan, less the backends."""

    model: PlanModel
    host: HostMemory | None
    options: PlanOptions
    local: tuple[LocalDevice, ...]


def plan_json(plan: CoordinatorPlan) -> dict[str, object]:
    """The plan as `coordinator plan --json` prints it; the host is the last device."""
    return {
        "schema": 1,
        "model": plan.model,
        "gguf": plan.path,
        "model_bytes": plan.model_bytes,
        "layers": plan.layers,
        "context_tokens": plan.context_tokens,
        "devices": [_device_json(d) for d in (*plan.devices, plan.host)],
        "fits": plan.fits,
        "argv": list(plan.argv),
        "problems": [problem_json(p) for p in plan.problems],
        "notes": list(plan.notes),
    }


def _device_json(device: DevicePlan) -> dict[str, object]:
    return {
        "name": device.name,
        "address": device.address or None,
        "layers": len(device.layers),
        "weights_bytes": device.weights_bytes,
        "kv_bytes": device.kv_bytes,
        "compute_bytes": device.compute_bytes,
        "free_bytes": device.free_bytes,
        "fits": device.fits,
    }
