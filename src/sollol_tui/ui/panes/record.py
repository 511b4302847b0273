"""What our requests to one target were like, and what the router expects of it now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sollol_tui.core import units
from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.ids import model_key
from sollol_tui.core.routing import ANSWER_TOKENS
from sollol_tui.core.state import CoordinatorState, NodeState
from sollol_tui.core.statistics import Figures, Row, Spread, Stats
from sollol_tui.ui.panes.figures import seconds, short_model, tokens, tps
from sollol_tui.ui.panes.groups import period_names
from sollol_tui.ui.panes.measures import fault_words
from sollol_tui.ui.text import UNKNOWN, Line, Span, clean, fit, width, wrap_line

MOST_SCORES = 6  # models of one node
_TEXT_CELLS = 72  # what a detail has in a terminal of 80 columns
_NAME_CELLS = 18
_LABEL_CELLS, _CELLS = 14, 7
_SCORES = "ROUTER'S SCORE"
_MEANING = (
    f"What an answer of {ANSWER_TOKENS} tokens would take, in seconds below zero: the nearest to"
    " zero gets the next request. It is the score of the routing decisions."
)
_SHARES = ("MEAN", "P50", "P95", "P99")

Weigh = Callable[[str], RouteDecision]
"""A model's name → where a question to it would go now."""


class _Measured(NamedTuple):
    label: str
    spread: Callable[[Figures], Spread]
    write: Callable[[float | None], str]


_MEASURED = (
    _Measured("whole answer", lambda f: f.latency_s, seconds),
    _Measured("first token", lambda f: f.ttft_s, seconds),
    _Measured("queue", lambda f: f.queue_s, seconds),
    _Measured("tok/s", lambda f: f.decode_tps, tps),
    _Measured("prompt tok/s", lambda f: f.prefill_tps, tps),
)


def record_lines(row: Row | None, stats: Stats) -> list[Line]:
    """How many requests, how they ended, and how fast they were, lately and over all."""
    if row is None:
        return [(("No request of ours went there yet.", "muted"),)]
    periods = period_names(stats)
    pairs = list(zip(periods, (row.recent, row.overall), strict=True))
    lines = [_counted(periods[0], row.recent), _counted("all runs", row.overall)]
    if row.overall.faults:
        lines.append(((fit("", _LABEL_CELLS), ""), (fault_words(row.overall), "muted")))
    wrapped = [part for line in lines for part in wrap_line(line, _TEXT_CELLS, _LABEL_CELLS)]
    return [*wrapped, (), *_spreads(pairs)]


def _counted(period: str, figures: Figures) -> Line:
    label: Span = (fit(period.lower(), _LABEL_CELLS), "muted")
    if not figures.requests:
        return (label, ("nothing was asked", "muted"))
    words = f"{units.count(figures.requests)} request{'s' if figures.requests != 1 else ''}"
    rate = figures.success_rate
    stopped = f" · {units.count(figures.stopped)} stopped by hand" if figures.stopped else ""
    return (
        label,
        (words, ""),
        ("" if rate is None else f" · {units.percent(rate)} succeeded", ""),
        (f" · {figures.failed} failed", "bad" if figures.failed else "muted"),
        (f"{stopped} · {tokens(figures.tokens)} tokens", "muted"),
    )


def _spreads(pairs: Sequence[tuple[str, Figures]]) -> Iterator[Line]:
    shown = [(period, figures) for period, figures in pairs if figures.requests]
    blank = " " * _LABEL_CELLS
    whole = _CELLS * len(_SHARES)
    yield ((blank + "".join(fit(period, whole, "right") for period, _ in shown), "bold"),)
    titles = "".join(fit(share, _CELLS, "right") for share in _SHARES) * len(shown)
    yield ((blank + titles, "head"),)
    for measured in _MEASURED:
        spans: list[Span] = [(fit(measured.label, _LABEL_CELLS), "muted")]
        for _, figures in shown:
            found = measured.spread(figures)
            for value in (found.mean, found.p50, found.p95, found.p99):
                style = "muted" if value is None else ""
                spans.append((fit(measured.write(value), _CELLS, "right"), style))
        yield tuple(spans)


def score_lines(
    target: NodeState | CoordinatorState, stats: Stats, weigh: Weigh, *, ascii_only: bool = False
) -> list[Line]:
    """What the router thinks of a target now, for each model that matters there."""
    weighed = [(model, weigh(model)) for model in _models_of(target, stats)]
    found = [(model, decision, _candidate(decision, target.url)) for model, decision in weighed]
    names = next(([n for n, _ in c.parts] for _, _, c in found if c and c.parts), [])
    cells = max([len(_SCORES), *(min(_NAME_CELLS, width(short_model(m))) for m, _, _ in found)])
    lines: list[Line] = []
    for model, decision, candidate in found:
        is_next = candidate is not None and candidate.score is not None
        is_next = is_next and decision.target == target.url
        mark: Span = (">" if ascii_only else "▸", "good") if is_next else (" ", "")
        name: Span = (f" {fit(short_model(model), cells)}", "bold" if is_next else "")
        lines.append((mark, name, *_scored(candidate, names)))
    if not lines:
        return []
    titles = "".join(f" {name.upper():>{_score_cells(name)}}" for name in ("score", *names))
    head: Line = ((f"  {fit(_SCORES, cells)}{titles if names else ''}", "head"),)
    meaning = wrap_line(((_MEANING, "muted"),), _TEXT_CELLS) if names else []
    return [head, *lines, *meaning]


def _scored(candidate: Candidate | None, names: Sequence[str]) -> Line:
    if candidate is None or candidate.score is None:
        why = candidate.rejected if candidate is not None and candidate.rejected else UNKNOWN
        return ((f"  gets nothing: {clean(why)}", "warn"),)
    known = {"score": candidate.score, **dict(candidate.parts)}
    texts = [f" {_number(known.get(n, 0.0)):>{_score_cells(n)}}" for n in ("score", *names)]
    return ((texts[0], "bold"), ("".join(texts[1:]), "muted"))


def _score_cells(name: str) -> int:
    return max(7, len(name))


def _number(score: float) -> str:
    return f"{score:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}")


def _candidate(decision: RouteDecision, url: str) -> Candidate | None:
    return next((c for c in decision.candidates if c.target == url), None)


def _models_of(target: NodeState | CoordinatorState, stats: Stats) -> list[str]:
    """The models that matter there: those in memory, then those that are asked for most."""
    if isinstance(target, CoordinatorState):
        return [target.model] if target.model else []
    ranks = {row.key: rank for rank, row in enumerate(stats.models)}
    lying = [
        model.name
        for model in target.models
        if not model.remote_host and "completion" in (model.capabilities or ("completion",))
    ]
    lying.sort(key=lambda name: (ranks.get(model_key(name), len(ranks)), name))
    found: dict[str, str] = {}
    for name in (*(model.name for model in target.loaded), *lying):
        found.setdefault(model_key(name), name)
    return list(found.values())[:MOST_SCORES]
