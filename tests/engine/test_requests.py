"""A question's way through the cluster, over servers that fail in every way."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TypeVar

import pytest

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Notice,
    Routed,
    Seam,
    Thinking,
    Waiting,
)
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.state import CoordinatorStatus, Mode, NodeStatus
from sollol_tui.demo.faults import Faults
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import preferring, running, settings_for, until

MODEL = "llama3.2:3b"
Kind = TypeVar("Kind")


def question(model: str = MODEL, **changes: object) -> AskRequest:
    request = AskRequest(model, (ChatMessage("user", "Tell me about rivers."),))
    return request._replace(**changes)  # type: ignore[arg-type]


async def asked(engine: Engine, request: AskRequest | None = None) -> list[AskEvent]:
    return [event async for event in engine.ask(request or question())]


def those(events: list[AskEvent], kind: type[Kind]) -> list[Kind]:
    return [e for e in events if isinstance(e, kind)]


def text(events: list[AskEvent]) -> str:
    return "".join(e.text for e in those(events, Delta))


def at_rest(engine: Engine) -> bool:
    snapshot = engine.store.snapshot
    counts = [n.in_flight for n in snapshot.nodes] + [c.in_flight for c in snapshot.coordinators]
    return not snapshot.requests and not any(counts)


async def test_an_answer_arrives_whole_with_who_and_why_before_and_figures_after() -> None:
    async with (
        fakes.node(answer="Rivers run to the sea.") as node,
        running(settings_for((node.url,))) as engine,
    ):
        events = await asked(engine)
        assert isinstance(events[0], Routed)
        assert events[0].decision.target == node.url
        assert text(events) == "Rivers run to the sea."
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert (finished.outcome, finished.tries) == ("complete", 1)
        assert finished.usage.completion_tokens
        assert finished.ttft_s is not None
        assert at_rest(engine)
        assert engine.store.snapshot.totals.requests == 1


async def test_thinking_is_told_apart_from_the_answer() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        events = await asked(engine, question("qwen3:8b"))
        assert those(events, Thinking)
        assert text(events)


@pytest.mark.parametrize(
    "faults",
    [
        Faults(cut_after=0),
        Faults(error_after=0),
        Faults(end_after=0),
        Faults(status=503),
        Faults(status=429),
        Faults(status=401),
    ],
    ids=str,
)
async def test_a_failure_before_the_first_token_goes_to_the_next_and_is_said(
    faults: Faults,
) -> None:
    async with (
        fakes.node(answer="from the second") as good,
        fakes.node() as bad,
        running(preferring(bad.url, settings_for((good.url, bad.url)))) as engine,
    ):
        bad.faults = faults
        events = await asked(engine)
        assert text(events) == "from the second"
        assert [r.decision.target for r in those(events, Routed)] == [bad.url, good.url]
        assert len(those(events, Notice)) == 1
        assert those(events, Finished)[0].tries == 2
        second = those(events, Routed)[-1].decision
        assert "failed this request" in (second.candidates[-1].rejected or "")
        assert at_rest(engine)


async def test_a_node_that_died_unseen_is_left_at_once_and_shown_down_at_once() -> None:
    async with fakes.node(answer="fine") as good, fakes.node() as bad:
        settings = settings_for((good.url, bad.url), poll_interval_s=60.0)
        async with running(preferring(bad.url, settings)) as engine:
            await bad.stop()
            assert text(await asked(engine)) == "fine"
            state = engine.store.snapshot.node(bad.url)
            assert state is not None
            assert state.status is NodeStatus.DOWN


@pytest.mark.parametrize(
    "faults", [Faults(cut_after=3), Faults(end_after=3), Faults(error_after=3)], ids=str
)
async def test_an_end_that_is_none_is_a_failure_and_what_came_stays(faults: Faults) -> None:
    async with (
        fakes.node(faults=faults) as node,
        running(settings_for((node.url,))) as engine,
    ):
        events = await asked(engine)
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert failed.kept_chars == len(text(events)) > 0
        assert not those(events, Finished)
        assert at_rest(engine)
        assert engine.store.snapshot.totals.errors == 1


LONG = "One answer, told by two, sentence after sentence, to its very end."


async def test_an_answer_that_is_cut_goes_on_elsewhere_and_the_deltas_are_one_answer() -> None:
    async with (
        fakes.node(answer=LONG) as one,
        fakes.node(answer=LONG) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        one.faults = two.faults = Faults(cut_after=4)
        events: list[AskEvent] = []
        async with aclosing(engine.ask(question())) as stream:
            async for event in stream:
                events.append(event)
                if isinstance(event, Routed):  # whoever is asked second is sound
                    first = those(events, Routed)[0].decision.target
                    (two if first == one.url else one).faults = Faults()
        assert text(events) == LONG
        (seam,) = those(events, Seam)
        assert {seam.from_target, seam.to_target} == {one.url, two.url}
        assert 0 < seam.at_chars < len(LONG)
        assert LONG[: seam.at_chars] == text(events[: events.index(seam)])
        finished = events[-1]
        assert isinstance(finished, Finished)
        assert finished.tries == 2
        assert at_rest(engine)


async def test_a_coordinator_goes_on_with_what_a_node_began() -> None:
    async with (
        fakes.node(models=["llama3.3:70b"], answer=LONG) as node,
        fakes.coordinator(model="llama3.3:70b", answer=LONG) as coordinator,
        running(settings_for((node.url,), (coordinator.url,))) as engine,
    ):
        engine.choose_mode(Mode.MODEL)
        coordinator.faults = Faults(cut_after=5)
        events = await asked(engine, question("llama3.3:70b"))
        assert text(events) == LONG
        assert [s.to_target for s in those(events, Seam)] == [node.url]


async def test_when_nobody_can_go_on_the_text_stays_and_is_marked() -> None:
    async with (
        fakes.node(faults=Faults(cut_after=4)) as one,
        fakes.node(faults=Faults(cut_after=4)) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        events = await asked(engine)
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert failed.tries == 2
        assert failed.kept_chars == len(text(events)) > 0


async def test_silence_while_the_api_answers_is_a_stall_and_shown() -> None:
    async with (
        fakes.node(faults=Faults(stall_after=3)) as node,
        running(settings_for((node.url,), token_gap_limit_s=0.3)) as engine,
    ):
        events = await asked(engine)
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert failed.fault.kind is FaultKind.STALLED
        assert engine.store.snapshot.nodes[0].status is NodeStatus.STALLED
        again = await asked(engine)
        assert "stalled" in str(again[-1])


async def test_waiting_says_how_long_and_whether_the_model_is_cold() -> None:
    async with (
        fakes.node(load_s=1.3, answer="at last") as node,
        running(settings_for((node.url,))) as engine,
    ):
        events = await asked(engine)
        waiting = those(events, Waiting)
        assert waiting
        assert waiting[0].loading
        assert waiting[0].age_s > 0.9
        assert text(events) == "at last"


async def test_stopping_closes_the_connection_and_counts_return_to_zero() -> None:
    async with (
        fakes.node(tokens_per_s=50) as node,
        running(settings_for((node.url,))) as engine,
    ):
        async with aclosing(engine.ask(question())) as events:
            async for event in events:
                if isinstance(event, Delta):
                    assert engine.store.snapshot.nodes[0].in_flight == 1
                    break
        assert at_rest(engine)
        assert engine.store.snapshot.totals.errors == 0, "stopping is no error"
        await until(engine, lambda _: node.in_flight == 0)


async def test_a_request_that_is_wrong_is_not_tried_elsewhere() -> None:
    async with (
        fakes.node() as one,
        fakes.node() as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        events = await asked(engine, question(messages=()))
        assert isinstance(events[-1], Failed)
        assert events[-1].fault.kind is FaultKind.BAD_REQUEST
        assert len(those(events, Routed)) == 1


async def test_nothing_that_has_the_model_is_said_with_every_reason() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        events = await asked(engine, question("unheard-of:1b"))
        (failed,) = events
        assert isinstance(failed, Failed)
        assert str(failed.fault) == "not found: nobody has this model"
        assert failed.tries == 0


async def test_a_node_that_is_down_is_no_model_that_is_missing() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        await node.stop()
        await until(engine, lambda s: s.nodes[0].status is NodeStatus.DOWN)
        (failed,) = await asked(engine)
        assert isinstance(failed, Failed)
        assert failed.fault.kind is FaultKind.REFUSED
        assert "down: connection refused" in failed.fault.detail


async def test_mode_both_sends_the_large_model_to_the_coordinator() -> None:
    async with (
        fakes.node() as node,
        fakes.coordinator(model="llama3.3:70b", answer="from the split model") as coordinator,
        running(settings_for((node.url,), (coordinator.url,))) as engine,
    ):
        engine.choose_mode(Mode.BOTH)
        large = await asked(engine, question("llama3.3:70b"))
        assert text(large) == "from the split model"
        assert those(large, Routed)[0].decision.kind == "coordinator"
        small = await asked(engine)
        assert those(small, Routed)[0].decision.kind == "node"


async def test_a_coordinator_that_breaks_before_a_token_hands_over_to_a_node() -> None:
    async with (
        fakes.node(models=["llama3.3:70b"], answer="from the node") as node,
        fakes.coordinator(model="llama3.3:70b") as coordinator,
        running(settings_for((node.url,), (coordinator.url,))) as engine,
    ):
        engine.choose_mode(Mode.MODEL)
        coordinator.faults = Faults(cut_after=0)
        events = await asked(engine, question("llama3.3:70b"))
        assert text(events) == "from the node"
        assert those(events, Notice)


async def test_who_stands_in_for_a_coordinator_that_is_gone_is_said_until_it_is_back() -> None:
    big = "llama3.3:70b"
    async with (
        fakes.node(models=[big], answer="from the node") as node,
        fakes.coordinator(model=big, answer="from the split model") as coordinator,
        running(settings_for((node.url,), (coordinator.url,), backoff_max_s=0.2)) as engine,
    ):
        engine.choose_mode(Mode.MODEL)
        coordinator.faults = Faults(refuse=True)
        await until(engine, lambda s: s.coordinators[0].status is not CoordinatorStatus.READY)
        events = await asked(engine, question(big))
        (notice,) = those(events, Notice)
        assert notice.text.endswith(
            f"node {those(events, Routed)[0].decision.name} answers instead."
        )
        assert "(stopped" in notice.text
        assert text(events) == "from the node"
        coordinator.faults = Faults()
        await until(engine, lambda s: s.coordinators[0].status is CoordinatorStatus.READY)
        events = await asked(engine, question(big))
        assert text(events) == "from the split model"
        assert not those(events, Notice)


async def test_questions_at_the_same_time_are_spread() -> None:
    async with (
        fakes.node(tokens_per_s=900) as one,
        fakes.node(tokens_per_s=900) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        answers = await asyncio.gather(*(asked(engine) for _ in range(8)))
        targets = [those(events, Routed)[0].decision.target for events in answers]
        assert sorted(targets.count(t) for t in (one.url, two.url)) == [4, 4]
        assert at_rest(engine)


async def test_the_decision_is_kept_with_its_line_in_the_journal() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        await asked(engine)
        entry = next(e for e in engine.store.entries_after(0) if e.area == "route")
        assert entry.decision_id is not None
        decision = engine.store.decision(entry.decision_id)
        assert decision is not None
        assert decision.target == node.url


async def test_a_question_before_the_first_look_waits_for_it() -> None:
    async with fakes.node(answer="yes") as node:
        engine = Engine(settings_for((node.url,)))
        async with engine.running():
            assert text(await asked(engine)) == "yes"
