"""Makes the README's picture: the program over its demo cluster, in the middle of an answer.

`python -m tests.ui.screenshot [FILE.svg]`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from sollol_tui.engine.engine import Engine
from sollol_tui.ui.app import SollolApp
from sollol_tui.verbs.demo import start_cluster

PICTURE = Path(__file__).parents[2] / ".readme" / "screen.svg"
SIZE = (140, 42)
QUESTION = "How does one model run on several machines?"
ENOUGH_TOKENS = 260


async def take() -> str:
    """Ask, wait for a good part of the answer, and return what is on the screen, as SVG."""
    cluster = start_cluster()
    try:
        engine = Engine(cluster.settings)
        app = SollolApp(engine, demo=True)
        async with app.run_test(size=SIZE) as pilot:
            while not engine.store.snapshot.looked:
                await pilot.pause(0.05)
            await pilot.press("6")
            for letter in QUESTION:
                await pilot.press("space" if letter == " " else letter)
            await pilot.press("enter")
            while sum(r.tokens for r in engine.store.snapshot.requests) < ENOUGH_TOKENS:
                await pilot.pause(0.05)
            svg = app.export_screenshot(title="sollol-tui demo")
        return re.sub(r"terminal-\d+-", "terminal-", svg)
    finally:
        cluster.close()


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    file.parent.mkdir(exist_ok=True)
    file.write_text(asyncio.run(take()), encoding="utf-8")
