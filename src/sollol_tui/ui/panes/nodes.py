"""The Ollama nodes as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.ids import OLLAMA_PORT, short_name
from sollol_tui.core.state import NodeState, NodeStatus
from sollol_tui.ui.panes.figures import (
    FaultNote,
    Live,
    Until,
    millis,
    millis_slack,
    seconds,
    share,
    short_model,
    tokens,
    tps,
)
from sollol_tui.ui.panes.marks import UNKNOWN as UNKNOWN_MARK
from sollol_tui.ui.panes.marks import node_mark
from sollol_tui.ui.panes.queues import CELLS, Queue
from sollol_tui.ui.text import UNKNOWN, Line, clean
from sollol_tui.ui.widgets.table_model import Cell, Column, Row

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core import statistics

STALE_INTERVALS = 3
_MOST_NAMES = 3  # of loaded models in a row
NOBODY: Mapping[str, Queue] = {}
_ANSWERING = (NodeStatus.UP, NodeStatus.STALLED, NodeStatus.SATURATED)


class DrainNote(NamedTuple):
    """What a drain still waits for; or that there is one, beside what is wrong with the node."""

    running: int
    fault: FaultNote | None = None

    def __call__(self, now_s: float) -> Line:
        if self.fault is None:
            return ((f"draining · {self.running} running", "accent"),)
        drained = f"draining · {self.running} running" if self.running else "drained"
        return (*self.fault(now_s), (f" · {drained}", "muted"))


def node_columns(ascii_only: bool = False) -> tuple[Column, ...]:
    status = 13 if ascii_only else 10
    return (
        Column("status", "ST", status, most=status),
        Column("name", "NAME", 12, most=24),
        Column("loaded", "LOADED", 11, most=40, drop=2),
        Column("running", "RUN", 3, align="right", largest_first=True),
        Column("waiting", "WAIT", CELLS, most=CELLS, align="right", drop=1, largest_first=True),
        Column("tps", "TOK/S", 5, align="right", drop=3, largest_first=True),
        Column("p50", "P50", 6, align="right", drop=4),
        Column("ttft", "TTFT", 6, align="right", drop=5, yields=True),
        Column("requests", "REQ", 5, align="right", drop=7, yields=True, largest_first=True),
        Column("errors", "ERR", 4, align="right", drop=8, yields=True, largest_first=True),
        Column("latency", "LAT", 6, align="right", drop=9, yields=True),
        Column("vram", "VRAM", 8, align="right", drop=6, yields=True, largest_first=True),
        Column("expires", "EXPIRES", 7, align="right", drop=10, yields=True),
        Column("models", "MODELS", 6, align="right", drop=11, yields=True, largest_first=True),
        Column("version", "VERSION", 7, most=12, drop=13, yields=True),
        Column("sources", "SOURCE", 8, most=20, drop=12, yields=True),
    )


def node_rows(
    nodes: Sequence[NodeState],
    *,
    interval_s: float = 5.0,
    figures: Mapping[str, statistics.Row] | None = None,
    waits: Mapping[str, Queue] = NOBODY,
    ascii_only: bool = False,
) -> tuple[Row, ...]:
    """A row per node, by its URL.

    Args:
        nodes: the snapshot's nodes.
        interval_s: how often nodes are looked at; three of them without an answer are stale.
        figures: of our requests, by URL: how many and how many failed, over all; how fast, lately.
            None: nobody asked for them yet.
        waits: our requests that have no token yet, by URL.
    """
    return tuple(
        Row(
            node.url,
            (
                _status(node, interval_s, ascii_only),
                Cell(node_name(node), "bold" if node.status is NodeStatus.UP else ""),
                *_load(node, waits.get(node.url)),
                *_speed(figures.get(node.url) if figures else None),
                *_counts(node.url, figures),
                *_holdings(node),
            ),
            _note(node),
        )
        for node in nodes
    )


def node_name(node: NodeState) -> str:
    """What a node is called on the screen."""
    return clean(node.name or short_name(node.url, OLLAMA_PORT))


def _status(node: NodeState, interval_s: float, ascii_only: bool) -> Cell:
    mark = node_mark(node)
    text, style = mark.span(ascii_only)
    if node.status not in _ANSWERING or node.seen_at_s is None:
        return Cell(text, style, sort=mark.word)
    sign, limit_s = mark.sign(ascii_only)[0], STALE_INTERVALS * interval_s
    question = UNKNOWN_MARK.sign(ascii_only)[0]
    live = Live(text, style, len(sign), node.seen_at_s, limit_s, question)
    return Cell(live, sort=mark.word)


def _fault_style(node: NodeState) -> str:
    return "warn" if node.status in _ANSWERING else "bad"


def _note(node: NodeState) -> FaultNote | DrainNote | None:
    """What explains the row."""
    fault = node.fault
    note = FaultNote(fault, node.health.next_look_at_s, _fault_style(node)) if fault else None
    if node.drained and (note or node.in_flight):
        return DrainNote(node.in_flight, note)
    return note


def _load(node: NodeState, wait: Queue | None) -> tuple[Cell, ...]:
    names = [short_model(model.name) for model in node.loaded[:_MOST_NAMES]]
    names += [f"+{len(node.loaded) - _MOST_NAMES}"] * (len(node.loaded) > _MOST_NAMES)
    nothing = Cell("none" if _is_known(node) else UNKNOWN, "muted")
    loaded = Cell("  ".join(names)) if names else nothing
    return (
        loaded,
        Cell(str(node.in_flight), "accent" if node.in_flight else "muted", float(node.in_flight)),
        Cell(wait, sort=float(wait.waiting)) if wait else Cell("0", "muted", 0.0),
    )


def _speed(figures: statistics.Row | None) -> tuple[Cell, ...]:
    """Medians of lately, and muted those over all where nothing was measured lately."""
    lately, over_all = (figures.recent, figures.overall) if figures else (None, None)
    cells = []
    for name, write in (("decode_tps", tps), ("latency_s", seconds), ("ttft_s", seconds)):
        new, old = (getattr(f, name).p50 if f else None for f in (lately, over_all))
        value = old if new is None else new
        cells.append(Cell(write(value), "muted" if new is None else "", value))
    return tuple(cells)


def _counts(url: str, figures: Mapping[str, statistics.Row] | None) -> tuple[Cell, ...]:
    if figures is None:
        return Cell(UNKNOWN, "muted"), Cell(UNKNOWN, "muted")
    row = figures.get(url)
    requests, failed = (row.overall.requests, row.overall.failed) if row else (0, 0)
    return (
        Cell(tokens(requests), "" if requests else "muted", float(requests)),
        Cell(tokens(failed), "bad" if failed else "muted", float(failed)),
    )


def _holdings(node: NodeState) -> tuple[Cell, ...]:
    known = _is_known(node)
    latency = node.latency_ms if known else None
    ends = [m.expires_at_s for m in node.loaded if m.expires_at_s is not None]
    used_bytes = vram_used_bytes(node) if known else None
    vram = share(used_bytes, node.vram_total_bytes)
    version = clean(node.version) if node.version else UNKNOWN
    models = float(len(node.models)) if known else None
    return (
        Cell(millis(latency), "" if latency else "muted", latency, millis_slack(latency)),
        Cell(vram, "" if vram != UNKNOWN else "muted", _number(used_bytes)),
        Cell(Until(min(ends)), sort=min(ends)) if ends and known else Cell(UNKNOWN, "muted"),
        Cell(str(len(node.models)) if known else UNKNOWN, "" if known else "muted", models),
        Cell(version, "muted"),
        Cell(clean(" ".join(node.sources)) or UNKNOWN, "muted"),
    )


def vram_used_bytes(node: NodeState) -> int | None:
    """What a reporter measured, else what the loaded models take; None when neither says it."""
    if node.vram_total_bytes is not None and node.vram_free_bytes is not None:
        return node.vram_total_bytes - node.vram_free_bytes
    taken = [model.vram_bytes for model in node.loaded]
    return sum(b for b in taken if b is not None) if None not in taken else None


def _is_known(node: NodeState) -> bool:
    """Whether what a node told still counts: it answers, or has only just stopped to."""
    return node.seen_at_s is not None and node.status in _ANSWERING


def _number(value: int | None) -> float | None:
    return None if value is None else float(value)


def node_empty(looked: bool) -> tuple[Line, ...]:
    """What is said where there are no nodes."""
    if not looked:
        return ((("Looking for Ollama nodes …", "muted"),),)
    return (
        (("No Ollama node is known.", "bold"),),
        (("Looked at OLLAMA_HOST, localhost:11434, Redis and SOLLOL's files.", "muted"),),
        ((":", "key"), ("node add HOST", "bold"), (" adds one   ", "muted"), *_again()),
    )


def _again() -> Line:
    return (("r", "key"), (" looks again", "muted"))
