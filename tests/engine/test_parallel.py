"""One answer by several writers: in order, with every failure in its place, and nothing left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    PartMoved,
    PartPlanned,
    Routed,
    Said,
    Seam,
    Usage,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.demo.faults import Faults
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.parallel import ask_parallel
from tests import fakes
from tests.engine.support import running, settings_for
from tests.engine.test_requests import MODEL, at_rest

QUESTION = AskRequest(MODEL, (ChatMessage("user", "Explain:\n1. One\n2. Two"),))


def text(events: Sequence[Said]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


async def asked(engine: Engine, parts: int = 2) -> list[Said]:
    return [event async for event in engine.ask_parallel(QUESTION, parts)]


class Script:
    """Answers part by part; a part may have to wait for the end of another."""

    def __init__(self, *parts: Sequence[AskEvent], after: dict[int, int] | None = None) -> None:
        self.parts = parts
        self.after = after or {}
        self.ended = [asyncio.Event() for _ in parts]
        self.closed = 0

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        number = next(i for i in range(9) if f"only part {i + 1}," in request.messages[-1].content)
        try:
            if number in self.after:
                await self.ended[self.after[number]].wait()
            for event in self.parts[number]:
                yield event
            self.ended[number].set()
        finally:
            self.closed += 1

    async def said(self) -> list[Said]:
        stream = ask_parallel(self.ask, QUESTION, len(self.parts), lambda: 10.0)
        return [event async for event in stream]


def done(tokens: int = 2, total_s: float = 3.0) -> Finished:
    return Finished("complete", Usage(5, tokens), 0.1, total_s, 1)


BROKEN = Failed(Fault(FaultKind.REFUSED), "http://a", 0, 2)


async def test_parts_come_in_order_whichever_is_done_first() -> None:
    script = Script([Delta("one"), done()], [Delta("two"), done()], after={0: 1})
    events = await script.said()
    assert text(events) == "## One\n\none\n\n## Two\n\ntwo"
    assert events[0] == PartPlanned(("One", "Two"))
    moved = [e for e in events if isinstance(e, PartMoved)]
    assert [(m.part, m.state) for m in moved if m.state == "done"] == [(1, "done"), (0, "done")]
    end = events[-1]
    assert isinstance(end, Finished)
    assert (end.usage.completion_tokens, end.usage.prompt_tokens) == (4, 10)
    assert (end.tries, end.one_by_one_s) == (2, 6.0)
    assert sum(isinstance(e, (Finished, Failed)) for e in events) == 1


async def test_a_part_that_fails_for_good_is_said_in_its_place() -> None:
    events = await Script([Delta("one"), done()], [BROKEN]).said()
    words = BROKEN.fault.words
    assert text(events) == f"## One\n\none\n\n## Two\n\n*({words})*"
    end = events[-1]
    assert isinstance(end, Failed)
    assert (end.kept_chars, end.tries) == (len(text(events)), 3)


async def test_a_first_part_that_fails_is_said_before_the_second() -> None:
    events = await Script([BROKEN], [Delta("two"), done()]).said()
    assert text(events) == f"## One\n\n*({BROKEN.fault.words})*\n\n## Two\n\ntwo"


async def test_when_every_part_fails_nothing_came() -> None:
    events = await Script([BROKEN], [BROKEN]).said()
    assert text(events) == ""
    assert events[-1] == Failed(BROKEN.fault, "http://a", 0, 4)


async def test_a_seam_stands_where_it_is_in_the_whole() -> None:
    second: list[AskEvent] = [Delta("tw"), Seam("a", "b", 2), Delta("o"), done()]
    events = await Script([Delta("one"), done()], second).said()
    seam = next(e for e in events if isinstance(e, Seam))
    assert text(events)[seam.at_chars :] == "o"


async def test_a_bug_in_one_part_is_raised_and_stops_the_others() -> None:
    closed: list[str] = []

    async def ask(request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        if "only part 1," in request.messages[-1].content:
            raise ZeroDivisionError
        try:
            await asyncio.Event().wait()
            yield done()
        finally:
            closed.append("two")

    with pytest.raises(ZeroDivisionError):
        async for _ in ask_parallel(ask, QUESTION, 2, lambda: 1.0):
            pass
    assert closed == ["two"]


async def test_two_nodes_write_at_the_same_time_and_nothing_stays_claimed() -> None:
    async with (
        fakes.node(answer="Rivers run.", tokens_per_s=300) as one,
        fakes.node(answer="Rivers run.", tokens_per_s=300) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        events = await asked(engine)
        assert text(events) == "## One\n\nRivers run.\n\n## Two\n\nRivers run."
        targets = {e.decision.target for e in events if isinstance(e, Routed)}
        assert targets == {one.url, two.url}
        assert isinstance(events[-1], Finished)
        assert at_rest(engine)


async def test_a_part_whose_node_fails_is_written_by_the_other() -> None:
    async with (
        fakes.node(answer="fine", tokens_per_s=300) as good,
        fakes.node() as bad,
        running(settings_for((good.url, bad.url))) as engine,
    ):
        bad.faults = Faults(cut_after=0)
        events = await asked(engine)
        assert text(events) == "## One\n\nfine\n\n## Two\n\nfine"
        end = events[-1]
        assert isinstance(end, Finished)
        assert end.tries == 3
        assert at_rest(engine)


async def test_closing_stops_all_parts() -> None:
    async with (
        fakes.node(answer="long " * 400, tokens_per_s=50) as one,
        fakes.node(answer="long " * 400, tokens_per_s=50) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        async with aclosing(engine.ask_parallel(QUESTION, 2)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
            assert len(engine.store.snapshot.requests) == 2
        assert at_rest(engine)
