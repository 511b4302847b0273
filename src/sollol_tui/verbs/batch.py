"""`sollol-tui batch`: a file of prompts over the whole pool, the results as JSON lines."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from sollol_tui.core import units
from sollol_tui.core.asks import AskEvent, AskRequest
from sollol_tui.core.batch_lines import (
    BadLine,
    Prompt,
    Result,
    key_of,
    read_prompts,
    result_line,
)
from sollol_tui.core.capacity import capacity
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.engine.batch import Batch, may_exist
from sollol_tui.engine.store import Store
from sollol_tui.io.batch_files import ResultsError, ResultsFile, read_lines, same_file
from sollol_tui.verbs.batch_bar import Bar
from sollol_tui.verbs.batch_options import MOST_PARALLEL, BatchOptions
from sollol_tui.verbs.signals import ENDS, on_signals
from sollol_tui.verbs.voice import Voice

EXIT_WHOLE = 0
EXIT_NOTHING = 1
EXIT_USAGE = 2
EXIT_NOT_WHOLE = 3
EXIT_INTERRUPTED = 130

_SHOWN_BAD = 20


class BatchCall(NamedTuple):
    """A batch to run: what, with which settings, and where locks are kept."""

    options: BatchOptions
    settings: Settings
    state_dir: Path
    as_json: bool = False


class BatchEngine(Protocol):
    """What this verb needs of the engine."""

    def running(self) -> AbstractAsyncContextManager[object]: ...

    async def first_look(self) -> ClusterSnapshot: ...

    def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]: ...

    def refresh(self) -> None: ...

    @property
    def store(self) -> Store: ...

    @property
    def found_coordinator(self) -> bool: ...

    def leave_coordinator(self, stays: bool) -> None: ...


def batch(
    make_engine: Callable[[], BatchEngine],
    call: BatchCall,
    voice: Voice,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Ask what has no result yet, write results as they come, and return how it ended.

    Raises `OSError` when the results cannot be written.
    """
    options = call.options
    if same_file(options.prompts, options.out):
        return _refuse(voice, "--out names the file of the prompts")
    try:
        prompts, bad = read_prompts(read_lines(options.prompts), call.settings.model)
    except OSError as error:
        return _refuse(voice, f"{options.prompts}: {error.strerror}")
    _tell_bad(bad, options.prompts, voice)
    if not prompts:
        return _refuse(voice, f"{options.prompts} holds no prompt that can be asked")
    with ExitStack() as stack:
        try:
            results = stack.enter_context(ResultsFile(options.out, call.state_dir))
        except ResultsError as error:
            return _refuse(voice, str(error))
        except OSError as error:
            return _refuse(voice, f"{error.filename or options.out}: {error.strerror}")
        run = _Run(call, voice, results, prompts, len(bad), clock)
        return run.ended(make_engine)


def _refuse(voice: Voice, sentence: str) -> int:
    voice.tell(f"sollol-tui: {sentence}")
    return EXIT_USAGE


def _tell_bad(bad: Sequence[BadLine], path: Path, voice: Voice) -> None:
    for line in bad[:_SHOWN_BAD]:
        voice.tell(f"{path.name}:{line.line}: {line.reason}")
    if len(bad) > _SHOWN_BAD:
        voice.tell(f"… and {len(bad) - _SHOWN_BAD} more lines that cannot be asked")


class _Run:
    """One run of a batch, with its results file open."""

    def __init__(
        self,
        call: BatchCall,
        voice: Voice,
        results: ResultsFile,
        prompts: Sequence[Prompt],
        bad: int,
        clock: Callable[[], float],
    ) -> None:
        self._call = call
        self._voice = voice
        self._results = results
        self._prompts = prompts
        self._bad = bad
        self._clock = clock
        self._began_s = clock()
        self._tell_repairs()
        if call.options.retry_failed and any(not k.is_whole for k in results.known.values()):
            results.forget(lambda known: not known.is_whole)
        outcomes = {key_of(p.id): results.known.get(key_of(p.id)) for p in prompts}
        self._waiting = [p for p in prompts if outcomes[key_of(p.id)] is None]
        self._whole = sum(known is not None and known.is_whole for known in outcomes.values())
        self._settled = len(prompts) - len(self._waiting)
        self._new = 0
        self._bar = Bar(voice, len(prompts), self._settled, clock)

    def ended(self, make_engine: Callable[[], BatchEngine]) -> int:
        """Run it to its end, or to Ctrl-C; the exit code."""
        interrupted = False
        try:
            if self._waiting:
                asyncio.run(self._ask(make_engine))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
        self._bar.clear()
        self._tell_end(interrupted)
        if interrupted:
            return EXIT_INTERRUPTED
        if self._whole == len(self._prompts) and not self._bad:
            return EXIT_WHOLE
        return EXIT_NOT_WHOLE if self._settled else EXIT_NOTHING

    async def _ask(self, make_engine: Callable[[], BatchEngine]) -> None:
        """SIGTERM and SIGHUP end it in order, as Ctrl-C does."""
        task = asyncio.current_task()
        assert task is not None
        on_signals(task.cancel, (number for number in ENDS if number is not signal.SIGINT))
        engine = make_engine()
        async with engine.running():
            try:
                await self._ask_all(engine)
            finally:
                engine.leave_coordinator(engine.found_coordinator)

    async def _ask_all(self, engine: BatchEngine) -> None:
        snapshot = await engine.first_look()
        mode = self._call.settings.mode or snapshot.mode
        parallel = self._parallel(snapshot, mode)
        self._tell_start(parallel, mode)
        running = Batch(
            engine.ask,
            parallel,
            lambda result: self._keep(result, running.running),
            lambda model: may_exist(model, engine.store.snapshot),
            self._call.settings.mode,
            engine.refresh,
        )
        self._bar.draw(parallel, at_once=True)
        await running.run(self._waiting)
        if running.given_up is not None:
            self._bar.clear()
            self._voice.tell(
                f"sollol-tui: stopped, nothing answers any more ({running.given_up}); "
                "the same command goes on from here"
            )

    def _parallel(self, snapshot: ClusterSnapshot, mode: Mode) -> int:
        wanted = self._call.options.parallel or capacity(snapshot, mode)
        return min(wanted, MOST_PARALLEL, len(self._waiting))

    def _keep(self, result: Result, running: int) -> None:
        self._results.append(result_line(result))
        self._settled += 1
        self._new += 1
        self._whole += result.is_whole
        if result.fault is not None:
            self._bar.clear()
            self._voice.tell(f"{key_of(result.id)}: {result.fault}")
        if self._call.as_json:
            self._voice.say_json(
                {
                    "event": "result",
                    "id": result.id,
                    "target": result.target,
                    "outcome": result.outcome,
                    "tries": result.tries,
                    "done": self._settled,
                    "total": len(self._prompts),
                }
            )
        self._bar.settled(result.fault is not None, running)

    def _tell_repairs(self) -> None:
        torn, foreign = self._results.repaired
        name = self._call.options.out.name
        if torn:
            self._voice.tell(f"{name}: a last line of {torn} bytes was cut off and is taken away")
        if foreign:
            self._voice.tell(f"{name}: {foreign} lines are no results; they are left as they are")

    def _tell_start(self, parallel: int, mode: Mode) -> None:
        before = len(self._prompts) - len(self._waiting)
        if self._call.as_json:
            self._voice.say_json(
                {
                    "event": "started",
                    "total": len(self._prompts),
                    "done": before,
                    "bad": self._bad,
                    "parallel": parallel,
                    "mode": mode.value,
                }
            )
            return
        done = f", {before} have results already" if before else ""
        self._voice.tell(f"{len(self._prompts)} prompts{done}; {parallel} at a time, mode {mode}")

    def _tell_end(self, interrupted: bool) -> None:
        left = len(self._prompts) - self._settled
        total_s = self._clock() - self._began_s
        if self._call.as_json:
            self._voice.say_json(
                {
                    "event": "finished",
                    "interrupted": interrupted,
                    "new": self._new,
                    "whole": self._whole,
                    "failed": self._settled - self._whole,
                    "left": left,
                    "bad": self._bad,
                    "total_s": round(total_s, 3),
                }
            )
            return
        parts = [
            f"{self._new} new results in {units.duration(total_s)}",
            f"{self._whole} of {len(self._prompts)} whole",
            f"{self._settled - self._whole} not whole" if self._settled > self._whole else "",
            f"{left} not asked" if left else "",
            f"{self._bad} bad lines" if self._bad else "",
        ]
        stopped = "interrupted: " if interrupted else ""
        self._voice.tell(stopped + " · ".join(part for part in parts if part))
