"""The coordinator: what it is, what it does, what it holds; or where it was looked for."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.ids import COORDINATOR_PORT, short_name
from sollol_tui.core.state import BackendState, CoordinatorState, CoordinatorStatus, Owner
from sollol_tui.ui.panes.figures import (
    FaultNote,
    bar,
    gib,
    labelled,
    listed,
    short_model,
    tokens,
    tps,
)
from sollol_tui.ui.panes.marks import BACKEND_MARKS, UNKNOWN, Mark, coordinator_mark
from sollol_tui.ui.panes.phases import again_spans, is_coming, problem_lines, starting_lines
from sollol_tui.ui.panes.shards import shard_lines
from sollol_tui.ui.text import LABEL_CELLS, Line, Span, clean, wrap_line
from sollol_tui.ui.text import UNKNOWN as DASH

_RANKS = (
    CoordinatorStatus.READY,
    CoordinatorStatus.LOADING,
    CoordinatorStatus.STARTING,
    CoordinatorStatus.STALLED,
    CoordinatorStatus.STOPPING,
    CoordinatorStatus.FAILED,
    CoordinatorStatus.QUARANTINED,
)
RUNNING = _RANKS[:5]
_FAILED = (CoordinatorStatus.FAILED, CoordinatorStatus.QUARANTINED)
_OWNERS = {
    Owner.OURS: "started by us",
    Owner.ADOPTED: "adopted",
    Owner.REMOTE: "remote: not ours to start or stop",
}
_BAR_CELLS = 10
_LOST = Mark("✗", "[XX]", "lost", "bad")


def main_coordinator(coordinators: Sequence[CoordinatorState]) -> CoordinatorState | None:
    """The coordinator to show: the one that this program keeps up, else the one that serves, else
    the one that is nearest to it."""
    ranks = {status: rank for rank, status in enumerate(_RANKS)}

    def rank(coordinator: CoordinatorState) -> tuple[bool, int]:
        kept_up = coordinator.supervised and (
            coordinator.status in RUNNING or coordinator.retry_at_s is not None
        )
        return not kept_up, ranks.get(coordinator.status, len(ranks))

    return min(coordinators, key=rank, default=None)


def says_much(coordinator: CoordinatorState) -> bool:
    """Whether there is more to say of it than where it was looked for."""
    return coordinator.status in RUNNING or bool(coordinator.problems)


def coordinator_name(coordinator: CoordinatorState) -> str:
    """What a coordinator is called on the screen."""
    return clean(coordinator.name or short_name(coordinator.url, COORDINATOR_PORT))


def coordinator_lines(
    coordinator: CoordinatorState | None,
    cells: int,
    now_s: float,
    *,
    backends: Sequence[BackendState] = (),
    others: Sequence[CoordinatorState] = (),
    looked: bool = True,
    ascii_only: bool = False,
) -> tuple[Line, ...]:
    """The coordinator in lines, the most telling ones first.

    Args:
        coordinator: the one to show (`main_coordinator`); None when no place for one is known.
        cells: the width there is.
        now_s: seconds since the epoch.
        backends: the snapshot's backends, for the state of those that it holds.
        others: the other coordinators, listed shortly.
        looked: whether everything has been looked at once.
        ascii_only: no glyphs beyond ASCII.
    """
    if coordinator is None:
        return _none(looked)
    if coordinator.status in _FAILED and coordinator.problems:
        lines = _failed(coordinator, cells, now_s, ascii_only)
    elif coordinator.status not in RUNNING:
        lines = _not_running(coordinator, now_s, looked, ascii_only)
    elif is_coming(coordinator) or coordinator.phase == "stopping":
        lines = _moving(coordinator, cells, now_s, backends, ascii_only)
    else:
        lines = _running(coordinator, cells, now_s, backends, ascii_only)
    beside = _others(others, cells, ascii_only)
    first = 1 if any(c.status in RUNNING or c.problems for c in others) else len(lines)
    return (*lines[:first], *beside, *lines[first:])


def _none(looked: bool) -> tuple[Line, ...]:
    if not looked:
        return ((("Looking for a coordinator …", "muted"),),)
    return (
        (("No coordinator is known.", "bold"),),
        (("SOLLOL_COORDINATOR_HOST and _PORT name one.", "muted"),),
        _help(),
    )


def _help() -> Line:
    return (
        ("a", "key"),
        (" starts one   ", "muted"),
        ("r", "key"),
        (" looks again   ", "muted"),
        ("m", "key"),
        (" another mode   ", "muted"),
        ("?", "key"),
        (" help", "muted"),
    )


def _not_running(
    coordinator: CoordinatorState, now_s: float, looked: bool, ascii_only: bool
) -> tuple[Line, ...]:
    mark = coordinator_mark(coordinator)
    place = clean(short_name(coordinator.url, 0))
    if coordinator.status is CoordinatorStatus.UNKNOWN and coordinator.asked_at_s is None:
        return ((mark.sign(ascii_only), (f" looking at {place} …", "muted")),)
    said = (
        "nothing listens there"
        if coordinator.status is CoordinatorStatus.STOPPED
        else "no coordinator serves there"
    )
    lines: list[Line] = [
        (mark.span(ascii_only), ("  ", ""), (place, "bold"), (f"  {said}", "muted")),
        labelled("known by", (_sources(coordinator.sources), "")),
    ]
    if coordinator.fault:
        note = FaultNote(coordinator.fault, coordinator.health.next_look_at_s, "")
        lines.append(labelled("because", *note(now_s)))
    return (*lines, _help()) if looked else tuple(lines)


def _failed(
    coordinator: CoordinatorState, cells: int, now_s: float, ascii_only: bool
) -> tuple[Line, ...]:
    """What stands in the way, and the countdown to the next try where it is never cut off."""
    mark = coordinator_mark(coordinator)
    first, *others = coordinator.problems
    planned = coordinator.plan.model if coordinator.plan is not None else coordinator.model
    return (
        (mark.span(ascii_only), ("  ", ""), *again_spans(coordinator, now_s)),
        *problem_lines(first, cells),
        *(labelled("also", (clean(problem.sentence), "warn")) for problem in others),
        labelled("model", (short_model(planned), "")),
        labelled("server", *_server(coordinator)),
    )


def _moving(
    coordinator: CoordinatorState,
    cells: int,
    now_s: float,
    backends: Sequence[BackendState],
    ascii_only: bool,
) -> tuple[Line, ...]:
    """One of ours that starts or stops."""
    lines = [_headline(coordinator, ascii_only), *starting_lines(coordinator, cells, now_s)]
    if coordinator.problems:
        lines += problem_lines(coordinator.problems[0], cells, "warn")
    if coordinator.backends:
        lines += held_lines(coordinator, cells, backends, ascii_only)
    return (*lines, labelled("server", *_server(coordinator)))


def _headline(coordinator: CoordinatorState, ascii_only: bool) -> Line:
    return (
        coordinator_mark(coordinator).span(ascii_only),
        ("  ", ""),
        (short_model(coordinator.model), "bold"),
        (f"  {_weights(coordinator)}".rstrip(), "muted"),
    )


def _running(
    coordinator: CoordinatorState,
    cells: int,
    now_s: float,
    backends: Sequence[BackendState],
    ascii_only: bool,
) -> tuple[Line, ...]:
    lines: list[Line] = [_headline(coordinator, ascii_only)]
    if coordinator.offers_replan:
        offer = "more RPC backends are free: "
        lines.append(labelled("offer", (offer, "accent"), ("a", "key"), (" plans again", "muted")))
    if coordinator.fault:
        note = FaultNote(coordinator.fault, coordinator.health.next_look_at_s, "warn")
        lines += wrap_line(labelled("trouble", *note(now_s)), cells, LABEL_CELLS)
    if coordinator.status is CoordinatorStatus.STALLED:
        lines.append(_way_out(coordinator))
    lines += [
        slots_line(coordinator),
        context_line(coordinator),
        speed_line(coordinator),
        *_spread_lines(coordinator, cells, backends, ascii_only),
        labelled("server", *_server(coordinator)),
        labelled("life", *_life(coordinator, now_s)),
    ]
    return tuple(lines)


def _way_out(coordinator: CoordinatorState) -> Line:
    """What helps one that hangs: it may go on by itself, and nobody can tell when."""
    if not coordinator.supervised:
        return labelled("do", ("start it anew where it was started", ""))
    return labelled("do", ("a", "key"), (" restarts it", ""), (" · or wait: it may go on", "muted"))


def _weights(coordinator: CoordinatorState) -> str:
    """Quantisation, parameters and size, as far as they are known."""
    planned_bytes = coordinator.plan.model_bytes if coordinator.plan is not None else None
    parts = [
        clean(coordinator.quantization),
        units.parameters(coordinator.parameters),
        gib(coordinator.model_bytes or planned_bytes),
    ]
    return " · ".join(part for part in parts if part and part != DASH)


def slots_line(coordinator: CoordinatorState) -> Line:
    """Which of the parallel sequences are busy, drawn, and how many requests wait for one."""
    total, busy = coordinator.slots_total, coordinator.slots_busy
    if total is None:
        return labelled("slots", (DASH, "muted"))
    if busy is None:
        return labelled("slots", (f"{total}", ""), (" · how many are busy is not told", "muted"))
    spans: list[Span] = [
        *bar(busy, total, min(total, _BAR_CELLS)),
        (f" {busy} of {total} busy", ""),
    ]
    if coordinator.deferred:
        spans.append((f" · {coordinator.deferred} waiting", "warn"))
    return labelled("slots", *spans)


def context_line(coordinator: CoordinatorState) -> Line:
    """The context a slot has, and how full the fullest busy one is."""
    size = coordinator.context_tokens
    used = [s.used_tokens for s in coordinator.slots or () if s.busy and s.used_tokens is not None]
    if not used or not size:
        text = f"{tokens(size)} tokens a slot" if size else DASH
        return labelled("context", (text, "" if size else "muted"))
    most = max(used)
    style = "warn" if most > 0.9 * size else ""
    return labelled(
        "context",
        *bar(most, size, _BAR_CELLS, style or "accent"),
        (f" {units.percent(most / size)}", style),
        (f" · {tokens(most)} of {tokens(size)} tokens", "muted"),
    )


def speed_line(coordinator: CoordinatorState) -> Line:
    """Generation and prompt speed, from the server's own counters."""
    decode, prefill = coordinator.decode_tps, coordinator.prefill_tps
    if decode is None and prefill is None:
        return labelled("speed", (DASH, "muted"))
    return labelled(
        "speed",
        (tps(decode), "bold"),
        (" tok/s · prompt ", "muted"),
        (tps(prefill), ""),
        (" tok/s", "muted"),
    )


def _spread_lines(
    coordinator: CoordinatorState, cells: int, backends: Sequence[BackendState], ascii_only: bool
) -> list[Line]:
    """The shard map where the server told one, and the backends where it says more or none."""
    if coordinator.shards is None:
        return held_lines(coordinator, cells, backends, ascii_only)
    drawn = shard_lines(coordinator.shards, cells)
    if coordinator.lost_backends:
        drawn += held_lines(coordinator, cells, backends, ascii_only)
    return drawn


def held_lines(
    coordinator: CoordinatorState,
    cells: int,
    backends: Sequence[BackendState],
    ascii_only: bool = False,
) -> list[Line]:
    """The backends it spreads the model over, each with its state."""
    if not coordinator.backends:
        return [labelled("rpc", ("none: it runs on its own machine", "muted"))]
    states = {backend.address: backend.status for backend in backends}
    items: list[Line] = []
    for address in coordinator.backends:
        status = states.get(address)
        mark = BACKEND_MARKS[status] if status is not None else UNKNOWN
        if address in coordinator.lost_backends:
            mark = _LOST
        items.append((mark.sign(ascii_only), (f" {clean(address)}", "")))
    return listed("rpc", items, cells)


def _server(coordinator: CoordinatorState) -> tuple[Span, ...]:
    owner = _OWNERS.get(coordinator.owner) if coordinator.owner else None
    return (
        (clean(coordinator.url), ""),
        (f" · {owner}" if owner else "", "muted"),
    )


def _life(coordinator: CoordinatorState, now_s: float) -> tuple[Span, ...]:
    started = coordinator.started_at_s
    up = f"up {up_text(now_s - started)}" if started is not None else f"up {DASH}"
    return (
        (up, "" if started is not None else "muted"),
        (f" · PID {coordinator.pid}" if coordinator.pid is not None else "", "muted"),
        (f" · from {_sources(coordinator.sources)}", "muted"),
    )


def up_text(seconds: float) -> str:
    """An uptime; by the minute, so that it does not tick."""
    return "less than a minute" if seconds < 60 else units.duration(seconds // 60 * 60)


def _sources(sources: Sequence[str]) -> str:
    return clean(", ".join(sources)) or DASH


def _others(others: Sequence[CoordinatorState], cells: int, ascii_only: bool) -> list[Line]:
    items: list[Line] = [
        (
            coordinator_mark(c).sign(ascii_only),
            (f" {coordinator_name(c)}", ""),
            (f" {short_model(c.model)}" if c.model else "", "muted"),
        )
        for c in others
    ]
    return listed("others", items, cells) if items else []
