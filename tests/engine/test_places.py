"""Several coordinators of ours at once (N12): each on its port, over backends of its own."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sollol_tui.core.asks import AskEvent, AskRequest, ChatMessage, Finished, Notice, Routed
from sollol_tui.core.ids import CoordinatorUrl, parse_backend_address, parse_coordinator_url
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause
from sollol_tui.core.settings import CoordinatorSetting
from sollol_tui.core.state import CoordinatorStatus, Mode
from sollol_tui.demo.backend import DemoBackend
from sollol_tui.engine.engine import Engine
from sollol_tui.io import runs
from sollol_tui.verbs.coordinator_stop import stop
from sollol_tui.verbs.voice import Voice
from tests import fakes
from tests.engine.fake_llama_server import goes
from tests.engine.lives import Life, living
from tests.engine.place import Place, free_port
from tests.engine.support import PATIENCE_S

SLOW = "more = ['--load-s', '600']"


class Pair:
    """An engine with two places of ours, and the life of the coordinator in each."""

    def __init__(self, first: Life, second: Life) -> None:
        self.first, self.second = first, second
        self.engine = first.engine


def other_of(place: Place) -> CoordinatorSetting:
    """A second place of ours on this host."""
    return CoordinatorSetting(parse_coordinator_url(f"127.0.0.1:{free_port()}"), "other")


@asynccontextmanager
async def pair(
    place: Place,
    second: CoordinatorSetting,
    *backends: DemoBackend,
    first: CoordinatorSetting | None = None,
    **changes: object,
) -> AsyncIterator[Pair]:
    places = (first or CoordinatorSetting(place.url, start=True), second._replace(start=True))
    settings = place.settings(*(b.address for b in backends), coordinators=places, **changes)
    async with living(settings, place.state_dir) as lived:
        other = Life(lived.engine, PATIENCE_S, second.url)
        yield Pair(lived, other)
        other.check_moves()


async def both_served(both: Pair, place: Place) -> tuple[int, int]:
    """Start both at once; their processes."""
    urls = (both.first.url, both.second.url)
    await asyncio.gather(*(both.engine.start_coordinator(place.order, url) for url in urls))
    first, second = await both.first.until_ready(), await both.second.until_ready()
    return first.pid or 0, second.pid or 0


async def test_two_of_ours_run_side_by_side_and_never_share_a_backend(place: Place) -> None:
    """Also when both plan at the same moment, over the same free backends."""
    async with fakes.backend() as one, fakes.backend() as two:
        async with pair(place, other_of(place), one, two) as both:
            pids = await both_served(both, place)
            states = [life.states[-1] for life in (both.first, both.second)]
            taken = [a for s in states for a in s.backends]
            assert sorted(taken) == sorted({one.address, two.address}), "each once"
            assert {p.pid for p in place.servers()} == set(pids)
            assert both.engine.coordinator_urls == (both.first.url, both.second.url)
            await both.engine.stop_coordinator(both.second.url)
            assert [p.pid for p in place.servers()] == [pids[0]]
        assert not place.servers()


async def test_what_one_lets_go_of_the_other_may_take(place: Place) -> None:
    """Also after a start that failed, and after one that was cancelled while it loaded."""
    async with fakes.backend() as one, pair(place, other_of(place), one) as both:
        goes(place.program, "sys.exit(7)")
        await both.engine.start_coordinator(place.order, both.first.url)
        await both.first.until(lambda s: s.status is CoordinatorStatus.FAILED)
        goes(place.program, SLOW)
        await both.engine.start_coordinator(place.order, both.second.url)
        loading = await both.second.until_phase(Phase.LOADING)
        assert loading.backends == (one.address,)
        goes(place.program, "")
        await both.engine.stop_coordinator(both.second.url)
        await both.engine.start_coordinator(place.order, both.first.url)
        assert (await both.first.until_ready()).backends == (one.address,)


async def test_what_the_settings_give_to_one_is_left_to_it(place: Place) -> None:
    async with fakes.backend() as one, fakes.backend() as two:
        second = other_of(place)._replace(backends=(parse_backend_address(two.address),))
        async with pair(place, second, one, two) as both:
            planned = await both.engine.plan_coordinator(place.order, both.first.url)
            assert planned.plan is not None
            assert planned.plan.backends == (one.address,)
            busy = next(p for p in planned.problems if p.subject == two.address)
            assert busy.cause is Cause.BACKEND_BUSY
            assert busy.evidence == (f"meant for the coordinator at {second.url}",)
            await both_served(both, place)
            assert both.first.states[-1].backends == (one.address,)
            assert both.second.states[-1].backends == (two.address,)


async def test_each_is_brought_up_again_on_what_is_its_own(place: Place) -> None:
    async with fakes.backend() as one, fakes.backend() as two, fakes.backend() as three:
        second = other_of(place)._replace(
            backends=tuple(parse_backend_address(b.address) for b in (two, three))
        )
        async with pair(place, second, one, two, three) as both:
            pids = await both_served(both, place)
            two.die()
            again = await both.second.until_ready(besides=pids[1])
            assert again.backends == (three.address,)
            os.kill(pids[0], signal.SIGKILL)
            back = await both.first.until_ready(besides=pids[0])
            assert back.backends == (one.address,)
            assert both.second.states[-1].pid == again.pid


async def test_a_question_goes_to_the_place_that_is_set_for_its_model(place: Place) -> None:
    first = CoordinatorSetting(place.url, start=True, model="small:1b")
    second = other_of(place)._replace(model=str(place.model), context_tokens=1024)
    async with pair(place, second, first=first) as both:
        both.engine.choose_mode(Mode.MODEL)
        events = await asked(both.engine, "model")
        assert isinstance(events[-1], Finished)
        assert target(events) == second.url
        state = both.second.states[-1]
        assert state.plan is not None
        assert state.plan.context_tokens == 1024
        events = await asked(both.engine, "qwen:32b")
        (notice,) = [e for e in events if isinstance(e, Notice)]
        assert notice.text.startswith("No coordinator is set to run qwen:32b: ")
        assert not both.first.phases, "and nothing is started for it"


async def test_a_question_goes_to_a_free_place_while_another_model_runs(place: Place) -> None:
    more = place.model.with_name("more.gguf")
    more.write_bytes(place.model.read_bytes())
    async with pair(place, other_of(place)) as both:
        both.engine.choose_mode(Mode.MODEL)
        await both.engine.start_coordinator(place.order)
        await both.first.until_ready()
        events = await asked(both.engine, str(more))
        assert isinstance(events[-1], Finished)
        assert target(events) == both.second.url
        for server in place.servers():
            assert str(place.model) in server.cmdline()
        await both.engine.stop_coordinator(both.second.url)


async def test_when_the_first_of_two_for_a_model_is_given_up_the_second_is_brought_up(
    place: Place,
) -> None:
    first = CoordinatorSetting(place.url, start=True, model=str(place.model))
    second = other_of(place)._replace(model=str(place.model))
    async with pair(place, second, first=first) as both:
        both.engine.choose_mode(Mode.MODEL)
        goes(place.program, "sys.exit(7)")
        await both.engine.start_coordinator(Order(), place.url)
        await both.first.until(lambda s: s.status is CoordinatorStatus.FAILED)
        goes(place.program, "")
        events = await asked(both.engine, "model")
        assert isinstance(events[-1], Finished)
        assert target(events) == second.url
        assert both.first.states[-1].status is CoordinatorStatus.FAILED, "it waits for a person"


async def test_while_the_first_comes_up_for_a_model_the_second_is_left_alone(place: Place) -> None:
    goes(place.program, "more = ['--load-s', '0.3']")
    first = CoordinatorSetting(place.url, start=True, model=str(place.model))
    second = other_of(place)._replace(model=str(place.model))
    async with pair(place, second, first=first) as both:
        both.engine.choose_mode(Mode.MODEL)
        answers = await asyncio.gather(*(asked(both.engine, "model") for _ in range(4)))
        assert {target(events) for events in answers} == {place.url}
        assert both.first.phases.count("probing") == 1, "and it is started once"
        assert not both.second.phases


async def test_when_one_is_killed_the_other_answers_and_it_comes_back(place: Place) -> None:
    async with pair(place, other_of(place)) as both:
        both.engine.choose_mode(Mode.MODEL)
        first, second = await both_served(both, place)
        for pid, life, stands_in in (
            (first, both.first, both.second),
            (second, both.second, both.first),
        ):
            os.kill(pid, signal.SIGKILL)
            events = await asked(both.engine, "model")
            assert isinstance(events[-1], Finished)
            assert last_target(events) == stands_in.url
            await life.until_ready(besides=pid)


async def test_after_a_crash_each_is_found_again(place: Place) -> None:
    """What a killed program leaves: processes, records, no lock."""
    second = other_of(place)
    async with pair(place, second) as both:
        pids = await both_served(both, place)
        both.engine.leave_coordinator(stays=True)
    async with pair(place, second) as both:
        found = await both.first.until_ready(), await both.second.until_ready()
        assert tuple(s.pid for s in found) == pids
        assert both.engine.found_coordinator
        await both.engine.stop_coordinators()
        assert not place.servers()
        records = [runs.read_run(place.state_dir, p) for p in (place.port, _port(second.url))]
        assert records == [None, None]


async def test_stopping_one_of_them_from_outside_says_where_the_other_is(place: Place) -> None:
    second = other_of(place)
    async with pair(place, second) as both:
        await both_served(both, place)
        both.engine.leave_coordinator(stays=True)
    for url, hint in ((place.url, f"--coordinator {second.url} stops that one"), (second.url, "")):
        out, err = io.StringIO(), io.StringIO()
        code = await asyncio.to_thread(stop, url, place.state_dir, Voice(out, err))
        assert code == 0
        assert f"at {url} (process" in out.getvalue()
        assert hint in err.getvalue()
        assert bool(hint) is bool(err.getvalue())
    assert not place.servers()


async def test_what_was_found_can_stay_when_what_was_started_ends(place: Place) -> None:
    second = other_of(place)
    async with pair(place, second) as both:
        await both.engine.start_coordinator(place.order, both.first.url)
        left = await both.first.until_ready()
        both.engine.leave_coordinator(stays=True)
    async with pair(place, second) as both:
        await both.first.until_ready()
        await both.engine.start_coordinator(place.order, both.second.url)
        await both.second.until_ready()
        both.engine.leave_coordinator(stays=False, found_stay=True)
    assert [p.pid for p in place.servers()] == [left.pid]
    async with pair(place, second):
        pass


async def test_one_program_may_look_after_one_of_them_alone(place: Place) -> None:
    second = other_of(place)
    places = (CoordinatorSetting(place.url, start=True), second._replace(start=True))
    settings = place.settings(coordinators=places)
    async with pair(place, second) as both:
        await both.engine.start_coordinator(place.order, both.first.url)
        left = await both.first.until_ready()
        both.engine.leave_coordinator(stays=True)
    engine = Engine(settings, place.state_dir, only=second.url)
    async with engine.running():
        await engine.start_coordinator(place.order)
        await Life(engine, PATIENCE_S, second.url).until_ready()
        with pytest.raises(ValueError, match="no coordinator is run by this program at"):
            await engine.start_coordinator(place.order, place.url)
    assert [p.pid for p in place.servers()] == [left.pid], "the other one was never its own"
    async with pair(place, second):
        pass


async def test_those_that_the_settings_want_are_started_where_none_runs(place: Place) -> None:
    second = other_of(place)._replace(model=str(place.model))
    first = CoordinatorSetting(place.url, model=str(place.model))
    async with pair(place, second, first=first) as both:
        await both.engine.start_wanted()
        state = await both.second.until_ready()
        await both.engine.start_wanted()
        assert both.second.states[-1].pid == state.pid
        assert not both.first.phases


async def test_a_start_elsewhere_is_refused_with_a_sentence(place: Place) -> None:
    async with pair(place, other_of(place)) as both:
        with pytest.raises(ValueError, match="only at http://"):
            await both.engine.start_coordinator(Order(), "http://127.0.0.1:1")


def _port(url: CoordinatorUrl) -> int:
    return int(url.rsplit(":", 1)[-1])


async def asked(engine: Engine, model: str) -> list[AskEvent]:
    request = AskRequest(model, (ChatMessage("user", "Hello?"),))
    return [event async for event in engine.ask(request)]


def target(events: list[AskEvent]) -> str:
    return next(e.decision.target or "" for e in events if isinstance(e, Routed))


def last_target(events: list[AskEvent]) -> str:
    return [e.decision.target or "" for e in events if isinstance(e, Routed)][-1]
