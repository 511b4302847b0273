"""What other SOLLOL programs tell each other over Redis, heard into the event log."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import suppress
from typing import TYPE_CHECKING

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.foreign_events import LOG_CHANNEL, LineRate, read_event
from sollol_tui.core.registry_events import EVENTS_CHANNEL, EVENTS_STREAM
from sollol_tui.engine.store import Store

if TYPE_CHECKING:
    from sollol_tui.io.registry_listen import Heard, RegistryListener

EVENT_LINES_PER_S = 14
LOG_LINES_PER_S = 6  # of coordinators' logs: they must not push the events aside
READ_PER_S = 200  # more than that is not even looked into
SUMMED_UP_AFTER_S = 1.0
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 60.0
REMEMBERED = 512  # the same event comes by channel and by stream


class Listener:
    """Belongs to one event loop. Listens while the registry answers.

    Args:
        url: of the Redis.
        own: our own instance id, whose messages are left out.
    """

    def __init__(self, url: str, own: str, store: Store) -> None:
        self._url = url
        self._own = own
        self._store = store
        self._up = asyncio.Event()
        self._came = asyncio.Event()
        self._is_refusal_told = False
        self._redis: RegistryListener | None = None
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[Fault] | None = None
        self._read = LineRate(READ_PER_S)
        self._events = LineRate(EVENT_LINES_PER_S)
        self._logs = LineRate(LOG_LINES_PER_S)
        self._summing_up: asyncio.TimerHandle | None = None
        self._seen: dict[int, None] = {}

    def start(self, group: asyncio.TaskGroup) -> None:
        """Listen from now on, whenever the registry answers."""
        self._task = group.create_task(self._run(), name="listener")

    def registry_is(self, up: bool) -> None:
        """The registry answers, or does so no more: then its connections mean nothing."""
        if up:
            self._up.set()
            self._came.set()
            return
        self._up.clear()
        if self._listening is not None:
            self._listening.cancel()

    async def aclose(self) -> None:
        """Stop listening and disconnect."""
        if self._summing_up is not None:
            self._summing_up.cancel()
        for task in (self._listening, self._task):
            if task is not None:
                task.cancel()
        if self._listening is not None:
            await asyncio.wait({self._listening})
        if self._redis is not None:
            await self._redis.aclose()

    async def _run(self) -> None:
        await self._up.wait()
        # 60 ms of import, on another thread: the screen goes on meanwhile
        module = await asyncio.to_thread(importlib.import_module, "sollol_tui.io.registry_listen")
        redis = self._redis = module.RegistryListener(self._url)
        rest_s = FIRST_RETRY_S
        loop = asyncio.get_running_loop()
        while True:
            await self._up.wait()
            began_s = loop.time()
            self._listening = loop.create_task(redis.listen(self._hear), name="listening")
            await asyncio.wait({self._listening})
            if not self._listening.cancelled():
                self._note(self._listening.result())
            held_s = loop.time() - began_s
            rest_s = FIRST_RETRY_S if held_s > LAST_RETRY_S else min(2 * rest_s, LAST_RETRY_S)
            await self._rest(rest_s)

    async def _rest(self, rest_s: float) -> None:
        """Before the next try; the registry's coming back ends it."""
        self._came.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self._came.wait()

    def _note(self, fault: Fault) -> None:
        """A registry that is away is told by the one who looks at it; one that refuses, here."""
        refuses = fault.kind in {FaultKind.UNAUTHORIZED, FaultKind.SERVER}
        if refuses and not self._is_refusal_told:
            self._is_refusal_told = True
            text = f"other SOLLOL programs cannot be heard · {fault}"
            self._store.log("info", "registry", "", text)

    def _hear(self, heard: Heard) -> None:
        now_s = self._store.now_s()
        if self._is_known(heard):
            return
        rate = self._logs if heard.channel == LOG_CHANNEL else self._events
        told = None
        if self._read.admits(now_s):
            told = read_event(heard.channel, heard.content, self._own, now_s)
            if told is None:
                return
        if told is not None and rate.admits(now_s):
            self._store.log(told.level, told.area, told.subject, told.text)
        elif self._summing_up is None:
            loop = asyncio.get_running_loop()
            self._summing_up = loop.call_later(SUMMED_UP_AFTER_S, self._sum_up)

    def _is_known(self, heard: Heard) -> bool:
        """Whether it came already the other way."""
        if heard.channel not in (EVENTS_CHANNEL, EVENTS_STREAM):
            return False
        key = hash(heard.content)
        if key in self._seen:
            del self._seen[key]  # it comes twice, not more often
            return True
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return False

    def _sum_up(self) -> None:
        self._summing_up = None
        count = sum(rate.take_held_back() for rate in (self._read, self._events, self._logs))
        if count:
            self._store.log("info", "sollol", "", f"… {count} more")
