"""Two real coordinators that serve one model: shared, failed over, taken back (N12)."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    ChatOptions,
    Delta,
    Finished,
    Routed,
    Seam,
)
from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url, port_of
from sollol_tui.core.orders import Order
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import BackendStatus, ClusterSnapshot, CoordinatorStatus, Mode
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.local_backends import left_backends
from tests.engine.lives import Life, living
from tests.engine.support import until

from .lab import Lab, library_path
from .places import LARGE as STORED
from .places import PATIENCE_S, Place, servers_on
from .servers import Coordinator, RpcBackend, free_port

LARGE = "smol:241m"
LOOK_LIMIT_S = 20.0

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("engine"),
]

Pair = tuple[Coordinator, Coordinator]


@pytest.fixture
def pair(lab: Lab) -> Iterator[Pair]:
    """Each over a backend of its own: a backend serves one at a time."""
    with ExitStack() as stack:
        one, two = (stack.enter_context(RpcBackend(lab, h)) for h in ("127.0.0.2", "127.0.0.3"))
        alias = ["--alias", LARGE]
        yield (
            stack.enter_context(Coordinator(lab, lab.model_large, [one], extra_args=alias)),
            stack.enter_context(Coordinator(lab, lab.model_large, [two], extra_args=alias)),
        )


def settings_of(pair: Pair) -> Settings:
    return Settings(
        coordinators=tuple(CoordinatorSetting(parse_coordinator_url(c.url)) for c in pair),
        mode=Mode.MODEL,
        redis_url="",
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.5,
        backoff_max_s=1.0,
        timeout_s=2.0,
    )


def serving(snapshot: ClusterSnapshot) -> set[str]:
    return {c.url for c in snapshot.coordinators if c.status is CoordinatorStatus.READY}


def question(tokens: int) -> AskRequest:
    options = ChatOptions(temperature=0, max_tokens=tokens, seed=1)
    return AskRequest(LARGE, (ChatMessage("user", "Describe the sea."),), options)


async def asked(engine: Engine) -> list[AskEvent]:
    return [event async for event in engine.ask(question(24))]


def target(events: list[AskEvent]) -> str:
    return next(e.decision.target or "" for e in events if isinstance(e, Routed))


def text(events: list[AskEvent]) -> str:
    return "".join(e.text for e in events if isinstance(e, Delta))


async def test_two_coordinators_share_and_stand_in_for_each_other(pair: Pair) -> None:
    urls = {c.url for c in pair}
    engine = Engine(settings_of(pair))
    async with engine.running():
        await until(engine, lambda s: serving(s) == urls, LOOK_LIMIT_S)
        answers = await asyncio.gather(*(asked(engine) for _ in range(6)))
        assert all(isinstance(events[-1], Finished) for events in answers)
        assert all(2 <= [target(e) for e in answers].count(url) <= 4 for url in urls)

        events: list[AskEvent] = []
        async for event in engine.ask(question(120)):
            events.append(event)
            writer = next(c for c in pair if c.url == target(events))
            if len(text(events)) > 20 and writer.running and not _seams(events):
                writer.kill(signal.SIGKILL)
                await asyncio.to_thread(writer.wait_exit)
        assert isinstance(events[-1], Finished)
        (seam,) = _seams(events)
        assert {seam.from_target, seam.to_target} == urls
        assert not text(events)[seam.at_chars :].startswith(text(events)[:16])

        survivor = next(c for c in pair if c.url == seam.to_target)
        assert target(await asked(engine)) == survivor.url
        await asyncio.to_thread(writer.start)
        await until(engine, lambda s: serving(s) == urls, LOOK_LIMIT_S)
        survivor.kill(signal.SIGKILL)
        await asyncio.to_thread(survivor.wait_exit)
        back = await asked(engine)
        assert isinstance(back[-1], Finished)
        assert [e.decision.target for e in back if isinstance(e, Routed)][-1] == writer.url
        assert not engine.store.snapshot.requests


def _seams(events: list[AskEvent]) -> list[Seam]:
    return [e for e in events if isinstance(e, Seam)]


# Two of ours


@pytest.fixture(autouse=True)
def _one_thread_each(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**library_path(lab.lib_dir), "LLAMA_ARG_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def place(lab: Lab, tmp_path: Path) -> Place:
    return Place(lab, tmp_path)


@pytest.fixture
def second(place: Place) -> Iterator[CoordinatorSetting]:
    """Another place of ours; nothing stays behind in either of them."""
    url = parse_coordinator_url(f"127.0.0.1:{free_port()}")
    yield CoordinatorSetting(url, "second", start=True)
    left = [*place.servers(), *servers_on(port_of(url) or 0)]
    for one in left:
        one.kill()
    assert not left, "nothing stays behind, not even a zombie"


@asynccontextmanager
async def both(
    place: Place, second: CoordinatorSetting, backends: Sequence[RpcBackend]
) -> AsyncIterator[tuple[Life, Life]]:
    """An engine that looks after both, each over what it is given or finds."""
    settings = place.settings([b.address for b in backends])
    places = (CoordinatorSetting(place.url, start=True), second)
    settings = settings._replace(coordinators=places, mode=Mode.MODEL, context_tokens=512)
    async with living(settings, place.state_dir, PATIENCE_S) as lived:
        yield lived, Life(lived.engine, PATIENCE_S, second.url)


async def test_two_of_ours_over_their_own_backends_stand_in_for_each_other(
    lab: Lab, place: Place, second: CoordinatorSetting
) -> None:
    """One of them has its backend by the settings; the other takes what is left."""
    with RpcBackend(lab, "127.0.0.2") as one, RpcBackend(lab, "127.0.0.3") as two:
        second = second._replace(backends=(parse_backend_address(two.address),))
        async with both(place, second, (one, two)) as lives:
            engine = lives[0].engine
            urls = [life.url for life in lives]
            await asyncio.gather(*(engine.start_coordinator(Order(STORED), url) for url in urls))
            pids = [(await life.until_ready()).pid or 0 for life in lives]
            assert [life.states[-1].backends for life in lives] == [(one.address,), (two.address,)]
            answers = await asyncio.gather(*(said(engine) for _ in range(6)))
            assert all(isinstance(events[-1], Finished) for events in answers)
            assert all(2 <= [target(e) for e in answers].count(url) <= 4 for url in urls)
            for index, life in enumerate(lives):
                killed_at_s = engine.store.now_s()
                os.kill(pids[index], signal.SIGKILL)
                events = await said(engine)
                assert isinstance(events[-1], Finished)
                assert last_target(events) == urls[1 - index], "the other one answers"
                back = await life.until_ready(besides=pids[index])
                assert back.backends == ((one.address,), (two.address,))[index]
                took_s = engine.store.now_s() - killed_at_s
                print(f"{urls[index]} serves again after {took_s:.1f} s")
            kept = [life.states[-1].pid for life in lives]
            engine.leave_coordinator(stays=True)
        async with both(place, second, (one, two)) as lives:
            found = [(await life.until_ready()).pid for life in lives]
            assert found == kept, "and both are found again"
            one.kill(signal.SIGKILL)
            back = await lives[0].until_ready(besides=found[0])
            assert back.backends == (), "it does without, and takes nothing of the other's"
            assert lives[1].states[-1].pid == found[1]
        assert one.wait_exit() == -signal.SIGKILL
        assert two.running


@pytest.mark.usefixtures("second")
async def test_a_backend_that_was_started_here_stays_with_its_coordinator(
    lab: Lab, place: Place
) -> None:
    settings = place.settings([])._replace(rpc_server=str(lab.rpc_server), mode=Mode.MODEL)
    async with living(settings, place.state_dir, PATIENCE_S) as lived:
        address = await lived.engine.here.start_backend()
        assert isinstance(address, str), address
        await until(lived.engine, _is_idle, PATIENCE_S)
        await lived.engine.start_coordinator(Order(STORED))
        left = await lived.until_ready()
        assert left.backends == (address,)
        lived.engine.leave_coordinator(stays=True)
    async with living(settings, place.state_dir, PATIENCE_S) as lived:
        found = await lived.until_ready()
        assert (found.pid, found.backends) == (left.pid, (address,))
        assert isinstance((await said(lived.engine))[-1], Finished)
        await until(lived.engine, lambda s: "app" in s.backends[0].sources, PATIENCE_S)
        await lived.engine.stop_coordinator()
    assert left_backends(place.state_dir) == ()


def _is_idle(snapshot: ClusterSnapshot) -> bool:
    return [b.status for b in snapshot.backends] == [BackendStatus.IDLE]


async def said(engine: Engine) -> list[AskEvent]:
    request = question(24)._replace(model=STORED)
    return [event async for event in engine.ask(request)]


def last_target(events: list[AskEvent]) -> str:
    return [e.decision.target or "" for e in events if isinstance(e, Routed)][-1]
