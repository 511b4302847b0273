"""One run of a coordinator's process: from its start until it serves, until it ends or hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from sollol_tui.core.diagnose import Context, diagnose
from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, port_of
from sollol_tui.core.lifecycle import load_deadline_s
from sollol_tui.core.llama_log import LogFacts, LogReader
from sollol_tui.core.phases import Phase
from sollol_tui.core.post_mortem import silent_words, with_reports
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.core.supervised import hang_problem
from sollol_tui.engine.store import Store
from sollol_tui.io.host import Link, SocketWatch, serving_process
from sollol_tui.io.http import Http, Server
from sollol_tui.io.log_file import LogFile
from sollol_tui.io.process import Running

START_POLL_S = 0.1
WATCH_S = 0.4  # a lost backend is to be seen within a second
CONNECT_DEADLINE_S = 30.0  # a free backend is connected in milliseconds, but GPUs are woken first
HEALTH_WITHIN_S = 1.0
TAIL_LINES = 80

NO_REPORTS: Mapping[BackendAddress, BackendReport] = {}


class Launch:
    """Watches one process of ours.

    Args:
        running: the process.
        log: the file that it writes to.
        server: how to reach it.
        context: what a diagnosis should know beside the log.
        model_bytes: how large the model is: it decides how long loading may take.
        now_s: a steady clock.
    """

    def __init__(
        self,
        running: Running,
        log: LogFile,
        http: Http,
        server: Server,
        context: Context,
        model_bytes: int,
        now_s: Callable[[], float],
    ) -> None:
        self.running = running
        self.log = log
        self._reader = LogReader()
        self._http = http
        self._server = server
        self._context = context
        self._model_bytes = model_bytes
        self._now_s = now_s
        self._started_s = now_s()
        self._exit = asyncio.ensure_future(running.wait())
        self._over_after_s: float | None = None
        self._has_ended = False

    @property
    def facts(self) -> LogFacts:
        """What the log has told so far."""
        return self._reader.facts

    @property
    def backends(self) -> tuple[BackendAddress, ...]:
        """The backends that it was given."""
        return tuple(map(BackendAddress, self._context.backends))

    @property
    def is_diagnosed(self) -> bool:
        """Whether its log was asked why it ended, or why it does not get on."""
        return self._over_after_s is not None

    @property
    def elapsed_s(self) -> float:
        """How long it has been running, or did run."""
        if self._over_after_s is not None:
            return self._over_after_s
        return self._now_s() - self._started_s

    async def until_ready(self, changed: Callable[[LogFacts], None]) -> Problem | None:
        """Wait until it serves; `changed` hears of each new phase and progress.

        Returns the problem when it ends, hangs or takes too long instead.
        """
        while True:
            await asyncio.wait({self._exit}, timeout=START_POLL_S)
            before = self.facts
            self.read_log()
            if self._exit.done():
                return self._ended()
            if (self.facts.phase, self.facts.progress) != (before.phase, before.progress):
                changed(self.facts)
            if await self._serves():
                self._feed(self.log.catch_up())  # the map of its shards is in what it said by then
                return None
            if self.elapsed_s > self._deadline_s():
                self._over_after_s = self.elapsed_s
                return self.diagnosis()

    async def until_end(self, backends: tuple[BackendAddress, ...]) -> Problem:
        """Watch it while it serves, until it ends or one of its backends is lost.

        A lost backend shows in the socket that the server holds to it, within milliseconds and
        before the server itself notices (llama.cpp, measured).
        """
        port = port_of(self._server.url) or 0
        pid = await asyncio.to_thread(serving_process, self.running.pid, port)
        watch, seen = SocketWatch(pid, backends), set[BackendAddress]()
        while True:
            await asyncio.wait({self._exit}, timeout=WATCH_S)
            self.read_log()
            if self._exit.done():
                return self._ended()
            links = dict(await asyncio.to_thread(watch.look))
            if lost := lost_links(links, seen, asleep=self.facts.sleeping):
                if self.running.is_running:
                    return backend_lost(lost)
                await self._exit  # then its own end broke them
                return self._ended()

    def read_log(self) -> list[str]:
        """What the log says since the last call; a bounded part of it."""
        fresh = self.log.read_new()
        self._feed(fresh)
        return fresh

    def diagnosis(self, reports: Mapping[BackendAddress, BackendReport] = NO_REPORTS) -> Problem:
        """Why it ended or does not get on, by its log and by later looks at its backends."""
        ended = self._has_ended
        context = self._context._replace(
            phase=self.facts.phase, elapsed_s=self.elapsed_s, ended=ended
        )
        exit_code = self.running.exit_code if ended else None
        return diagnose(exit_code, self.log.tail(TAIL_LINES), with_reports(context, reports))

    def explained(
        self, problem: Problem, reports: Mapping[BackendAddress, BackendReport]
    ) -> Problem:
        """The problem, with what its backends say now that it has ended."""
        if self.is_diagnosed:
            return self.diagnosis(reports)
        silent = tuple(line for line in silent_words(reports) if line not in problem.evidence)
        return problem._replace(evidence=(*problem.evidence, *silent))

    def close(self) -> None:
        """Stop watching; the process goes on."""
        self._exit.cancel()

    async def _serves(self) -> bool:
        reply = await self._http.call(self._server, "/health", HEALTH_WITHIN_S)
        return not isinstance(reply, Fault) and reply.status == 200

    def _deadline_s(self) -> float:
        if self.facts.phase is Phase.CONNECTING and not self.log.number:
            return CONNECT_DEADLINE_S
        return load_deadline_s(self._model_bytes)

    def _ended(self) -> Problem:
        self._over_after_s, self._has_ended = self.elapsed_s, True
        self._feed(self.log.finish())
        return self.diagnosis()

    def _feed(self, lines: list[str]) -> None:
        for line in lines:
            self._reader.feed(line)


def lost_links(
    links: Mapping[BackendAddress, Link], seen: set[BackendAddress], *, asleep: bool
) -> tuple[BackendAddress, ...]:
    """The backends whose connection broke: closed by the other side, or there before and not now.

    `seen` are those that were connected once, and grows. One that sleeps has let go of them.
    """
    if asleep:
        seen.clear()
        return ()
    broken = tuple(
        a for a, link in links.items() if link == "lost" or (link == "gone" and a in seen)
    )
    seen.update(a for a, link in links.items() if link == "established")
    return broken


def backend_lost(addresses: tuple[BackendAddress, ...]) -> Problem:
    """Backends went away under a coordinator that still says ok."""
    return Problem(
        Cause.BACKEND_LOST,
        ", ".join(addresses),
        ("its connection to the coordinator broke",),
        "Bring it back (`sollol-tui worker` there); until then the others carry the model.",
    )


async def until_over(
    launch: Launch, backends: tuple[BackendAddress, ...], hung: Coroutine[Any, Any, Problem]
) -> Problem:
    """Wait until it ends, or `hung` tells that it hangs; returns why."""
    ends, hangs = asyncio.ensure_future(launch.until_end(backends)), asyncio.ensure_future(hung)
    try:
        await asyncio.wait({ends, hangs}, return_when=asyncio.FIRST_COMPLETED)
        if not launch.running.is_running:  # then it did not hang: how it ended is told at once
            await asyncio.wait({ends})
        return ends.result() if ends.done() else hangs.result()
    finally:
        ends.cancel()
        hangs.cancel()
        await asyncio.wait({ends, hangs})


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
