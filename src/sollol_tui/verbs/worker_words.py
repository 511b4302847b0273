"""What `sollol-tui worker` says: the warning before it, and a line for every event."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from sollol_tui.core import units
from sollol_tui.core.phases import Phase
from sollol_tui.core.plain import without_password
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.worker import (
    ClientsChanged,
    DevicesSeen,
    PhaseChanged,
    ProblemFound,
    RegistryChanged,
    WorkerEvent,
    WorkerOrder,
)
from sollol_tui.core.worker_entry import HEARTBEAT_S, WorkerDevice
from sollol_tui.verbs.voice import Colour
from sollol_tui.verbs.worker_options import WILDCARD

WARNING = """\
Every machine that can reach {address} will be able to use this one:
  - There is no password and no encryption. Whoever connects can use its memory and its
    processors, can read what passes (weights of models, parts of prompts and answers),
    and can block or end the backend.
  - Errors in this part of llama.cpp let attackers run programs of their own before, and
    may again. llama.cpp itself says: never expose the RPC server to an open network.
  - So: in a private network only, with a firewall that lets in the coordinator alone, or
    through WireGuard or an SSH tunnel."""

ONLY_HERE = (
    "listens on 127.0.0.1: only programs on this machine can use it. For others give --host with "
    "this machine's address in your private network."
)


def warning(order: WorkerOrder, own_addresses: Sequence[str]) -> Iterator[str]:
    """The security warning in plain words, line by line."""
    yield from WARNING.format(address=order.address).splitlines()
    open_on = own_addresses if order.host == WILDCARD else (order.host,)
    if order.host == WILDCARD:
        yield f"{WILDCARD} means every network of this machine: {', '.join(open_on) or 'none now'}."
    for address in open_on:
        if ipaddress.ip_address(address).is_global:
            yield f"{address} is a public Internet address: do not do this without a firewall."


def event_lines(event: WorkerEvent, order: WorkerOrder) -> Iterator[tuple[str, Colour | None]]:
    """An event as lines for people, each with its colour."""
    match event:
        case PhaseChanged():
            yield _phase(event, order)
        case ProblemFound(_, problem):
            yield _sentence(problem), "bad"
            yield from ((f"  {line}", None) for line in problem.evidence)
            yield f"  {problem.next}", None
        case DevicesSeen(_, protocol, devices):
            told = " · ".join(map(_device, devices)) or "none told"
            yield f"devices: {told} (RPC protocol {protocol})", None
        case ClientsChanged(_, clients):
            yield (f"in use by {', '.join(clients)}" if clients else "free: nobody uses it"), None
        case RegistryChanged():
            yield _registry(event, order)


def _sentence(problem: Problem) -> str:
    """Seen from its own machine a backend is not lost: it ended."""
    own = {Cause.BACKEND_LOST: "has ended", Cause.BACKEND_UNREACHABLE: "cannot serve"}
    if problem.cause in own:
        return f"The RPC backend {problem.subject} {own[problem.cause]}."
    return problem.sentence


def _phase(event: PhaseChanged, order: WorkerOrder) -> tuple[str, Colour | None]:
    match event.phase:
        case Phase.STARTING:
            return f"starting {order.binary} on {order.address} (pid {event.pid})", None
        case Phase.READY:
            return f"ready on {order.address}", "good"
        case Phase.QUARANTINED:
            return f"failed too often: starts again in {units.duration(event.retry_in_s)}", "warn"
        case Phase.FAILED if event.retry_in_s is not None:
            return f"starts again in {units.duration(event.retry_in_s)}", "warn"
        case Phase.FAILED:
            return "not started", "bad"
    return event.phase.value, None


def _registry(event: RegistryChanged, order: WorkerOrder) -> tuple[str, Colour | None]:
    where = without_password(order.redis_url)
    if event.fault is not None:
        again = f"tried again every {units.duration(HEARTBEAT_S)}"
        return f"not registered in {where}: {event.fault}; {again}", "warn"
    if event.registered:
        return f"registered as {event.address} in {where}", "good"
    return f"no longer registered in {where}", None


def _device(device: WorkerDevice) -> str:
    name = " ".join(filter(None, (device.name, device.description))) or "device"
    free = "" if device.free_bytes is None else f" ({units.size(device.free_bytes)} free)"
    return f"{name} {units.size(device.total_bytes)}{free}"
