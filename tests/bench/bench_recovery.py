"""How long a coordinator is away after each kind of blow, against what loading takes.

`python -m tests.bench recovery [--short]`. Real servers: a model over two RPC backends. "Shown" is
the time from the blow to the first snapshot that tells of it, "serving" until it answers `/health`
again. The baseline is the load of the same model in the same run: the first start, over both
backends. Aims: shown within 1 s, serving within the load time and 2 s.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sollol_tui.core.asks import Delta, Finished, Waiting
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
)
from tests.engine.lives import Life
from tests.engines.lab import HOW_TO_GET_IT, Lab, find_lab, library_path
from tests.engines.places import HOSTS, LARGE, App, Place, life, question, served
from tests.engines.servers import RpcBackend, free_port

SHOWN_AIM_S = 1.0
SERVING_AIM_S = 2.0  # and the load time
HUNG_LIMIT_S = 3.0
BLOW_LIMIT_S = 60.0


class Measured(NamedTuple):
    """One blow. `answered`: None when nobody asked, else whether the answer was whole."""

    load_s: float
    shown_s: float
    serving_s: float
    answered: bool | None = None


class Watch:
    """When, after a blow, it was first shown and served again, by the engine's own events."""

    def __init__(self, lived: Life, pid: int | None) -> None:
        self.lived = lived
        self.pid = pid
        self.down_before: set[str] = set()
        self.struck_at_s = self.shown_at_s = self.serving_at_s = 0.0
        lived.engine.store.listeners.append(self._note)

    def strike(self, blow: Callable[[], None]) -> None:
        """Do it, and look at the clock."""
        self.down_before = _down(self.lived.engine.store.snapshot)
        self.struck_at_s = time.perf_counter()
        blow()

    def _note(self, _: ClusterSnapshot, after: ClusterSnapshot) -> None:
        state = after.coordinator(self.lived.url)
        if not self.struck_at_s or state is None:
            return
        if not self.shown_at_s and (_tells(state) or _down(after) - self.down_before):
            self.shown_at_s = time.perf_counter()
        if not self.serving_at_s and self.shown_at_s and _serves(state, self.pid):
            self.serving_at_s = time.perf_counter()

    def measured(self, load_s: float, answered: bool | None = None) -> Measured:
        """The figures."""
        shown_s, serving_s = (
            self.shown_at_s - self.struck_at_s,
            self.serving_at_s - self.struck_at_s,
        )
        self.lived.engine.store.listeners.remove(self._note)
        return Measured(load_s, shown_s, serving_s, answered)


def _down(snapshot: ClusterSnapshot) -> set[str]:
    return {b.address for b in snapshot.backends if b.status is BackendStatus.DOWN}


def _tells(state: CoordinatorState) -> bool:
    hangs = state.status in {CoordinatorStatus.STALLED, CoordinatorStatus.FAILED}
    return bool(state.problems) or hangs


def _serves(state: CoordinatorState, pid: int | None) -> bool:
    return state.status is CoordinatorStatus.READY and state.pid not in {None, pid}


class Bench:
    """A place, two backends, one kind of blow after the other."""

    def __init__(self, place: Place, backends: list[RpcBackend]) -> None:
        self.place = place
        self.backends = backends
        self.deaths: list[int] = []  # exit codes of backends that nobody killed
        self.load_s = 0.0  # as measured last

    def rest(self) -> None:
        """Both backends run and are free."""
        for backend in self.backends:
            if not backend.running:
                code = backend.wait_exit()
                if code != -signal.SIGKILL:
                    self.deaths.append(code)
                backend.start()

    async def backend_idle(self) -> Measured:
        async with life(self.place, self.backends) as lived:
            state = await served(lived, Order(LARGE))
            return await self._idle(lived, state, self.backends[0].kill)

    async def coordinator_idle(self, number: int) -> Measured:
        """Killed, or stopped: then its silence tells, and it is started anew."""
        async with life(self.place, self.backends, restart_hung=True, timeout_s=1.0) as lived:
            state = await served(lived, Order(LARGE))
            return await self._idle(lived, state, partial(os.kill, state.pid or 0, number))

    async def _idle(
        self, lived: Life, state: CoordinatorState, blow: Callable[[], None]
    ) -> Measured:
        watch = Watch(lived, state.pid)
        watch.strike(blow)
        await lived.until_ready(besides=state.pid)
        self.load_s = state.expected_s or 0.0
        return watch.measured(self.load_s)

    async def under(self, who: str, moment: str, number: int) -> Measured:
        """A blow under an answer; what hangs is started anew after a short limit."""
        hangs = number == signal.SIGSTOP
        limits: dict[str, object] = {}
        if hangs:
            limits = {"restart_hung": True, "timeout_s": 1.0, "token_gap_limit_s": HUNG_LIMIT_S}
        async with life(self.place, self.backends, **limits) as lived:
            lived.engine.choose_mode(Mode.MODEL)
            state = await served(lived, Order(LARGE))
            pid = self.backends[0].pid if who == "backend" else state.pid or 0
            watch, done, last = Watch(lived, state.pid), False, None
            words = 300 if moment == "prompt" else 0
            async for event in lived.engine.ask(question(LARGE, tokens=40, words=words)):
                last = event
                if not done and isinstance(event, Waiting if words else Delta):
                    done = True
                    watch.strike(partial(os.kill, pid, number))
            if hangs and who == "backend":
                os.kill(pid, signal.SIGCONT)
            await lived.until_ready(besides=state.pid)
            return watch.measured(state.expected_s or 0.0, isinstance(last, Finished))

    async def backend_loading(self) -> Measured:
        async with life(self.place, self.backends) as lived:
            state = await served(lived, Order(LARGE))
            await lived.engine.stop_coordinator()
            watch = Watch(lived, None)

            def note(_: ClusterSnapshot, after: ClusterSnapshot) -> None:
                seen = after.coordinator(lived.url)
                if seen is not None and seen.phase == Phase.LOADING and not watch.struck_at_s:
                    watch.pid = seen.pid
                    watch.strike(self.backends[0].kill)

            lived.engine.store.listeners.append(note)
            await lived.engine.start_coordinator(Order(LARGE))
            await lived.until_ready()
            return watch.measured(state.expected_s or 0.0)

    async def second(self) -> Measured:
        """The other backend dies as soon as the first loss is recovered."""
        async with life(self.place, self.backends) as lived:
            state = await served(lived, Order(LARGE))
            self.backends[0].kill()
            again = await lived.until_ready(besides=state.pid)
            watch = Watch(lived, again.pid)
            watch.shown_at_s = watch.serving_at_s = 0.0
            await _until_clear(lived, self.backends[1].address)
            watch.strike(self.backends[1].kill)
            await lived.until_ready(besides=again.pid)
            return watch.measured(state.expected_s or 0.0)

    async def program(self) -> Measured:
        """The program is killed: from its next start until it has taken the coordinator over."""
        with App(self.place.lab, self.place, self.backends, LARGE) as app:
            app.kill()
            app.wait_exit()
        begun_s = time.perf_counter()
        async with life(self.place, self.backends) as lived:
            await lived.until_ready()
            taken_s = time.perf_counter() - begun_s
            found = lived.engine.found_coordinator
        assert found, "it started another one"
        return Measured(self.load_s, taken_s, taken_s)


async def _until_clear(lived: Life, address: str) -> None:
    """Until the backend that is still there is shown as held."""
    await lived.until(lambda _: lived.backend(address) is BackendStatus.ATTACHED)


def kinds(bench: Bench) -> dict[str, Callable[[], Awaitable[Measured]]]:
    """All kinds of blows by name."""
    kill, stop = signal.SIGKILL, signal.SIGSTOP
    return {
        "backend killed, idle": bench.backend_idle,
        "backend killed, prompt": partial(bench.under, "backend", "prompt", kill),
        "backend killed, generation": partial(bench.under, "backend", "generation", kill),
        "backend killed, loading": bench.backend_loading,
        "second backend killed": bench.second,
        "coordinator killed, idle": partial(bench.coordinator_idle, kill),
        "coordinator killed, generation": partial(bench.under, "coordinator", "generation", kill),
        f"backend stopped (limit {HUNG_LIMIT_S:.0f} s)": partial(
            bench.under, "backend", "generation", stop
        ),
        f"coordinator stopped (limit {HUNG_LIMIT_S:.0f} s)": partial(
            bench.under, "coordinator", "generation", stop
        ),
        "coordinator stopped, idle": partial(bench.coordinator_idle, stop),
        "program killed, next one takes over": bench.program,
    }


def show(kind: str, measured: list[Measured]) -> None:
    """One line: medians, and the worst against the aims."""
    load_s = statistics.median(m.load_s for m in measured)
    shown_s = statistics.median(m.shown_s for m in measured)
    serving_s = statistics.median(m.serving_s for m in measured)
    over_s = max(m.serving_s - m.load_s for m in measured)
    worst_s = max(m.shown_s for m in measured)
    waits = HUNG_LIMIT_S + 4.0 if "stopped" in kind else 0.0  # 3 looks of a second each, at most
    ok = worst_s <= SHOWN_AIM_S + waits and over_s <= SERVING_AIM_S + waits
    asked = [m.answered for m in measured if m.answered is not None]
    answers = f"{sum(asked)}/{len(asked)} answers whole" if asked else ""
    print(
        f"{kind:36} shown {shown_s:5.2f} s  serving {serving_s:5.2f} s  load {load_s:4.2f} s"
        f"  worst {over_s:+5.2f} s over it  {'ok' if ok else 'MISSED'}  {answers}",
        flush=True,
    )


async def run(lab: Lab, rounds: int, directory: Path) -> None:
    port = free_port(*HOSTS)
    with ExitStack() as stack:
        backends = [stack.enter_context(RpcBackend(lab, host, port)) for host in HOSTS[:2]]
        bench = Bench(Place(lab, directory), backends)
        for kind, blow in kinds(bench).items():
            measured = []
            for _ in range(rounds):
                await asyncio.to_thread(bench.rest)
                try:
                    async with asyncio.timeout(BLOW_LIMIT_S):
                        measured.append(await blow())
                except TimeoutError:
                    print(f"{kind:36} MISSED: it never served again", flush=True)
            if measured:
                show(kind, measured)
        bench.rest()
        print(
            f"{'':36} aims: shown ≤ {SHOWN_AIM_S:.0f} s, serving ≤ load + {SERVING_AIM_S:.0f} s",
            end="",
        )
        print("; what only stops is first noticed by its limit")
        others = f", by their status: {bench.deaths}" if bench.deaths else ""
        print(f"backends that ended besides those that were killed: {len(bench.deaths)}{others}")


def main() -> int:
    lab = find_lab()
    if lab is None:
        print(f"skipped: {HOW_TO_GET_IT}")
        return 0
    os.environ.update({**library_path(lab.lib_dir), "LLAMA_ARG_THREADS": "1"})
    rounds = 1 if "--short" in sys.argv else 3
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(run(lab, rounds, Path(directory)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
