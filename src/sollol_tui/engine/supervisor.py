"""Keeps one coordinator up: the only writer of its process.

Start, stop and restart are turns: one at a time, each ends what the one before began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from sollol_tui.core.diagnose import Context
from sollol_tui.core.events import CoordinatorStepped, TargetsFound
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, host_of, port_of
from sollol_tui.core.lifecycle import Phase, RestartHistory
from sollol_tui.core.llama_log import LogFacts
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.plan import CoordinatorPlan
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import FoundCoordinator
from sollol_tui.core.shard_map import ShardMap, shard_map
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus
from sollol_tui.engine.coordinator_process import CoordinatorProcess
from sollol_tui.engine.launch import Launch
from sollol_tui.engine.planning import Planner
from sollol_tui.engine.store import Store
from sollol_tui.io.http import Http, Server
from sollol_tui.io.runs import RunRecord

SOURCE = "started"

# What another try cannot mend: it needs a person.
_NEEDS_A_PERSON = {
    Cause.NO_BINARY,
    Cause.NO_RPC_SUPPORT,
    Cause.PORT_TAKEN,
    Cause.MODEL_NOT_FOUND,
    Cause.MODEL_UNREADABLE,
    Cause.MODEL_CORRUPT,
    Cause.MODEL_REFUSED,
}


class Supervisor:
    """One coordinator of this program.

    `listeners` hear of every step. With `restart_hung` a stalled one is started anew.
    """

    def __init__(
        self,
        process: CoordinatorProcess,
        store: Store,
        http: Http,
        planner: Planner,
        restart_hung: bool = False,
    ) -> None:
        self.process = process
        self.url = process.url
        self.listeners: list[Callable[[CoordinatorStepped], None]] = []
        self._store = store
        self._http = http
        self._planner = planner
        self._restart_hung = restart_hung
        self._turn = asyncio.Lock()
        self._job: asyncio.Task[None] | None = None
        self._now = asyncio.Event()  # cuts a wait short
        self._load_s: float | None = None
        self.was_found = False  # taken over from an earlier run, and not replaced since

    @property
    def busy(self) -> bool:
        """Whether it is being kept up."""
        return self._job is not None and not self._job.done()

    async def start(self, order: Order) -> None:
        """Start the coordinator and keep it up, in the place of one that ran before."""
        async with self._turn:
            await self._end_job()
            await self._end_process()
            self.was_found = False
            self._tell_target()
            keeping = self._keep_up(order, RestartHistory(), served=False)
            self._job = asyncio.create_task(keeping, name=f"supervise {self.url}")

    async def stop(self) -> None:
        """Stop the coordinator, also while it starts."""
        async with self._turn:
            await self._end_job()
            await self._end_process()
            self._step(Phase.STOPPED)
            self.process.let_go()

    async def until_given_up(self) -> None:
        """Wait until it is kept up no longer: it gave up, or was stopped."""
        while (job := self._job) is not None:
            await asyncio.wait({job})
            if job is self._job:
                job.result()  # a bug in it is raised here
                return

    def try_now(self) -> None:
        """Do not wait any longer: start again now."""
        self._now.set()

    async def adopt(self) -> bool:
        """Take over the coordinator of an earlier run, when that still runs and nobody has it."""
        async with self._turn:
            record = self.process.take_over()
            if record is None:
                return False
            self.was_found = True
            self._tell_target()
            self._job = asyncio.create_task(self._keep_up_adopted(record))
            return True

    async def close(self, stays: bool) -> None:
        """End looking after it; its process ends too unless it stays."""
        async with self._turn:
            await self._end_job()
            if not stays:
                await self._end_process()
            self.process.let_go()

    async def _keep_up(self, order: Order, history: RestartHistory, served: bool) -> None:
        while True:
            planned = await self._planned(order)
            problems = planned.problems
            if planned.startable and planned.plan is not None:
                problem, ready = await self._run(planned.plan)
                problems, served = (problem,), served or ready
            await self._end_process(problems)
            problems = problems or (_no_plan(),)
            if not served or problems[0].cause in _NEEDS_A_PERSON:
                self._step(Phase.FAILED, problems=problems)
                self.process.let_go()
                return
            history = history.failed(self._store.now_s())
            await self._rest(history, problems)
            history = history.reset() if self._now.is_set() else history
            order = order._replace(strict=False)

    async def _keep_up_adopted(self, record: RunRecord) -> None:
        backends = tuple(BackendAddress(b) for b in record.backends)
        context = _context(self.url, record.argv, record.model, backends)
        launch = self._launch(context, 0)
        try:
            self._step(Phase.CONNECTING)
            while launch.read_log():
                continue
            problem = await launch.until_ready(self._tell_progress)
            if problem is None:
                self._step(Phase.READY, shards=_shards(launch.facts))
                problem = await self._serve(launch, backends)
        finally:
            launch.close()
        await self._end_process((problem,))
        history = RestartHistory().failed(self._store.now_s())
        await self._rest(history, (problem,))
        model, port = record.model_path or record.model, self.process.port
        order = Order(model, backends, port=port, strict=False, alias=record.model)
        await self._keep_up(order, history, served=True)

    async def _planned(self, order: Order) -> Planned:
        self._step(Phase.PROBING)
        return await self._planner.plan(order, self._store.snapshot.backends)

    async def _run(self, plan: CoordinatorPlan) -> tuple[Problem, bool]:
        """One run of the process: why it ended, and whether it served."""
        if (taken := self.process.port_problem()) is not None:
            return taken, False
        self._step(Phase.STARTING, plan=plan)
        started_s = self._store.now_s()
        try:
            self.process.start(plan)
        except OSError as error:
            return _cannot_start(plan, error), False
        context = _context(self.url, plan.argv, plan.model, plan.backends)
        launch = self._launch(context, plan.model_bytes)
        try:
            self._step(Phase.CONNECTING, plan=plan)
            problem = await launch.until_ready(self._tell_progress)
            if problem is not None:
                return problem, False
            self._load_s = self._store.now_s() - started_s
            self._step(Phase.READY, shards=_shards(launch.facts))
            return await self._serve(launch, plan.backends), True
        finally:
            launch.close()

    async def _serve(self, launch: Launch, backends: tuple[BackendAddress, ...]) -> Problem:
        ends = asyncio.ensure_future(launch.until_end(backends, lambda: None))
        hangs = asyncio.ensure_future(self._until_hung())
        try:
            await asyncio.wait({ends, hangs}, return_when=asyncio.FIRST_COMPLETED)
            return ends.result() if ends.done() else hangs.result()
        finally:
            for task in (ends, hangs):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _until_hung(self) -> Problem:
        """Wait until it is shown as stalled; only where a hung one is to be restarted."""
        stalled = asyncio.Event()

        def note(_: ClusterSnapshot, after: ClusterSnapshot) -> None:
            state = after.coordinator(self.url)
            if self._restart_hung and state and state.status is CoordinatorStatus.STALLED:
                stalled.set()

        self._store.listeners.append(note)
        try:
            await stalled.wait()
        finally:
            self._store.listeners.remove(note)
        state = self._store.snapshot.coordinator(self.url)
        evidence = (str(state.fault),) if state and state.fault else ()
        return Problem(Cause.COORDINATOR_HUNG, self.url, evidence, "It is started anew.")

    async def _rest(self, history: RestartHistory, problems: tuple[Problem, ...]) -> None:
        """Wait before the next try: not at all for the first loss of a backend."""
        first_loss = len(history.failed_at_s) == 1 and problems[0].cause is Cause.BACKEND_LOST
        wait_s = 0.0 if first_loss else history.wait_s(self._store.now_s())
        phase = Phase.QUARANTINED if history.gives_up else Phase.FAILED
        self._step(phase, problems=problems, retry_at_s=self._store.now_s() + wait_s)
        if not wait_s:
            return
        self._now.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._now.wait()

    def _launch(self, context: Context, model_bytes: int) -> Launch:
        running, log = self.process.running, self.process.log
        assert running is not None
        assert log is not None
        server = Server(self.url, self.process.headers)
        return Launch(running, log, self._http, server, context, model_bytes, self._store.now_s)

    async def _end_process(self, problems: tuple[Problem, ...] = ()) -> None:
        """End it; the problems that are the reason are told before that takes its time."""
        if self.process.is_running:
            self._step(Phase.STOPPING, problems=problems)
        await self.process.end()

    async def _end_job(self) -> None:
        job, self._job = self._job, None
        if job is None:
            return
        job.cancel()
        await asyncio.wait({job})
        if not job.cancelled() and (error := job.exception()) is not None:
            raise error

    def _tell_target(self) -> None:
        found = FoundCoordinator(self.url, SOURCE)
        self._store.apply(TargetsFound(SOURCE, coordinators=(found,)))

    def _tell_progress(self, facts: LogFacts) -> None:
        if facts.phase is not Phase.READY:  # that is for its port to say
            self._step(facts.phase, progress=facts.progress)

    def _step(
        self,
        phase: Phase,
        *,
        progress: float | None = None,
        problems: tuple[Problem, ...] = (),
        retry_at_s: float | None = None,
        plan: CoordinatorPlan | None = None,
        shards: ShardMap | None = None,
    ) -> None:
        running = self.process.running
        event = CoordinatorStepped(
            self.url,
            self._store.now_s(),
            phase,
            running.pid if running is not None else None,
            progress,
            self._load_s,
            problems,
            retry_at_s,
            plan,
            shards,
        )
        self._store.apply(event)
        self.process.note(event.at_s, phase, problems, retry_at_s)
        for listener in self.listeners:
            listener(event)


def _context(
    url: CoordinatorUrl, argv: tuple[str, ...], model: str, backends: tuple[BackendAddress, ...]
) -> Context:
    address = f"{host_of(url)}:{port_of(url)}"
    return Context(binary=argv[0] if argv else "", address=address, model=model, backends=backends)


def _shards(facts: LogFacts) -> ShardMap | None:
    return shard_map(facts, facts.layers or 0)


def _cannot_start(plan: CoordinatorPlan, error: OSError) -> Problem:
    evidence = (error.strerror or str(error),)
    return Problem(Cause.NO_BINARY, plan.argv[0], evidence, "Check the program and its rights.")


def _no_plan() -> Problem:
    return Problem(Cause.UNKNOWN, "", (), "Ask for the plan: `sollol-tui coordinator plan`.")
