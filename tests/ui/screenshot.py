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
WHOLE = 1  # token, and then all others
QUESTIONS = (("Hello", WHOLE), ("How does one model run on several machines?", 110))
"""What is asked, and how many tokens of the answer are waited for."""


def written(engine: Engine) -> int:
    """The tokens of the answers that are being written."""
    return sum(request.tokens for request in engine.store.snapshot.requests)


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
            for question, enough in QUESTIONS:
                for letter in question:
                    await pilot.press("space" if letter == " " else letter)
                await pilot.press("enter")
                while written(engine) < enough:
                    await pilot.pause(0.05)
                while enough == WHOLE and engine.store.snapshot.requests:
                    await pilot.pause(0.05)
            svg = app.export_screenshot(title="sollol-tui demo")
        return re.sub(r"terminal-\d+-", "terminal-", svg)
    finally:
        cluster.close()


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    file.parent.mkdir(exist_ok=True)
    file.write_text(asyncio.run(take()), encoding="utf-8")
