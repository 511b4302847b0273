"""Keeps one coordinator up: the only writer of its process.

Start, stop and restart are turns: one at a time, each ends what the one before began.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NamedTuple

from sollol_tui.core.diagnose import Context
from sollol_tui.core.events import CoordinatorStepped
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, host_of, port_of
from sollol_tui.core.kept_order import order_of_run
from sollol_tui.core.lifecycle import RestartHistory, tries_again
from sollol_tui.core.llama_log import LogFacts
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.plan import CoordinatorPlan
from sollol_tui.core.post_mortem import is_worth_a_look
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.shard_map import ShardMap, shard_map
from sollol_tui.engine.claims import PlacePlanner
from sollol_tui.engine.coordinator_process import CoordinatorProcess
from sollol_tui.engine.launch import Launch, until_hung, until_over
from sollol_tui.engine.steps import Steps
from sollol_tui.engine.store import Store
from sollol_tui.io.http import Http, Server
from sollol_tui.io.runs import RunRecord

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class _End(NamedTuple):
    """How one try ended. `launch` is None when no process ran."""

    problems: tuple[Problem, ...]
    served: bool = False
    launch: Launch | None = None
    projector: str = ""  # that it was started with


class Supervisor:
    """One coordinator of this program.

    `spawn` starts a task whose bugs are noticed. With `restart_hung` a stalled one is started anew.
    """

    def __init__(
        self,
        process: CoordinatorProcess,
        store: Store,
        http: Http,
        planner: PlacePlanner,
        spawn: Spawn,
        restart_hung: bool = False,
    ) -> None:
        self.process = process
        self.url = process.url
        self.was_found = False  # taken over from an earlier run, and not replaced since
        self._store = store
        self._http = http
        self._planner = planner
        self._spawn = spawn
        self._restart_hung = restart_hung
        self._steps = Steps(process, store)
        self._turn = asyncio.Lock()
        self._job: asyncio.Task[None] | None = None
        self._order: Order | None = None
        self._now = asyncio.Event()  # cuts a wait short
        self._closed = False

    @property
    def listeners(self) -> list[Callable[[CoordinatorStepped], None]]:
        """Who hears of every step."""
        return self._steps.listeners

    @property
    def busy(self) -> bool:
        """Whether it is being kept up."""
        return self._job is not None and not self._job.done()

    @property
    def model(self) -> str:
        """The name or the file that it was told to run last; empty: what is found."""
        return self._order.model if self._order is not None else ""

    async def start(self, order: Order, *, anew: bool = True) -> None:
        """Start the coordinator and keep it up, in the place of one that ran before.

        Not `anew`: one that is kept up already goes on; so many may want it at the same time.
        """
        await self._whole(self._start(order, anew))

    async def stop(self) -> None:
        """Stop the coordinator, also while it starts."""
        await self._whole(self._stop())

    async def _whole(self, turn: Coroutine[Any, Any, None]) -> None:
        """Do a turn whole, though nobody waits any more: what is held still would stay so."""
        if self._closed:
            turn.close()
        else:
            await asyncio.shield(self._spawn(turn))

    async def _start(self, order: Order, anew: bool) -> None:
        async with self._turn:
            if self._closed or (self.busy and not anew):
                return
            await self._end_job()
            await self._end_process(wanted=True)
            self.was_found = False
            self._order = order
            self._steps.begin()
            self._steps.to(Phase.PROBING)  # now: who waits for it must see it coming
            self._job = self._spawn(self._keep_up(order, RestartHistory(), served=False))

    async def _stop(self) -> None:
        async with self._turn:
            await self._end_job()
            await self._end_process(wanted=True)
            self._steps.to(Phase.STOPPED)
            self._let_go()

    async def until_given_up(self) -> None:
        """Wait until it is kept up no longer: it gave up, or was stopped."""
        while (job := self._job) is not None:
            await asyncio.wait({job})
            if job is self._job:
                job.result()  # a bug in it is raised here
                return

    def try_now(self) -> None:
        """Do not wait any longer: start again now, also one that was given up."""
        if self.busy:
            self._now.set()
        elif self._order is not None and not self._closed:
            self._spawn(self._start(self._order, anew=False))

    async def adopt(self) -> None:
        """Take over the coordinator of an earlier run, when that still runs and nobody has it."""
        async with self._turn:
            record = None if self._closed or self.busy else self.process.take_over()
            if record is None:
                return
            self.was_found = True
            self._order = _order_of(record, self.url)
            self._steps.begin()
            self._planner.take(_backends_of(record))
            self._steps.to(Phase.CONNECTING, backends=_backends_of(record))
            self._job = self._spawn(self._keep_up_found(record, self._order))

    async def close(self, stays: bool) -> None:
        """End looking after it; its process ends too unless it stays, or was being ended."""
        self._closed = True
        async with self._turn:
            await self._end_job()
            if not stays or self.process.is_ending:
                await self._end_process()
            self._let_go()

    async def objection(self, model: str) -> Problem | None:
        """Why it is not to be started for a model that was asked for."""
        return await asyncio.to_thread(self._planner.objection, model)

    # Its life

    async def _keep_up(self, order: Order, history: RestartHistory, served: bool) -> None:
        while True:
            end = await self._run(order)
            served = served or end.served
            problems = await self._bury(end)
            cause, ran = problems[0].cause, end.launch is not None
            is_blind = _is_blinding(problems[0], end.projector)  # then it can do without
            if not (is_blind or tries_again(cause, served=served, ran=ran)):
                self._steps.to(Phase.FAILED, problems=problems)
                self._let_go()
                return
            history = await self._rest(history, problems)
            order = order._replace(strict=False, projector="" if is_blind else order.projector)
            self._steps.to(Phase.PROBING)

    async def _keep_up_found(self, record: RunRecord, order: Order) -> None:
        backends = _backends_of(record)
        launch = self._launch(_context(self.url, record.argv, record.model, backends), 0)
        end = await self._watch(launch, backends, record.layer_kv_bytes)
        history = await self._rest(RestartHistory(), await self._bury(end))
        self._steps.to(Phase.PROBING)
        await self._keep_up(order._replace(strict=False), history, served=True)

    async def _run(self, order: Order) -> _End:
        """Plan it, start it, and watch it until it ends."""
        # first: who is in the way there may hold the backends, too
        if (taken := await asyncio.to_thread(self.process.port_problem)) is not None:
            return _End((taken,))
        planned = await self._planner.plan(order, lambda: self._store.snapshot.backends)
        plan = planned.plan
        if plan is None or not planned.startable:
            return _End(planned.problems or (_no_plan(self.url),))
        self._steps.to(Phase.STARTING, plan=plan)
        started_s = self._store.now_s()
        try:
            # what was found for an order that names no model is what is wanted from now on
            self.process.start(plan, order._replace(model=order.model or plan.model))
        except OSError as error:
            return _End((_cannot_start(plan, error),))
        context = _context(self.url, plan.argv, plan.model, plan.backends)
        launch = self._launch(context, plan.model_bytes)
        self._steps.to(Phase.CONNECTING, plan=plan)
        end = await self._watch(launch, plan.backends, plan.layer_kv_bytes, started_s)
        return end._replace(projector=plan.projector)

    async def _watch(
        self,
        launch: Launch,
        backends: tuple[BackendAddress, ...],
        layer_kv_bytes: tuple[int, ...],
        started_s: float | None = None,
    ) -> _End:
        """One run of the process, from its start or from when it was found, to its end."""
        try:
            problem = await launch.until_ready(self._tell_progress)
            if problem is not None:
                return _End((problem,), False, launch)
            if started_s is not None:
                self._steps.load_s = self._store.now_s() - started_s
            self.process.confirm()
            self.process.serves = True
            self._steps.to(Phase.READY, shards=_shards(launch.facts, layer_kv_bytes))
            hangs = until_hung(self._store, self.url, self._restart_hung)
            problem = await until_over(launch, backends, hangs)
            self.process.serves = False  # and will not listen to anybody
            return _End((problem,), True, launch)
        finally:
            launch.close()

    async def _bury(self, end: _End) -> tuple[Problem, ...]:
        """End the process, if it has not ended; the problems, with what its backends say now."""
        launch, problem = end.launch, end.problems[0]
        if launch is None or not is_worth_a_look(problem):
            await self._end_process(end.problems)
            return end.problems
        # whom a diagnosis blames is better told when the backends have been asked
        await self._end_process(() if launch.is_diagnosed else end.problems)
        reports = await self._planner.probe(launch.backends)
        return (launch.explained(problem, reports),)

    async def _rest(self, history: RestartHistory, problems: tuple[Problem, ...]) -> RestartHistory:
        """Tell the problem and wait before the next try; the failures that count from then on."""
        history = history.failed(self._store.now_s())
        wait_s = history.pause_s(problems[0].cause)
        retry_at_s = self._store.now_s() + wait_s
        self._steps.to(Phase.FAILED, problems=problems, retry_at_s=retry_at_s)
        if history.gives_up:
            self._steps.to(Phase.QUARANTINED, problems=problems, retry_at_s=retry_at_s)
        self._now.clear()
        if wait_s:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._now.wait()
        return history.reset() if self._now.is_set() else history

    def _launch(self, context: Context, model_bytes: int) -> Launch:
        running, log = self.process.running, self.process.log
        assert running is not None
        assert log is not None
        server = Server(self.url, self.process.headers)
        return Launch(running, log, self._http, server, context, model_bytes, self._store.now_s)

    async def _end_process(self, problems: tuple[Problem, ...] = (), wanted: bool = False) -> None:
        """End it; why is told before that takes its time. Where it is wanted, one stops that ended
        just now, unnoticed."""
        if self.process.is_running or (wanted and self.process.running is not None):
            self._steps.to(Phase.STOPPING, problems=problems)
        await self.process.end()

    def _let_go(self) -> None:
        """Nobody looks after it any more, and it needs no backends."""
        self._planner.release()
        self.process.let_go()

    async def _end_job(self) -> None:
        job, self._job = self._job, None
        if job is not None:
            job.cancel()
            await asyncio.wait({job})

    def _tell_progress(self, facts: LogFacts) -> None:
        self.process.confirm()
        if facts.phase is not Phase.READY:  # that is for its port to say
            self._steps.to(facts.phase, progress=facts.progress)


def _is_blinding(problem: Problem, projector: str) -> bool:
    """Whether a model was refused for the file that it sees pictures with."""
    return bool(projector) and (problem.cause, problem.subject) == (Cause.MODEL_REFUSED, projector)


def _order_of(record: RunRecord, url: CoordinatorUrl) -> Order:
    """What starts it again as it is: by its file, unless that has gone."""
    backends = _backends_of(record)
    order = order_of_run(record.order, url, record.argv, record.model, backends)
    if record.order is not None and not os.path.exists(order.model):
        return order._replace(model=record.order.model, alias=record.order.alias)
    return order


def _backends_of(record: RunRecord) -> tuple[BackendAddress, ...]:
    return tuple(map(BackendAddress, record.backends))


def _context(
    url: CoordinatorUrl, argv: tuple[str, ...], model: str, backends: tuple[BackendAddress, ...]
) -> Context:
    address = f"{host_of(url)}:{port_of(url)}"
    return Context(binary=argv[0] if argv else "", address=address, model=model, backends=backends)


def _shards(facts: LogFacts, layer_kv_bytes: tuple[int, ...]) -> ShardMap | None:
    return shard_map(facts, facts.layers or len(layer_kv_bytes), layer_kv_bytes)


def _cannot_start(plan: CoordinatorPlan, error: OSError) -> Problem:
    evidence = (error.strerror or str(error),)
    if error.filename in {None, plan.argv[0]}:
        return Problem(Cause.NO_BINARY, plan.argv[0], evidence, "Check the program and its rights.")
    advice = "Its log and its record are kept there: make room, or give the right to write."
    said = f"{error.filename} cannot be written."
    return Problem(Cause.UNKNOWN, str(error.filename), evidence, advice, said)


def _no_plan(url: CoordinatorUrl) -> Problem:
    advice = "Ask for the plan: `sollol-tui coordinator plan`."
    return Problem(Cause.UNKNOWN, url, (), advice, "There is no plan that can be started.")
