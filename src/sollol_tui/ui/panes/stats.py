"""The figures: how our requests were spread, how well and how fast they were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core import units
from sollol_tui.core.state import ClusterSnapshot, NodeStatus
from sollol_tui.ui.panes.coordinator import coordinator_name
from sollol_tui.ui.panes.figures import gib, labelled, sparkline, tps
from sollol_tui.ui.panes.nodes import node_name, vram_used_bytes
from sollol_tui.ui.panes.queues import Queue, queues
from sollol_tui.ui.text import LABEL_CELLS, UNKNOWN, Line, Span, clean, line_width

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core.statistics import Stats

_FIRST_SPANS = 2  # a label and what it says
_FIGURE_CELLS = 26  # beside the curve

Names = Mapping[str, str]


class StatsView(NamedTuple):
    """What the pane shows, as a value: while it is equal nothing is made and nothing painted."""

    stats: Stats | None
    names: tuple[tuple[str, str], ...]  # what targets are called, by their URLs
    samples: tuple[float | None, ...]  # tokens per second, oldest first; None where unknown
    sample_s: float  # from one sample to the next
    now: tuple[Line, ...]  # what runs and what is loaded

    def __call__(self, cells: int, rows: int) -> tuple[Line, ...]:
        """The lines for a pane of that size; more than `rows` are scrolled."""
        lines = [_speed(cells, self.samples, self.sample_s)]
        now = [_shortened(line, cells) for line in self.now]
        if self.stats is None or not self.stats.all.overall.requests:
            return (*lines, labelled("asked", ("nothing yet", "muted")), *now)
        from sollol_tui.ui.panes.groups import figure_lines

        names = dict(self.names)
        return (*lines, *figure_lines(self.stats, names, cells, rows, now))


def stats_view(
    snapshot: ClusterSnapshot,
    stats: Stats | None,
    now_s: float,
    *,
    samples: Sequence[float | None] = (),
    sample_s: float = 1.0,
) -> StatsView:
    """What there is to show.

    Args:
        snapshot: all that is known.
        stats: the figures; None before they were asked for.
        now_s: seconds since the epoch.
        samples: tokens per second of all our requests, oldest first; None where unknown.
        sample_s: seconds from one sample to the next.
    """
    names = dict[str, str]((node.url, node_name(node)) for node in snapshot.nodes)
    names |= {c.url: coordinator_name(c) for c in snapshot.coordinators}
    now = (_running(snapshot, names, now_s), _loaded(snapshot))
    return StatsView(stats, tuple(names.items()), tuple(samples), sample_s, now)


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


def _running(snapshot: ClusterSnapshot, names: Names, now_s: float) -> Line:
    """How many of our requests run, how many of them wait, and where they are."""
    if not snapshot.requests:
        return labelled("running", ("nothing", "muted"))
    spans: list[Span] = [(str(len(snapshot.requests)), "bold")]
    waiting = queues(snapshot.requests).values()
    if waiting:
        count = sum(queue.waiting for queue in waiting)
        oldest = Queue(count, min(queue.oldest_at_s for queue in waiting))
        verb = "waits" if count == 1 else "wait"
        words = f"{count} {verb} for a first token, {oldest.age(now_s)}"
        spans.append((f" · {words}", oldest(now_s)[1]))
    places = [(names.get(t, t), n) for t, n in _busy(snapshot)]
    spans += [(f" · {clean(name)} {count}", "muted") for name, count in places]
    return labelled("running", *spans)


def _shortened(line: Line, cells: int) -> Line:
    """The line without the last things that it says, when they do not fit."""
    kept = len(line)
    while kept > _FIRST_SPANS and line_width(line[:kept]) > cells:
        kept -= 1
    return line[:kept]


def _busy(snapshot: ClusterSnapshot) -> list[tuple[str, int]]:
    """Where our requests are now, the busiest first."""
    counts: dict[str, int] = {}
    for request in snapshot.requests:
        counts[request.target] = counts.get(request.target, 0) + 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _loaded(snapshot: ClusterSnapshot) -> Line:
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
