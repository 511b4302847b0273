"""Pictures of the screen, as it was looked at and found good.

After a change that was meant, and looked at: run this file with `UPDATE_SNAPSHOTS=1`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.widgets.pane import GRID_S
from tests.ui import clusters
from tests.ui.stand_in import StillEngine, until, until_shown

PICTURES = Path(__file__).parent / "snapshots"
EMPTY = ClusterSnapshot(looked=True)


async def picture(snapshot: ClusterSnapshot, size: tuple[int, int], *keys: str) -> str:
    """The screen over that cluster, at that size, after those keys."""
    app = SollolApp(StillEngine(snapshot))
    async with app.run_test(size=size) as pilot:
        await until_shown(pilot, "Quit", "first entry")
        await until(pilot, lambda: bool(app.screen.query("Prompt")))
        await pilot.press(*keys)
        before, svg = "", app.export_screenshot(title="sollol-tui")
        while before != svg:  # until it stands still, over two points of the panes' grid
            await pilot.pause(2 * GRID_S)
            before, svg = svg, app.export_screenshot(title="sollol-tui")
    return re.sub(r"terminal-\d+-", "terminal-", svg)


@pytest.mark.parametrize(
    ("name", "snapshot", "size", "keys"),
    [
        ("full-80x24", clusters.FULL, (80, 24), ()),
        ("full-120x40", clusters.FULL, (120, 40), ()),
        ("full-200x60", clusters.FULL, (200, 60), ()),
        ("broken-120x40", clusters.BROKEN, (120, 40), ("2",)),
        ("empty-80x24", EMPTY, (80, 24), ("2",)),
        ("modes-120x40", clusters.FULL, (120, 40), ("m",)),
        ("help-120x40", clusters.FULL, (120, 40), ("question_mark",)),
    ],
)
async def test_the_screen_looks_as_it_was_found_good(
    name: str, snapshot: ClusterSnapshot, size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    shown = await picture(snapshot, size, *keys)
    file = PICTURES / f"{name}.svg"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8"), f"{name} looks different: see the file's top"
