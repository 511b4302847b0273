"""`:status`: what is wrong, with its cause and the next step, and then what is well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from sollol_tui.core import units
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, coordinator_words, short_name
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    NodeState,
    NodeStatus,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.ui.panes.marks import (
    BACKEND_MARKS,
    REGISTRY_MARKS,
    coordinator_mark,
    node_mark,
)
from sollol_tui.ui.text import Line, Span, clean, fit, width, wrap_line

_CAUSE, _NEXT = "    cause  ", "    next   "
_INDENT = len(_CAUSE)


class Finding(NamedTuple):
    """One target as the overview tells it. `step` is what to do; empty when all is well."""

    name: str
    state: Span
    is_well: bool
    why: str = ""
    step: str = ""


def status_lines(
    snapshot: ClusterSnapshot, now_s: float, *, ascii_only: bool = False
) -> tuple[Line, ...]:
    """The cluster in a page of lines. Ages count from `now_s` (seconds since the epoch)."""
    found = tuple(findings(snapshot, now_s, ascii_only))
    wrong = [finding for finding in found if not finding.is_well]
    well = [finding for finding in found if finding.is_well]
    lines: list[Line] = [_headline(snapshot, len(wrong), len(found))]
    for finding in wrong:
        lines += [(), *_wrong(finding)]
    if well:
        lines += [(), (("Well", "head"),)]
        cells = max(width(finding.state[0]) for finding in well)
        for finding in well:
            state, style = finding.state
            lines.append(((fit(state, cells), style), (f"  {finding.name}", "")))
    return tuple(lines)


def status_page(
    snapshot: ClusterSnapshot, now_s: float, *, ascii_only: bool = False
) -> Callable[[int], list[Line]]:
    """The same, in lines that are no wider than so many cells."""
    lines = status_lines(snapshot, now_s, ascii_only=ascii_only)
    return lambda cells: [part for line in lines for part in wrap_line(line, cells, _INDENT)]


def findings(
    snapshot: ClusterSnapshot, now_s: float, ascii_only: bool = False
) -> Iterable[Finding]:
    """Every target of the cluster with its state in words."""
    yield from (_of_coordinator(c, now_s, ascii_only) for c in snapshot.coordinators)
    yield from (_of_node(node, now_s, ascii_only) for node in snapshot.nodes)
    yield from (_of_backend(backend, now_s, ascii_only) for backend in snapshot.backends)
    registry = snapshot.registry
    if registry is not None and registry.status is not RegistryStatus.OFF:
        yield _of_registry(registry, now_s, ascii_only)


def _of_coordinator(coordinator: CoordinatorState, now_s: float, ascii_only: bool) -> Finding:
    return Finding(
        coordinator_words(_named(coordinator.name, coordinator.url, COORDINATOR_PORT)),
        coordinator_mark(coordinator).span(ascii_only),
        coordinator.status is CoordinatorStatus.READY,
        _why(coordinator.fault, coordinator.seen_at_s, now_s),
        _step(coordinator.fault, "start llama-server there, or set the coordinator's address"),
    )


def _of_node(node: NodeState, now_s: float, ascii_only: bool) -> Finding:
    name = _named(node.name, node.url, OLLAMA_PORT)
    return Finding(
        f"node {name}",
        node_mark(node).span(ascii_only),
        node.status is NodeStatus.UP,
        _why(node.fault, node.seen_at_s, now_s),
        _step(node.fault, f"start Ollama there, or :node remove {name}"),
    )


def _of_backend(backend: BackendState, now_s: float, ascii_only: bool) -> Finding:
    return Finding(
        f"RPC backend {clean(backend.address)}",
        BACKEND_MARKS[backend.status].span(ascii_only),
        backend.status in (BackendStatus.IDLE, BackendStatus.ATTACHED),
        _why(backend.fault, backend.seen_at_s, now_s),
        _backend_step(backend),
    )


def _of_registry(registry: RegistryState, now_s: float, ascii_only: bool) -> Finding:
    return Finding(
        "Redis",
        REGISTRY_MARKS[registry.status].span(ascii_only),
        registry.status is RegistryStatus.UP,
        _why(registry.fault, registry.seen_at_s, now_s),
        "nothing else needs it: only what is registered there stays unknown",
    )


def _headline(snapshot: ClusterSnapshot, wrong: int, total: int) -> Line:
    if not total and snapshot.looked:
        return (("Nothing was found. ", "warn"), (":node add URL brings a node in.", "muted"))
    if not snapshot.looked:
        return (("Still looking …", "muted"),)
    if not wrong:
        return ((f"All {total} are well.", "bold"),)
    verb = "needs" if wrong == 1 else "need"
    return ((f"{wrong} of {total} {verb} a look.", "bold"),)


def _wrong(finding: Finding) -> Iterable[Line]:
    yield (finding.state, (f"  {finding.name}", "bold"))
    if finding.why:
        yield ((_CAUSE, "muted"), (finding.why, ""))
    if finding.step:
        yield ((_NEXT, "muted"), (finding.step, ""))


def _why(fault: Fault | None, seen_at_s: float | None, now_s: float) -> str:
    seen = f"last seen {units.age(seen_at_s, now_s)}" if seen_at_s else "never seen"
    return f"{clean(str(fault))} · {seen}" if fault else seen


def _backend_step(backend: BackendState) -> str:
    if backend.status is BackendStatus.INCOMPATIBLE:
        return "run the coordinator's version of llama.cpp there"
    if backend.status is BackendStatus.UNKNOWN:
        return "it may serve somebody else: one client at a time; else look at the machine"
    return _step(backend.fault, f"start ggml-rpc-server there, or :rpc remove {backend.address}")


def _step(fault: Fault | None, usual: str) -> str:
    return _STEPS.get(fault.kind, usual) if fault else usual


_STEPS = {
    FaultKind.UNAUTHORIZED: "put the key under headers in the configuration file",
    FaultKind.RATE_LIMITED: "wait: it asks for fewer requests, and gets fewer",
    FaultKind.SATURATED: "wait, or add a node: its queue is full",
    FaultKind.STALLED: "restart it; requests go elsewhere meanwhile",
    FaultKind.TIMEOUT: "look at the machine: it is on, but does not answer",
    FaultKind.LOADING: "wait: it loads its model",
    FaultKind.NAME: "check the host name",
    FaultKind.TLS: "set ca_file for it, or check its certificate",
    FaultKind.UNREACHABLE: "check the cable, the address and the firewall",
    FaultKind.PROTOCOL: "check the address: something else answers there",
}


def _named(name: str, url: str, port: int) -> str:
    return clean(name or short_name(url, port))
