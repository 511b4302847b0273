"""Many prompts over a pool that fails in every way: each is settled once, and none is burnt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from sollol_tui.core.batch_lines import Prompt, Result
from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    NodeModel,
    NodeState,
)
from sollol_tui.demo.faults import Faults
from sollol_tui.engine import batch
from sollol_tui.engine.batch import Batch, may_exist
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import running, settings_for, until
from tests.engine.test_requests import MODEL, at_rest


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "RESTS_S", (0.01, 0.05))


def prompts(count: int, model: str = MODEL) -> list[Prompt]:
    return [Prompt(f"p{number}", f"Question {number}?", model, number) for number in range(count)]


class Asked:
    """A batch over an engine, and what was settled so far."""

    def __init__(self, engine: Engine, parallel: int = 2) -> None:
        self.results: list[Result] = []
        self.batch = Batch(
            engine.ask,
            parallel,
            self.results.append,
            lambda model: may_exist(model, engine.store.snapshot),
            refresh=engine.refresh,
        )


async def settled(engine: Engine, asked: Sequence[Prompt], parallel: int = 2) -> list[Result]:
    many = Asked(engine, parallel)
    await many.batch.run(asked)
    return many.results


async def test_every_prompt_gets_its_answer_spread_over_the_nodes() -> None:
    async with (
        fakes.node(answer="Rivers run.", tokens_per_s=900) as one,
        fakes.node(answer="Rivers run.", tokens_per_s=900) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        results = await settled(engine, prompts(10), parallel=4)
        assert sorted(str(r.id) for r in results) == sorted(f"p{n}" for n in range(10))
        assert {(r.outcome, r.text, r.tries) for r in results} == {("complete", "Rivers run.", 1)}
        assert {r.target for r in results} == {one.url, two.url}
        assert all(r.completion_tokens and r.total_s for r in results)
        assert at_rest(engine)


async def test_so_many_run_at_the_same_time_and_not_more() -> None:
    async with (
        fakes.node(tokens_per_s=400, answer="word " * 20) as node,
        running(settings_for((node.url,))) as engine,
    ):
        most = 0

        def note(_: ClusterSnapshot, now: ClusterSnapshot) -> None:
            nonlocal most
            most = max(most, len(now.requests))

        engine.store.listeners.append(note)
        await settled(engine, prompts(7), parallel=3)
        assert most == 3


async def test_a_node_that_dies_in_mid_batch_costs_no_prompt() -> None:
    async with (
        fakes.node(answer="word " * 10, tokens_per_s=400) as one,
        fakes.node(answer="word " * 10, tokens_per_s=400) as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        many = Asked(engine, 4)
        working = asyncio.create_task(many.batch.run(prompts(12)))
        await until(engine, lambda _: len(many.results) >= 3)
        await one.stop()
        await working
        assert len({r.id for r in many.results}) == len(many.results) == 12
        assert {r.outcome for r in many.results} == {"complete"}


async def test_a_prompt_that_always_fails_while_others_are_answered_has_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batch, "RESTS_S", (0.05, 0.5))
    async with (
        fakes.node(models=[MODEL], answer="fine") as good,
        fakes.node(models=["qwen3:8b"], faults=Faults(error_after=0)) as bad,
        running(settings_for((good.url, bad.url))) as engine,
    ):
        asked = [*prompts(1, "qwen3:8b"), *prompts(6)]
        asked = [p._replace(id=number) for number, p in enumerate(asked)]
        results = {r.id: r for r in await settled(engine, asked)}
        assert len(results) == 7
        assert results[0].outcome == "server"
        assert results[0].tries >= 3
        assert {results[n].outcome for n in range(1, 7)} == {"complete"}


async def test_a_prompt_that_fails_does_not_stop_others_that_are_still_loading() -> None:
    """Nothing has moved yet, but something is being waited for: that is not nothing."""
    async with (
        fakes.node(models=[MODEL], load_s=0.5, answer="at last") as slow,
        fakes.node(models=["qwen3:8b"], faults=Faults(error_after=0)) as bad,
        running(settings_for((slow.url, bad.url))) as engine,
    ):
        asked = [*prompts(1, "qwen3:8b"), *prompts(2)]
        asked = [p._replace(id=number) for number, p in enumerate(asked)]
        results = {r.id: r.outcome for r in await settled(engine, asked)}
        assert results == {0: "server", 1: "complete", 2: "complete"}


async def test_when_nothing_answers_the_batch_stops_and_settles_nothing() -> None:
    async with fakes.dead_url() as dead, running(settings_for((dead,))) as engine:
        many = Asked(engine, 3)
        await many.batch.run(prompts(50))
        assert many.results == []
        assert many.batch.given_up is not None
        assert many.batch.running == 0


async def test_a_node_that_is_starting_again_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "RESTS_S", (0.1,) * 50)
    async with fakes.node(answer="back") as node, running(settings_for((node.url,))) as engine:
        await node.stop()
        working = asyncio.create_task(settled(engine, prompts(3)))
        await until(engine, lambda s: s.nodes[0].fault is not None)
        await node.start(node.port)
        assert {r.text for r in await working} == {"back"}


async def test_a_model_that_nobody_has_is_settled_at_once_and_a_wrong_request_too() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        (unknown,) = await settled(engine, prompts(1, "unheard-of:1b"))
        assert (unknown.outcome, unknown.target, unknown.tries) == ("not_found", None, 0)
        node.faults = Faults(status=400)
        (wrong,) = await settled(engine, prompts(1))
        assert (wrong.outcome, wrong.tries) == ("bad_request", 1)


async def test_cancelling_stops_what_runs_and_frees_the_nodes() -> None:
    async with (
        fakes.node(tokens_per_s=50) as node,
        running(settings_for((node.url,))) as engine,
    ):
        many = Asked(engine, 3)
        working = asyncio.create_task(many.batch.run(prompts(5)))
        await until(engine, lambda s: len(s.requests) == 3)
        working.cancel()
        await asyncio.wait({working})
        assert at_rest(engine)
        assert many.batch.running == 0


async def test_a_bug_while_asking_is_raised_and_ends_the_rest() -> None:
    async def ask(_: object) -> AsyncIterator[object]:
        raise ZeroDivisionError
        yield

    many = Batch(ask, 2, lambda _: None, lambda _: True)  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError):
        await many.run(prompts(5))


async def test_results_that_cannot_be_kept_end_the_batch_and_free_the_nodes() -> None:
    def full(_: Result) -> None:
        raise OSError(28, "No space left on device")

    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        many = Batch(engine.ask, 3, full, lambda _: True)
        with pytest.raises(OSError, match="No space"):
            await many.run(prompts(9))
        assert at_rest(engine)


def test_a_model_may_exist_where_a_configured_target_has_not_answered_yet() -> None:
    node = NodeState(parse_node_url("one"), sources=("config",))
    seen = node._replace(seen_at_s=1.0)
    having = seen._replace(models=(NodeModel("m:1"),))
    unasked = node._replace(sources=("localhost",))
    serving = CoordinatorState(
        parse_coordinator_url("c"), status=CoordinatorStatus.READY, model="m:1", seen_at_s=1.0
    )
    found = [
        may_exist("m:1", ClusterSnapshot(nodes=(state,))) for state in (node, seen, having, unasked)
    ]
    assert found == [True, False, True, False]
    assert may_exist("m:1", ClusterSnapshot(coordinators=(serving,)))
