"""Two real coordinators that serve one model: shared, failed over, taken back (N12)."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack

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
from sollol_tui.core.ids import parse_coordinator_url
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode
from sollol_tui.engine.engine import Engine
from tests.engine.support import until

from .lab import Lab
from .servers import Coordinator, RpcBackend

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
