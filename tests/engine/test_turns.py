"""Starting and stopping a coordinator are turns: whatever is cut short, nothing stays behind."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from sollol_tui.core.asks import AskRequest, ChatMessage, Finished
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause
from sollol_tui.core.state import CoordinatorStatus, Mode
from sollol_tui.io import runs
from tests import fakes
from tests.engine.fake_llama_server import goes
from tests.engine.lives import Life
from tests.engine.place import Place, life, served

SLOW = "more = ['--load-s', '600']"
ROUNDS = 12


async def cut_when(lived: Life, phase: Phase, work: asyncio.Task[None]) -> None:
    """Cancel the work when that phase is told, as a worker is cancelled whose screen is left."""
    await lived.until_phase(phase)
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


async def test_a_stop_goes_on_when_nobody_waits_for_it_any_more(place: Place) -> None:
    """One that loads is held still first: left in the middle it would stay so for ever."""
    goes(place.program, SLOW)
    async with fakes.backend() as one, life(place, one) as lived:
        await lived.engine.start_coordinator(place.order)
        await lived.until_phase(Phase.LOADING)
        stopping = asyncio.create_task(lived.engine.stop_coordinator())
        await cut_when(lived, Phase.STOPPING, stopping)
        await lived.until(lambda s: s.status is CoordinatorStatus.STOPPED)
        assert not place.servers()
        assert runs.read_run(place.state_dir, place.port) is None


async def test_a_start_in_the_place_of_another_goes_on_when_nobody_waits_for_it(
    place: Place,
) -> None:
    goes(place.program, SLOW)
    async with fakes.backend() as one, life(place, one) as lived:
        await lived.engine.start_coordinator(place.order)
        first = await lived.until_phase(Phase.LOADING)
        goes(place.program, "")
        again = asyncio.create_task(lived.engine.start_coordinator(place.order))
        await cut_when(lived, Phase.STOPPING, again)
        ready = await lived.until_ready(besides=first.pid)
        assert [p.pid for p in place.servers()] == [ready.pid]


async def test_one_that_is_being_ended_when_the_program_is_left_does_not_stay(
    place: Place,
) -> None:
    """Those that stay are those that run; this one is ended because it lost a backend."""
    async with fakes.backend() as one:
        async with life(place, one) as lived:
            first = await served(lived, place)
            lived.engine.leave_coordinator(stays=True)
            one.die()
            await lived.until(lambda s: s.pid != first.pid or s.phase == Phase.STOPPING)
            goes(place.program, "sys.exit(7)")
        assert not place.servers()
        assert runs.read_run(place.state_dir, place.port) is None


async def test_who_looks_after_it_already_is_named_before_anything_else(place: Place) -> None:
    """What that coordinator holds is in the way too, and says less."""
    async with life(place) as lived:
        with runs.looked_after(place.state_dir, place.port) as held:
            assert held
            await lived.engine.start_coordinator(Order("nobody:has-it"))
            failed = await lived.until(lambda s: s.status is CoordinatorStatus.FAILED)
        assert [p.cause for p in failed.problems] == [Cause.PORT_TAKEN]
        assert failed.problems[0].evidence[0].startswith("another sollol-tui (process")


async def test_many_questions_at_the_same_time_start_it_once(place: Place) -> None:
    async with life(place) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        endings = await asyncio.gather(*(_answered(lived, str(place.model)) for _ in range(6)))
        assert all(endings)
        assert lived.phases.count("probing") == 1
        assert len(place.servers()) == 1


async def _answered(lived: Life, model: str) -> bool:
    request = AskRequest(model, (ChatMessage("user", "Hello?"),))
    return isinstance([event async for event in lived.engine.ask(request)][-1], Finished)


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_done_in_whatever_order_it_serves_in_the_end(
    place: Place, seed: int
) -> None:
    """Starts, stops, retries and lost patience, at random; then one start: one process serves."""
    chance = random.Random(seed)
    async with fakes.backend() as one, life(place, one) as lived:
        engine = lived.engine
        running: list[asyncio.Task[None]] = []
        for _ in range(ROUNDS):
            way = chance.choice(("start", "stop", "retry", "cancel"))
            if way == "start":
                running.append(asyncio.create_task(engine.start_coordinator(place.order)))
            elif way == "stop":
                running.append(asyncio.create_task(engine.stop_coordinator()))
            elif way == "retry":
                engine.retry_coordinator()
            elif running:
                running[-1].cancel()
            for _ in range(chance.choice((0, 1, 5, 50))):
                await asyncio.sleep(0)
        await asyncio.gather(*running, return_exceptions=True)
        state = await served(lived, place)
        assert [p.pid for p in place.servers()] == [state.pid]
        assert state.backends == (one.address,)
    assert not place.servers()
    assert runs.read_run(place.state_dir, place.port) is None
    assert runs.keeper(place.state_dir, place.port) is None
