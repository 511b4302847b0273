"""The checks of what is reached over the network: backends, coordinators, nodes, registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from sollol_tui.core import units
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.findings import Check, Findings, Level, PortSeen, needs_coordinator
from sollol_tui.core.plain import without_password
from sollol_tui.core.rpc_version import compatible
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    NodeState,
    NodeStatus,
    RegistryStatus,
)
from sollol_tui.core.verdict import is_configured

_COMING = {CoordinatorStatus.STARTING, CoordinatorStatus.LOADING}
_SAME_BUILD = "Install the same llama.cpp build on this machine and on every backend."
_KEY = "Give its key: api_key under [[{table}]] in the configuration file."


# Coordinators


def coordinator_checks(snapshot: ClusterSnapshot, ports: Sequence[PortSeen]) -> Iterator[Check]:
    free = {port.address: port.free for port in ports}
    for state in snapshot.coordinators:
        gone = state.status in {CoordinatorStatus.STOPPED, CoordinatorStatus.UNKNOWN}
        if gone and free.get(state.url.partition("//")[2], not is_configured(state.sources)):
            continue  # the port says it: it is started when it is needed
        yield _coordinator(state)


def _coordinator(state: CoordinatorState) -> Check:
    url = without_password(state.url)
    if state.lost_backends:
        says = f"lost {', '.join(state.lost_backends)}: it ends at its next request"
        advice = "Start the backend, then the coordinator again."
        return Check("coordinator", Level.FAIL, url, says, (), advice)
    if state.fault is not None and state.fault.kind is FaultKind.UNAUTHORIZED:
        advice = _KEY.format(table="coordinators")
        return Check("coordinator", Level.FAIL, url, "asks for a key", (str(state.fault),), advice)
    if state.status is CoordinatorStatus.READY:
        held = units.counted(len(state.backends), "backend")
        over = f" over {held}" if state.backends else ""
        return Check("coordinator", Level.OK, url, f"serves {state.model or 'a model'}{over}")
    if state.status in _COMING:
        return Check("coordinator", Level.OK, url, f"is {state.status}")
    evidence = (str(state.fault),) if state.fault is not None else ()
    unknown = state.status is CoordinatorStatus.UNKNOWN
    says = "does not answer" if unknown else f"is {state.status}"
    return Check("coordinator", Level.FAIL, url, says, evidence, _advice(state))


def _advice(state: CoordinatorState) -> str:
    if state.status is CoordinatorStatus.UNKNOWN:
        return "Look at its process and its log; start it anew when it hangs."
    if state.status is CoordinatorStatus.STALLED:
        return "Start it anew: a backend that hangs holds it up for ever."
    return "Start it there, or take it out of the settings."


# Backends


def backend_checks(found: Findings) -> Iterator[Check]:
    backends = found.snapshot.backends
    if not backends and needs_coordinator(found):
        says = "none is known: a model runs on this machine alone"
        advice = "Start one on another machine: `sollol-tui worker --host ADDRESS`."
        yield Check("backend", Level.WARN, "", says, (), advice)
    spoken = _spoken(backends)
    for backend in backends:
        yield _backend(backend, spoken)


def _spoken(backends: Sequence[BackendState]) -> str | None:
    """The protocol of those that a coordinator holds, else the one that most speak."""
    held = [b.protocol for b in backends if b.attached_to is not None and b.protocol]
    told = held or [b.protocol for b in backends if b.protocol]
    return Counter(told).most_common(1)[0][0] if told else None


def _backend(state: BackendState, spoken: str | None) -> Check:
    protocol = f"RPC {state.protocol}" if state.protocol else "its RPC version is not known"
    if state.status is BackendStatus.ATTACHED:
        says = f"serves {state.attached_to or 'a coordinator'}"
        return Check("backend", Level.OK, state.address, says, (protocol,))
    fault = (str(state.fault),) if state.fault is not None else ()
    other = bool(spoken and state.protocol) and not compatible(spoken or "", state.protocol or "")
    if state.status is BackendStatus.INCOMPATIBLE or (other and state.status.value == "idle"):
        versions = f"it speaks {protocol}, the others RPC {spoken}" if other else protocol
        says = "speaks another protocol version"
        evidence = tuple(dict.fromkeys((versions, *fault)))
        return Check("backend", Level.FAIL, state.address, says, evidence, _SAME_BUILD)
    if state.status is BackendStatus.IDLE:
        total = sum(d.total_bytes for d in state.devices)
        says = f"free, {units.size(total)}" if total else "free"
        return Check("backend", Level.OK, state.address, says, (protocol,))
    return _not_usable(state, fault)


def _not_usable(state: BackendState, fault: tuple[str, ...]) -> Check:
    kind = state.fault.kind if state.fault is not None else None
    if state.status is BackendStatus.DOWN:
        advice = "Start it: `sollol-tui worker` on that machine; or take it out of the settings."
        return Check("backend", Level.FAIL, state.address, "refuses connections", fault, advice)
    if kind is FaultKind.TIMEOUT:
        says = "takes connections and does not answer"
        advice = (
            "A backend serves one client at a time: if a coordinator elsewhere holds it, name that "
            "one (--coordinator); else it hangs: start it anew."
        )
        return Check("backend", Level.WARN, state.address, says, fault, advice)
    advice = "Check the name, that the machine is on, and that no firewall drops the port."
    return Check("backend", Level.FAIL, state.address, "cannot be reached", fault, advice)


# Nodes


def node_checks(found: Findings) -> Iterator[Check]:
    snapshot = found.snapshot
    shown = [
        n for n in snapshot.nodes if is_configured(n.sources) or n.status is not NodeStatus.DOWN
    ]
    yield from (_node(node, found.without_runner.get(node.url, ())) for node in shown)
    serves = any(c.status is CoordinatorStatus.READY for c in snapshot.coordinators)
    if not shown and not serves:
        advice = "Start Ollama here, or name a node: --node URL, or nodes in the settings."
        yield Check("node", Level.WARN, "", "no Ollama node is known", (), advice)


def _node(node: NodeState, without_runner: tuple[str, ...]) -> Check:
    url = without_password(node.url)
    fault = (str(node.fault),) if node.fault is not None else ()
    if without_runner:
        says = "answers, and cannot run a model: it has no llama-server"
        advice = "Install Ollama from its own packages: this one came without its lib/ollama."
        return Check("node", Level.FAIL, url, says, without_runner, advice)
    if node.status in {NodeStatus.UP, NodeStatus.STARTING}:
        return _answering(node, url, fault)
    says, advice, level = _NODE_WORDS.get(node.status, _UNREACHED)
    if node.status is NodeStatus.DOWN and not is_configured(node.sources):
        level = Level.WARN
    return Check("node", level, url, says, fault, advice)


def _answering(node: NodeState, url: str, fault: tuple[str, ...]) -> Check:
    about = f"Ollama {node.version or units.UNKNOWN}, {units.latency(node.latency_ms)}"
    if fault:
        says = "answers, and an answer failed there lately"
        return Check("node", Level.WARN, url, says, (about, *fault), "Read its log.")
    if node.status is NodeStatus.UP and not node.models:
        advice = "Pull one there: ollama pull MODEL."
        return Check("node", Level.WARN, url, "has no model", (about,), advice)
    return Check("node", Level.OK, url, f"{len(node.models)} models", (about,))


_NODE_WORDS = {
    NodeStatus.UNAUTHORIZED: ("asks for a key", _KEY.format(table="nodes"), Level.FAIL),
    NodeStatus.STALLED: (
        "answers, and moves no token",
        "Start Ollama there anew: its runner hangs.",
        Level.FAIL,
    ),
    NodeStatus.SATURATED: (
        "its queue is full",
        "Add a node, or raise OLLAMA_NUM_PARALLEL or OLLAMA_MAX_QUEUE there.",
        Level.WARN,
    ),
}
_UNREACHED = (
    "does not answer",
    "Start Ollama there (OLLAMA_HOST=0.0.0.0 for others), or take it out of the settings.",
    Level.FAIL,
)


# Registry


def registry_check(snapshot: ClusterSnapshot, is_configured_here: bool) -> Check:
    """The Redis that SOLLOL programs register in."""
    state = snapshot.registry
    if state is None or state.status is RegistryStatus.OFF:
        return Check("registry", Level.OK, "", "not used")
    url = without_password(state.url)
    if state.status is RegistryStatus.UP:
        return Check("registry", Level.OK, url, "answers")
    fault = (str(state.fault),) if state.fault is not None else ()
    if state.fault is not None and state.fault.kind is FaultKind.UNAUTHORIZED:
        advice = "Put user and password into redis_url: redis://user:password@host:6379."
        return Check("registry", Level.FAIL, url, "asks for a password", fault, advice)
    level = Level.FAIL if is_configured_here else Level.WARN
    says = "does not answer" if is_configured_here else "is not there (only SOLLOL needs it)"
    advice = 'Start Redis, or set redis_url = "off".'
    return Check("registry", level, url, says, fault, advice)
