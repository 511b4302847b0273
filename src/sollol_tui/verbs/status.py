"""`sollol-tui status`: one look at everything, as a table or as JSON."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from sollol_tui.core import units
from sollol_tui.core.faults import Fault
from sollol_tui.core.plain import cut, plain_line, without_password
from sollol_tui.core.settings_merge import Resolved
from sollol_tui.core.state import (
    BackendState,
    ClusterSnapshot,
    CoordinatorState,
    NodeState,
    RegistryState,
)
from sollol_tui.core.status_json import status_json
from sollol_tui.core.verdict import configured, is_configured, silent
from sollol_tui.verbs.table import Column, table
from sollol_tui.verbs.voice import Colour, Voice

EXIT_WELL = 0
EXIT_SILENT = 1

_COLOURS: dict[str, Colour] = {
    "up": "good", "ready": "good", "idle": "good", "attached": "good",
    "starting": "warn", "loading": "warn", "saturated": "warn", "stopping": "warn",
    "unknown": "warn", "stalled": "bad", "unauthorized": "bad", "down": "bad", "stopped": "bad",
    "failed": "bad", "quarantined": "bad", "incompatible": "bad",
}  # fmt: skip

_COORDINATORS = (
    Column("COORDINATOR", gives=2),
    Column("STATUS"),
    Column("MODEL", gives=1),
    Column("SLOTS"),
    Column("CONTEXT"),
    Column("SOURCE", gives=1),
)
_NODES = (
    Column("NODE", gives=2),
    Column("STATUS"),
    Column("VERSION", gives=2),
    Column("MODELS"),
    Column("LOADED", gives=1),
    Column("LATENCY"),
    Column("SOURCE", gives=1),
)
_BACKENDS = (
    Column("BACKEND", gives=2),
    Column("STATUS"),
    Column("PROTOCOL", gives=2),
    Column("FREE MEMORY"),
    Column("SOURCE", gives=1),
)
_STATUS_COLUMN = 1


class Looker(Protocol):
    """What this verb needs of the engine."""

    async def look_once(self) -> ClusterSnapshot: ...


def status(
    make_engine: Callable[[], Looker],
    resolved: Resolved,
    voice: Voice,
    *,
    as_json: bool,
    clock: Callable[[], float] = time.time,
) -> int:
    """Look once, print, and return 0 when all that is configured answers, else 1."""

    async def look() -> ClusterSnapshot:
        return await make_engine().look_once()

    snapshot = asyncio.run(look())
    registry_is_configured = bool(resolved.settings.redis_url) and not resolved.is_default(
        "redis_url"
    )
    quiet = silent(snapshot, registry_is_configured)
    for note in resolved.notes:
        voice.tell(note)
    if as_json:
        voice.say_json(status_json(snapshot, clock()))
    else:
        wanted = len(configured(snapshot, registry_is_configured))
        for line in (*_lines(snapshot, voice), _verdict(quiet, wanted)):
            voice.say(line)
    return EXIT_SILENT if quiet else EXIT_WELL


def _lines(snapshot: ClusterSnapshot, voice: Voice) -> Iterator[str]:
    yield f"mode {snapshot.mode}   {_registry(snapshot.registry, voice)}"
    yield ""
    yield from coordinator_lines(snapshot.coordinators, voice)
    yield from _block(_NODES, [_node(n) for n in snapshot.nodes], voice)
    yield from _block(_BACKENDS, [_backend(b) for b in snapshot.backends], voice)


def coordinator_lines(states: Sequence[CoordinatorState], voice: Voice) -> Iterator[str]:
    """The table of coordinators, and an empty line; nothing when there are none."""
    yield from _block(_COORDINATORS, [_coordinator(state) for state in states], voice)


def _verdict(quiet: Sequence[str], wanted: int) -> str:
    if not wanted:
        return "Nothing is configured; this machine's usual places were looked at."
    if not quiet:
        return f"All that is configured answers ({wanted})."
    names = ", ".join(plain_line(without_password(name)) for name in quiet)
    return f"{len(quiet)} of {wanted} configured do not answer: {names}"


def _registry(state: RegistryState | None, voice: Voice) -> str:
    if state is None:
        return "registry off"
    words = f"registry {voice.painted(state.status, _COLOURS.get(state.status))}"
    why = f" ({plain_line(str(state.fault))})" if state.fault else ""
    return f"{words} {plain_line(without_password(state.url))}{why}".rstrip()


class _Row(NamedTuple):
    """A table row, and the line under it that says more (empty: nothing)."""

    cells: tuple[str, ...]
    more: str


def _block(columns: Sequence[Column], rows: Sequence[_Row], voice: Voice) -> Iterator[str]:
    """A table, with the line that says more under each row that has one; or nothing at all."""
    if not rows:
        return
    cells = [row.cells for row in rows]

    def paint(row: int, column: int, text: str) -> str:
        colour = _COLOURS.get(cells[row][column]) if column == _STATUS_COLUMN else None
        return voice.painted(text, colour)

    title, *lines = table(columns, cells, voice.width_cells, paint)
    yield voice.painted(title, "dim")
    for line, row in zip(lines, rows, strict=True):
        yield line
        if row.more:
            yield cut(f"  {row.more}", voice.width_cells)
    yield ""


def _coordinator(state: CoordinatorState) -> _Row:
    busy = units.UNKNOWN if state.slots_busy is None else str(state.slots_busy)
    total = units.UNKNOWN if state.slots_total is None else str(state.slots_total)
    cells = (
        _place(state.url),
        state.status.value,
        state.model or units.UNKNOWN,
        units.UNKNOWN if state.slots_total is None else f"{busy}/{total}",
        units.UNKNOWN if state.context_tokens is None else str(state.context_tokens),
        ", ".join(state.sources),
    )
    return _row(cells, _trouble(state.fault, state.sources) or _whose(state))


def _whose(state: CoordinatorState) -> str:
    """Whose it is and over which backends, as far as that is known."""
    owner = state.owner.value if state.owner else ""
    process = f"pid {state.pid}" if state.pid is not None else ""
    backends = f"backends {', '.join(state.backends)}" if state.backends else ""
    return " · ".join(part for part in (owner, process, backends) if part)


def _node(state: NodeState) -> _Row:
    loaded = ", ".join(f"{m.name} {units.size(m.bytes)}" for m in state.loaded)
    cells = (
        _place(state.url),
        state.status.value,
        state.version or units.UNKNOWN,
        str(len(state.models)) if state.seen_at_s is not None else units.UNKNOWN,
        loaded or units.UNKNOWN,
        units.latency(state.latency_ms),
        ", ".join(state.sources),
    )
    return _row(cells, _trouble(state.fault, state.sources))


def _backend(state: BackendState) -> _Row:
    free = sum(device.free_bytes for device in state.devices)
    total = sum(device.total_bytes for device in state.devices)
    memory = f"{units.size(free)} of {units.size(total)}" if state.devices else units.UNKNOWN
    cells = (
        state.address,
        state.status.value,
        state.protocol or units.UNKNOWN,
        memory,
        ", ".join(state.sources),
    )
    serves = f"serves {_place(state.attached_to)}" if state.attached_to else ""
    return _row(cells, _trouble(state.fault, state.sources) or serves)


def _place(url: str) -> str:
    """A URL without the scheme that is usual here."""
    return url.removeprefix("http://")


def _row(cells: Sequence[str], more: str) -> _Row:
    return _Row(tuple(plain_line(cell) for cell in cells), plain_line(more))


def _trouble(fault: Fault | None, sources: tuple[str, ...]) -> str:
    if fault is None:
        return ""
    usual = "" if is_configured(sources) else " (not configured: looked at unasked)"
    return f"{fault}{usual}"
