"""A coordinator of ours while it starts, and what stands in its way when it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sollol_tui.core import units
from sollol_tui.core.state import CoordinatorState, CoordinatorStatus
from sollol_tui.ui.panes.figures import bar, labelled
from sollol_tui.ui.text import LABEL_CELLS, Line, Span, clean, wrap_line

if TYPE_CHECKING:  # what the first screen does not need stays unloaded
    from sollol_tui.core.problems import Problem

WAY = ("probing", "starting", "connecting", "loading", "warming", "ready")
"""The phases of a start (`core.lifecycle.Phase`), in their order."""

_BAR_CELLS = 24
NEARLY = 0.95
_EVIDENCE_LINES = 2
_SOURCE_FOLDER = re.compile(r"^/\S*/(?=[\w.-]+\.\w+:\d+: )")  # llama.cpp's, where it was built


def phase_of(coordinator: CoordinatorState) -> str:
    """What a coordinator of ours is doing; empty for one that is only looked at."""
    return str(coordinator.phase) if coordinator.supervised else ""


def is_coming(coordinator: CoordinatorState) -> bool:
    """Whether it is one of ours that is being started, so that this can be cancelled."""
    return phase_of(coordinator) in WAY[:-1]


def waits_to_retry(coordinator: CoordinatorState) -> bool:
    """Whether it will be tried again at a moment that is known."""
    failed = (CoordinatorStatus.FAILED, CoordinatorStatus.QUARANTINED)
    return coordinator.status in failed and coordinator.retry_at_s is not None


def starting_lines(coordinator: CoordinatorState, cells: int, now_s: float) -> list[Line]:
    """Where it is on its way to serve, for how long, and how long that may still take."""
    phase = phase_of(coordinator)
    spans: list[Span] = [(phase, "bold")]
    if phase in WAY:
        spans.append((f" · step {WAY.index(phase) + 1} of {len(WAY)}", "muted"))
    if is_coming(coordinator):
        spans += [(" · ", "muted"), ("Esc", "key"), (" cancels", "muted")]
    lines = [labelled("phase", *spans)]
    if coordinator.progress is not None and phase == "loading":
        room = max(4, min(_BAR_CELLS, cells - LABEL_CELLS - 8))
        drawn = bar(coordinator.progress, 1.0, room)
        share = f" {units.percent(coordinator.progress)}"
        lines.append(labelled("loaded", *drawn, (share, "bold")))
    lines.append(labelled("time", *_time(coordinator, now_s)))
    return lines


def _time(coordinator: CoordinatorState, now_s: float) -> tuple[Span, ...]:
    comes = is_coming(coordinator)
    started_at_s = coordinator.started_at_s if comes else None
    since_s = started_at_s or coordinator.phase_at_s
    if since_s is None:
        return ((units.UNKNOWN, "muted"),)
    elapsed_s = max(0.0, now_s - since_s)
    so_far: Span = (f"{units.span(elapsed_s)} so far", "")
    left_s = left_to_load_s(coordinator, now_s) if comes else None
    if left_s is None:
        return (so_far,)
    if left_s < 1 and (coordinator.progress or 0.0) > NEARLY:
        return (so_far, (" · nearly there", ""))
    if left_s <= 0:
        last = units.span(coordinator.expected_s)
        return (so_far, (f" · longer than the last time ({last})", "warn"))
    return (so_far, (f" · about {units.span(max(left_s, 1.0))} left", ""))


def left_to_load_s(coordinator: CoordinatorState, now_s: float) -> float | None:
    """How long it will still take: by its progress, else by the last time; None while unknown."""
    phase_at_s, since_s = coordinator.phase_at_s, coordinator.started_at_s
    if coordinator.phase == "loading" and phase_at_s is not None:
        from sollol_tui.core.lifecycle import remaining_s

        left_s = remaining_s(coordinator.progress, now_s - phase_at_s)
        if left_s is not None:
            return left_s
    if coordinator.expected_s is None:
        return None
    return coordinator.expected_s - max(0.0, now_s - since_s if since_s is not None else 0.0)


def again_spans(coordinator: CoordinatorState, now_s: float) -> tuple[Span, ...]:
    """The countdown to the next try, or that there will be none."""
    if coordinator.retry_at_s is None:
        return (("given up · ", "muted"), ("a", "key"), (" starts it anew", "muted"))
    left_s = coordinator.retry_at_s - now_s
    when = f"again in {units.span(left_s + 0.999)}" if left_s > 0 else "again now"
    often = coordinator.status is CoordinatorStatus.QUARANTINED
    return (
        (when, "bold"),
        (" · ", "muted"),
        ("r", "key"),
        (" tries now", "muted"),
        (" · failed too often" if often else "", "muted"),
    )


def problem_lines(problem: Problem, cells: int, style: str = "bad") -> list[Line]:
    """The sentence and what to do, wrapped under their labels, and what shows it."""
    told = labelled("problem", (clean(problem.sentence), style))
    advice = labelled("do", (clean(problem.next, 1000), ""))
    shown = [
        labelled("shown by" if at == 0 else "", (_SOURCE_FOLDER.sub("", clean(text)), "muted"))
        for at, text in enumerate(problem.evidence[:_EVIDENCE_LINES])
    ]
    return [part for line in (told, advice) for part in wrap_line(line, cells, LABEL_CELLS)] + shown
