"""Pictures of every pane, to look at: `python -m tests.ui.gallery FOLDER [WIDTH…]`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from textual.app import App, ComposeResult
from textual.widget import Widget

from sollol_tui.ui.panes.backends import backend_columns, backend_empty, backend_rows
from sollol_tui.ui.panes.coordinator import coordinator_lines, main_coordinator
from sollol_tui.ui.panes.detail import (
    backend_detail_lines,
    coordinator_detail_lines,
    node_detail_lines,
)
from sollol_tui.ui.panes.events import decision_lines, log_line
from sollol_tui.ui.panes.nodes import node_columns, node_empty, node_rows
from sollol_tui.ui.panes.queues import queues
from sollol_tui.ui.panes.record import record_lines
from sollol_tui.ui.panes.stats import stats_view
from sollol_tui.ui.panes.status import status_segments
from sollol_tui.ui.theme import DEFAULT_THEME, THEMES, semantic_colours
from sollol_tui.ui.widgets.event_log import EventLog
from sollol_tui.ui.widgets.lines_pane import FittedPane, Lines, LinesPane
from sollol_tui.ui.widgets.live_table import LiveTable
from sollol_tui.ui.widgets.strip import OneLine, Segment
from sollol_tui.ui.widgets.table_model import Row
from tests.ui import snapshots_data as data

SHEET = Path(__file__).parents[2] / "tcss" / "panes.tcss"
WIDTHS = (56, 80, 120, 200)


class Stage(App[None]):
    """Shows widgets one below the other, in the product's colours."""

    CSS_PATH = SHEET

    def __init__(self, make: Callable[[], Iterable[Widget]], theme: str = DEFAULT_THEME) -> None:
        super().__init__()
        self._make = make
        for own in THEMES:
            self.register_theme(own)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def compose(self) -> ComposeResult:
        yield from self._make()


def nodes(ascii_only: bool = False) -> Iterable[Widget]:
    table = LiveTable(node_columns(ascii_only), ascii_only=ascii_only)
    table.set_title((("2 ", "muted"), ("Nodes", "")))
    table.show(_node_rows(ascii_only))
    table.tick(data.NOW_S)
    yield table


def _node_rows(ascii_only: bool) -> tuple[Row, ...]:
    return node_rows(
        data.NODES,
        figures=data.FIGURES,
        waits=queues(data.SNAPSHOT.requests),
        ascii_only=ascii_only,
    )


def backends(ascii_only: bool = False) -> Iterable[Widget]:
    table = LiveTable(backend_columns(ascii_only), ascii_only=ascii_only)
    table.set_title((("3 ", "muted"), ("RPC backends", "")))
    table.show(backend_rows(data.BACKENDS, figures=data.FIGURES, ascii_only=ascii_only))
    table.tick(data.NOW_S)
    yield table


def sorted_nodes() -> Iterable[Widget]:
    for table in nodes():
        assert isinstance(table, LiveTable)
        table.filter("!office")
        table.sort_by("tps")
        yield table


def empty() -> Iterable[Widget]:
    node_table, backend_table = LiveTable(node_columns()), LiveTable(backend_columns())
    node_table.show((), node_empty(looked=True))
    backend_table.show((), backend_empty(looked=True))
    yield node_table
    yield backend_table
    yield lines("Coordinator", lambda cells: coordinator_lines(data.STOPPED, cells, data.NOW_S))
    yield lines("Coordinator", coordinator_lines(None, 80, data.NOW_S))


def lines(title: str, shown: Lines) -> LinesPane:
    pane = LinesPane()
    pane.set_title(title)
    pane.show(shown)
    return pane


def events(ascii_only: bool = False) -> Iterable[Widget]:
    log = EventLog(ascii_only=ascii_only)
    log.set_title((("4 ", "muted"), ("Events", "")))
    log.append(log_line(entry, ascii_only) for entry in data.ENTRIES)
    yield log


def status(ascii_only: bool = False) -> Iterable[Widget]:
    for snapshot, late_s in ((data.SNAPSHOT, 0.0), (data.SNAPSHOT, 30.0), (data.NOTHING, 0.0)):
        strip = OneLine(ascii_only=ascii_only)
        strip.show(
            *status_segments(
                snapshot,
                data.NOW_S + late_s,
                decode_tps=45.5,
                demo=late_s == 0,
                read_only=True,
                paused=late_s > 0,
                ascii_only=ascii_only,
            )
        )
        yield strip
    hints = (("?", "Help"), (":", "Cmd"), ("/", "Filter"), ("m", "Mode"), ("Enter", "Detail"))
    strip = OneLine(ascii_only=ascii_only)
    strip.show(
        [Segment(((k, "key"), (f" {w}", "muted")), 9 - i) for i, (k, w) in enumerate(hints)],
        [Segment((("^q", "key"), (" Quit", "muted")), 99)],
    )
    yield strip


def coordinator() -> Iterable[Widget]:
    shown = main_coordinator(data.SNAPSHOT.coordinators)
    yield lines(
        "1 Coordinator",
        lambda cells: coordinator_lines(
            shown, cells, data.NOW_S, backends=data.BACKENDS, others=[data.STOPPED]
        ),
    )


def stats(ascii_only: bool = False) -> Iterable[Widget]:
    pane = FittedPane(ascii_only=ascii_only)
    pane.set_title("5 Stats")
    pane.show_fitted(stats_view(data.SNAPSHOT, data.STATS, data.NOW_S, samples=data.TPS_SAMPLES))
    yield pane


def details() -> Iterable[Widget]:
    record = record_lines(data.FIGURES[data.RIG_URL], data.STATS)
    yield lines("gpu-rig", node_detail_lines(data.NODES[0], data.NOW_S, record=record))
    yield lines("10.0.0.6:50052", backend_detail_lines(data.BACKENDS[2], data.NOW_S))
    yield lines("d-81f2", decision_lines(data.DECISION))
    yield lines(
        "coordinator",
        lambda cells: coordinator_detail_lines(
            data.COORDINATOR, cells, data.NOW_S, backends=data.BACKENDS
        ),
    )


def everything(ascii_only: bool = False) -> Iterable[Widget]:
    parts: tuple[tuple[Callable[[], Iterable[Widget]], int], ...] = (
        (lambda: status(ascii_only), 1),
        (coordinator, 11),
        (lambda: nodes(ascii_only), 14),
        (lambda: backends(ascii_only), 12),
        (stats, 9),
        (lambda: events(ascii_only), 10),
    )
    for make, rows in parts:
        for widget in make():
            widget.styles.height = rows
            yield widget


PICTURES: dict[str, tuple[Callable[[], Iterable[Widget]], int]] = {
    "everything": (everything, 60),
    "nodes": (nodes, 16),
    "nodes-sorted": (sorted_nodes, 16),
    "nodes-ascii": (lambda: nodes(ascii_only=True), 16),
    "backends": (backends, 14),
    "empty": (empty, 30),
    "events": (events, 14),
    "events-ascii": (lambda: events(ascii_only=True), 14),
    "status": (status, 5),
    "status-ascii": (lambda: status(ascii_only=True), 5),
    "coordinator": (coordinator, 12),
    "stats": (stats, 10),
    "stats-whole": (stats, 60),
    "stats-ascii": (lambda: stats(ascii_only=True), 60),
    "details": (details, 76),
}


async def take(name: str, cells: int, folder: Path, theme: str = DEFAULT_THEME) -> None:
    make, rows = PICTURES[name]
    app = Stage(make, theme)
    async with app.run_test(size=(cells, rows)) as pilot:
        await pilot.pause()
        (folder / f"{name}-{cells}.svg").write_text(app.export_screenshot(title=f"{name} {cells}"))


async def main(folder: Path, widths: Iterable[int]) -> None:
    for name in PICTURES:
        for cells in widths:
            await take(name, cells, folder)


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), [int(a) for a in sys.argv[2:]] or WIDTHS))
