"""Several coordinators that serve one model: routed among, failed over, taken back (N12)."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from sollol_tui.core.asks import AskEvent, Failed, Finished, Routed, Seam
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode
from sollol_tui.demo.faults import Faults
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import running, settings_for, until
from tests.engine.test_requests import LONG, asked, at_rest, question, text, those

MODEL = "llama3.3:70b"


def target(events: list[AskEvent]) -> str:
    return those(events, Routed)[0].decision.target or ""


def status(snapshot: ClusterSnapshot, url: str) -> CoordinatorStatus | None:
    return next((c.status for c in snapshot.coordinators if c.url == url), None)


async def ask(engine: Engine) -> list[AskEvent]:
    return await asked(engine, question(MODEL, mode=Mode.MODEL))


async def test_questions_at_the_same_time_are_spread_over_both() -> None:
    async with (
        fakes.coordinator(model=MODEL, tokens_per_s=900) as one,
        fakes.coordinator(model=MODEL, tokens_per_s=900) as two,
        running(settings_for(coordinators=(one.url, two.url))) as engine,
    ):
        targets = [target(e) for e in await asyncio.gather(*(ask(engine) for _ in range(8)))]
        assert sorted(targets.count(url) for url in (one.url, two.url)) == [4, 4]
        assert at_rest(engine)


async def test_an_answer_that_one_cuts_the_other_finishes() -> None:
    async with (
        fakes.coordinator(model=MODEL, answer=LONG) as one,
        fakes.coordinator(model=MODEL, answer=LONG) as two,
        running(settings_for(coordinators=(one.url, two.url))) as engine,
    ):
        one.faults = two.faults = Faults(cut_after=5)
        events: list[AskEvent] = []
        async with aclosing(engine.ask(question(MODEL, mode=Mode.MODEL))) as stream:
            async for event in stream:
                events.append(event)
                if isinstance(event, Routed):  # whoever is asked second is sound
                    (two if target(events) == one.url else one).faults = Faults()
        assert text(events) == LONG
        assert {those(events, Seam)[0].from_target, those(events, Seam)[0].to_target} == {
            one.url,
            two.url,
        }
        assert isinstance(events[-1], Finished)
        assert at_rest(engine)


async def test_one_that_is_gone_is_left_and_used_again_when_it_serves() -> None:
    async with (
        fakes.coordinator(model=MODEL) as one,
        fakes.coordinator(model=MODEL) as two,
        running(settings_for(coordinators=(one.url, two.url))) as engine,
    ):
        one.faults = Faults(refuse=True)
        for _ in range(3):
            events = await ask(engine)
            assert isinstance(events[-1], Finished)
            assert those(events, Routed)[-1].decision.target == two.url
        await until(engine, lambda s: status(s, one.url) is CoordinatorStatus.STOPPED)
        one.faults, two.faults = Faults(), Faults(refuse=True)
        engine.refresh(one.url)
        await until(engine, lambda s: status(s, one.url) is CoordinatorStatus.READY)
        events = await ask(engine)
        assert isinstance(events[-1], Finished)
        assert those(events, Routed)[-1].decision.target == one.url


async def test_with_none_left_every_one_is_named() -> None:
    async with (
        fakes.coordinator(model=MODEL, faults=Faults(cut_after=0)) as one,
        fakes.coordinator(model=MODEL, faults=Faults(cut_after=0)) as two,
        running(settings_for(coordinators=(one.url, two.url))) as engine,
    ):
        events = await ask(engine)
        assert isinstance(events[-1], Failed)
        assert events[-1].tries == 2
        assert at_rest(engine)
