"""One answer in two parts, written by two real Ollama nodes at the same time (S27)."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

import pytest

from sollol_tui.core.asks import (
    AskRequest,
    ChatMessage,
    ChatOptions,
    Delta,
    Finished,
    Notice,
    PartMoved,
    PartPlanned,
    Routed,
    Said,
    Seam,
)
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.parallel import part_request, plan_for
from sollol_tui.core.settings import NodeSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, Mode, NodeStatus
from sollol_tui.engine.engine import Engine
from tests.engine.support import until

from .lab import Lab
from .servers import OllamaNode, free_port, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("engine"),
]

MODEL = "smol:135m"
HOSTS = ("127.0.0.7", "127.0.0.8")
TOKENS = 200
KILL_AFTER_TOKENS = 5
LOOK_LIMIT_S = 20.0
PROMPT = "Write a long story in 2 chapters:\n1. The river\n2. The bridge"
REQUEST = AskRequest(
    MODEL,
    (ChatMessage("user", PROMPT),),
    ChatOptions(temperature=0, max_tokens=TOKENS, seed=1),
)
HEADINGS = ("## The river\n\n", "\n\n## The bridge\n\n")
Pair = tuple[OllamaNode, OllamaNode]
Kind = TypeVar("Kind")


@pytest.fixture
def pair(ollama_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    store = make_store(tmp_path_factory.mktemp("store"), {MODEL: ollama_lab.model_small})
    port = free_port(*HOSTS)
    with (
        OllamaNode(ollama_lab, store, HOSTS[0], port) as one,
        OllamaNode(ollama_lab, store, HOSTS[1], port) as two,
    ):
        yield one, two


@asynccontextmanager
async def running(pair: Pair) -> AsyncIterator[Engine]:
    settings = Settings(
        nodes=tuple(NodeSetting(parse_node_url(n.url)) for n in pair),
        redis_url="",
        mode=Mode.TASK,
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.5,
        timeout_s=2.0,
    )
    engine = Engine(settings)
    async with engine.running():
        await until(engine, all_up, LOOK_LIMIT_S)
        for node in pair:  # both have the model in memory: they begin together
            async for _ in engine.ask(briefly(node)):
                pass
        await until(engine, lambda s: all(n.loaded for n in s.nodes), LOOK_LIMIT_S)
        yield engine


def briefly(node: OllamaNode) -> AskRequest:
    options = REQUEST.options._replace(max_tokens=2)
    return REQUEST._replace(target=node.url, options=options)


def all_up(snapshot: ClusterSnapshot) -> bool:
    return snapshot.looked and all(n.status is NodeStatus.UP for n in snapshot.nodes)


def at_rest(snapshot: ClusterSnapshot) -> bool:
    return not snapshot.requests and not any(n.in_flight for n in snapshot.nodes)


def those(events: Sequence[Said], kind: type[Kind]) -> list[Kind]:
    return [e for e in events if isinstance(e, kind)]


def text(events: Sequence[Said]) -> str:
    return "".join(e.text for e in those(events, Delta))


def parts_of(whole: str) -> tuple[str, str]:
    """What stands under each heading; fails unless both are there once and in order."""
    assert whole.startswith(HEADINGS[0])
    assert [whole.count(heading) for heading in HEADINGS] == [1, 1]
    first, second = whole.removeprefix(HEADINGS[0]).split(HEADINGS[1])
    return first, second


def writing_at(snapshot: ClusterSnapshot) -> set[str]:
    """The targets that have given a token to a request that still runs."""
    return {r.target for r in snapshot.requests if r.first_token_at_s is not None}


async def alone(engine: Engine, index: int) -> str:
    """A part asked for by itself."""
    request = part_request(REQUEST, plan_for(PROMPT, 2)[index])
    return text([event async for event in engine.ask(request)])


async def test_both_parts_are_written_at_the_same_time_and_joined_in_order(pair: Pair) -> None:
    async with running(pair) as engine:
        written: list[set[str]] = []
        events: list[Said] = []
        async for event in engine.ask_parallel(REQUEST, 2):
            events.append(event)
            written.append(writing_at(engine.store.snapshot))
        assert {n.url for n in pair} in written, "at some moment both wrote"
        assert at_rest(engine.store.snapshot)
        assert events[0] == PartPlanned(("The river", "The bridge"))
        assert {r.decision.target for r in those(events, Routed)} == {n.url for n in pair}
        parts = parts_of(text(events))
        for index, part in enumerate(parts):
            assert part[:30] == (await alone(engine, index))[:30], "each its own"
        moved = those(events, PartMoved)
        for index in (0, 1):
            states = [m.state for m in moved if m.part == index]
            assert states[0] == "waiting"
            assert "writing" in states
            assert states[-1] == "done"
            tokens = [m.tokens for m in moved if m.part == index]
            assert tokens == sorted(tokens)
        end = events[-1]
        assert isinstance(end, Finished)
        assert end.usage.completion_tokens == sum(
            [m.tokens for m in moved if m.part == i][-1] for i in (0, 1)
        )
        assert end.one_by_one_s
        print(f"in parallel {end.total_s:.2f} s, one by one {end.one_by_one_s:.2f} s")


@pytest.mark.parametrize("index", [0, 1], ids=["the part that is shown", "the part behind it"])
async def test_a_part_whose_node_is_killed_goes_on_at_the_other_node(
    pair: Pair, index: int
) -> None:
    async with running(pair) as engine:
        events: list[Said] = []
        killed: OllamaNode | None = None
        async for event in engine.ask_parallel(REQUEST, 2):
            events.append(event)
            if killed is not None or not isinstance(event, PartMoved) or event.part != index:
                continue
            if event.tokens >= KILL_AFTER_TOKENS and event.state == "writing":
                writer = next(n.name for n in engine.store.snapshot.nodes if n.name == event.target)
                killed = next(n for n in pair if n.host in writer)
                killed.kill_group(signal.SIGKILL)
                killed.wait_exit()
        assert killed is not None, "it wrote too fast to be harmed"
        survivor = next(n for n in pair if n is not killed)
        assert isinstance(events[-1], Finished), events[-1]
        whole = text(events)
        parts = parts_of(whole)
        (seam,) = those(events, Seam)
        assert (seam.from_target, seam.to_target) == (killed.url, survivor.url)
        begins = len(HEADINGS[0]) if index == 0 else len(whole) - len(parts[1])
        before = whole[begins : seam.at_chars]
        assert before
        assert parts[index].startswith(before)
        assert not parts[index][len(before) :].startswith(before[:20])
        assert parts[index][len(before) :], "it goes on after the seam"
        assert any("go on with the answer" in n.text for n in those(events, Notice))
        targets = [m.target for m in those(events, PartMoved) if m.part == index and m.target]
        assert targets[0] != targets[-1]
        assert at_rest(engine.store.snapshot)


async def test_closing_stops_every_part_and_frees_both_nodes(pair: Pair) -> None:
    async with running(pair) as engine:
        async with aclosing(engine.ask_parallel(REQUEST, 2)) as events:
            async for _ in events:
                if len(writing_at(engine.store.snapshot)) == 2:
                    break
        assert at_rest(engine.store.snapshot)
        assert engine.store.snapshot.totals.errors == 0, "stopping is no error"
        for node in pair:  # each has one slot: it would be taken
            end = [event async for event in engine.ask(briefly(node))][-1]
            assert isinstance(end, Finished)
            assert end.ttft_s is not None
        assert at_rest(engine.store.snapshot)
