"""What the machine that this runs on has: models on its disk, logs, backends started from here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from sollol_tui.core.events import TargetsFound
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, port_of
from sollol_tui.core.images import Image, ImageRefused
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import FoundBackend
from sollol_tui.core.settings import Settings
from sollol_tui.core.worker import PhaseChanged, ProblemFound, WorkerEvent, WorkerOrder
from sollol_tui.engine.local_backends import (
    end_backend,
    left_backends,
    local_order,
    program_of,
    used_backends,
)
from sollol_tui.engine.store import Store
from sollol_tui.engine.worker import Worker
from sollol_tui.io import blobs, log_file, runs, stores
from sollol_tui.io.blobs import ListedModel, ModelFile
from sollol_tui.io.images import read_image
from sollol_tui.io.listing import paths_like

SOURCE = "app"  # a source of its own: the coordinator of ours is another


class Here:
    """Belongs to a running engine, whose task group looks after the backends.

    Args:
        settings: resolved settings.
        store: what is told of the backends.
        group: ends when the engine does.
        url: where the usual coordinator of ours listens.
        state_dir: where logs lie; None: nothing is started, no log is kept.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        group: asyncio.TaskGroup,
        url: CoordinatorUrl,
        state_dir: Path | None,
    ) -> None:
        self._settings = settings
        self._store = store
        self._group = group
        self._url = url
        self._state_dir = state_dir
        self._workers: dict[BackendAddress, Worker] = {}
        self._tasks: dict[BackendAddress, asyncio.Task[Problem | None]] = {}
        self._serving: dict[BackendAddress, FoundBackend] = {}

    async def local_models(self) -> tuple[ListedModel, ...]:
        """The models in the stores of this machine's Ollama, by name."""
        places = stores.stores(os.environ, self._settings.ollama_models)
        return await asyncio.to_thread(blobs.list_models, places)

    async def model_file(self, path: str) -> ModelFile | Problem:
        """The model in a GGUF file of this machine, or why there is none."""
        return await asyncio.to_thread(blobs.resolve_model, path, ())

    async def paths(self, typed: str, endings: Sequence[str]) -> tuple[str, ...]:
        """The files with such an ending, and directories, that a typed path can become."""
        return await asyncio.to_thread(paths_like, typed, endings)

    async def images(self, paths: Sequence[str]) -> tuple[Image | ImageRefused, ...]:
        """The pictures at these paths, or why there is none, in their order."""
        return tuple([await asyncio.to_thread(read_image, path) for path in paths])

    async def kept_log(self, url: str | None = None, *, before: bool = False) -> tuple[str, ...]:
        """The last lines that the coordinator of ours there (None: the usual one) wrote: in its
        last run, or in the one before.

        Also when it ran under another run of this program; empty when there was none.
        """
        if self._state_dir is None:
            return ()
        path = runs.log_path(self._state_dir, port_of(url or self._url) or 0)
        return await asyncio.to_thread(_last_lines, log_file.previous(path) if before else path)

    @property
    def backends(self) -> tuple[BackendAddress, ...]:
        """The backends that were started here, or found from an earlier run."""
        return tuple(self._workers)

    async def start_backend(self) -> BackendAddress | Problem:
        """Start an RPC backend on this machine, for this machine, and keep it up.

        Returns its address when it serves, or why it does not.
        """
        if self._state_dir is None:
            advice = "Start it with a state directory: it needs a place for its log."
            return Problem(Cause.UNKNOWN, "", (), advice, "No RPC backend can be started here.")
        order = await asyncio.to_thread(local_order, self._settings)
        if isinstance(order, Problem):
            return order
        task, serves = self._keep_up(order, self._state_dir)
        ends: set[asyncio.Future[Any]] = {task, serves}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return order.address if serves.done() else task.result() or _stopped(order.address)

    async def recover(self) -> None:
        """Look after the backends that an earlier run left where they are used; end the others."""
        if self._state_dir is None:
            return
        for left in await asyncio.to_thread(left_backends, self._state_dir):
            if left.is_used:
                order = left.order._replace(binary=program_of(left))
                self._keep_up(order, self._state_dir, takes_over=True)
            else:
                await end_backend(self._state_dir, left)

    def _keep_up(
        self, order: WorkerOrder, state_dir: Path, *, takes_over: bool = False
    ) -> tuple[asyncio.Task[Problem | None], asyncio.Future[None]]:
        """Its task, and what is done when it serves."""
        serves: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        address = order.address
        hear = partial(self._hear, address, serves)
        worker = Worker(order, state_dir, hear, takes_over=takes_over)
        task = self._group.create_task(worker.run(), name=f"backend {address}")
        self._workers[address], self._tasks[address] = worker, task
        task.add_done_callback(lambda _: self._forget(address))
        return task, serves

    async def stop_backend(self, address: BackendAddress) -> bool:
        """Stop one that was started here; False when there is none of that address."""
        worker, task = self._workers.get(address), self._tasks.get(address)
        if worker is None or task is None:
            return False
        worker.stop()
        await asyncio.wait({task})
        return True

    async def aclose(self) -> None:
        """Stop all that were started here, but for those that a coordinator needs which stays."""
        if self._state_dir is None or not self._workers:
            return
        used = await asyncio.to_thread(used_backends, self._state_dir)
        for address, worker in self._workers.items():
            if address in used:
                worker.let_go()
            else:
                worker.stop()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()))

    def _hear(
        self, address: BackendAddress, serves: asyncio.Future[None], event: WorkerEvent
    ) -> None:
        if isinstance(event, ProblemFound):
            problem = event.problem
            self._store.log("error", "backend", address, f"{problem.sentence} {problem.next}")
        elif isinstance(event, PhaseChanged) and event.phase is Phase.READY:
            self._serving[address] = FoundBackend(address, SOURCE)
            self._tell()
            if not serves.done():
                serves.set_result(None)

    def _forget(self, address: BackendAddress) -> None:
        self._workers.pop(address, None)
        self._tasks.pop(address, None)
        if self._serving.pop(address, None) is not None:
            self._tell()

    def _tell(self) -> None:
        self._store.apply(TargetsFound(SOURCE, backends=tuple(self._serving.values())))


def _last_lines(path: Path) -> tuple[str, ...]:
    log = log_file.LogFile(path)
    log.finish()
    return tuple(log.lines)


def _stopped(address: BackendAddress) -> Problem:
    said = f"The RPC backend {address} was stopped before it served."
    return Problem(Cause.UNKNOWN, address, (), "Start it again.", said)
