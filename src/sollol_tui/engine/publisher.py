"""What Redis is told: each request as it goes, a coordinator of ours, and that we are here.

Never in the way of a request: messages are put into a queue that is bounded in number and rate,
and what does not fit is counted and dropped. Without a registry nothing is queued at all.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.foreign_events import LineRate
from sollol_tui.core.registry_events import (
    Message,
    Origin,
    claimed_messages,
    coordinator_messages,
    ended_messages,
)
from sollol_tui.core.registry_metadata import HEARTBEAT_S, our_part
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Owner,
)
from sollol_tui.core.statistics import WINDOW_S
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.store import Store

if TYPE_CHECKING:
    from sollol_tui.io.registry_publish import RegistryPublisher

_ENDED = {
    CoordinatorStatus.STOPPED,
    CoordinatorStatus.FAILED,
    CoordinatorStatus.QUARANTINED,
}

MOST_QUEUED = 500
MESSAGES_PER_S = 200
BATCH = 100
SEND_WITHIN_S = 1.0
CLOSE_WITHIN_S = 0.5


class Publisher:
    """Watches the ledger and the store. Belongs to one event loop.

    Args:
        url: of the Redis.
        origin: who we are there.
        loopback_is_here: whether 127.0.0.1 means the same to all who read there.
        heartbeat_s: how often our part of the router's metadata is written anew.
    """

    def __init__(
        self,
        url: str,
        origin: Origin,
        store: Store,
        ledger: Ledger,
        *,
        loopback_is_here: bool,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._url = url
        self._origin = origin
        self._store = store
        self._ledger = ledger
        self._loopback_is_here = loopback_is_here
        self._heartbeat_s = heartbeat_s
        self._queue: deque[Message] = deque()
        self._rate = LineRate(MESSAGES_PER_S)
        self._up = asyncio.Event()  # the registry answers
        self._more = asyncio.Event()
        self._redis: RegistryPublisher | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_registered = False
        self._serving: set[str] = set()  # coordinators of ours
        self._told: Fault | None = None
        self.dropped = 0  # messages that were too many, or that Redis did not take

    def start(self, group: asyncio.TaskGroup) -> None:
        """Publish from now on, whenever the registry answers."""
        self._ledger.watchers.append(self)
        self._store.listeners.append(self._note_coordinators)
        self._task = group.create_task(self._run(), name="publisher")

    def registry_is(self, up: bool) -> None:
        """The registry answers, or does so no more: then what is not told yet is forgotten."""
        if up:
            self._up.set()
        else:
            self._up.clear()
            self._queue.clear()

    def claimed(self, decision: RouteDecision, tries: int, instead_of: str) -> None:
        """A request goes to a target."""
        if self._up.is_set():
            now_s = self._store.now_s()
            self._put(claimed_messages(self._origin, decision, tries, instead_of, now_s))

    def ended(self, sample: Sample, decision: RouteDecision) -> None:
        """A request ended."""
        if self._up.is_set():
            self._put(ended_messages(self._origin, sample, decision))

    async def aclose(self) -> None:
        """Tell what is left and take back that we are here, within a bound, and disconnect."""
        self._ledger.watchers.remove(self)
        self._store.listeners.remove(self._note_coordinators)
        if self._task is not None:
            self._task.cancel()
        if self._redis is None:
            return
        if self._up.is_set():
            await self._send(self._redis)
            if self._is_registered:
                await self._redis.withdraw(self._origin.instance_id, CLOSE_WITHIN_S)
        await self._redis.aclose()

    def _put(self, messages: list[Message]) -> None:
        for message in messages:
            if len(self._queue) < MOST_QUEUED and self._rate.admits(self._store.now_s()):
                self._queue.append(message)
            else:
                self._leave_out()
        self._more.set()

    def _leave_out(self) -> None:
        if not self.dropped:
            text = "too many requests to tell Redis of each"
            self._store.log("info", "registry", "", text)
        self.dropped += 1

    def _note_coordinators(self, before: ClusterSnapshot, after: ClusterSnapshot) -> None:
        """A coordinator of ours that came up, or that ended after it had come up."""
        if before.coordinators is after.coordinators:
            return
        for state in after.coordinators:
            serves = state.owner is Owner.OURS and state.status is CoordinatorStatus.READY
            if serves and state.url not in self._serving:
                self._serving.add(state.url)
                self._tell_of(state, started=True)
            elif state.status in _ENDED and state.url in self._serving:
                self._serving.discard(state.url)
                self._tell_of(state, started=False)

    def _tell_of(self, state: CoordinatorState, *, started: bool) -> None:
        if self._up.is_set():
            now_s = self._store.now_s()
            self._put(coordinator_messages(self._origin, state, started, now_s))

    async def _run(self) -> None:
        await self._up.wait()
        # 60 ms of import, on another thread: the screen goes on meanwhile
        module = await asyncio.to_thread(importlib.import_module, "sollol_tui.io.registry_publish")
        redis = self._redis = module.RegistryPublisher(self._url)
        loop = asyncio.get_running_loop()
        due_s = loop.time() + self._heartbeat_s  # a short run need not be announced
        while True:
            await self._up.wait()
            if loop.time() >= due_s:
                await self._renew(redis)
                due_s = loop.time() + self._heartbeat_s
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due_s):
                    await self._more.wait()
            self._more.clear()
            await self._send(redis)

    async def _send(self, redis: RegistryPublisher) -> None:
        while self._queue:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            fault = await redis.send(batch, SEND_WITHIN_S)
            if fault is not None:
                self._note(fault)
                self.dropped += len(batch) + len(self._queue)
                self._queue.clear()

    async def _renew(self, redis: RegistryPublisher) -> None:
        stats = self._ledger.stats(self._store.now_s(), WINDOW_S)
        part = our_part(self._store.snapshot, stats, loopback_is_here=self._loopback_is_here)
        self._is_registered = True  # perhaps, even when it fails
        fault = await redis.renew(self._origin, part)
        if fault is not None:
            self._note(fault)

    def _note(self, fault: Fault) -> None:
        """A registry that is away is told by the one who looks at it; one that refuses, here."""
        refuses = fault.kind in {FaultKind.UNAUTHORIZED, FaultKind.SERVER}
        if refuses and self._told is None:
            self._told = fault
            self._store.log("warn", "registry", "", f"Redis takes no word of ours · {fault}")
