"""The figures: our own requests, and where they are now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sollol_tui.core import units
from sollol_tui.core.state import ClusterSnapshot, NodeStatus, RequestState
from sollol_tui.ui.panes.coordinator import coordinator_name
from sollol_tui.ui.panes.figures import gib, labelled, sparkline, tps
from sollol_tui.ui.panes.nodes import node_name, vram_used_bytes
from sollol_tui.ui.text import LABEL_CELLS, UNKNOWN, Line, Span, fit

_NAME_CELLS = 20
_FIGURE_CELLS = 26  # beside the curve
_MOST_BARS = 20


def stats_lines(
    snapshot: ClusterSnapshot,
    cells: int,
    now_s: float,
    *,
    tps_samples: Sequence[float | None] = (),
    sample_s: float = 1.0,
) -> tuple[Line, ...]:
    """The pane's lines.

    Args:
        snapshot: all that is known.
        cells: the width there is.
        now_s: seconds since the epoch.
        tps_samples: tokens per second of all our requests, oldest first; None where unknown.
        sample_s: seconds from one sample to the next.
    """
    return (
        _speed(cells, tps_samples, sample_s),
        _requests(snapshot),
        _running(snapshot.requests, now_s),
        _models(snapshot),
        *_targets(snapshot),
    )


def _speed(cells: int, samples: Sequence[float | None], sample_s: float) -> Line:
    """The curve of tokens per second, as wide as there is room beside its figures."""
    if not samples:
        return labelled("tok/s", (UNKNOWN, "muted"))
    known = [sample for sample in samples if sample is not None]
    now = samples[-1]
    room = max(8, min(len(samples), cells - LABEL_CELLS - _FIGURE_CELLS))
    span = units.span(room * sample_s)
    return labelled(
        "tok/s",
        (sparkline(samples, room), "accent"),
        (f" {tps(now)}", "bold"),
        (f" · {span}, most {tps(max(known, default=None))}", "muted"),
    )


def _requests(snapshot: ClusterSnapshot) -> Line:
    totals = snapshot.totals
    if not totals.requests:
        return labelled("asked", ("nothing yet", "muted"))
    failed = f"{totals.errors} failed ({units.percent(totals.errors / totals.requests)})"
    return labelled(
        "asked",
        (units.count(totals.requests), "bold"),
        (" · ", "muted"),
        (failed, "bad" if totals.errors else "muted"),
        (f" · {units.count(totals.tokens)} tokens", "muted"),
    )


def _running(requests: Sequence[RequestState], now_s: float) -> Line:
    if not requests:
        return labelled("running", ("nothing", "muted"))
    waiting = [r for r in requests if r.first_token_at_s is None]
    spans: list[Span] = [(str(len(requests)), "bold")]
    if waiting:
        longest_s = now_s - min(r.started_at_s for r in waiting)
        spans.append(
            (f" · {len(waiting)} without a token yet, for {units.span(longest_s)}", "warn")
        )
    return labelled("running", *spans)


def _models(snapshot: ClusterSnapshot) -> Line:
    up = [node for node in snapshot.nodes if node.status is NodeStatus.UP]
    loaded = sum(len(node.loaded) for node in up)
    used = [vram_used_bytes(node) for node in up]
    known = [used_bytes for used_bytes in used if used_bytes is not None]
    memory = gib(sum(known)) if known else UNKNOWN
    return labelled(
        "loaded",
        (f"{loaded} model{'' if loaded == 1 else 's'}", ""),
        (f" on {len(up)} node{'' if len(up) == 1 else 's'} · VRAM {memory}", "muted"),
    )


def _targets(snapshot: ClusterSnapshot) -> list[Line]:
    """Where our requests are now, the busiest first."""
    counts: Counter[str] = Counter({node.url: node.in_flight for node in snapshot.nodes})
    counts.update({c.url: c.in_flight for c in snapshot.coordinators})
    names: dict[str, str] = {node.url: node_name(node) for node in snapshot.nodes}
    names.update({c.url: f"coordinator {coordinator_name(c)}" for c in snapshot.coordinators})
    busy = [(names[url], count) for url, count in counts.most_common() if count > 0]
    return [
        labelled(
            "" if at else "at",
            (fit(name, _NAME_CELLS), ""),
            (f" {'▰' * min(count, _MOST_BARS)}", "accent"),
            (f" {count}", "bold"),
        )
        for at, (name, count) in enumerate(busy)
    ]
