"""An engine that watches nothing: a real store, and a record of what the screen asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

from textual.pilot import Pilot

from sollol_tui.core.asks import AskEvent, AskRequest
from sollol_tui.core.ids import (
    BackendAddress,
    CoordinatorUrl,
    parse_backend_address,
    parse_coordinator_url,
)
from sollol_tui.core.images import Image, ImageRefused
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.here import Here
from sollol_tui.engine.store import Store
from sollol_tui.io.blobs import ListedModel, ModelFile
from sollol_tui.io.log_file import LogFile
from sollol_tui.ui.app import SollolApp
from tests.ui.clusters import DECISION, NOW_S


class StillHere:
    """A machine with the models, logs and backends that it is given."""

    def __init__(self, calls: list[tuple[str, ...]]) -> None:
        self._calls = calls
        self.models: tuple[ListedModel, ...] = ()
        self.logs: dict[bool, tuple[str, ...]] = {}
        self.backends: tuple[BackendAddress, ...] = ()
        self.file: ModelFile | Problem = Problem(Cause.MODEL_NOT_FOUND, "x", (), "Look again.")
        self.files: tuple[str, ...] = ()
        self.pictures: dict[str, Image | ImageRefused] = {}
        self.started: BackendAddress | Problem = parse_backend_address("127.0.0.1:50052")

    async def local_models(self) -> tuple[ListedModel, ...]:
        return self.models

    async def model_file(self, path: str) -> ModelFile | Problem:
        self._calls.append(("file", path))
        return self.file

    async def paths(self, typed: str, endings: Sequence[str]) -> tuple[str, ...]:
        return tuple(path for path in self.files if path.startswith(typed))

    async def images(self, paths: Sequence[str]) -> tuple[Image | ImageRefused, ...]:
        self._calls.append(("images", *paths))
        missing = "there is no such file"
        return tuple(self.pictures.get(path, ImageRefused(path, missing)) for path in paths)

    async def kept_log(self, url: str | None = None, *, before: bool = False) -> tuple[str, ...]:
        return self.logs.get(before, ())

    async def start_backend(self) -> BackendAddress | Problem:
        self._calls.append(("backend",))
        return self.started

    async def stop_backend(self, address: BackendAddress) -> bool:
        self._calls.append(("stop backend", address))
        return True


class StillEngine(Engine):
    """Shows what it is told to. `calls` are the names and arguments of what was asked of it."""

    def __init__(
        self, snapshot: ClusterSnapshot | None = None, settings: Settings | None = None
    ) -> None:
        self.now_s = NOW_S
        super().__init__(settings or Settings(), None, lambda: self.now_s)
        self.calls: list[tuple[str, ...]] = []
        self.answer: list[AskEvent] = []
        self.failure: Exception | None = None
        self.planned = Planned(None, (), True)
        self.refusal = ""
        self.owns = False
        self.places: tuple[CoordinatorUrl, ...] = (parse_coordinator_url("127.0.0.1"),)
        self.stays: bool | None = None
        self.sight: bool | None = None
        self.log: LogFile | None = None
        self.still_here = StillHere(self.calls)
        self.store.log("info", "app", "", "first entry")
        if snapshot is not None:
            self.show(snapshot)

    def show(self, snapshot: ClusterSnapshot) -> None:
        """Make this the truth."""
        self.store._snapshot = snapshot
        self.store._changed.set()

    def tell_route(self) -> None:
        """Log a routing decision."""
        self.store.log("info", "route", DECISION.target or "", "llama3.2:3b → gpu-rig", DECISION)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Store]:
        if self.failure is not None:
            raise self.failure
        yield self.store

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        self.calls.append(("ask", request.model))
        for event in self.answer:
            yield event
        await asyncio.Event().wait()

    async def sees(self, model: str) -> bool | None:
        self.calls.append(("sees", model))
        return self.sight

    # The coordinator

    async def first_look(self) -> ClusterSnapshot:
        return self.store.snapshot

    @property
    def coordinator_url(self) -> CoordinatorUrl:
        return self.places[0]

    @property
    def coordinator_urls(self) -> tuple[CoordinatorUrl, ...]:
        return self.places

    def place_of(self, model: str) -> CoordinatorUrl:
        return self.places[0]

    async def plan_coordinator(self, order: Order, url: str | None = None) -> Planned:
        self.calls.append(("plan", order.model, *self._elsewhere(url)))
        return self.planned

    async def start_coordinator(self, order: Order, url: str | None = None) -> None:
        self.calls.append(("start", order.model, *self._elsewhere(url)))
        if self.refusal:
            raise ValueError(self.refusal)

    async def start_wanted(self) -> None:
        self.calls.append(("start wanted",))

    async def stop_coordinator(self, url: str | None = None) -> None:
        self.calls.append(("stop", *self._elsewhere(url)))

    async def stop_coordinators(self) -> None:
        self.calls.append(("stop",))

    def retry_coordinator(self, url: str | None = None) -> None:
        self.calls.append(("retry", *self._elsewhere(url)))

    def _elsewhere(self, url: str | None) -> tuple[str, ...]:
        """The URL, where it is not that of the usual coordinator."""
        return (url,) if url not in (None, self.places[0]) else ()

    @property
    def owns_coordinator(self) -> bool:
        return self.owns

    def leave_coordinator(self, stays: bool, found_stay: bool | None = None) -> None:
        self.stays = stays

    def coordinator_log(self, url: str | None = None) -> LogFile | None:
        return self.log

    @property
    def here(self) -> Here:
        return cast("Here", self.still_here)

    def choose_mode(self, mode: Mode, pinned: str = "") -> None:
        self.calls.append(("mode", mode.value, pinned))
        super().choose_mode(mode, pinned)

    def refresh(self, target: str | None = None) -> None:
        self.calls.append(("refresh", target or "everything"))

    def pause(self, paused: bool) -> None:
        self.calls.append(("pause", str(paused)))


def shown(app: SollolApp) -> str:
    """The text on the screen, as a person reads it."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text for strip in lines)


async def until(pilot: Pilot[None], is_so: Callable[[], bool], within_s: float = 5.0) -> None:
    """Let the app go on until something is so."""
    async with asyncio.timeout(within_s):
        await pilot.pause(0.0)
        while not is_so():
            await asyncio.sleep(0.005)
            pilot.app.screen._on_timer_update()


async def until_shown(pilot: Pilot[None], *texts: str) -> None:
    """Let the app go on until all texts are on the screen."""
    app = pilot.app
    assert isinstance(app, SollolApp)
    await until(pilot, lambda: all(text in shown(app) for text in texts))
