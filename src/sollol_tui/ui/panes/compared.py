"""Task distribution and distributed inference side by side, lately and over all (S11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sollol_tui.core import units
from sollol_tui.ui.panes.figures import bar, seconds, tokens, tps
from sollol_tui.ui.text import UNKNOWN, Line, Span, fit

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core.statistics import Figures, Stats

LEAST_CELLS = 64
_LABEL_CELLS, _GAP, _MOST_CELLS = 16, 2, 22
_WORDS = (("task distribution", "task"), ("distributed inference", "distributed"))
"""The two paths, in the order of `Stats.paths`, in full and where there is less room."""

_FAILED = "failed"
_ROWS: tuple[tuple[str, Callable[[Figures], str]], ...] = (
    ("succeeded", lambda f: units.percent(f.success_rate)),
    (_FAILED, lambda f: tokens(f.failed)),
    ("answer, mean", lambda f: seconds(f.latency_s.mean)),
    ("  half within", lambda f: seconds(f.latency_s.p50)),
    ("  95 % within", lambda f: seconds(f.latency_s.p95)),
    ("first token", lambda f: seconds(f.ttft_s.p50)),
    ("  95 % within", lambda f: seconds(f.ttft_s.p95)),
    ("tok/s", lambda f: tps(f.decode_tps.p50)),
)


def path_names(cells: int) -> tuple[str, str]:
    """What the two paths are called in so many cells."""
    one, other = (words[not all(len(full) <= cells for full, _ in _WORDS)] for words in _WORDS)
    return one, other


def compared_lines(stats: Stats, periods: tuple[str, str], cells: int) -> list[Line]:
    """The two paths in columns, twice: lately, and over all.

    Args:
        stats: all figures.
        periods: what the two are called.
        cells: the width there is, at least `LEAST_CELLS`.
    """
    one = min(_MOST_CELLS, (cells - _LABEL_CELLS) // 4 - _GAP)
    pair = 2 * one + _GAP
    blank, gap = " " * _LABEL_CELLS, " " * _GAP
    heads = gap.join(fit(period, pair, "right") for period in ("", *periods)[1:])
    names = gap.join(fit(name.upper(), one, "right") for name in 2 * path_names(one))
    groups = [row.recent for row in stats.paths] + [row.overall for row in stats.paths]
    shares = [stats.share(row) for row in stats.paths]
    shares += [stats.share(row, overall=True) for row in stats.paths]
    return [
        ((f"{blank}{gap}{heads}", "bold"),),
        ((f"{blank}{gap}{names}", "head"),),
        _row("requests", [*map(_asked, groups, shares)], one),
        _bars(shares, one, pair),
        *(_row(label, [text(f) for f in groups], one) for label, text in _ROWS),
    ]


def _asked(figures: Figures, share: float | None) -> str:
    number = tokens(figures.requests)
    return f"{number} ({units.percent(share)})" if figures.requests else number


def _row(label: str, texts: list[str], cells: int) -> Line:
    spans: list[Span] = [(fit(label, _LABEL_CELLS), "muted")]
    for text in texts:
        is_bad = label == _FAILED and text not in ("0", UNKNOWN)
        style = "bad" if is_bad else "muted" if text == UNKNOWN else ""
        spans.append((" " * _GAP + fit(text, cells, "right"), style))
    return tuple(spans)


def _bars(shares: list[float | None], one: int, pair: int) -> Line:
    """What part went the first way, of what went either."""
    spans: list[Span] = [(" " * _LABEL_CELLS, "")]
    for task, model in (shares[:2], shares[2:]):
        length = min(pair, 2 * one)
        spans.append((" " * (_GAP + pair - length), ""))
        whole = (task or 0.0) + (model or 0.0)
        spans += bar(task or 0.0, whole, length) if whole else ((" " * length, ""),)
    return tuple(spans)
