"""From a wish to a plan: which program, which model, which backends answer, and whether it fits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress
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
from sollol_tui.core.state import BackendState, BackendStatus
from sollol_tui.io import binaries, blobs, host, stores
from sollol_tui.io.blobs import ModelFile
from sollol_tui.io.rpc import Prober
from sollol_tui.io.server_devices import local_devices

CONNECT_WITHIN_S = 1.0


class Planner:
    """Makes plans. Asks the disk and the backends each time: what was true may have changed."""

    def __init__(
        self, settings: Settings, prober: Prober, env: Mapping[str, str] = os.environ
    ) -> None:
        self._settings = settings
        self._env = env
        self._prober = prober  # shared with the pollers: one probe per backend at a time

    async def plan(self, order: Order, known: Sequence[BackendState]) -> Planned:
        """The plan for an order over those of the known backends that are free.

        Backends that the order names must all answer; others are left out when they do not, and
        told behind everything else.
        """
        binary = await asyncio.to_thread(binaries.find_llama_server, self._settings, self._env)
        model = await asyncio.to_thread(self._model, order)
        reports = await self._probe(order, known)
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
        made = plan(
            PlanModel(order.alias or model.name, model.path, model.header, model.adapters),
            free,
            await asyncio.to_thread(_host_memory),
            self._options(order, model),
            binary=str(binary.path),
            flags=parse_help(binary.help),
            local=await asyncio.to_thread(local_devices, binary.path),
        )
        return Planned(made, (*problems, *made.problems, *away), blocked)

    def _model(self, order: Order) -> ModelFile | Problem:
        """The model that was asked for, never another one (S3)."""
        asked = self._settings.model_path or order.model
        places = stores.stores(self._env, self._settings.ollama_models)
        if order.model and blobs.is_path(order.model):
            asked = order.model
        if asked:
            return blobs.resolve_model(asked, places)
        return blobs.largest_model(places)

    def _options(self, order: Order, model: ModelFile) -> PlanOptions:
        settings = self._settings
        context = order.context_tokens or settings.context_tokens
        trained = model.header.trained_context_tokens
        return PlanOptions(
            context_tokens=min(context, trained) if trained else context,
            slots=settings.coordinator_slots,
            tensor_split=order.tensor_split,
            gpu_layers=order.gpu_layers,
            host=order.host,
            port=order.port,
        )

    async def _probe(
        self, order: Order, known: Sequence[BackendState]
    ) -> dict[BackendAddress, BackendReport]:
        wanted = order.backends
        addresses = wanted if wanted is not None else [b.address for b in known]
        held = {b.address: b for b in known if b.attached_to is not None}
        asked = [a for a in dict.fromkeys(addresses) if a not in held]
        reports = await asyncio.gather(
            *(self._prober.probe(a, connect_within_s=CONNECT_WITHIN_S) for a in asked)
        )
        probed = dict(zip(asked, reports, strict=True))
        return {
            a: probed[a] if a in probed else _held_report(held[a]) for a in dict.fromkeys(addresses)
        }


def _held_report(backend: BackendState) -> BackendReport:
    """What stands for a probe of a backend that a coordinator holds: it is not to be disturbed."""
    words = f"held by {backend.attached_to}"
    return BackendReport(
        BackendStatus.ATTACHED,
        backend.protocol,
        backend.devices,
        fault=Fault(FaultKind.SATURATED, words),
    )


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
