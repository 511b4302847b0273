"""Keeps one RPC backend up, and the registry told of it, until it is stopped.

The backend is probed once when it listens, and again only when nobody holds it: while a client is
connected a probe would learn nothing. Between probes its life is the process itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sollol_tui.core import wire
from sollol_tui.core.lifecycle import RestartHistory
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.worker import PhaseChanged, ProblemFound, WorkerEvent, WorkerOrder
from sollol_tui.core.worker_entry import HEARTBEAT_S
from sollol_tui.engine.worker_life import WorkerLife, first_of, orphan_of, worker_log
from sollol_tui.io.files import locked, private_dir
from sollol_tui.io.process import Running


class Worker:
    """One backend that is kept up. Belongs to one event loop, in the main thread.

    Args:
        order: what is to be kept up.
        state_dir: where its log, its lock and its pid lie.
        tell: hears every event; must not block.
        heartbeat_s: how often the registry is told.
        clock: seconds since the epoch.
        takes_over: a backend that an earlier run left goes on; else it is ended first.
    """

    def __init__(
        self,
        order: WorkerOrder,
        state_dir: Path,
        tell: Callable[[WorkerEvent], None],
        heartbeat_s: float = HEARTBEAT_S,
        clock: Callable[[], float] = time.time,
        *,
        takes_over: bool = False,
    ) -> None:
        self.order = order
        self.log = worker_log(state_dir, order)
        self._takes_over = takes_over
        self._tell = tell
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._stopping = self._loop.create_future()
        self._retrying = self._loop.create_future()
        self._history = RestartHistory()
        self._life = WorkerLife(order, self.log, tell, heartbeat_s, clock, self._stopping)

    def stop(self) -> None:
        """Ask it to end: deregister, stop the backend; `run` returns then."""
        if not self._stopping.done():
            self._stopping.set_result(None)

    def let_go(self) -> None:
        """Look after it no longer; the backend goes on, and a later run finds it."""
        self._life.leaves = True
        self.stop()

    def try_now(self) -> None:
        """Do not wait for the next start."""
        if not self._retrying.done():
            self._retrying.set_result(None)

    async def run(self) -> Problem | None:
        """Keep the backend up until `stop`, or until this is cancelled: it is stopped then too.

        Returns the problem when it cannot be started at all (port taken, wrong address, no such
        device …). One that has once served is started again for ever, with pauses.
        """
        with ExitStack() as held:
            try:
                private_dir(self.log.parent)
                is_alone = held.enter_context(locked(self.log.with_suffix(".lock"), wait=False))
            except OSError as error:
                return self._give_up(self._no_place(error))
            if not is_alone:
                return self._give_up(self._not_alone())
            problem = await self._run_alone()
        if problem is not None:
            return self._give_up(problem)
        if not self._life.leaves:
            self._tell(PhaseChanged(self._clock(), Phase.STOPPED))
        return None

    async def _run_alone(self) -> Problem | None:
        orphan = orphan_of(self.log)
        if orphan is not None and not self._takes_over:
            await orphan.stop()
            orphan = None
        try:
            return await self._keep_up(orphan)
        finally:
            await self._life.aclose()

    async def _keep_up(self, found: Running | None) -> Problem | None:
        while not self._stopping.done():
            ended, found = await self._life.live(found), None
            if ended is None:
                break
            if ended.is_lasting and not self._life.has_served:
                return ended.problem
            self._tell(ProblemFound(self._clock(), ended.problem))
            self._history = self._history.failed(self._loop.time())
            await self._rest()
        return None

    async def _rest(self) -> None:
        """Wait for the next start: longer each time, five minutes after five failures."""
        phase = Phase.QUARANTINED if self._history.gives_up else Phase.FAILED
        wait_s = self._history.wait_s(self._loop.time())
        self._retrying = self._loop.create_future()
        self._tell(PhaseChanged(self._clock(), phase, retry_in_s=round(wait_s, 1)))
        await first_of(wait_s, self._stopping, self._retrying)
        if self._retrying.done():
            self._history = self._history.reset()

    def _give_up(self, problem: Problem) -> Problem:
        self._tell(ProblemFound(self._clock(), problem))
        self._tell(PhaseChanged(self._clock(), Phase.FAILED))
        return problem

    def _not_alone(self) -> Problem:
        advice = "Stop that one, or give this worker another --port."
        evidence = ("another worker of this program keeps a backend there",)
        return Problem(Cause.PORT_TAKEN, self.order.address, evidence, advice)

    def _no_place(self, error: OSError) -> Problem:
        evidence = (wire.one_line(f"{error.filename or self.log.parent}: {error.strerror}"),)
        advice = "It needs that directory for its log; XDG_STATE_HOME may name another."
        return Problem(Cause.BACKEND_UNREACHABLE, self.order.address, evidence, advice)
