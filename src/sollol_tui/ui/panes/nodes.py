"""The Ollama nodes as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sollol_tui.core.ids import OLLAMA_PORT, short_name
from sollol_tui.core.state import NodeState, NodeStatus
from sollol_tui.ui.panes.figures import (
    FaultNote,
    Live,
    Until,
    gib,
    millis,
    millis_slack,
    share,
    short_model,
    tps,
)
from sollol_tui.ui.panes.marks import UNKNOWN as UNKNOWN_MARK
from sollol_tui.ui.panes.marks import node_mark
from sollol_tui.ui.text import UNKNOWN, Line, clean
from sollol_tui.ui.widgets.table_model import Cell, Column, Row

STALE_INTERVALS = 3
_ANSWERING = (NodeStatus.UP, NodeStatus.STALLED, NodeStatus.SATURATED)


class Counts(NamedTuple):
    """Our own requests to one target, and how many of them failed."""

    requests: int
    errors: int


def node_columns(ascii_only: bool = False) -> tuple[Column, ...]:
    return (
        Column("status", "ST", 13 if ascii_only else 10),
        Column("name", "NAME", 12, most=24),
        Column("loaded", "LOADED", 11, most=40, drop=2),
        Column("running", "RUN", 3, align="right", largest_first=True),
        Column("tps", "TOK/S", 5, align="right", drop=1, largest_first=True),
        Column("latency", "LAT", 6, align="right", drop=3),
        Column("models", "MODELS", 6, align="right", drop=5, largest_first=True),
        Column("vram", "VRAM", 8, align="right", drop=4, largest_first=True),
        Column("expires", "EXPIRES", 7, align="right", drop=6),
        Column("version", "VERSION", 7, most=12, drop=10, yields=True),
        Column("requests", "REQ", 5, align="right", drop=8, largest_first=True),
        Column("errors", "ERR", 3, align="right", drop=7, largest_first=True),
        Column("sources", "SOURCE", 8, most=20, drop=9),
    )


def node_rows(
    nodes: Sequence[NodeState],
    *,
    interval_s: float = 5.0,
    rates: Mapping[str, float] | None = None,
    counts: Mapping[str, Counts] | None = None,
    ascii_only: bool = False,
) -> tuple[Row, ...]:
    """A row per node, by its URL.

    Args:
        nodes: the snapshot's nodes.
        interval_s: how often nodes are looked at; three of them without an answer are stale.
        rates: tokens per second last measured for a node, by URL.
        counts: our own requests, by URL.
    """
    return tuple(
        Row(
            node.url,
            (
                _status(node, interval_s, ascii_only),
                Cell(node_name(node), "bold" if node.status is NodeStatus.UP else ""),
                *_load(node, (rates or {}).get(node.url)),
                *_holdings(node),
                *_record(node, (counts or {}).get(node.url)),
            ),
            FaultNote(node.fault, node.health.next_look_at_s, _fault_style(node))
            if node.fault
            else None,
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


def _load(node: NodeState, rate: float | None) -> tuple[Cell, ...]:
    names = "  ".join(short_model(model.name) for model in node.loaded)
    loaded = Cell(names) if node.loaded else Cell("none" if _is_known(node) else UNKNOWN, "muted")
    latency = node.latency_ms if _is_known(node) else None
    return (
        loaded,
        Cell(str(node.in_flight), "accent" if node.in_flight else "muted", float(node.in_flight)),
        Cell(tps(rate), "" if rate is not None else "muted", rate),
        Cell(millis(latency), "" if latency else "muted", latency, millis_slack(latency)),
    )


def _holdings(node: NodeState) -> tuple[Cell, ...]:
    known = _is_known(node)
    ends = [m.expires_at_s for m in node.loaded if m.expires_at_s is not None]
    used_bytes = vram_used_bytes(node) if known else None
    vram = share(used_bytes, node.vram_total_bytes)
    version = clean(node.version) if node.version else UNKNOWN
    return (
        Cell(str(len(node.models)) if known else UNKNOWN, "" if known else "muted")._replace(
            sort=float(len(node.models)) if known else None
        ),
        Cell(vram, "" if vram != UNKNOWN else "muted", _number(used_bytes)),
        Cell(Until(min(ends)), sort=min(ends)) if ends and known else Cell(UNKNOWN, "muted"),
        Cell(version, "muted"),
    )


def vram_used_bytes(node: NodeState) -> int | None:
    """What a reporter measured, else what the loaded models take; None when neither says it."""
    if node.vram_total_bytes is not None and node.vram_free_bytes is not None:
        return node.vram_total_bytes - node.vram_free_bytes
    taken = [model.vram_bytes for model in node.loaded]
    return sum(b for b in taken if b is not None) if None not in taken else None


def _record(node: NodeState, counts: Counts | None) -> tuple[Cell, ...]:
    sources = Cell(clean(" ".join(node.sources)) or UNKNOWN, "muted")
    if counts is None:
        return Cell(UNKNOWN, "muted"), Cell(UNKNOWN, "muted"), sources
    return (
        Cell(str(counts.requests), "", float(counts.requests)),
        Cell(str(counts.errors), "bad" if counts.errors else "muted", float(counts.errors)),
        sources,
    )


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


def loaded_bytes(node: NodeState) -> str:
    """All that the loaded models take, VRAM or not."""
    taken = [model.bytes for model in node.loaded]
    return gib(sum(b for b in taken if b is not None)) if None not in taken else UNKNOWN
