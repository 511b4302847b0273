"""The RPC backends as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sollol_tui.core import units
from sollol_tui.core.ids import COORDINATOR_PORT, short_name
from sollol_tui.core.state import BackendState, BackendStatus
from sollol_tui.ui.panes.figures import (
    FaultNote,
    Live,
    memory,
    millis,
    millis_slack,
    seconds,
    tokens,
)
from sollol_tui.ui.panes.marks import BACKEND_MARKS
from sollol_tui.ui.panes.marks import UNKNOWN as UNKNOWN_MARK
from sollol_tui.ui.panes.nodes import STALE_INTERVALS
from sollol_tui.ui.panes.shards import Held
from sollol_tui.ui.text import UNKNOWN, Line, clean
from sollol_tui.ui.widgets.table_model import Cell, Column, Row

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core import statistics


def backend_columns(ascii_only: bool = False) -> tuple[Column, ...]:
    status = 13 if ascii_only else 10
    return (
        Column("status", "ST", status, most=status),
        Column("host", "HOST", 16, most=26),
        Column("protocol", "RPC", 5, drop=9),
        Column("devices", "DEVICES", 9, most=44, drop=8),
        Column("memory", "MEM", 18, most=18, align="right", drop=1, largest_first=True),
        Column("layers", "LAYERS", 6, align="right", drop=11, yields=True, largest_first=True),
        Column("share", "SHARE", 5, align="right", drop=2, largest_first=True),
        Column("attached", "HELD BY", 16, most=24, drop=6),
        Column("requests", "REQ", 5, align="right", drop=3, largest_first=True),
        Column("ok", "OK", 5, align="right", drop=5),
        Column("mean", "MEAN", 6, align="right", drop=4),
        Column("latency", "RTT", 6, align="right", drop=7),
        Column("sources", "SOURCE", 8, most=20, drop=10),
    )


_NOTHING_HELD: Mapping[str, Held] = {}


def backend_rows(
    backends: Sequence[BackendState],
    *,
    interval_s: float = 5.0,
    layers: Mapping[str, Held] = _NOTHING_HELD,
    figures: Mapping[str, statistics.Row] | None = None,
    ascii_only: bool = False,
) -> tuple[Row, ...]:
    """A row per backend, by its address.

    Args:
        backends: those to show.
        interval_s: how often free ones are probed.
        layers: what each holds of a model, by address (`shards.held_layers`).
        figures: of the requests that its coordinator answered meanwhile, by address.
            None: nobody asked for them yet.
        ascii_only: no glyphs beyond ASCII.
    """
    return tuple(
        Row(
            backend.address,
            (
                _status(backend, interval_s, ascii_only),
                Cell(clean(backend.address), "bold" if _serves(backend) else ""),
                *_machine(backend, layers.get(backend.address)),
                _holder(backend),
                *_record(backend.address, figures),
                *_place(backend),
            ),
            FaultNote(backend.fault, backend.health.next_look_at_s, _fault_style(backend))
            if backend.fault
            else None,
        )
        for backend in backends
    )


def _serves(backend: BackendState) -> bool:
    return backend.status in (BackendStatus.IDLE, BackendStatus.ATTACHED)


def _status(backend: BackendState, interval_s: float, ascii_only: bool) -> Cell:
    """Only a free backend is probed, so only a free one can be stale."""
    mark = BACKEND_MARKS[backend.status]
    text, style = mark.span(ascii_only)
    if backend.status is not BackendStatus.IDLE or backend.seen_at_s is None:
        return Cell(text, style, sort=mark.word)
    sign, limit_s = mark.sign(ascii_only)[0], STALE_INTERVALS * interval_s
    question = UNKNOWN_MARK.sign(ascii_only)[0]
    live = Live(text, style, len(sign), backend.seen_at_s, limit_s, question)
    return Cell(live, sort=mark.word)


def _fault_style(backend: BackendState) -> str:
    return "bad" if backend.status is BackendStatus.DOWN else "warn"


def _machine(backend: BackendState, held: Held | None) -> tuple[Cell, ...]:
    total_bytes = sum(device.total_bytes for device in backend.devices)
    return (
        Cell(clean(backend.protocol) if backend.protocol else UNKNOWN, "muted"),
        Cell(devices_text(backend)),
        Cell(memory(backend.devices), sort=float(total_bytes) if backend.devices else None),
        *_layers(held),
    )


def _layers(held: Held | None) -> tuple[Cell, Cell]:
    """Of a coordinator whose log is not ours to read, nothing tells the layers."""
    if held is None:
        return Cell(UNKNOWN, "muted"), Cell(UNKNOWN, "muted")
    part = held.layers / held.of if held.of else 0.0
    return (
        Cell(f"{held.layers}/{held.of}", sort=float(held.layers)),
        Cell(units.percent(part), sort=part),
    )


def _record(address: str, figures: Mapping[str, statistics.Row] | None) -> tuple[Cell, ...]:
    """How many requests, how many of them succeeded, and how long an answer took on average:
    over all."""
    row = figures.get(address) if figures else None
    if row is None:
        none = Cell(UNKNOWN, "muted") if figures is None else Cell("0", "muted", 0.0)
        return none, Cell(UNKNOWN, "muted"), Cell(UNKNOWN, "muted")
    found = row.overall
    rate, mean_s = found.success_rate, found.latency_s.mean
    return (
        Cell(tokens(found.requests), "", float(found.requests)),
        Cell(units.percent(rate), "muted" if rate is None else "", rate),
        Cell(seconds(mean_s), "muted" if mean_s is None else "", mean_s),
    )


def devices_text(backend: BackendState) -> str:
    """What the registry told of the devices, else how many answered the probe."""
    if backend.told:
        return clean(backend.told)
    count = len(backend.devices)
    return UNKNOWN if not count else f"{count} device{'s' if count > 1 else ''}"


def _holder(backend: BackendState) -> Cell:
    holder = backend.attached_to
    return Cell(clean(short_name(holder, COORDINATOR_PORT))) if holder else Cell(UNKNOWN, "muted")


def _place(backend: BackendState) -> tuple[Cell, ...]:
    latency = backend.latency_ms if backend.status is BackendStatus.IDLE else None
    return (
        Cell(millis(latency), "" if latency else "muted", latency, millis_slack(latency)),
        Cell(clean(" ".join(backend.sources)) or UNKNOWN, "muted"),
    )


def backend_empty(looked: bool) -> tuple[Line, ...]:
    """What is said where there are no backends."""
    if not looked:
        return ((("Looking for RPC backends …", "muted"),),)
    return (
        (("No RPC backend is known.", "bold"),),
        (("Looked at Redis, SOLLOL's files, the config and RPC_BACKENDS.", "muted"),),
        (
            (":", "key"),
            ("rpc add HOST:PORT", "bold"),
            (" adds one   ", "muted"),
            ("r", "key"),
            (" looks again", "muted"),
        ),
    )
