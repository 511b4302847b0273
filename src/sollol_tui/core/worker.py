"""A worker: one RPC backend that is kept up and told to the registry. Its order and its events."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.lifecycle import phase_json
from sollol_tui.core.phases import Phase
from sollol_tui.core.plain import plain_line
from sollol_tui.core.problems import Problem, problem_event_json
from sollol_tui.core.server_flags import parse_help
from sollol_tui.core.worker_entry import WorkerDevice, device_json


class WorkerOrder(NamedTuple):
    """What is to be kept up.

    `host` is a numeric IPv4 address: the backend takes no other. `advertised` is what the registry
    is told; without `redis_url` nobody is. `ends_with_us`: the kernel ends it when this program
    ends, however that does (Linux).
    """

    binary: str
    host: str
    port: int
    devices: str = ""  # comma list; empty: all that llama.cpp finds
    threads: int | None = None
    cache: bool = False
    redis_url: str = ""
    advertised: BackendAddress | None = None
    ends_with_us: bool = True

    @property
    def address(self) -> BackendAddress:
        """Where it listens."""
        return BackendAddress(f"{self.host}:{self.port}")


def worker_argv(order: WorkerOrder) -> tuple[str, ...]:
    """The backend's command line."""
    return (order.binary, *_wishes(order))


def unknown_flags(order: WorkerOrder, help_text: str) -> tuple[str, ...]:
    """What the order wants and this build does not know: given it, the backend would end at once,
    with exit code 0."""
    known = parse_help(help_text)
    return tuple(w for w in _wishes(order) if w.startswith("--") and w not in known)


def _wishes(order: WorkerOrder) -> list[str]:
    words = ["--host", order.host, "--port", str(order.port)]
    words += ["--device", order.devices] if order.devices else []
    words += ["--threads", str(order.threads)] if order.threads else []
    words += ["--cache"] if order.cache else []
    return words


class PhaseChanged(NamedTuple):
    """`retry_in_s` is when it is started again, after FAILED or QUARANTINED; None: it is not."""

    at_s: float
    phase: Phase
    pid: int | None = None
    retry_in_s: float | None = None


class ProblemFound(NamedTuple):
    """Something is in the way."""

    at_s: float
    problem: Problem


class DevicesSeen(NamedTuple):
    """The backend told its devices; they may be seen again when a client has left."""

    at_s: float
    protocol: str | None
    devices: tuple[WorkerDevice, ...]


class ClientsChanged(NamedTuple):
    """Who is connected; none: it is free. A backend serves one at a time."""

    at_s: float
    clients: tuple[str, ...]


class RegistryChanged(NamedTuple):
    """The registry was told, or why it could not be; `registered` is what it holds now."""

    at_s: float
    address: BackendAddress
    registered: bool
    fault: Fault | None = None


WorkerEvent: TypeAlias = (
    PhaseChanged | ProblemFound | DevicesSeen | ClientsChanged | RegistryChanged
)


def worker_event_json(event: WorkerEvent, address: BackendAddress) -> dict[str, object]:
    """The event as `sollol-tui worker --json` prints it."""
    match event:
        case PhaseChanged(at_s, phase, pid, retry_in_s):
            more = {"address": address, "retry_in_s": retry_in_s}
            return {**phase_json(at_s, phase, pid=pid), **more}
        case ProblemFound(at_s, problem):
            return problem_event_json(at_s, problem)
        case DevicesSeen(at_s, protocol, devices):
            told = [device_json(device) for device in devices]
            return {"at": at_s, "event": "devices", "protocol": protocol, "devices": told}
        case ClientsChanged(at_s, clients):
            return {"at": at_s, "event": "clients", "clients": list(clients)}
        case RegistryChanged(at_s, told_as, registered, fault):
            error = plain_line(str(fault)) if fault else None
            head = {"at": at_s, "event": "registry", "address": told_as}
            return {**head, "registered": registered, "error": error}
