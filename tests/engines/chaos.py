"""Harm to real servers, drawn from a seed: each outage ends with the servers as they were."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .servers import Coordinator, OllamaNode, RpcBackend, Server

LONGEST_OUTAGE_S = 2.0
STOPS_S = (0.5, 6.0)  # some longer than the limits of silence, some shorter
ABORTS_WITHIN_S = 5.0

Harm = Callable[[], Awaitable[None]]


class Chaos:
    """Kills, stops and restarts; one harm at a time for a node and for the coordinator's group."""

    def __init__(
        self,
        seed: int,
        nodes: tuple[OllamaNode, ...],
        coordinators: tuple[Coordinator, ...],
        backends: tuple[RpcBackend, ...],
    ) -> None:
        self.done: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._backends = backends
        self._groups: list[tuple[asyncio.Lock, list[tuple[str, Harm]]]] = []
        for node in nodes:
            self._groups.append((asyncio.Lock(), self._node_harms(node)))
        for coordinator in coordinators:
            self._groups.append((asyncio.Lock(), self._coordinator_harms(coordinator)))
        self._running: set[asyncio.Task[None]] = set()

    def strike(self) -> None:
        """Begin one harm somewhere, unless that is being harmed already."""
        lock, harms = self._random.choice(self._groups)
        name, harm = self._random.choice(harms)
        if not lock.locked():
            self.done[name] += 1
            task = asyncio.create_task(self._under(lock, harm))
            self._running.add(task)

    async def ends(self) -> None:
        """Wait until every server is up again."""
        if self._running:
            await asyncio.gather(*self._running)

    async def _under(self, lock: asyncio.Lock, harm: Harm) -> None:
        async with lock:
            await harm()

    def _node_harms(self, node: OllamaNode) -> list[tuple[str, Harm]]:
        return [
            ("node killed", lambda: self._killed(node)),
            ("node killed", lambda: self._killed(node)),
            ("node stopped", lambda: self._stopped(node)),
            ("node restarted", lambda: self._restarted(node)),
            ("runner killed", lambda: self._runner_killed(node)),
        ]

    def _coordinator_harms(self, coordinator: Coordinator) -> list[tuple[str, Harm]]:
        return [
            ("coordinator killed", lambda: self._killed(coordinator)),
            ("coordinator stopped", lambda: self._stopped(coordinator)),
            ("coordinator restarted", lambda: self._restarted(coordinator)),
            ("backend killed", lambda: self._backend_killed(coordinator)),
            ("backend stopped", lambda: self._stopped(self._random.choice(self._backends))),
        ]

    async def _killed(self, server: Server) -> None:
        server.kill_group(signal.SIGKILL)
        await asyncio.to_thread(server.wait_exit)
        await asyncio.sleep(self._random.uniform(0, LONGEST_OUTAGE_S))  # how long it is away
        await asyncio.to_thread(server.start)

    async def _stopped(self, server: Server) -> None:
        server.kill_group(signal.SIGSTOP)
        await asyncio.sleep(self._random.uniform(*STOPS_S))  # how long it stands still
        server.kill_group(signal.SIGCONT)

    async def _restarted(self, server: Server) -> None:
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)

    async def _runner_killed(self, node: OllamaNode) -> None:
        for pid in node.children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _backend_killed(self, coordinator: Coordinator) -> None:
        """A coordinator aborts when it next needs a backend that is gone; then both start anew."""
        backend = self._random.choice(self._backends)
        backend.kill_group(signal.SIGKILL)
        await asyncio.to_thread(backend.wait_exit)
        with suppress(Exception):
            await asyncio.to_thread(coordinator.wait_exit, ABORTS_WITHIN_S)
        await asyncio.to_thread(backend.start)
        await asyncio.to_thread(coordinator.start)
