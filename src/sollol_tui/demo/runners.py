"""The models in a node's memory: loaded on first use, kept for a while, reloaded when they must."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from sollol_tui.demo.catalog import Model
from sollol_tui.demo.clock import NS_PER_S
from sollol_tui.demo.waiting import Signal


class QueueFull(Exception):  # noqa: N818 - what the server says, not an error of ours
    """Too many requests wait for a model to be loaded."""


class Listed(NamedTuple):
    """A loaded model as `/api/ps` is told of it."""

    model: Model
    context: int
    expires_at_ns: int


class Runner:
    """One loaded model. `pending` counts the requests that use it or wait for it."""

    def __init__(self, model: Model, context: int, keep_alive_ns: int, parallel: int) -> None:
        self.model = model
        self.context = context
        self.keep_alive_ns = keep_alive_ns
        self.pending = 0
        self.slots = asyncio.Semaphore(parallel)
        self.leaving = False
        self.idle_since_ns: int | None = None  # None: its first request has not ended

    def expires_at_ns(self, now_ns: int) -> int:
        """When it leaves the memory. It slides until the first request has ended."""
        if self.leaving:
            return now_ns
        return (self.idle_since_ns or now_ns) + self.keep_alive_ns

    def over(self, now_ns: int) -> bool:
        """Whether its time is up; never while it works."""
        return not self.pending and now_ns >= self.expires_at_ns(now_ns)


class Limits(NamedTuple):
    """How a node is set up, in the words of Ollama's own variables."""

    context: int = 4096  # OLLAMA_CONTEXT_LENGTH: when a request names none
    keep_alive_s: float = 300.0  # OLLAMA_KEEP_ALIVE
    parallel: int = 1  # OLLAMA_NUM_PARALLEL: answers at once, per model
    max_loaded: int = 3  # OLLAMA_MAX_LOADED_MODELS
    max_queue: int = 512  # OLLAMA_MAX_QUEUE: requests that wait for a load


class Runners:
    """All loaded models."""

    def __init__(self, load_s: float, limits: Limits) -> None:
        self.load_s = load_s
        self._limits = limits
        self._queued = 0
        self._runners: dict[str, Runner] = {}
        self._loading = asyncio.Lock()  # one cold load at a time, in order
        self._signal = Signal()

    def preload(self, model: Model) -> None:
        """Have a model in memory from the start."""
        runner = self._new(model, self._context_for(model, None))
        runner.idle_since_ns = time.time_ns()

    def listing(self) -> list[Listed]:
        """What is loaded, the longest remaining first. A model that is being loaded is not."""
        now_ns = time.time_ns()
        self._drop_old(now_ns)
        listed = [
            Listed(runner.model, runner.context, runner.expires_at_ns(now_ns))
            for runner in self._runners.values()
        ]
        return sorted(listed, key=lambda each: -each.expires_at_ns)

    def unload(self, model: Model) -> None:
        """Let a model go as soon as its requests have ended."""
        runner = self._runners.get(model.name)
        if runner is not None:
            runner.leaving = True
            self._drop_old(time.time_ns())

    @asynccontextmanager
    async def use(
        self, model: Model, context: int | None, keep_alive_ns: int | None
    ) -> AsyncIterator[int]:
        """Hold a place in a loaded model; gives the time when it was ready (`perf_counter_ns`).

        Waits for the load and then for a place. A request that leaves aborts its load.
        Raises `QueueFull`.
        """
        runner = await self._ready(model, self._context_for(model, context))
        ready_ns = time.perf_counter_ns()
        if keep_alive_ns is not None:
            runner.keep_alive_ns = keep_alive_ns
        runner.pending += 1
        try:
            async with runner.slots:
                yield ready_ns
        finally:
            runner.pending -= 1
            runner.idle_since_ns = time.time_ns()
            self._drop_old(runner.idle_since_ns)

    def _context_for(self, model: Model, asked: int | None) -> int:
        return min(asked or self._limits.context, model.shape.context)

    async def _ready(self, model: Model, context: int) -> Runner:
        runner = self._fitting(model, context)
        if runner is not None:
            return runner
        if self._queued > self._limits.max_queue:  # one is loaded, the others wait
            raise QueueFull
        self._queued += 1
        try:
            async with self._loading:
                return self._fitting(model, context) or await self._load(model, context)
        finally:
            self._queued -= 1

    def _fitting(self, model: Model, context: int) -> Runner | None:
        self._drop_old(time.time_ns())
        runner = self._runners.get(model.name)
        fits = runner is not None and runner.context == context and not runner.leaving
        return runner if fits else None

    async def _load(self, model: Model, context: int) -> Runner:
        self.unload(model)  # with another context it has to be loaded again
        await self._signal.until(lambda: model.name not in self._runners)
        await self._make_room()
        await asyncio.sleep(self.load_s)
        return self._new(model, context)

    async def _make_room(self) -> None:
        if not self._has_room():
            first = min(self._runners.values(), key=lambda each: (each.pending, each.keep_alive_ns))
            self.unload(first.model)
            await self._signal.until(self._has_room)

    def _has_room(self) -> bool:
        return len(self._runners) < self._limits.max_loaded

    def _new(self, model: Model, context: int) -> Runner:
        keep_alive_ns = int(self._limits.keep_alive_s * NS_PER_S)
        runner = Runner(model, context, keep_alive_ns, self._limits.parallel)
        self._runners[model.name] = runner
        return runner

    def _drop_old(self, now_ns: int) -> None:
        for name in [name for name, runner in self._runners.items() if runner.over(now_ns)]:
            del self._runners[name]
        self._signal.tell()
