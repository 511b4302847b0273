"""From a wish to a plan: which program, which model, which backends answer, and whether it fits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, is_called, is_model_path
from sollol_tui.core.kept_order import for_those_left, over_all
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.plan import (
    HostMemory,
    PlanBackend,
    PlanModel,
    PlanOptions,
    plan,
)
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.server_flags import parse_help
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import BackendState, BackendStatus, CoordinatorState
from sollol_tui.io import binaries, blobs, host, stores
from sollol_tui.io.binaries import Binary
from sollol_tui.io.blobs import ModelFile
from sollol_tui.io.rpc import Prober
from sollol_tui.io.server_devices import local_devices

CONNECT_WITHIN_S = 1.0
_NAMED_BY = "model_path (or SOLLOL_MODEL_PATH)"

NOTHING_TAKEN: Mapping[BackendAddress, CoordinatorUrl] = {}


class Planner:
    """Makes plans. Asks the disk and the backends each time: what was true may have changed."""

    def __init__(
        self, settings: Settings, prober: Prober, env: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._env = env
        self._prober = prober  # shared with the pollers: one probe per backend at a time
        self._binary: tuple[Binary, int] | None = None  # that was found last, and how old it is

    async def plan(
        self,
        order: Order,
        known: Sequence[BackendState],
        ours: CoordinatorState | None = None,
        taken: Mapping[BackendAddress, CoordinatorUrl] = NOTHING_TAKEN,
    ) -> Planned:
        """The plan for an order over those of the known backends that are free.

        Backends that the order names must all answer; others are left out when they do not, and
        told behind everything else. `ours` is a coordinator that the plan would replace: its
        backends count as free, as they were before it took them. `taken` are those that another
        coordinator of ours holds or was promised.
        """
        planned = await self._plan(order, known, ours, taken)
        if order.or_all and planned.plan is not None and not planned.startable:
            return await self._plan(over_all(order), known, ours, taken)
        return planned

    async def _plan(
        self,
        order: Order,
        known: Sequence[BackendState],
        ours: CoordinatorState | None,
        taken: Mapping[BackendAddress, CoordinatorUrl],
    ) -> Planned:
        binary = await asyncio.to_thread(self._found_binary)
        model = await asyncio.to_thread(self._model, order)
        reports = await self.probe(order.backends, known, ours, taken)
        problems = [p for p in (binary, model) if isinstance(p, Problem)]
        away = [p for a, r in reports.items() if (p := backend_problem(a, r)) is not None]
        if order.backends is not None:
            problems, away = problems + away, []
        blocked = bool(problems) and order.strict
        if isinstance(binary, Problem) or isinstance(model, Problem):
            return Planned(None, (*problems, *away), True)
        free = [
            PlanBackend(address, report.devices, report.protocol)
            for address, report in reports.items()
            if report.status is BackendStatus.IDLE
        ]
        order = for_those_left(order, len(free))
        made = plan(
            await asyncio.to_thread(_plan_model, order, model),
            free,
            await asyncio.to_thread(_host_memory),
            self._options(order, model),
            binary=str(binary.path),
            flags=parse_help(binary.help),
            local=await asyncio.to_thread(local_devices, binary.path),
        )
        if order.strict and order.backends is not None:
            blocked |= any(p.cause is Cause.BACKEND_INCOMPATIBLE for p in made.problems)
        made = made._replace(left_out=_left_out(made.backends, free, known))
        return Planned(made, (*problems, *made.problems, *away), blocked)

    def _found_binary(self) -> Binary | Problem:
        """The program: looked for anew unless the one that was found last is still the same.

        A restart must not wait for its `--help`: a host with GPUs takes seconds for that.
        """
        if self._binary is not None and _changed_ns(self._binary[0].path) == self._binary[1]:
            return self._binary[0]
        found = binaries.find_llama_server(self._settings, self._env)
        if isinstance(found, Binary):
            self._binary = found, _changed_ns(found.path)
        return found

    def _model(self, order: Order) -> ModelFile | Problem:
        """The model that was asked for, never another one (S3)."""
        places = stores.stores(self._env, self._settings.ollama_models)
        configured, asked = self._settings.model_path, order.model
        if configured and not (asked and (order.insists or is_model_path(asked))):
            return _as_configured(configured, asked, places)
        return blobs.resolve_model(asked, places) if asked else blobs.largest_model(places)

    def objection(self, model: str) -> Problem | None:
        """Why no coordinator is started for a model that was asked for: the settings name another.

        Blocks while the disk is read: call it in a thread.
        """
        if not self._settings.model_path:
            return None
        found = self._model(Order(model))
        is_another = isinstance(found, Problem) and found.subject == self._settings.model_path
        return found if isinstance(found, Problem) and is_another else None

    def _options(self, order: Order, model: ModelFile) -> PlanOptions:
        settings = self._settings
        context = order.context_tokens or settings.context_tokens
        trained = model.header.trained_context_tokens
        return PlanOptions(
            context_tokens=min(context, trained) if trained else context,
            slots=order.slots or settings.coordinator_slots,
            tensor_split=order.tensor_split,
            gpu_layers=order.gpu_layers,
            host=order.host,
            port=order.port,
            extra=order.extra,
        )

    async def probe(
        self,
        wanted: Sequence[BackendAddress] | None,
        known: Sequence[BackendState],
        ours: CoordinatorState | None = None,
        taken: Mapping[BackendAddress, CoordinatorUrl] = NOTHING_TAKEN,
    ) -> dict[BackendAddress, BackendReport]:
        """What these backends answer (None: all that are known); one in use is not asked."""
        addresses = dict.fromkeys(wanted if wanted is not None else [b.address for b in known])
        held = {b.address: _held_report(b, ours) for b in known if b.attached_to is not None}
        held |= {address: _taken_report(url) for address, url in taken.items()}
        asked = [a for a in addresses if a not in held]
        reports = await asyncio.gather(
            *(self._prober.probe(a, connect_within_s=CONNECT_WITHIN_S) for a in asked)
        )
        probed = dict(zip(asked, reports, strict=True))
        return {a: probed[a] if a in probed else held[a] for a in addresses}


def _as_configured(configured: str, asked: str, places: Sequence[Path]) -> ModelFile | Problem:
    """The file that the settings name. Who asks for another model does not get that one instead:
    the same file under the name that was asked for will do.
    """
    file = blobs.resolve_model(configured, places)
    if isinstance(file, Problem):
        return file._replace(next=f"{_NAMED_BY} names it. {file.next}")
    if not asked or is_called(asked, file.name, file.path):
        return file
    wanted = blobs.resolve_model(asked, places)
    if isinstance(wanted, ModelFile) and Path(wanted.path).resolve() == Path(file.path).resolve():
        return wanted
    evidence = (f"{_NAMED_BY} names {file.path}", f"{asked} was asked for")
    advice = f"Ask for {file.name}, or unset model_path and SOLLOL_MODEL_PATH."
    said = f"The coordinator is set to run {file.name}, not {asked}."
    return Problem(Cause.MODEL_NOT_FOUND, configured, evidence, advice, said)


def _left_out(
    used: Sequence[BackendAddress], free: Sequence[PlanBackend], known: Sequence[BackendState]
) -> tuple[BackendAddress, ...]:
    """The free backends that a plan does without: nothing fits there, or others were named."""
    idle = (b.address for b in known if b.status is BackendStatus.IDLE)
    return tuple(a for a in dict.fromkeys((*(b.address for b in free), *idle)) if a not in used)


def _plan_model(order: Order, model: ModelFile) -> PlanModel:
    adapters = () if "--lora" in order.extra else model.adapters
    projector = model.projector if order.projector is None else order.projector
    try:
        held = os.path.getsize(projector) if projector else 0
    except OSError:  # without it the model still answers
        projector, held = "", 0
    name = order.alias or model.name
    return PlanModel(name, model.path, model.header, adapters, projector, held)


def _changed_ns(program: Path) -> int:
    try:
        return program.stat().st_mtime_ns
    except OSError:
        return 0


def _held_report(backend: BackendState, ours: CoordinatorState | None) -> BackendReport:
    """What stands for a probe of a backend that a coordinator holds: it is not to be disturbed."""
    if ours is not None and backend.attached_to == ours.url:
        devices = backend.devices or _devices_of(backend.address, ours)
        return BackendReport(BackendStatus.IDLE, backend.protocol, devices)
    words = f"held by {backend.attached_to}"
    return BackendReport(
        BackendStatus.ATTACHED,
        backend.protocol,
        backend.devices,
        fault=Fault(FaultKind.SATURATED, words),
    )


def _taken_report(url: CoordinatorUrl) -> BackendReport:
    fault = Fault(FaultKind.SATURATED, f"meant for the coordinator at {url}")
    return BackendReport(BackendStatus.ATTACHED, fault=fault)


def _devices_of(address: BackendAddress, ours: CoordinatorState) -> tuple[Device, ...]:
    """The devices as the coordinator's log listed them before it loaded its model."""
    shards = ours.shards.devices if ours.shards is not None else ()
    mine = (s for s in shards if s.address == address)
    return tuple(Device(s.total_bytes or 0, s.free_bytes or 0) for s in mine)


def _host_memory() -> HostMemory:
    total_bytes, free_bytes = host.memory()
    return HostMemory(total_bytes, free_bytes)


def backend_problem(address: BackendAddress, report: BackendReport) -> Problem | None:
    """Why a backend that was asked for cannot be used; None when it can."""
    if report.status is BackendStatus.IDLE:
        return None
    cause = _CAUSES.get(report.status, Cause.BACKEND_UNREACHABLE)
    silent = report.fault is not None and report.fault.kind is FaultKind.TIMEOUT
    if report.status is BackendStatus.UNKNOWN and silent:
        cause = Cause.BACKEND_BUSY  # it accepts connections and serves somebody else
    evidence = (str(report.fault),) if report.fault is not None else ()
    if report.status is BackendStatus.ATTACHED and report.fault is not None:
        evidence = (report.fault.detail,)
    return Problem(cause, address, evidence, _ADVICE[cause])


_CAUSES = {
    BackendStatus.DOWN: Cause.BACKEND_REFUSED,
    BackendStatus.INCOMPATIBLE: Cause.BACKEND_INCOMPATIBLE,
    BackendStatus.ATTACHED: Cause.BACKEND_BUSY,
}
_ADVICE = {
    Cause.BACKEND_REFUSED: "Start a backend there (`sollol-tui worker`), or leave it out.",
    Cause.BACKEND_INCOMPATIBLE: "Install the same llama.cpp build here and on the backend.",
    Cause.BACKEND_BUSY: "Stop the coordinator that holds it, or leave it out.",
    Cause.BACKEND_UNREACHABLE: "Check that the machine is on and that no firewall drops the port.",
}
