"""A coordinator's plan, and what was loaded, in tables and words for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sollol_tui.core import units
from sollol_tui.core.ids import RPC_PORT, short_name
from sollol_tui.core.orders import Planned
from sollol_tui.core.plain import plain_line
from sollol_tui.core.plan_values import CoordinatorPlan, DevicePlan
from sollol_tui.core.shard_map import Shard, ShardMap
from sollol_tui.core.shell_words import command_lines
from sollol_tui.verbs.problem_lines import INDENT, problem_lines, wrapped
from sollol_tui.verbs.table import Column, table
from sollol_tui.verbs.voice import Voice

HERE = "this machine"

_PLANNED = (
    Column("DEVICE"),
    Column("WHERE", gives=1),
    Column("LAYERS"),
    Column("WEIGHTS"),
    Column("CONTEXT"),
    Column("COMPUTE"),
    Column("FREE"),
    Column("FITS"),
)
_LOADED = _PLANNED[:-2]
_FITS = len(_PLANNED) - 1


def plan_lines(planned: Planned, voice: Voice) -> Iterator[str]:
    """Model, devices, verdict, command, notes, problems."""
    if planned.plan is not None:
        yield from _plan_lines(planned.plan, planned.startable, voice)
    elif planned.problems:
        yield voice.painted("There is no plan.", "bad")
    for problem in planned.problems:
        yield ""
        for text, colour in problem_lines(problem):
            for part in wrapped(text, voice.width_cells):
                yield voice.painted(part, colour)


def _plan_lines(plan: CoordinatorPlan, startable: bool, voice: Voice) -> Iterator[str]:
    context = f"{plan.context_tokens} tokens of context"
    slots = f" in each of {plan.slots} slots" if plan.slots > 1 else ""
    size = units.size(plan.model_bytes)
    yield from wrapped(
        f"{plan.model} · {size} · {plan.layers} layers · {context}{slots}", voice.width_cells
    )
    yield f"{INDENT}{plain_line(plan.path)}"
    yield ""
    yield from _table(plan, voice)
    yield ""
    yield _verdict(plan, startable, voice)
    for note in plan.notes:
        yield from wrapped(f"note: {note}", voice.width_cells, INDENT)
    yield ""
    yield "The command:"
    yield from command_lines(plan.argv, voice.width_cells)


def _verdict(plan: CoordinatorPlan, startable: bool, voice: Voice) -> str:
    if not plan.fits:
        return voice.painted("It does not fit.", "bad")
    if not startable:
        return voice.painted("It fits, and cannot be started as it is.", "bad")
    return voice.painted("It fits.", "good")


def _table(plan: CoordinatorPlan, voice: Voice) -> Iterator[str]:
    devices = (*plan.devices, plan.host)
    rows = [_planned_cells(device) for device in devices]

    def paint(row: int, column: int, text: str) -> str:
        if column != _FITS:
            return text
        return voice.painted(text, "good" if devices[row].fits else "bad")

    title, *lines = table(_PLANNED, rows, voice.width_cells, paint)
    yield voice.painted(title, "dim")
    yield from lines


def _planned_cells(device: DevicePlan) -> list[str]:
    return [
        plain_line(device.name),
        _where(device.address),
        _layers(device.layers, device.has_output),
        units.size(device.weights_bytes),
        units.size(device.kv_bytes),
        units.size(device.compute_bytes),
        units.size(device.free_bytes),
        "yes" if device.fits else "no",
    ]


def shard_lines(shards: ShardMap, voice: Voice) -> Iterator[str]:
    """What lies where, as llama-server reported it."""
    rows = [_loaded_cells(shard) for shard in (*shards.devices, shards.host)]
    title, *lines = table(_LOADED, rows, voice.width_cells)
    yield voice.painted(title, "dim")
    yield from lines


def _loaded_cells(shard: Shard) -> list[str]:
    return [
        plain_line(shard.name),
        _where(shard.address),
        units.UNKNOWN if shard.layers is None else _layers(shard.layers, shard.has_output),
        units.size(shard.weights_bytes),
        units.size(shard.kv_bytes),
        units.size(shard.compute_bytes),
    ]


def _where(address: str) -> str:
    return plain_line(short_name(address, RPC_PORT)) if address else HERE


def _layers(layers: Sequence[int], has_output: bool) -> str:
    """How many layers, and whether the output lies there too."""
    count = str(len(layers)) if layers else "" if has_output else "0"
    return " + ".join(filter(None, (count, "out" if has_output else "")))
