"""A coordinator's plan in lines: what would run where, whether it fits, the exact command."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.ids import RPC_PORT, short_name
from sollol_tui.core.orders import Planned
from sollol_tui.core.plan_values import CoordinatorPlan, DevicePlan
from sollol_tui.core.problems import Problem
from sollol_tui.core.shell_words import command_lines
from sollol_tui.ui.panes.figures import bar, gib, labelled, short_model, tokens
from sollol_tui.ui.panes.phases import problem_lines
from sollol_tui.ui.panes.shards import layers_text
from sollol_tui.ui.text import LABEL_CELLS, Line, clean, fit, width, wrap_line

_BAR_CELLS = 8
_HERE = "here"
_TITLES = ("DEVICE", "LAYERS", "WEIGHTS", "KV", "COMP", "FREE", "AT")
_RIGHT = (2, 3, 4, 5)


def plan_lines(planned: Planned, cells: int, replaces: str = "") -> list[Line]:
    """The plan, or why there is none.

    Args:
        planned: what came of planning.
        cells: the width there is.
        replaces: what runs now and would be stopped first; empty: nothing.
    """
    lines: list[Line] = []
    if planned.plan is not None:
        lines += [*_model(planned.plan, cells), (), *_devices(planned.plan), ()]
        lines.append(_verdict(planned.plan, replaces, startable=planned.startable))
        for note in planned.plan.notes:
            lines += wrap_line(labelled("note", (clean(note), "muted")), cells, LABEL_CELLS)
    else:
        lines.append((("There is no plan.", "bold bad"),))
    for problem in planned.problems:
        lines += [(), *_problem(problem, cells, planned)]
    if planned.plan is not None:
        lines += [(), (("The command:", "head"),)]
        for line in command_lines(planned.plan.argv, cells):
            lines += wrap_line(((line, ""),), cells)
    return lines


def _model(plan: CoordinatorPlan, cells: int) -> list[Line]:
    slots = f" in each of {plan.slots} slots" if plan.slots > 1 else ""
    told = (
        f"  {units.size(plan.model_bytes)} · {plan.layers} layers"
        f" · {tokens(plan.context_tokens)} tokens of context{slots}"
    )
    return [
        *wrap_line(((short_model(plan.model), "bold"), (told, "")), cells),
        *wrap_line(((clean(plan.path), "muted"),), cells),
    ]


def _verdict(plan: CoordinatorPlan, replaces: str, *, startable: bool) -> Line:
    if not plan.fits:
        return (("✗ It does not fit.", "bold bad"),)
    if not startable:
        return (("▲ It fits, and cannot be started as it is.", "bold warn"),)
    stops = f" Enter stops {clean(replaces, 60)}, then starts this."
    return (("● It fits.", "bold good"), (stops if replaces else " Enter starts it.", ""))


def _problem(problem: Problem, cells: int, planned: Planned) -> list[Line]:
    """One that leaves the plan startable only left something out."""
    lines = problem_lines(problem, cells, "warn" if planned.startable else "bad")
    return [part for line in lines for part in wrap_line(line, cells, LABEL_CELLS)]


def _devices(plan: CoordinatorPlan) -> list[Line]:
    """A line per device, its share of the layers drawn; what does not fit is marked."""
    parts = [*plan.devices, plan.host]
    rows = [_cells(part) for part in parts]
    widths = [max(map(width, column)) for column in zip(_TITLES, *rows, strict=True)]
    lines: list[Line] = [((_row(_TITLES, widths, " " * _BAR_CELLS), "head"),)]
    for part, row in zip(parts, rows, strict=True):
        name, rest = _halves(row, widths)
        share = bar(len(part.layers), plan.layers, _BAR_CELLS, "accent" if part.fits else "bad")
        mark = "" if part.fits else "  ✗"
        lines.append(((name, "muted"), *share, (rest, "" if part.fits else "bad"), (mark, "bad")))
    return lines


def _cells(part: DevicePlan) -> tuple[str, ...]:
    return (
        clean(part.name, 24),
        layers_text(part.layers, has_output=part.has_output),
        gib(part.weights_bytes),
        gib(part.kv_bytes),
        gib(part.compute_bytes),
        gib(part.free_bytes),
        clean(short_name(part.address, RPC_PORT), 40) if part.address else _HERE,
    )


def _row(row: Sequence[str], widths: Sequence[int], drawn: str) -> str:
    name, rest = _halves(row, widths)
    return f"{name}{drawn}{rest}"


def _halves(row: Sequence[str], widths: Sequence[int]) -> tuple[str, str]:
    """The text before the bar and after it."""
    texts = [
        fit(text, cells, "right" if at in _RIGHT else "left")
        for at, (text, cells) in enumerate(zip(row, widths, strict=True))
    ]
    return f"{texts[0]} ", " " + "  ".join(texts[1:]).rstrip()
