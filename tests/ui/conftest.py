"""How long a test waits after a key for an app that has nothing to do."""

from __future__ import annotations

import asyncio
import time

from textual import app

PAUSE_S = 1 / 400
BUSY = 0.05  # the part of a pause in which an idle process may work
AT_MOST_S = 1.0


async def _until_idle(_min_sleep: float = 0.0) -> None:
    """Until nothing happens in a pause. Textual's own one, two of which follow every key, is eight
    times as long: it was most of the time that tests took which press many keys. What they mean to
    see they wait for anyway."""
    end_s = time.monotonic() + AT_MOST_S
    while time.monotonic() < end_s:
        worked_s = time.process_time()
        await asyncio.sleep(PAUSE_S)
        if time.process_time() - worked_s < BUSY * PAUSE_S:
            return


app.wait_for_idle = _until_idle  # type: ignore[assignment]
