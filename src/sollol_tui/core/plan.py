"""The plan of a coordinator: which device gets which layers, whether it fits, the exact command.

Pure: the same inputs give the same plan, and nothing is started. What was loaded in the end is told
by the server's log (`core.shard_map`), never by this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sollol_tui.core.ids import BackendAddress, host_of
from sollol_tui.core.placement import (
    Layout,
    Part,
    Place,
    Placed,
    default_layout,
    fitting_layout,
    place,
)
from sollol_tui.core.plan_values import (
    HOST,
    CoordinatorPlan,
    DevicePlan,
    HostMemory,
    PlanBackend,
    PlanModel,
    PlanOptions,
    Question,
    plan_json,
)
from sollol_tui.core.plan_words import limits_for, memory_problems, need_for, notes_of, places_for
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.rpc_version import compatible
from sollol_tui.core.server_flags import (
    CACHE_RAM_MIB,
    MIB,
    Command,
    Flags,
    LocalDevice,
    argv,
    known,
)

__all__ = [
    "CoordinatorPlan",
    "DevicePlan",
    "HostMemory",
    "PlanBackend",
    "PlanModel",
    "PlanOptions",
    "plan",
    "plan_json",
]

_LOOPBACK = "127."


def plan(
    model: PlanModel,
    backends: Sequence[PlanBackend],
    host: HostMemory | None,
    options: PlanOptions,
    *,
    binary: str = "llama-server",
    flags: Flags | None = None,
    local: Sequence[LocalDevice] = (),
) -> CoordinatorPlan:
    """The plan over these backends, in their order; all are used unless one can hold no layer.

    `flags` are the flags of the server's `--help` (None: a current server), `local` its own GPUs,
    which llama.cpp puts behind the RPC devices. `host` None: nothing is said of the host's memory.
    """
    model = model if known(flags, "--mmproj") else model._replace(projector="", projector_bytes=0)
    question = Question(model, host, options, tuple(local))
    usable, problems = _of_one_protocol(backends, options.protocol)
    used, placed, fits = _chosen(question, usable)
    places = places_for(used, question.local)
    limits = limits_for(question, places)
    devices = tuple(
        _device(p, part, limits.fits(i, part))
        for i, (p, part) in enumerate(zip(places, placed.parts, strict=True))
    )
    home = _host_device(placed.host, host, limits.host_fits(placed.host))
    home = home._replace(weights_bytes=home.weights_bytes + model.projector_bytes)
    devices, home = _sharing(devices, home, options.reserve_bytes)
    fits = fits and home.fits and all(d.fits for d in devices)
    problems += memory_problems(question, usable, devices, home)
    if usable and not known(flags, "--rpc"):
        problems.append(_no_rpc(binary))
    return CoordinatorPlan(
        model=model.name,
        path=model.path,
        model_bytes=model.header.file_bytes,
        layers=model.header.layers,
        context_tokens=options.context_tokens,
        slots=options.slots,
        devices=devices,
        host=home,
        fits=fits,
        problems=tuple(problems),
        notes=notes_of(question, usable, used, places, placed),
        argv=argv(_command(question, binary, used, placed, home, flags), flags),
        gpu_layers=placed.layout.gpu_layers,
        backends=tuple(b.address for b in used),
        layer_kv_bytes=tuple(need_for(question).kv),
        projector=model.projector,
    )


def _chosen(
    question: Question, usable: Sequence[PlanBackend]
) -> tuple[list[PlanBackend], Placed, bool]:
    """The backends that are used, and the split; backends that would hold nothing are left out."""
    used = list(usable)
    while True:
        placed, fits = _split(question, places_for(used, question.local))
        idle = _idle(used, placed)
        if question.options.tensor_split or not idle or len(idle) == len(used):
            return used, placed, fits
        used = [b for b in used if b.address not in idle]


def _split(question: Question, places: tuple[Place, ...]) -> tuple[Placed, bool]:
    options = question.options
    need = need_for(question)
    limits = limits_for(question, places)
    default = default_layout(need, places, question.host.total_bytes if question.host else None)
    if options.tensor_split or options.gpu_layers is not None:
        placed = place(need, _wished(options, default), len(places))
        return placed, limits.all_fit(placed)
    found = fitting_layout(need, limits, default)
    return (place(need, default, len(places)), False) if found is None else (found, True)


def _wished(options: PlanOptions, default: Layout) -> Layout:
    count = len(default.weights)
    wished = (*options.tensor_split, *(0.0,) * count)[:count] if options.tensor_split else None
    most = default.gpu_layers
    layers = most if options.gpu_layers is None else min(max(options.gpu_layers, 0), most)
    return Layout(layers, wished or default.weights, written=wished is not None)


def _idle(backends: Sequence[PlanBackend], placed: Placed) -> set[BackendAddress]:
    """The backends none of whose devices holds anything."""
    busy: set[BackendAddress] = set()
    index = 0
    for backend in backends:
        for part in placed.parts[index : index + len(backend.devices)]:
            if part.layers or part.has_output:
                busy.add(backend.address)
        index += len(backend.devices)
    return {b.address for b in backends} - busy


def _of_one_protocol(
    backends: Sequence[PlanBackend], spoken: str | None
) -> tuple[list[PlanBackend], list[Problem]]:
    """The backends that can work together, and a problem for each of the others.

    Where llama-server's own version is not known, the version that most of them speak counts.
    """
    told = [b.protocol for b in backends if b.protocol]
    spoken = spoken or (Counter(told).most_common(1)[0][0] if told else None)
    fine, problems = [], []
    for backend in backends:
        if spoken and backend.protocol and not compatible(spoken, backend.protocol):
            problems.append(_other_protocol(backend, spoken))
        else:
            fine.append(backend)
    return fine, problems


def _other_protocol(backend: PlanBackend, spoken: str) -> Problem:
    evidence = (f"it speaks RPC {backend.protocol}", f"the coordinator speaks RPC {spoken}")
    advice = "Install the same llama.cpp build there; it is left out until then."
    return Problem(Cause.BACKEND_INCOMPATIBLE, backend.address, evidence, advice)


def _no_rpc(binary: str) -> Problem:
    advice = "Use a llama.cpp build with RPC (cmake -DGGML_RPC=ON); the release builds have it."
    return Problem(Cause.NO_RPC_SUPPORT, binary, ("its --help knows no --rpc",), advice)


def _device(where: Place, part: Part, fits: bool) -> DevicePlan:
    total, free = (where.total_bytes, where.free_bytes) if where.told else (None, None)
    return _plan_of(where.name, where.address, part, total, free, fits)


def _host_device(part: Part, host: HostMemory | None, fits: bool) -> DevicePlan:
    total, free = (host.total_bytes, host.free_bytes) if host else (None, None)
    return _plan_of(HOST, "", part, total, free, fits)


def _plan_of(
    name: str, address: str, part: Part, total: int | None, free: int | None, fits: bool
) -> DevicePlan:
    return DevicePlan(
        name,
        address,
        part.layers,
        part.has_output,
        part.weights_bytes,
        part.kv_bytes,
        part.compute_bytes,
        total,
        free,
        fits,
    )


def _sharing(
    devices: tuple[DevicePlan, ...], home: DevicePlan, reserve_bytes: int
) -> tuple[tuple[DevicePlan, ...], DevicePlan]:
    """The devices again, with those that share one machine's memory judged together.

    Every CPU device tells the whole memory of its machine: two backends on one host, or one beside
    the coordinator, would count it twice.
    """
    taken: Counter[str] = Counter()
    for device in devices:
        taken[_memory_of(device)] += device.bytes
    judged = []
    for device in devices:
        machine, free = _memory_of(device), device.free_bytes
        beside = taken[machine] + (home.bytes if machine == HOST else 0)
        shared = bool(machine) and device.bytes > 0 and beside > device.bytes
        fits = not shared or free is None or beside + reserve_bytes <= free
        judged.append(device._replace(fits=device.fits and fits))
    if home.free_bytes is not None and taken[HOST] + home.bytes > home.free_bytes:
        home = home._replace(fits=False)
    return tuple(judged), home


def _memory_of(device: DevicePlan) -> str:
    """The machine whose main memory a device uses, "" for a device with memory of its own."""
    if not device.address or device.free_bytes is None or device.free_bytes != device.total_bytes:
        return ""
    host = host_of(device.address)
    return HOST if host.startswith(_LOOPBACK) else host


def _command(
    question: Question,
    binary: str,
    used: Sequence[PlanBackend],
    placed: Placed,
    home: DevicePlan,
    flags: Flags | None,
) -> Command:
    options, layout = question.options, placed.layout
    partly = layout.gpu_layers <= question.model.header.layers
    said = options.gpu_layers is not None or partly or not known(flags, "--fit")
    return Command(
        binary=binary,
        model_path=question.model.path,
        alias=question.model.name,
        backends=tuple(b.address for b in used),
        host=options.host,
        port=options.port,
        context_tokens=options.context_tokens,
        slots=options.slots,
        gpu_layers=layout.gpu_layers if said and placed.parts else None,
        tensor_split=layout.weights if layout.written and len(layout.weights) > 1 else (),
        adapters=question.model.adapters,
        projector=question.model.projector,
        fit_target_mib=options.reserve_bytes // MIB,
        cache_ram_mib=_cache_ram_mib(home),
        threads=options.threads,
        extra=options.extra,
    )


def _cache_ram_mib(home: DevicePlan) -> int:
    """How much old context llama-server may keep in the host's memory: 8 GiB, or half the rest."""
    if home.free_bytes is None:
        return CACHE_RAM_MIB
    return max(min(CACHE_RAM_MIB, (home.free_bytes - home.bytes) // 2 // MIB), 0)
