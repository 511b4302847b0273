"""What facts mean for coordinators and the backends they hold."""

from __future__ import annotations

from typing import TypeVar

from sollol_tui.core import health
from sollol_tui.core.events import CoordinatorLooked, ProcessesSeen
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.holding import hold_backends, runs
from sollol_tui.core.reports import CoordinatorReport, ServerProcess
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Health,
    HealthRules,
    Owner,
    ServerCounters,
    Slot,
)
from sollol_tui.core.supervised import (
    is_anothers,
    lost_of,
    of_another,
    told_by_supervisor,
    with_own_process,
    without_run,
)

Value = TypeVar("Value")


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
    confirm = counts.failures < rules.failures_to_down
    due_at_s = health.next_look_at_s(at_s, counts, rules, confirm)
    looked = health.coordinator_failed(state.status, counts.failures, fault, rules)
    status = told_by_supervisor(state, looked) or looked
    if state.supervised and status is not CoordinatorStatus.STALLED:
        return state._replace(health=counts._replace(next_look_at_s=due_at_s), asked_at_s=at_s)
    gone = status in {CoordinatorStatus.STOPPED, CoordinatorStatus.FAILED}
    cleared = without_run(state) if gone else state
    return cleared._replace(
        status=status,
        fault=fault,
        health=counts._replace(next_look_at_s=due_at_s),
        asked_at_s=at_s,
    )


def _after_answer(
    state: CoordinatorState, report: CoordinatorReport, at_s: float, rules: HealthRules
) -> CoordinatorState:
    if is_anothers(state, at_s - report.latency_ms / 1000):
        state = of_another(state)
    counts = Health(0, state.health.successes + 1)
    due_at_s = health.next_look_at_s(at_s, counts, rules, confirm=report.loading)
    prefill_tps, decode_tps = rates(state.counters, report.counters)
    slots = report.slots if report.slots is not None else state.slots
    moved_at_s = _moved_at_s(state, slots, at_s)
    answered = health.coordinator_answered(report.loading, state.status)
    status = told_by_supervisor(state, answered) or answered
    status, fault = _progress_words(status, slots, at_s - moved_at_s, rules, report.fault)
    if state.status is CoordinatorStatus.STALLED and _is_still(state, slots, at_s - moved_at_s):
        status, fault = CoordinatorStatus.STALLED, state.fault
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
        sees=state.sees if report.sees is None else report.sees,
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


def _is_still(state: CoordinatorState, slots: tuple[Slot, ...] | None, still_s: float) -> bool:
    """Whether one that moved no token goes on moving none: only a token can lift that, or rest."""
    no_token = state.fault is not None and state.fault.kind is FaultKind.STALLED
    return no_token and still_s > 0 and any(s.busy for s in slots or ())


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
    if event.at_s <= (state.phase_at_s or 0.0):
        return state  # read before its supervisor moved it
    if state.supervised and state.pid is not None:
        return with_own_process(state, process)
    base = state if state.pid in {None, process.pid} else without_run(state)
    return base._replace(
        pid=process.pid,
        owner=Owner.OURS if process.pid in event.ours else Owner.ADOPTED,
        backends=process.backends,
        lost_backends=lost_of(base, process),
        started_at_s=process.started_at_s,
        model=base.model or process.alias,
        model_path=base.model_path or process.model_path,
    )


def _process_gone(state: CoordinatorState, at_s: float) -> CoordinatorState:
    if state.pid is None:  # a port that answers without a readable process: not ours to know
        alive = runs(state)
        return state._replace(owner=Owner.ADOPTED if alive else None)
    ended = Fault(FaultKind.REFUSED, f"process {state.pid} ended")
    return without_run(state)._replace(
        status=CoordinatorStatus.STOPPED,
        fault=ended,
        asked_at_s=at_s,
        health=Health(1, 0, at_s + health.CONFIRM_S),
    )


def let_down(state: CoordinatorState, fault: Fault, at_s: float) -> CoordinatorState:
    """One of our requests failed there: look at once; a hung one is STALLED at once.

    Whether one of ours has ended is for its supervisor to say, which knows as soon.
    """
    if state.supervised and fault.kind is not FaultKind.STALLED:
        return state._replace(health=Health(state.health.failures, 0, at_s))
    if state.supervised and state.status is not CoordinatorStatus.READY:
        return state
    if fault.kind is FaultKind.STALLED:
        return state._replace(status=CoordinatorStatus.STALLED, fault=fault)
    if fault.kind is FaultKind.LOADING:
        return state._replace(status=CoordinatorStatus.LOADING)
    if fault.kind is FaultKind.REFUSED:
        stopped = CoordinatorStatus.STOPPED
        return without_run(state)._replace(status=stopped, fault=fault, health=Health(1, 0, at_s))
    if fault.kind is FaultKind.CUT:
        return state._replace(health=Health(state.health.failures, 0, at_s), fault=fault)
    return state


def served(state: CoordinatorState) -> CoordinatorState:
    """A whole answer came from there: it does not stall."""
    if state.status is not CoordinatorStatus.STALLED:
        return state
    return state._replace(status=CoordinatorStatus.READY, fault=None)
