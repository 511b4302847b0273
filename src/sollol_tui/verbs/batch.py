"""`sollol-tui batch`: a file of prompts over the whole pool, the results as JSON lines."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import NamedTuple, Protocol

from sollol_tui.core import units
from sollol_tui.core.batch_lines import BadLine, Result, key_of
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import Mode
from sollol_tui.engine.batch_run import BatchOrder, BatchRefused, BatchRun, Pool
from sollol_tui.verbs.batch_bar import Bar
from sollol_tui.verbs.batch_options import BatchOptions
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

    @property
    def order(self) -> BatchOrder:
        """What the engine is to do."""
        options, settings = self.options, self.settings
        return BatchOrder(
            options.prompts,
            options.out,
            settings.model,
            settings.mode,
            options.parallel,
            options.retry_failed,
        )


class BatchEngine(Pool, Protocol):
    """What this verb needs of the engine."""

    def running(self) -> AbstractAsyncContextManager[object]: ...

    def leave_coordinator(self, stays: bool, found_stay: bool | None = None) -> None: ...


def batch(
    make_engine: Callable[[], BatchEngine],
    call: BatchCall,
    voice: Voice,
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Ask what has no result yet, write results as they come, and return how it ended.

    Raises `OSError` when the results cannot be written.
    """
    run = BatchRun(call.order, call.state_dir, clock)
    with closing(run):
        try:
            run.open()
        except BatchRefused as refusal:
            _tell_bad(run.bad, call.options.prompts, voice)
            voice.tell(f"sollol-tui: {refusal}")
            return EXIT_USAGE
        _tell_bad(run.bad, call.options.prompts, voice)
        return _Telling(run, call, voice, clock).ended(make_engine)


def _tell_bad(bad: Sequence[BadLine], path: Path, voice: Voice) -> None:
    for line in bad[:_SHOWN_BAD]:
        voice.tell(f"{path.name}:{line.line}: {line.reason}")
    if len(bad) > _SHOWN_BAD:
        voice.tell(f"… and {len(bad) - _SHOWN_BAD} more lines that cannot be asked")


class _Telling:
    """A run of a batch, and what is said of it."""

    def __init__(
        self, run: BatchRun, call: BatchCall, voice: Voice, clock: Callable[[], float]
    ) -> None:
        self._run = run
        self._call = call
        self._voice = voice
        self._clock = clock
        self._began_s = clock()
        self._bar = Bar(voice, run.progress)
        self._tell_repairs()

    def ended(self, make_engine: Callable[[], BatchEngine]) -> int:
        """Run it to its end, or to Ctrl-C; the exit code."""
        interrupted = False
        try:
            if self._run.progress().left:
                asyncio.run(self._ask(make_engine))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interrupted = True
        self._bar.clear()
        self._tell_end(interrupted)
        if interrupted:
            return EXIT_INTERRUPTED
        now = self._run.progress()
        if now.whole == now.total and not now.bad:
            return EXIT_WHOLE
        return EXIT_NOT_WHOLE if now.settled else EXIT_NOTHING

    async def _ask(self, make_engine: Callable[[], BatchEngine]) -> None:
        """SIGTERM and SIGHUP end it in order, as Ctrl-C does."""
        task = asyncio.current_task()
        assert task is not None
        on_signals(task.cancel, (number for number in ENDS if number is not signal.SIGINT))
        engine = make_engine()
        async with engine.running():
            try:
                await self._run.run(engine, self._tell_start, self._tell_result)
            finally:
                engine.leave_coordinator(False, found_stay=True)
        if self._run.given_up is not None:
            self._bar.clear()
            self._voice.tell(
                f"sollol-tui: stopped, nothing answers any more ({self._run.given_up}); "
                "the same command goes on from here"
            )

    def _tell_result(self, result: Result) -> None:
        if result.fault is not None:
            self._bar.clear()
            self._voice.tell(f"{key_of(result.id)}: {result.fault}")
        if self._call.as_json:
            now = self._run.progress()
            self._voice.say_json(
                {
                    "event": "result",
                    "id": result.id,
                    "target": result.target,
                    "outcome": result.outcome,
                    "tries": result.tries,
                    "done": now.settled,
                    "total": now.total,
                }
            )
        self._bar.draw()

    def _tell_repairs(self) -> None:
        repaired = self._run.repaired
        if repaired is None:
            return
        name = self._call.options.out.name
        if torn := repaired.torn_bytes:
            self._voice.tell(f"{name}: a last line of {torn} bytes was cut off and is taken away")
        if foreign := repaired.foreign_lines:
            self._voice.tell(f"{name}: {foreign} lines are no results; they are left as they are")

    def _tell_start(self, parallel: int, mode: Mode) -> None:
        now = self._run.progress()
        if self._call.as_json:
            self._voice.say_json(
                {
                    "event": "started",
                    "total": now.total,
                    "done": now.settled,
                    "bad": now.bad,
                    "parallel": parallel,
                    "mode": mode.value,
                }
            )
        else:
            done = f", {now.settled} have results already" if now.settled else ""
            self._voice.tell(
                f"{units.counted(now.total, 'prompt')}{done}; {parallel} at a time, mode {mode}"
            )
        self._bar.draw(at_once=True)

    def _tell_end(self, interrupted: bool) -> None:
        now = self._run.progress()
        total_s = self._clock() - self._began_s
        if self._call.as_json:
            self._voice.say_json(
                {
                    "event": "finished",
                    "interrupted": interrupted,
                    "new": now.new,
                    "whole": now.whole,
                    "failed": now.failed,
                    "left": now.left,
                    "bad": now.bad,
                    "total_s": round(total_s, 3),
                }
            )
            return
        parts = [
            f"{units.counted(now.new, 'new result')} in {units.duration(total_s)}",
            f"{now.whole} of {now.total} whole",
            f"{now.failed} not whole" if now.failed else "",
            f"{now.left} not asked" if now.left else "",
            units.counted(now.bad, "bad line") if now.bad else "",
        ]
        stopped = "interrupted: " if interrupted else ""
        self._voice.tell(stopped + " · ".join(part for part in parts if part))
