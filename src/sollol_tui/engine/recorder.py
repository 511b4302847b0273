"""Keeps the record of requests on disk, and brings back at the start what earlier runs kept."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.samples import Sample
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.store import Store

if TYPE_CHECKING:
    from sollol_tui.core.statistics import Statistics
    from sollol_tui.io.ledger_file import LedgerFile, Row

MOST_WAITING = 1000  # rows, while the file cannot be written
MOST_RECALLED = 5000  # what the figures "over all" hold
CLOSE_WITHIN_S = 3.0


class Recorder:
    """Watches the ledger. What ends is written after it has ended, in another thread.

    Args:
        directory: where the record lies.
    """

    def __init__(self, ledger: Ledger, store: Store, directory: Path) -> None:
        self._ledger = ledger
        self._store = store
        self._directory = directory
        self._rows: list[Row] = []
        self._more = asyncio.Event()
        self._file: LedgerFile | None = None
        self._told = ""
        self._task: asyncio.Task[None] | None = None
        ledger.watchers.append(self)

    def claimed(self, decision: RouteDecision, tries: int, instead_of: str) -> None:
        """Nothing is written before a request has ended."""

    def ended(self, sample: Sample, decision: RouteDecision) -> None:
        """A request ended: it is written soon."""
        self._rows.append((sample, decision))
        self._more.set()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Bring back what was kept, then write as requests end."""
        self._task = group.create_task(self._run(), name="recorder")

    async def _run(self) -> None:
        file = await self._opened()
        await self._recall(file)
        while True:
            await self._more.wait()
            self._more.clear()
            await self._flush(file)

    async def aclose(self) -> None:
        """Write what has not been written yet, within a bound, and close the file."""
        self._ledger.watchers.remove(self)
        if self._task is not None:
            self._task.cancel()  # what it was writing is written again, and ignored there
        if self._file is None and not self._rows:
            return
        file = await self._opened()
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._flush(file)
                await file.aclose()
        except TimeoutError:
            self._tell("the record of requests was not written in time")

    async def _opened(self) -> LedgerFile:
        if self._file is None:
            # SQLite's import, on another thread: the screen goes on meanwhile
            module = await asyncio.to_thread(importlib.import_module, "sollol_tui.io.ledger_file")
            run = f"{int(self._store.now_s() * 1000):x}-{os.urandom(4).hex()}"
            self._file = module.LedgerFile(self._directory, run)
        return self._file

    async def _recall(self, file: LedgerFile) -> None:
        found = await file.recent(MOST_RECALLED)
        self._tell(found.problem)
        now_s = self._store.now_s()
        # A tenth of a second of work when there are many, in another thread.
        statistics = await asyncio.to_thread(_figures, found.samples, now_s)
        self._ledger.recall(found.samples, statistics, now_s)

    async def _flush(self, file: LedgerFile) -> None:
        rows = list(self._rows)
        if not rows:
            return
        result = await file.write(rows)
        self._tell(result.problem)
        if result.kept:
            del self._rows[: len(rows)]
        else:  # with the next request it is tried again
            del self._rows[:-MOST_WAITING]

    def _tell(self, problem: str) -> None:
        """Say it once, not with every request."""
        if problem and problem != self._told:
            self._store.log("warn", "app", "", problem)
        self._told = problem


def _figures(samples: Sequence[Sample], now_s: float) -> Statistics:
    from sollol_tui.core.statistics import Statistics

    return Statistics(samples, now_s)
