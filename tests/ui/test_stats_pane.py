"""The pane of figures in the app: small, whole, by key and command; it stands still when it may."""

from __future__ import annotations

import pytest

from sollol_tui.core.samples import Sample
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.app import SollolApp
from tests.ui.clusters import BACKEND_1, COORDINATOR, DECISION, FULL, LLAMA, NOW_S, RIG, SPARK
from tests.ui.stand_in import StillEngine, shown, until, until_shown


def sample(number: int, target: str = RIG, total_s: float = 3.0) -> Sample:
    is_node = target != COORDINATOR
    return Sample(
        NOW_S - 60 + number,
        LLAMA.name if is_node else "codellama:34b",
        Mode.BOTH,
        "node" if is_node else "coordinator",
        target,
        1,
        0.25,
        total_s,
        31.5,
        400.0,
        90,
        request=f"s{number}",
        backends=() if is_node else (BACKEND_1,),
    )


def engine(snapshot: ClusterSnapshot = FULL, settings: Settings | None = None) -> StillEngine:
    """An engine that answered four questions."""
    made = StillEngine(snapshot, settings)
    for number, target in enumerate((RIG, RIG, SPARK, COORDINATOR)):
        made.ledger.add(sample(number, target, 3.0 + 9 * (target == COORDINATOR)), DECISION)
    return made


async def test_the_dashboard_compares_the_paths_and_zooming_shows_all() -> None:
    app = SollolApp(engine())
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "LAST 15 MIN", "task            3", "distributed     1")
        await pilot.press("5", "z")
        await until_shown(pilot, "TASK DISTRIBUTION", "answer, mean", "RPC BACKEND")
        await pilot.press("z")
        await until(pilot, lambda: "answer, mean" not in shown(app))


@pytest.mark.parametrize("size", [(50, 12), (80, 24), (110, 32), (120, 40), (200, 60)])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_every_line_is_whole_at_every_size(size: tuple[int, int], ascii_only: bool) -> None:
    app = SollolApp(engine(settings=Settings(ascii=ascii_only)))
    async with app.run_test(size=size) as pilot:
        await until_shown(pilot, "? Help")
        await pilot.press(*":stats", "enter")
        await until(pilot, lambda: app.dashboard.current == "stats")
        pane = app.dashboard.panes.stats
        await until(pilot, lambda: pane._line_count() > 10)
        assert all(
            "…" not in "".join(t for t, _ in pane._lines[i]) for i in range(len(pane._lines))
        )
        for index in range(pane._line_count()):
            assert "…" not in pane._strip(index, pane._key(index)).text


async def test_it_scrolls_where_it_does_not_fit() -> None:
    app = SollolApp(engine())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("5")
        await until_shown(pilot, "answer, mean")
        assert "MODEL" not in shown(app)
        await pilot.press("G")
        await until_shown(pilot, "MODEL", "codellama:34b")
        await pilot.press("g")
        await until_shown(pilot, "answer, mean")


async def test_nothing_is_made_anew_while_nothing_changes() -> None:
    still = engine(FULL._replace(requests=()))
    app = SollolApp(still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "task            3")
        pane = app.dashboard.panes.stats
        lines = pane._lines
        still.now_s += 30
        app.dashboard.tick(still.now_s)
        pane.flush()
        assert pane._lines is lines
        still.ledger.add(sample(9), DECISION)
        app.dashboard.tick(still.now_s)
        await until_shown(pilot, "task            4")


async def test_tables_and_details_show_the_same_figures() -> None:
    app = SollolApp(engine())
    async with app.run_test(size=(200, 60)) as pilot:
        await pilot.press("2", "z")
        await until_shown(pilot, "P50", "TTFT", "31.5", "250 ms")
        await pilot.press("enter")
        await until_shown(pilot, "whole answer", "2 requests · 100 % succeeded", "ROUTER'S SCORE")
        await pilot.press("escape", "z", "3", "z")
        await until_shown(pilot, "100 %", "12 s")
        await pilot.press("j", "enter")
        await until_shown(pilot, "1 request · 100 % succeeded")
        await pilot.press("escape", "z", "1", "enter")
        await until_shown(pilot, "1 request · 100 % succeeded", "ROUTER'S SCORE", "codellama:34b")


async def test_who_waits_is_seen_in_the_row_and_gets_older() -> None:
    waiting = FULL.requests[0]._replace(first_token_at_s=None, tokens=0)
    still = StillEngine(FULL._replace(requests=(waiting, *FULL.requests[1:])))
    app = SollolApp(still)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "WAIT", "1 · 3 s")
        still.now_s += 20
        await until_shown(pilot, "1 · 23 s", "1 waits for a first token, 23 s")
