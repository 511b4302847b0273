"""What facts mean for coordinators and the backends they hold."""

from __future__ import annotations

from typing import TypeVar

from sollol_tui.core import health
from sollol_tui.core.events import CoordinatorLooked, CoordinatorStepped, ProcessesSeen
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.reports import CoordinatorReport, ServerProcess
from sollol_tui.core.rpc_version import compatible
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Health,
    HealthRules,
    Owner,
    ServerCounters,
    Slot,
)
from sollol_tui.core.targets import name_backends

Value = TypeVar("Value")

_GONE = {CoordinatorStatus.STOPPED, CoordinatorStatus.FAILED, CoordinatorStatus.QUARANTINED}
_STATUSES = {
    "probing": CoordinatorStatus.STARTING,
    "starting": CoordinatorStatus.STARTING,
    "connecting": CoordinatorStatus.STARTING,
    "loading": CoordinatorStatus.LOADING,
    "warming": CoordinatorStatus.LOADING,
    "ready": CoordinatorStatus.READY,
    "stalled": CoordinatorStatus.STALLED,
    "stopping": CoordinatorStatus.STOPPING,
    "stopped": CoordinatorStatus.STOPPED,
    "failed": CoordinatorStatus.FAILED,
    "quarantined": CoordinatorStatus.QUARANTINED,
}
_HOLDING = {
    CoordinatorStatus.STARTING,
    CoordinatorStatus.LOADING,
    CoordinatorStatus.READY,
    CoordinatorStatus.STALLED,
    CoordinatorStatus.STOPPING,
}


def looked(snapshot: ClusterSnapshot, event: CoordinatorLooked) -> ClusterSnapshot:
    """A look at a coordinator ended."""
    coordinators = tuple(
        _after_look(c, event, snapshot.rules) if c.url == event.url else c
        for c in snapshot.coordinators
    )
    return hold_backends(snapshot._replace(coordinators=coordinators), event.at_s)


def _after_look(
    state: CoordinatorState, event: CoordinatorLooked, rules: HealthRules
) -> CoordinatorState:
    if isinstance(event.result, Fault):
        return _after_silence(state, event.result, event.at_s, rules)
    return _after_answer(state, event.result, event.at_s, rules)


def _after_silence(
    state: CoordinatorState, fault: Fault, at_s: float, rules: HealthRules
) -> CoordinatorState:
    counts = Health(state.health.failures + 1)
    status = health.coordinator_failed(state.status, counts.failures, fault, rules)
    if state.supervised and status is not CoordinatorStatus.STALLED:
        status = state.status  # whoever started it knows how it is
    confirm = counts.failures < rules.failures_to_down
    due_at_s = health.next_look_at_s(at_s, counts, rules, confirm)
    gone = status in {CoordinatorStatus.STOPPED, CoordinatorStatus.FAILED}
    cleared = _without_run(state) if gone else state
    return cleared._replace(
        status=status,
        fault=fault,
        health=counts._replace(next_look_at_s=due_at_s),
        asked_at_s=at_s,
    )


def _without_run(state: CoordinatorState) -> CoordinatorState:
    """What stays known of a coordinator that does not run."""
    return CoordinatorState(state.url, state.name, state.sources, in_flight=state.in_flight)


def _after_answer(
    state: CoordinatorState, report: CoordinatorReport, at_s: float, rules: HealthRules
) -> CoordinatorState:
    counts = Health(0, state.health.successes + 1)
    due_at_s = health.next_look_at_s(at_s, counts, rules, confirm=report.loading)
    prefill_tps, decode_tps = rates(state.counters, report.counters)
    slots = report.slots if report.slots is not None else state.slots
    moved_at_s = _moved_at_s(state, slots, at_s)
    status = health.coordinator_answered(report.loading, state.status)
    if state.supervised and state.status is not CoordinatorStatus.STALLED:
        status = state.status
    status, fault = _progress_words(status, slots, at_s - moved_at_s, rules, report.fault)
    return state._replace(
        status=status,
        model=report.model or state.model,
        model_path=report.model_path or state.model_path,
        model_bytes=_told(report.model_bytes, state.model_bytes),
        parameters=_told(report.parameters, state.parameters),
        quantization=_told(report.quantization, state.quantization),
        context_tokens=_told(report.context_tokens, state.context_tokens),
        slots=slots,
        slots_total=_told(report.slots_total, len(slots) if slots is not None else None),
        slots_busy=sum(s.busy for s in slots) if slots is not None else None,
        deferred=report.counters.deferred if report.counters else state.deferred,
        counters=report.counters or state.counters,
        prefill_tps=_told(prefill_tps, state.prefill_tps),
        decode_tps=_told(decode_tps, state.decode_tps),
        sleeping=report.sleeping,
        build=report.build or state.build,
        latency_ms=report.latency_ms,
        fault=fault,
        moved_at_s=moved_at_s,
        seen_at_s=at_s,
        asked_at_s=at_s,
        health=counts._replace(next_look_at_s=due_at_s),
    )


def _moved_at_s(state: CoordinatorState, slots: tuple[Slot, ...] | None, at_s: float) -> float:
    """When the server last made progress: a server without busy slots does as it should."""
    if state.moved_at_s is None or not slots or not any(s.busy for s in slots):
        return at_s
    before = {s.id: s for s in state.slots or ()}
    moved = any(s.busy and before.get(s.id) != s for s in slots)
    return at_s if moved else state.moved_at_s


def _progress_words(
    status: CoordinatorStatus,
    slots: tuple[Slot, ...] | None,
    still_s: float,
    rules: HealthRules,
    fault: Fault | None,
) -> tuple[CoordinatorStatus, Fault | None]:
    """A busy server that says "ok" and moves no token hangs (N3); one that moves again does not.

    `/health` cannot tell: it answers while a backend hangs for ever (llama.cpp, measured).
    """
    if status not in {CoordinatorStatus.READY, CoordinatorStatus.STALLED}:
        return status, fault
    busy = [s for s in slots or () if s.busy]
    writing = any(s.decoded_tokens for s in busy)
    limit_s = rules.token_gap_limit_s if writing else rules.first_token_limit_s
    if busy and still_s >= limit_s:
        stalled = Fault(FaultKind.STALLED, f"no token for {still_s:.0f} s while it says ok")
        return CoordinatorStatus.STALLED, stalled
    if status is CoordinatorStatus.STALLED and slots is None:
        return status, fault  # it tells nothing: only an answer can lift that
    return CoordinatorStatus.READY, fault


def _told(new: Value | None, old: Value) -> Value:
    return old if new is None else new


def rates(
    old: ServerCounters | None, new: ServerCounters | None
) -> tuple[float | None, float | None]:
    """Prompt and generation tok/s between two readings of the server's own counters.

    The server's two rate gauges are reset by whoever reads them (llama.cpp ST:1534), so they are
    not used. `None` where nothing was processed in between.
    """
    if old is None or new is None:
        return None, None
    return (
        _rate(new.prompt_tokens - old.prompt_tokens, new.prompt_s - old.prompt_s),
        _rate(new.decoded_tokens - old.decoded_tokens, new.decoded_s - old.decoded_s),
    )


def _rate(tokens: float, seconds: float) -> float | None:
    return tokens / seconds if tokens > 0 and seconds > 0 else None


def stepped(snapshot: ClusterSnapshot, event: CoordinatorStepped) -> ClusterSnapshot:
    """The supervisor moved a coordinator of ours: its word counts, not that of a look."""
    coordinators = tuple(
        _after_step(c, event) if c.url == event.url else c for c in snapshot.coordinators
    )
    return hold_backends(snapshot._replace(coordinators=coordinators), event.at_s)


def _after_step(state: CoordinatorState, event: CoordinatorStepped) -> CoordinatorState:
    status = _STATUSES[event.phase]
    gone = status in _GONE or event.phase == "probing"  # nothing runs, nothing is held
    base = _without_run(state) if gone else state
    plan = event.plan or (None if event.phase == "probing" else state.plan)
    same_phase = state.phase == event.phase
    problem = event.problems[0] if event.problems else None
    return base._replace(
        status=status,
        phase=str(event.phase),
        phase_at_s=state.phase_at_s if same_phase else event.at_s,
        pid=event.pid,
        owner=Owner.OURS if status not in _GONE else None,
        supervised=status is not CoordinatorStatus.STOPPED,
        progress=event.progress,
        expected_s=event.expected_s or state.expected_s,
        problems=event.problems,
        retry_at_s=event.retry_at_s,
        plan=plan,
        shards=None if gone else event.shards or state.shards,
        model=(plan.model if plan else None) or base.model,
        model_path=(plan.path if plan else None) or base.model_path,
        backends=() if gone else plan.backends if plan else state.backends,
        fault=Fault(FaultKind.SERVER, problem.sentence) if problem else None,
        seen_at_s=state.seen_at_s if gone else event.at_s,
        started_at_s=None if gone else state.started_at_s or event.at_s,
    )


def processes_seen(snapshot: ClusterSnapshot, event: ProcessesSeen) -> ClusterSnapshot:
    """The process table was read: whose each coordinator is, and what it holds."""
    local = dict(event.local)
    coordinators = tuple(
        _with_process(c, local[c.url], event) if c.url in local else c._replace(owner=Owner.REMOTE)
        for c in snapshot.coordinators
    )
    if coordinators == snapshot.coordinators:
        coordinators = snapshot.coordinators
    return hold_backends(snapshot._replace(coordinators=coordinators), event.at_s)


def _with_process(
    state: CoordinatorState, process: ServerProcess | None, event: ProcessesSeen
) -> CoordinatorState:
    if process is None:
        return state if state.supervised else _process_gone(state, event.at_s)
    base = state if state.pid in {None, process.pid} else _without_run(state)
    return base._replace(
        pid=process.pid,
        owner=Owner.OURS if process.pid in event.ours else Owner.ADOPTED,
        backends=process.backends,
        lost_backends=process.lost,
        started_at_s=process.started_at_s,
        model=base.model or process.alias,
        model_path=base.model_path or process.model_path,
    )


def _process_gone(state: CoordinatorState, at_s: float) -> CoordinatorState:
    if state.pid is None:  # a port that answers without a readable process: not ours to know
        alive = state.status in _HOLDING
        return state._replace(owner=Owner.ADOPTED if alive else None)
    ended = Fault(FaultKind.REFUSED, f"process {state.pid} ended")
    return _without_run(state)._replace(
        status=CoordinatorStatus.STOPPED,
        fault=ended,
        asked_at_s=at_s,
        health=Health(1, 0, at_s + health.CONFIRM_S),
    )


def hold_backends(snapshot: ClusterSnapshot, at_s: float) -> ClusterSnapshot:
    """The backends with who holds them.

    A running coordinator keeps one connection to each of its backends for as long as it is not
    asleep (llama.cpp RPC:2145): they are ATTACHED, and DOWN the moment that connection breaks.
    """
    holders: dict[BackendAddress, CoordinatorUrl] = {}
    lost: set[BackendAddress] = set()
    for coordinator in snapshot.coordinators:
        if _holds(coordinator):
            holders.update(dict.fromkeys(coordinator.backends, coordinator.url))
            lost.update(coordinator.lost_backends)
    named = name_backends(snapshot, holders)
    backends = tuple(
        _held(b, holders.get(b.address), b.address in lost, at_s) for b in named.backends
    )
    return named if backends == named.backends else named._replace(backends=backends)


def _held(
    backend: BackendState, holder: CoordinatorUrl | None, lost: bool, at_s: float
) -> BackendState:
    if lost and backend.attached_to is not None:
        fault = Fault(FaultKind.CUT, "its connection to the coordinator broke")
        return backend._replace(
            status=BackendStatus.DOWN, attached_to=None, fault=fault, health=Health()
        )
    if holder is not None and not lost:
        return backend._replace(
            status=BackendStatus.ATTACHED, attached_to=holder, fault=None, seen_at_s=at_s
        )
    if backend.attached_to is not None:  # let go: look at it at once
        return backend._replace(
            status=BackendStatus.UNKNOWN, attached_to=None, fault=None, health=Health()
        )
    return backend


def _holds(coordinator: CoordinatorState) -> bool:
    """Whether it has its backends now. A process that runs has, looked at or not."""
    runs = coordinator.status in _HOLDING or coordinator.pid is not None
    return runs and not coordinator.sleeping


def may_probe(snapshot: ClusterSnapshot, address: BackendAddress) -> bool:
    """Whether a probe of that backend disturbs nobody: no running coordinator names it."""
    return not any(
        address in c.backends and address not in c.lost_backends and _holds(c)
        for c in snapshot.coordinators
    )


def compare_protocols(snapshot: ClusterSnapshot) -> ClusterSnapshot:
    """Idle backends against the protocol that the coordinator's backends speak.

    No endpoint of llama-server tells its RPC version; the backends that it holds were accepted
    by it, so they speak it.
    """
    spoken = next(
        (b.protocol for b in snapshot.backends if b.attached_to is not None and b.protocol), None
    )
    if spoken is None:
        return snapshot
    backends = tuple(_compared(b, spoken) for b in snapshot.backends)
    return snapshot if backends == snapshot.backends else snapshot._replace(backends=backends)


def _compared(backend: BackendState, spoken: str) -> BackendState:
    if backend.status is not BackendStatus.IDLE or backend.protocol is None:
        return backend
    if compatible(spoken, backend.protocol):
        return backend
    fault = Fault(FaultKind.PROTOCOL, f"speaks {backend.protocol}, the coordinator speaks {spoken}")
    return backend._replace(status=BackendStatus.INCOMPATIBLE, fault=fault)


def let_down(state: CoordinatorState, fault: Fault, at_s: float) -> CoordinatorState:
    """One of our requests failed there: look at once; a hung one is STALLED at once."""
    if fault.kind is FaultKind.STALLED:
        return state._replace(status=CoordinatorStatus.STALLED, fault=fault)
    if fault.kind is FaultKind.LOADING:
        return state._replace(status=CoordinatorStatus.LOADING)
    if fault.kind is FaultKind.REFUSED:
        stopped = CoordinatorStatus.STOPPED
        return _without_run(state)._replace(status=stopped, fault=fault, health=Health(1, 0, at_s))
    if fault.kind is FaultKind.CUT:
        return state._replace(health=Health(state.health.failures, 0, at_s), fault=fault)
    return state


def served(state: CoordinatorState) -> CoordinatorState:
    """A whole answer came from there: it does not stall."""
    if state.status is not CoordinatorStatus.STALLED:
        return state
    return state._replace(status=CoordinatorStatus.READY, fault=None)
