"""The running engine: connections, looks, poll tasks and requests, opened and closed in order.

Importing this module loads the network libraries; `Engine.running` does it off the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

# httpx loads these at its first request; here they are loaded on the same late thread.
import anyio._backends._asyncio
import anyio.streams.tls  # noqa: F401

from sollol_tui.core.asks import AskEvent, AskRequest, RouteDecision, StreamEvent
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.places import own_places
from sollol_tui.core.settings import CoordinatorSetting, Headers, Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus
from sollol_tui.engine.bring_up import bring_up
from sollol_tui.engine.claims import Claims, PlacePlanner
from sollol_tui.engine.comeback import until_back
from sollol_tui.engine.coordinator_process import CoordinatorProcess
from sollol_tui.engine.here import Here
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.looks import Looks
from sollol_tui.engine.places import Place, Places
from sollol_tui.engine.planning import Planner
from sollol_tui.engine.pollers import PROCESSES, Pollers
from sollol_tui.engine.recorder import Recorder
from sollol_tui.engine.registry_talk import RegistryTalk
from sollol_tui.engine.requests import Requests
from sollol_tui.engine.role import Role
from sollol_tui.engine.store import Store
from sollol_tui.engine.supervisor import Supervisor
from sollol_tui.io import llamacpp, ollama
from sollol_tui.io.http import Http


class Runtime:
    """What exists only while the engine runs."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        ledger: Ledger,
        group: asyncio.TaskGroup,
        role: Role,
    ) -> None:
        self._settings = settings
        self.store = store
        self.leaves_coordinators = settings.on_quit == "stay"
        self.leaves_found = self.leaves_coordinators
        self.http = Http()
        self.looks = Looks(settings, store, self.http)
        self.pollers = Pollers(store, self.looks, group)
        self.requests = Requests(settings, store, ledger, self._open_stream)
        self.requests.on_failure = self.pollers.wake
        self.planner = Planner(settings, self.looks.prober)
        self.claims = Claims(self.planner, own_places(settings))
        self._companions: list[Recorder | RegistryTalk] = []
        if role.data_dir is not None:
            self._companions.append(Recorder(ledger, store, role.data_dir))
        if role.talks and settings.redis_url:
            talk = RegistryTalk(settings, store, ledger)
            self.looks.own_instance = talk.origin.instance_id
            self._companions.append(talk)
        self._group = group
        self.requests.until_back = self._until_back
        self._recovering: asyncio.Task[None] | None = None
        make = partial(self._make_supervisor, role.state_dir) if role.state_dir else None
        self.places = Places(settings, role, make if role.supervises else None)
        self.here = Here(settings, store, group, self.places.main.url, role.state_dir)

    def start(self) -> None:
        """Poll what is known, and what becomes known."""
        self.store.listeners.append(self._react)
        self.looks.ours = self._our_pids
        self.looks.extra_headers = self._key_of
        self.pollers.start()
        for companion in self._companions:
            companion.start(self._group)
        for supervisor in self.places.supervisors:
            self._group.create_task(supervisor.adopt(), name=f"adopt {supervisor.url}")
        if self.places.supervisors:
            self._recovering = self._group.create_task(self.here.recover(), name="recover")

    async def aclose(self) -> None:
        """Stop polling, close every connection."""
        self.store.listeners.remove(self._react)
        self.pollers.stop()
        await asyncio.gather(*(s.close(self._leaves(s)) for s in self.places.supervisors))
        if self._recovering is not None:
            await asyncio.wait({self._recovering})
        await self.here.aclose()
        await self.looks.aclose()
        await self.http.aclose()
        for companion in self._companions:
            await companion.aclose()

    async def plan(self, place: Place, order: Order, snapshot: ClusterSnapshot) -> Planned:
        """What an order would come to in that place, in which one of ours may run."""
        ours = await asyncio.to_thread(place.own_state, snapshot)
        taken = self.claims.of_others(place.url, order)
        return await self.planner.plan(order, snapshot.backends, ours, taken)

    async def bring_up(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        """Start the coordinator that a request needs, when nothing serves its model yet."""
        if not self.places.supervisors:
            return
        stage = bring_up(request, self.places, self.store, self._settings)
        async with aclosing(stage) as events:
            async for event in events:
                yield event

    async def _until_back(self, url: str, pid: int | None) -> AsyncGenerator[AskEvent, None]:
        """Wait for a coordinator that failed an answer, if that is ours and comes back."""
        place = self.places.get(url)
        if place is None or place.supervisor is None:
            return
        async with aclosing(until_back(place.supervisor, self.store, pid)) as events:
            async for event in events:
                yield event

    def _make_supervisor(self, state_dir: Path, place: CoordinatorSetting) -> Supervisor:
        settings = self._settings
        process = CoordinatorProcess(place.url, state_dir, settings.coordinator_api_key)
        planner = PlacePlanner(self.claims, place.url)
        spawn = self._group.create_task
        return Supervisor(process, self.store, self.http, planner, spawn, settings.restart_hung)

    def _leaves(self, supervisor: Supervisor) -> bool:
        """Whether its coordinator stays when this engine ends."""
        return self.leaves_found if supervisor.was_found else self.leaves_coordinators

    def _our_pids(self) -> frozenset[int]:
        return frozenset(place.pid for place in self.places if place.pid is not None)

    def _key_of(self, url: str) -> Headers:
        place = self.places.get(url)
        return place.headers if place is not None else ()

    def _open_stream(
        self, decision: RouteDecision, request: AskRequest, so_far: str
    ) -> AsyncGenerator[StreamEvent, None]:
        server = self.looks.server(decision.target or "")
        if decision.kind == "coordinator":
            return llamacpp.chat(self.http, server, request, so_far)
        return ollama.chat(self.http, server, request, so_far)

    def _react(self, before: ClusterSnapshot, after: ClusterSnapshot) -> None:
        """New targets get a task; a coordinator that came or went is looked into at once."""
        if _targets(before) != _targets(after):
            self.pollers.sync()
        if before.coordinators is not after.coordinators and _lives(before) != _lives(after):
            self.pollers.wake(PROCESSES)
        for url in _serving(after) - _serving(before):
            self.pollers.wake(url)  # what it serves is to be seen with the first answer
        if before.backends is not after.backends:
            held = {b.address for b in before.backends if b.attached_to is not None}
            for backend in after.backends:
                if backend.attached_to is None and backend.address in held:
                    self.pollers.wake(backend.address)


def _targets(snapshot: ClusterSnapshot) -> tuple[list[str], list[str], list[str]]:
    return (
        [n.url for n in snapshot.nodes],
        [c.url for c in snapshot.coordinators],
        [b.address for b in snapshot.backends],
    )


def _lives(snapshot: ClusterSnapshot) -> list[tuple[str, bool]]:
    return [(c.url, _answers(c)) for c in snapshot.coordinators]


def _serving(snapshot: ClusterSnapshot) -> set[str]:
    """The coordinators of ours that serve."""
    ready = CoordinatorStatus.READY
    return {c.url for c in snapshot.coordinators if c.supervised and c.status is ready}


def _answers(coordinator: CoordinatorState) -> bool:
    return coordinator.seen_at_s is not None


@asynccontextmanager
async def opened(
    settings: Settings, store: Store, ledger: Ledger, role: Role
) -> AsyncIterator[Runtime]:
    """A runtime that polls until it is left. A bug in one of its tasks ends it with that error."""
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        runtime = Runtime(settings, store, ledger, group, role)
        runtime.start()
        try:
            yield runtime
        except Exception as error:  # noqa: BLE001 - raised again below, not inside a group
            failure = error
        finally:
            await runtime.aclose()
    if failure is not None:
        raise failure
