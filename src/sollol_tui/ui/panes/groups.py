"""The figures by path, node, coordinator, RPC backend and model, lately and over all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import localtime, strftime
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core import units
from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, RPC_PORT, short_name
from sollol_tui.ui.panes.compared import LEAST_CELLS, compared_lines, path_names
from sollol_tui.ui.panes.figures import labelled, short_model
from sollol_tui.ui.panes.measures import Columns, Group, fault_words, fit_columns, group_lines
from sollol_tui.ui.text import LABEL_CELLS, Line, line_width, wrap_line

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core.statistics import Row, Stats

WIDE_CELLS = 132  # from here both periods stand side by side
_HIGH_ROWS = 12  # from here the two paths are compared in columns
_BETWEEN = "    "
_FULL_CELLS = 90  # from here the paths are called by their whole names

Name = Callable[[str], str]


class _Kind(NamedTuple):
    """What requests are grouped by."""

    title: str
    rows: Sequence[Row]
    name: Name


def figure_lines(
    stats: Stats, names: Mapping[str, str], cells: int, rows: int, now: Sequence[Line]
) -> Iterator[Line]:
    """All figures, the two paths first.

    Args:
        stats: all figures.
        names: what targets are called, by their URLs; others are called by their address.
        cells: the width there is.
        rows: how many lines are in sight: in few of them the paths stand below each other.
        now: what runs, which goes with the paths.
    """
    is_compared = rows >= _HIGH_ROWS and cells >= LEAST_CELLS
    if is_compared:
        yield from compared_lines(stats, period_names(stats), cells)
    else:
        yield from _path_lines(stats, cells)
    yield from now
    yield from _failures(stats, cells)
    yield from _tables(stats, names, cells, with_paths=not is_compared)


def period_names(stats: Stats) -> tuple[str, str]:
    """What `recent` and `overall` mean, in words."""
    window = f"LAST {units.span(stats.window_s).upper()}"
    if stats.since_s is None:
        return window, "ALL RUNS"
    return window, f"SINCE {strftime('%Y-%m-%d %H:%M', localtime(stats.since_s))}"


def _path_lines(stats: Stats, cells: int) -> list[Line]:
    """The two paths below each other; over all where nothing was asked lately."""
    overall = not stats.all.recent.requests
    paths = _paths(stats, cells)
    title = "ALL RUNS" if overall else period_names(stats)[0]
    columns = fit_columns((title, *_names([paths])), cells)
    return group_lines(title, _groups(stats, paths, overall=overall), columns)


def _failures(stats: Stats, cells: int) -> Iterator[Line]:
    """What failed, lately and over all; once where it is the same."""
    lately, over_all = fault_words(stats.all.recent), fault_words(stats.all.overall)
    told = [(lately, "lately")] if lately else []
    if over_all and over_all != lately:
        told.append((over_all, "in all"))
    for number, (words, when) in enumerate(told):
        line = labelled("" if number else "failed", (f"{when}  ", "muted"), (words, ""))
        yield from wrap_line(line, cells, LABEL_CELLS)


def _tables(
    stats: Stats, names: Mapping[str, str], cells: int, *, with_paths: bool
) -> Iterator[Line]:
    """The groups lately and over all: side by side where there is room. The paths of lately were
    told already, those over all only where they are not to be repeated here."""
    kinds = [kind for kind in _kinds(stats, names) if kind.rows]
    if cells >= WIDE_CELLS:
        yield from _beside(stats, kinds, cells)
        return
    lately, over_all = period_names(stats)
    paths = [_paths(stats, cells)] if with_paths and stats.all.recent.requests else []
    columns = fit_columns(_names([*paths, *kinds]), cells)
    yield from ((), ((lately, "bold"),))
    yield from _below(stats, kinds, columns, overall=False)
    yield ((over_all, "bold"),)
    yield from _below(stats, [*paths, *kinds], columns, overall=True)


def _kinds(stats: Stats, names: Mapping[str, str]) -> list[_Kind]:
    def named(port: int) -> Name:
        return lambda key: names.get(key) or short_name(key, port)

    return [
        _Kind("NODE", stats.nodes, named(OLLAMA_PORT)),
        _Kind("COORDINATOR", stats.coordinators, named(COORDINATOR_PORT)),
        _Kind("RPC BACKEND", stats.backends, named(RPC_PORT)),
        _Kind("MODEL", stats.models, short_model),
    ]


def _paths(stats: Stats, cells: int) -> _Kind:
    words = path_names(_FULL_CELLS if cells >= _FULL_CELLS else 0)
    known = dict(zip((row.key for row in stats.paths), words, strict=True))
    return _Kind("PATH", stats.paths, lambda key: known[key])


def _groups(stats: Stats, kind: _Kind, *, overall: bool) -> list[Group]:
    return [
        Group(
            kind.name(row.key),
            row.overall if overall else row.recent,
            stats.share(row, overall=overall),
        )
        for row in kind.rows
    ]


def _names(kinds: Sequence[_Kind]) -> list[str]:
    return [kind.name(row.key) for kind in kinds for row in kind.rows]


def _below(
    stats: Stats, kinds: Sequence[_Kind], columns: Columns, *, overall: bool
) -> Iterator[Line]:
    """The tables of one period, without those that had no request in it."""
    made = [(kind.title, _groups(stats, kind, overall=overall)) for kind in kinds]
    asked = [(title, [g for g in groups if g.figures.requests]) for title, groups in made]
    if not any(groups for _, groups in asked):
        yield from ((("nothing was asked", "muted"),), ())
    for title, groups in asked:
        if groups:
            yield from group_lines(title, groups, columns)
            yield ()


def _beside(stats: Stats, kinds: Sequence[_Kind], cells: int) -> Iterator[Line]:
    """The tables of both periods, row by row."""
    half = (cells - len(_BETWEEN)) // 2
    columns = fit_columns(_names(kinds), half)
    left, right = period_names(stats)
    yield ()
    yield _joined(((left, "bold"),), ((right, "bold"),), half)
    for kind in kinds:
        lately, over_all = (
            group_lines(kind.title, _groups(stats, kind, overall=overall), columns)
            for overall in (False, True)
        )
        yield from (_joined(*pair, half) for pair in zip(lately, over_all, strict=True))
        yield ()


def _joined(left: Line, right: Line, half: int) -> Line:
    return (*left, (" " * (half - line_width(left)) + _BETWEEN, ""), *right)
