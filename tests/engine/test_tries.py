"""The tries of one request, over streams that are told what to say: claims, seams, patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    Broken,
    ChatMessage,
    ChatOptions,
    End,
    Failed,
    Finished,
    Notice,
    Progress,
    RouteDecision,
    Seam,
    StreamEvent,
    Thought,
    Token,
    Usage,
    Waiting,
)
from sollol_tui.core.events import NodeLooked, RequestClaimed, RequestMoved
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import NodeUrl
from sollol_tui.core.reports import NodeReport
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import (
    ClusterSnapshot,
    HealthRules,
    LoadedModel,
    NodeModel,
    NodeState,
    NodeStatus,
)
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.requests import Requests
from sollol_tui.engine.store import Store
from tests.engine.test_requests import text, those

MODEL = "llama3:8b"
CUT = Broken(Fault(FaultKind.CUT))
END = End("stop", Usage(completion_tokens=2))
LIMIT_S = 0.02  # of silence; the clock is the test's, only the wait for a word is real

Script = list[StreamEvent]


class Bench:
    """Requests over nodes whose streams are scripts, one for each try, in order."""

    def __init__(self, scripts: list[Script], *, cold: bool = False) -> None:
        self.now_s = 1000.0
        self.asked: list[tuple[RouteDecision, AskRequest, str]] = []
        self.go_on = asyncio.Event()  # a script that is at its end waits for this
        self._scripts = scripts
        self._opened = 0
        nodes = tuple(node(name, cold=cold) for name in "abc"[: len(scripts)])
        rules = HealthRules(first_token_limit_s=LIMIT_S, token_gap_limit_s=LIMIT_S)
        self.store = Store(ClusterSnapshot(nodes=nodes, rules=rules), lambda: self.now_s)
        self.ledger = Ledger()
        self.requests = Requests(Settings(), self.store, self.ledger, self._open)

    @property
    def at_rest(self) -> bool:
        snapshot = self.store.snapshot
        return not snapshot.requests and not any(n.in_flight for n in snapshot.nodes)

    @property
    def open_streams(self) -> int:
        return self._opened

    def ask(self, **options: int) -> AsyncGenerator[AskEvent, None]:
        request = AskRequest(MODEL, (ChatMessage("user", "hi"),))
        return self.requests.ask(request._replace(options=ChatOptions(**options)))  # type: ignore[arg-type]

    async def _open(
        self, decision: RouteDecision, request: AskRequest, so_far: str
    ) -> AsyncGenerator[StreamEvent, None]:
        script = self._scripts[len(self.asked)]
        self.asked.append((decision, request, so_far))
        self._opened += 1
        try:
            for event in script:
                await asyncio.sleep(0)
                yield event
            await self.go_on.wait()
            yield Token("late")
            yield END
        finally:
            self._opened -= 1


def node(name: str, *, cold: bool) -> NodeState:
    state = NodeState(NodeUrl(f"http://{name}:11434"), name, ("config",), NodeStatus.UP)
    loaded = () if cold else (LoadedModel(MODEL),)
    return state._replace(models=(NodeModel(MODEL, 0),), loaded=loaded)


async def every(bench: Bench, **options: int) -> list[AskEvent]:
    return [event async for event in bench.ask(**options)]


WAYS: list[Script] = [[Token("one "), CUT], [CUT], [Thought("hm"), Token("two"), END]]


async def test_two_targets_failing_at_one_place_leave_one_seam() -> None:
    bench = Bench(WAYS)
    events = await every(bench)
    assert text(events) == "one two"
    (seam,) = those(events, Seam)
    first, _, third = (decision.target for decision, _, _ in bench.asked)
    assert seam == Seam(first or "", third or "", len("one "))
    assert events.index(seam) + 1 == next(i for i, e in enumerate(events) if e == ("two", 1))
    assert bench.at_rest


async def test_a_writer_that_only_ends_the_answer_leaves_no_seam() -> None:
    bench = Bench([[Token("all of it"), CUT], [END]])
    events = await every(bench)
    assert isinstance(events[-1], Finished)
    assert not those(events, Seam)


@pytest.mark.parametrize("place", range(8))
async def test_closed_after_any_event_nothing_stays_claimed(place: int) -> None:
    bench = Bench(WAYS)
    async with aclosing(bench.ask()) as events:
        for _ in range(place + 1):
            await anext(events)
    assert bench.at_rest
    assert not bench.open_streams
    kinds = [s.fault.kind for s in bench.requests._ledger.samples if s.fault]
    assert kinds.count(FaultKind.STOPPED) <= 1, "each try ends once"
    assert len(bench.requests._ledger.samples) <= 3


@pytest.mark.parametrize("turns", range(0, 40, 3))
async def test_cancelled_at_any_moment_nothing_stays_claimed(turns: int) -> None:
    bench = Bench(WAYS)
    task = asyncio.create_task(every(bench))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert bench.at_rest
    assert not bench.open_streams


async def test_an_end_without_a_word_is_no_answer_and_the_next_is_asked() -> None:
    bench = Bench([[END], [Token("a word"), END]])
    events = await every(bench)
    assert text(events) == "a word"
    assert "an empty answer" in those(events, Notice)[0].text
    failed = (await every(Bench([[END]])))[-1]
    assert isinstance(failed, Failed)
    assert failed.fault.detail == "an empty answer"


async def test_the_only_target_is_not_asked_twice_and_that_is_said() -> None:
    bench = Bench([[CUT]])
    events = await every(bench)
    assert len(bench.asked) == 1
    assert "Nothing can take it (a: failed this request" in those(events, Notice)[-1].text
    assert isinstance(events[-1], Failed)


async def test_when_nothing_can_take_it_all_are_looked_at_again() -> None:
    bench = Bench([[CUT], [CUT]])
    looked_at: list[str] = []
    bench.requests.on_failure = looked_at.append
    await every(bench)
    assert sorted(looked_at) == sorted(2 * [n.url for n in bench.store.snapshot.nodes])


async def test_the_limit_of_tokens_counts_over_all_that_write() -> None:
    bench = Bench([[Token("a"), Token("b"), CUT], [Token("c"), END]])
    await every(bench, max_tokens=10)
    assert [request.options.max_tokens for _, request, _ in bench.asked] == [10, 8]
    assert bench.asked[1][2] == "ab"


async def test_thoughts_without_a_word_do_not_count_when_another_begins_anew() -> None:
    bench = Bench([[Thought("hm"), CUT], [Token("c"), END]])
    finished = (await every(bench, max_tokens=10))[-1]
    assert bench.asked[1][1].options.max_tokens == 10
    assert isinstance(finished, Finished)
    assert finished.usage.completion_tokens == 2


async def test_progress_of_the_prompt_is_told_as_it_comes() -> None:
    bench = Bench([[Progress(1, 4), Token("x"), END]])
    events = await every(bench)
    assert [w.progress for w in those(events, Waiting)] == [Progress(1, 4)]


async def test_behind_another_that_moves_there_waiting_is_no_stall() -> None:
    bench = Bench([[]])
    bench.store.apply(RequestClaimed("other", "http://a:11434", MODEL, bench.now_s))
    events: list[AskEvent] = []
    async for event in bench.ask():
        events.append(event)
        if isinstance(event, Waiting):
            bench.now_s += LIMIT_S * 0.9
            bench.store.apply(RequestMoved("other", bench.now_s, len(events)))
        if len(those(events, Waiting)) == 4:
            bench.go_on.set()
    assert text(events) == "late"
    assert those(events, Waiting)[0].position == 1


async def test_alone_there_the_same_silence_is_a_stall() -> None:
    bench = Bench([[]])
    events: list[AskEvent] = []
    async for event in bench.ask():
        events.append(event)
        bench.now_s += LIMIT_S * 0.9
    assert isinstance(events[-1], Failed)
    assert events[-1].fault.kind is FaultKind.STALLED
    assert bench.at_rest


async def test_the_first_token_has_its_time_from_the_end_of_the_load() -> None:
    bench = Bench([[]], cold=True)
    loaded = NodeReport(None, (NodeModel(MODEL, 0),), (LoadedModel(MODEL),), 1.0)
    events: list[AskEvent] = []
    async for event in bench.ask():
        events.append(event)
        waits = len(those(events, Waiting))
        if waits == 1:
            bench.now_s += 100.0  # it loads for longer than a first token may take
            bench.store.apply(NodeLooked(NodeUrl("http://a:11434"), bench.now_s, loaded))
        if waits == 2:
            bench.go_on.set()
    assert text(events) == "late"


async def test_a_model_that_was_loaded_for_an_answer_is_seen_there_at_its_first_token() -> None:
    looked_at: list[str] = []
    for cold, looks in ((True, ["http://a:11434"]), (False, [])):
        looked_at.clear()
        bench = Bench([[Token("one "), Token("two"), END]], cold=cold)
        bench.requests.on_failure = looked_at.append
        await every(bench)
        assert looked_at == looks


async def test_a_context_that_loads_the_model_anew_is_said_and_waited_for() -> None:
    bench = Bench([[]])
    loaded = (LoadedModel(MODEL, context_tokens=4096),)
    report = NodeReport(None, (NodeModel(MODEL, 0),), loaded, 1.0)
    bench.store.apply(NodeLooked(NodeUrl("http://a:11434"), bench.now_s, report))
    events: list[AskEvent] = []
    async for event in bench.ask(context_tokens=8192):
        events.append(event)
        bench.now_s += 10 * LIMIT_S  # a first token of a loaded model would be late by now
        if isinstance(event, Waiting):
            bench.go_on.set()
    assert text(events) == "late"
    assert "a context of 8192 is asked for, 4096 is loaded" in bench.asked[0][0].reason
    assert all(w.loading for w in those(events, Waiting))


@pytest.mark.parametrize("kind", [FaultKind.SATURATED, FaultKind.RATE_LIMITED])
async def test_a_full_queue_is_no_failure_and_the_next_is_asked(kind: FaultKind) -> None:
    bench = Bench([[Broken(Fault(kind, "maximum pending requests exceeded"))], [Token("x"), END]])
    events = await every(bench)
    assert text(events) == "x"
    first = bench.asked[0][0].target or ""
    assert bench.store.snapshot.node(first).status is NodeStatus.SATURATED  # type: ignore[union-attr]
    assert not any(r.failures for r in bench.ledger.records.values())
