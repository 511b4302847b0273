"""One poll task per target: a silent one delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from sollol_tui.core.events import FirstLookEnded
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.state import Health
from sollol_tui.engine.looks import Looks
from sollol_tui.engine.store import Store

BUSY_COORDINATOR_S = 1.5  # slots move while we wait there; faster would hold up its cancels
PROCESSES_S = 30.0  # the whole process table is read this seldom; changes wake it
MIN_REST_S = 0.05

REGISTRY = "registry"
PROCESSES = "processes"


class Pollers:
    """Keeps one task for every target in the snapshot, and one each for Redis and this host.

    `sync` is called after any event that may have changed the targets; `wake` looks now.
    """

    def __init__(self, store: Store, looks: Looks, group: asyncio.TaskGroup) -> None:
        self._store = store
        self._looks = looks
        self._group = group
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._wakers: dict[str, asyncio.Event] = {}
        self._unseen: set[str] = set()  # not looked at yet; emptied once: the first look
        self._going = asyncio.Event()
        self._going.set()

    def start(self) -> None:
        """Start polling everything that is known."""
        self._spawn(PROCESSES, self._looks.processes, lambda: self._in(PROCESSES_S))
        if self._looks.settings.redis_url:
            self._spawn(REGISTRY, self._looks.registry, self._next_on_grid)
        self.sync()

    def sync(self) -> None:
        """Start a task for each new target, end those of targets that are gone."""
        snapshot = self._store.snapshot
        wanted: dict[str, Callable[[], None]] = {}
        for node in snapshot.nodes:
            wanted[node.url] = partial(self._poll_node, node.url)
        for coordinator in snapshot.coordinators:
            wanted[coordinator.url] = partial(self._poll_coordinator, coordinator.url)
        for backend in snapshot.backends:
            wanted[backend.address] = partial(self._poll_backend, backend.address)
        for key in self._tasks.keys() - wanted.keys() - {REGISTRY, PROCESSES}:
            self._end(key)
        for key in wanted.keys() - self._tasks.keys():
            wanted[key]()

    def wake(self, key: str | None = None) -> None:
        """Look at one target now, or at all."""
        for waker in self._wakers.values() if key is None else [self._wakers.get(key)]:
            if waker is not None:
                waker.set()

    def pause(self, paused: bool) -> None:
        """Hold all looks, or go on with them."""
        if paused:
            self._going.clear()
        else:
            self._going.set()

    def stop(self) -> None:
        """End every task."""
        for key in list(self._tasks):
            self._end(key)

    def _poll_node(self, url: NodeUrl) -> None:
        self._spawn(url, lambda: self._looks.node(url), lambda: self._node_due_at_s(url))

    def _poll_coordinator(self, url: CoordinatorUrl) -> None:
        self._spawn(
            url, lambda: self._looks.coordinator(url), lambda: self._coordinator_due_at_s(url)
        )

    def _poll_backend(self, address: BackendAddress) -> None:
        self._spawn(
            address, lambda: self._looks.backend(address), lambda: self._backend_due_at_s(address)
        )

    def _spawn(
        self, key: str, look: Callable[[], Awaitable[None]], due_at_s: Callable[[], float]
    ) -> None:
        if not self._store.snapshot.looked:
            self._unseen.add(key)
        self._wakers[key] = asyncio.Event()
        self._tasks[key] = self._group.create_task(self._poll(key, look, due_at_s), name=key)

    def _end(self, key: str) -> None:
        self._tasks.pop(key).cancel()
        self._wakers.pop(key)
        self._looked(key)

    async def _poll(
        self, key: str, look: Callable[[], Awaitable[None]], due_at_s: Callable[[], float]
    ) -> None:
        waker = self._wakers[key]
        while True:
            await self._going.wait()
            waker.clear()
            await look()
            self._looked(key)
            rest_s = max(MIN_REST_S, due_at_s() - self._store.now_s())
            try:
                async with asyncio.timeout(rest_s):
                    await waker.wait()
            except TimeoutError:
                continue

    def _looked(self, key: str) -> None:
        if key in self._unseen:
            self._unseen.discard(key)
            if not self._unseen:
                self._store.apply(FirstLookEnded())

    def _node_due_at_s(self, url: NodeUrl) -> float:
        node = self._store.snapshot.node(url)
        return self._due(node.health if node else Health())

    def _coordinator_due_at_s(self, url: CoordinatorUrl) -> float:
        coordinator = self._store.snapshot.coordinator(url)
        if coordinator is None:
            return self._next_on_grid()
        due_at_s = self._due(coordinator.health)
        return min(due_at_s, self._in(BUSY_COORDINATOR_S)) if coordinator.in_flight else due_at_s

    def _backend_due_at_s(self, address: BackendAddress) -> float:
        backend = self._store.snapshot.backend(address)
        return self._due(backend.health if backend else Health())

    def _due(self, health: Health) -> float:
        now_s = self._store.now_s()
        return health.next_look_at_s if health.next_look_at_s > now_s else self._next_on_grid()

    def _next_on_grid(self) -> float:
        interval_s = self._looks.settings.poll_interval_s
        return (self._store.now_s() // interval_s + 1) * interval_s

    def _in(self, seconds: float) -> float:
        return self._store.now_s() + seconds
