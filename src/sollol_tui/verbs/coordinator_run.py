"""`sollol-tui coordinator run`: a coordinator, kept up in the foreground until a signal."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.orders import Order
from sollol_tui.core.plain import plain_line
from sollol_tui.core.routing import serves
from sollol_tui.core.run_events import RunEvent, run_event_json, run_events
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState
from sollol_tui.engine.store import Store
from sollol_tui.verbs.coordinator_options import CoordinatorOptions
from sollol_tui.verbs.run_words import RunWords
from sollol_tui.verbs.signals import on_signals
from sollol_tui.verbs.voice import Voice

EXIT_STOPPED = 0
EXIT_GAVE_UP = 1


class Runner(Protocol):
    """What this verb needs of the engine."""

    @property
    def coordinator_url(self) -> CoordinatorUrl: ...

    @property
    def found_coordinator(self) -> bool: ...

    def running(self) -> AbstractAsyncContextManager[Store]: ...

    async def first_look(self) -> ClusterSnapshot: ...

    async def start_coordinator(self, order: Order) -> None: ...

    async def stop_coordinator(self) -> None: ...

    async def until_given_up(self) -> None: ...

    def leave_coordinator(self, stays: bool) -> None: ...


def run(
    make_engine: Callable[[], Runner],
    options: CoordinatorOptions,
    voice: Voice,
    *,
    as_json: bool,
) -> int:
    """Keep it up; returns 0 when stopped by a signal, 1 when it was given up."""
    teller = _Teller(voice, as_json)
    code = asyncio.run(_run(make_engine, options, teller))
    if teller.broken is not None:
        raise teller.broken
    return code


async def _run(
    make_engine: Callable[[], Runner], options: CoordinatorOptions, teller: _Teller
) -> int:
    engine, stopped = make_engine(), asyncio.Event()
    teller.stop = stopped.set
    async with engine.running() as store:
        on_signals(stopped.set)
        engine.leave_coordinator(stays=False)
        _follow(store, engine.coordinator_url, teller.tell)
        keeping = asyncio.create_task(_keep_up(engine, options))
        waiting = asyncio.create_task(stopped.wait())
        await asyncio.wait({keeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not stopped.is_set():
            await keeping  # a bug in it is raised here
            return EXIT_GAVE_UP
        keeping.cancel()
        await asyncio.wait({keeping})
        await engine.stop_coordinator()
    return EXIT_STOPPED


async def _keep_up(engine: Runner, options: CoordinatorOptions) -> None:
    snapshot = await engine.first_look()
    found = snapshot.coordinator(engine.coordinator_url) if engine.found_coordinator else None
    if found is None or not _is_wanted(found, options):
        await engine.start_coordinator(options.order)
    await engine.until_given_up()


def _is_wanted(found: CoordinatorState, options: CoordinatorOptions) -> bool:
    """Whether the one that an earlier run left is what is asked for: it need not load again."""
    if not options.wants_only_a_model:
        return False
    path = os.path.abspath(os.path.expanduser(options.model))
    return not options.model or serves(found, options.model) or found.model_path == path


def _follow(store: Store, url: CoordinatorUrl, tell: Callable[[RunEvent], None]) -> None:
    def note(before: ClusterSnapshot, after: ClusterSnapshot) -> None:
        for event in run_events(before.coordinator(url), after.coordinator(url), store.now_s()):
            tell(event)

    store.listeners.append(note)


class _Teller:
    """Prints events, in words or as JSON. Output that cannot be written ends the run."""

    def __init__(self, voice: Voice, as_json: bool) -> None:
        self.broken: OSError | None = None
        self.stop: Callable[[], None] = lambda: None
        self._voice = voice
        self._as_json = as_json
        self._words = RunWords(voice)

    def tell(self, event: RunEvent) -> None:
        if self.broken is not None:
            return
        try:
            self._print(event)
        except OSError as error:
            self.broken = error
            self.stop()

    def _print(self, event: RunEvent) -> None:
        if self._as_json:
            self._voice.say_json(run_event_json(event))
            return
        clock = time.strftime("%H:%M:%S", time.localtime(event.at_s))
        for line, colour in self._words.lines(event):
            self._voice.say(f"{clock}  {self._voice.painted(plain_line(line), colour)}")
        self._voice.out.flush()
