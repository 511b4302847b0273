"""Waits until a coordinator that serves is known to hang."""

from __future__ import annotations

import asyncio

from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.problems import Problem
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.core.supervised import hang_problem
from sollol_tui.engine.store import Store


async def until_hung(store: Store, url: CoordinatorUrl, restart_hung: bool) -> Problem:
    """Wait until it moves no token and something is to be done about that; returns why.

    Without `restart_hung` it is only shown, unless one of its backends has vanished: then nothing
    but another plan can help.
    """
    changed = asyncio.Event()

    def note(_: ClusterSnapshot, __: ClusterSnapshot) -> None:
        changed.set()

    store.listeners.append(note)
    try:
        while (problem := hang_problem(store.snapshot, url, restart_hung)) is None:
            changed.clear()
            await changed.wait()
        return problem
    finally:
        store.listeners.remove(note)
