"""A batch from its file of prompts to its file of results: what is left is asked, once (S21)."""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from sollol_tui.core.asks import AskEvent, AskRequest
from sollol_tui.core.batch_lines import (
    BadLine,
    Prompt,
    Result,
    key_of,
    read_prompts,
    result_line,
)
from sollol_tui.core.batch_progress import BatchProgress, BatchState
from sollol_tui.core.capacity import MOST_PARALLEL, capacity
from sollol_tui.core.faults import Fault
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.engine.batch import Batch, may_exist
from sollol_tui.engine.store import Store

if TYPE_CHECKING:
    from sollol_tui.io.batch_files import Repaired, ResultsFile


class BatchOrder(NamedTuple):
    """What is to be asked, and where results go.

    `model` is for lines that name none, `mode` None the mode in force, `parallel` None as many as
    there are places; `retry_failed` takes results out of the file that are no whole answers.
    """

    prompts: Path
    out: Path
    model: str = ""
    mode: Mode | None = None
    parallel: int | None = None
    retry_failed: bool = False


class BatchRefused(Exception):  # noqa: N818 - what a person reads, not a bug
    """It cannot begin; the text is one sentence without its end."""


def order_of(prompts: str, out: str = "", *, model: str = "") -> BatchOrder:
    """The order for files as a person names them: `~` is the home, and results lie beside the
    prompts when they have no place of their own."""
    path = _home(prompts)
    results = _home(out) if out else path.with_name(f"{path.stem}.results.jsonl")
    return BatchOrder(path, results, model)


def _home(text: str) -> Path:
    with suppress(RuntimeError):  # nobody of that name, or no home
        return Path(text).expanduser()
    return Path(text)


class Failure(NamedTuple):
    """A prompt of this run that has no whole answer, and why."""

    prompt: Prompt
    reason: str


class Pool(Protocol):
    """What is asked: an `Engine` that runs."""

    async def first_look(self) -> ClusterSnapshot: ...

    def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]: ...

    def refresh(self) -> None: ...

    @property
    def store(self) -> Store: ...


class BatchRun:
    """One run of a batch: `open`, `run`, `close`. The same order again goes on where it stopped.

    Args:
        order: what to do.
        state_dir: where the lock lies, so that two programs do not write to one file.
        clock: seconds, steady.
    """

    def __init__(
        self, order: BatchOrder, state_dir: Path, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.order = order
        self.prompts: list[Prompt] = []
        self.bad: list[BadLine] = []  # lines that cannot be asked
        self.failures: list[Failure] = []
        self.spread: dict[str, int] = {}  # target → results of this run
        self.given_up: Fault | None = None  # why nothing could be asked any more
        self.problem = ""  # why it broke
        self.state: BatchState = "ready"
        self.parallel = 0
        self._state_dir = state_dir
        self._clock = clock
        self._results: ResultsFile | None = None
        self._waiting: list[Prompt] = []
        self._by_key: dict[str, Prompt] = {}
        self._settled = self._whole = self._new = 0
        self._batch: Batch | None = None
        self._heard: Callable[[Result], None] = lambda _: None
        self._passed_s = 0.0  # at work, up to the last pause
        self._since_s: float | None = None  # at work since then
        self._syncing: asyncio.Task[None] | None = None
        self._is_dirty = False  # something was written since the last sync began

    # Files

    def open(self) -> None:
        """Read the prompts and take stock of the results. Waits for the disk.

        Raises `BatchRefused`; `bad` is known then, when the prompts could be read.
        """
        files = importlib.import_module("sollol_tui.io.batch_files")
        order = self.order
        if files.same_file(order.prompts, order.out):
            raise BatchRefused("the results would go into the file of the prompts")
        try:
            self.prompts, self.bad = read_prompts(files.read_lines(order.prompts), order.model)
        except FileNotFoundError as error:
            raise BatchRefused(f"{order.prompts}: there is no such file") from error
        except OSError as error:
            raise BatchRefused(f"{order.prompts}: {error.strerror}") from error
        if not self.prompts:
            raise BatchRefused(f"{order.prompts} holds no prompt that can be asked")
        results = files.ResultsFile(order.out, self._state_dir)
        try:
            self._results = results.__enter__()
        except files.ResultsError as error:
            raise BatchRefused(str(error)) from error
        except OSError as error:
            raise BatchRefused(f"{error.filename or order.out}: {error.strerror}") from error
        self._take_stock(results)

    def _take_stock(self, results: ResultsFile) -> None:
        if self.order.retry_failed and any(not k.is_whole for k in results.known.values()):
            results.forget(lambda known: not known.is_whole)
        self._by_key = {key_of(p.id): p for p in self.prompts}
        known = {key: results.known.get(key) for key in self._by_key}
        self._waiting = [p for key, p in self._by_key.items() if known[key] is None]
        self._whole = sum(k is not None and k.is_whole for k in known.values())
        self._settled = len(self.prompts) - len(self._waiting)
        if not self._waiting:
            self.state = "done"

    @property
    def repaired(self) -> Repaired | None:
        """What was found in the results file, and done to its end; None before it is open."""
        return self._results.repaired if self._results is not None else None

    def close(self) -> None:
        """Let others write to the results."""
        if self._results is not None:
            self._results.__exit__()
            self._results = None

    # Asking

    async def run(
        self,
        pool: Pool,
        began: Callable[[int, Mode], None] = lambda *_: None,
        heard: Callable[[Result], None] = lambda _: None,
    ) -> None:
        """Ask what has no result. Cancelling it stops what runs; what was settled stays.

        Args:
            pool: the cluster.
            began: hears how many are asked at the same time, and in which mode.
            heard: hears each result when it is written.

        Raises `OSError` when results cannot be written.
        """
        if not self._waiting:
            return
        self._heard = heard
        try:
            await self._asked(pool, began)
        except OSError as error:
            self.problem = f"{error.filename or self.order.out}: {error.strerror or error}"
            self._end("broken")
            raise
        finally:
            if self.state in ("ready", "running", "paused"):  # cancelled, or ended by a bug
                self._end("stopped")

    async def _asked(self, pool: Pool, began: Callable[[int, Mode], None]) -> None:
        snapshot = await pool.first_look()
        mode = self.order.mode or snapshot.mode
        self.parallel = self._places(snapshot, mode)
        began(self.parallel, mode)
        batch = self._batch = Batch(
            pool.ask,
            self.parallel,
            self._keep,
            lambda model: may_exist(model, pool.store.snapshot),
            self.order.mode,
            pool.refresh,
        )
        self.state, self._since_s = "running", self._clock()
        try:
            await batch.run(self._waiting)
        finally:
            if self._syncing is not None:
                await self._syncing
        self.given_up = batch.given_up
        self._end("gave up" if self.given_up is not None else "done")

    def pause(self, paused: bool) -> None:
        """Ask nothing new, or go on; what runs comes to its end."""
        if self._batch is None or self.state not in ("running", "paused"):
            return
        self._batch.pause(paused)
        self._rest()
        self.state, self._since_s = ("paused", None) if paused else ("running", self._clock())

    def _places(self, snapshot: ClusterSnapshot, mode: Mode) -> int:
        wanted = self.order.parallel or capacity(snapshot, mode)
        return min(wanted, MOST_PARALLEL, len(self._waiting))

    def _keep(self, result: Result) -> None:
        assert self._results is not None
        self._results.append(result_line(result))
        self._sync_soon()
        self._settled += 1
        self._new += 1
        self._whole += result.is_whole
        if result.target is not None:
            self.spread[result.target] = self.spread.get(result.target, 0) + 1
        if not result.is_whole:
            reason = str(result.fault) if result.fault else "the token limit cut it off"
            self.failures.append(Failure(self._by_key[key_of(result.id)], reason))
        self._heard(result)

    def _sync_soon(self) -> None:
        """The disk takes what comes in groups, one after the other: it may be slow, and nobody
        waits for it. What it could not take is raised with the next result, or at the end."""
        self._is_dirty = True
        if self._syncing is not None and self._syncing.done():
            self._syncing.result()
            self._syncing = None
        if self._syncing is None:
            self._syncing = asyncio.create_task(self._sync(), name="batch results to the disk")

    async def _sync(self) -> None:
        while self._is_dirty and self._results is not None:
            self._is_dirty = False
            await asyncio.to_thread(self._results.sync)

    # How far it is

    def progress(self) -> BatchProgress:
        """How it stands now."""
        return BatchProgress(
            len(self.prompts),
            self._settled,
            self._whole,
            self._new,
            self._batch.running if self._batch is not None else 0,
            self._passed_s + self._going_s(),
            len(self.bad),
            self.state,
        )

    def _going_s(self) -> float:
        return 0.0 if self._since_s is None else self._clock() - self._since_s

    def _rest(self) -> None:
        self._passed_s, self._since_s = self._passed_s + self._going_s(), None

    def _end(self, state: BatchState) -> None:
        self._rest()
        self.state = state
