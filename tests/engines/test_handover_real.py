"""Answers that move between real servers: no character lost, none twice, and it is said (N10, N3).

The model is small and the temperature zero: what a server writes after a text is what it would
write whenever it is asked to go on after it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from sollol_tui.core import health
from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    ChatOptions,
    Delta,
    Failed,
    Finished,
    Notice,
    Routed,
    Seam,
    Waiting,
)
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.ids import parse_coordinator_url, parse_node_url
from sollol_tui.core.settings import CoordinatorSetting, NodeSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode, NodeStatus
from sollol_tui.engine.engine import Engine
from tests.engine.support import preferring, until

from .lab import Lab
from .servers import (
    Coordinator,
    OllamaNode,
    RpcBackend,
    Server,
    free_port,
    make_store,
    post_json,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("engine"),
]

MODEL = "smol:135m"
PROMPT = "Tell me a story about a river and a bridge."
TOKENS = 96
CUT_AFTER_CHARS = 60
GAP_LIMIT_S = 2.0
LOOK_LIMIT_S = 30.0
HOSTS = ("127.0.0.5", "127.0.0.6")
Kind = TypeVar("Kind")


class Cluster(NamedTuple):
    """The coordinator is split over a backend; all three have the same model."""

    nodes: tuple[OllamaNode, OllamaNode]
    coordinator: Coordinator

    def at(self, url: str) -> Server:
        return next(s for s in (*self.nodes, self.coordinator) if s.url == url)


@pytest.fixture(scope="module")
def store(ollama_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("store"), {MODEL: ollama_lab.model_small})


@pytest.fixture
def cluster(ollama_lab: Lab, store: Path) -> Iterator[Cluster]:
    lab, port = ollama_lab, free_port(*HOSTS)
    with ExitStack() as stack:
        backend = stack.enter_context(RpcBackend(lab, "127.0.0.2"))
        alias = ["--alias", MODEL]
        coordinator = stack.enter_context(
            Coordinator(lab, lab.model_small, [backend], extra_args=alias)
        )
        one, two = (stack.enter_context(OllamaNode(lab, store, h, port)) for h in HOSTS)
        yield Cluster((one, two), coordinator)


def settings_of(nodes: tuple[OllamaNode, ...], *coordinators: Coordinator) -> Settings:
    return Settings(
        nodes=tuple(NodeSetting(parse_node_url(n.url)) for n in nodes),
        coordinators=tuple(CoordinatorSetting(parse_coordinator_url(c.url)) for c in coordinators),
        mode=Mode.TASK,
        redis_url="",
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.5,
        backoff_max_s=1.0,
        timeout_s=2.0,
        token_gap_limit_s=GAP_LIMIT_S,
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Engine]:
    engine = Engine(settings)
    async with engine.running():
        await until(engine, everything_serves, LOOK_LIMIT_S)
        yield engine


def everything_serves(snapshot: ClusterSnapshot) -> bool:
    return (
        snapshot.looked
        and all(n.status is NodeStatus.UP for n in snapshot.nodes)
        and all(c.status is CoordinatorStatus.READY for c in snapshot.coordinators)
    )


def question(**changes: object) -> AskRequest:
    options = ChatOptions(temperature=0, max_tokens=TOKENS, seed=1)
    request = AskRequest(MODEL, (ChatMessage("user", PROMPT),), options)
    return request._replace(**changes)  # type: ignore[arg-type]


async def asked(
    engine: Engine,
    harm: Callable[[str], None] | None = None,
    request: AskRequest | None = None,
    at_chars: int = CUT_AFTER_CHARS,
) -> list[AskEvent]:
    """All that is said; the writer is harmed once, when it has written so much."""
    events: list[AskEvent] = []
    async for event in engine.ask(request or question()):
        events.append(event)
        if harm is not None and len(text(events)) >= at_chars:
            harm(those(events, Routed)[-1].decision.target or "")
            harm = None
    return events


def those(events: list[AskEvent], kind: type[Kind]) -> list[Kind]:
    return [e for e in events if isinstance(e, kind)]


def text(events: list[AskEvent]) -> str:
    return "".join(e.text for e in those(events, Delta))


def at_rest(snapshot: ClusterSnapshot) -> bool:
    counts = [n.in_flight for n in snapshot.nodes] + [c.in_flight for c in snapshot.coordinators]
    return not snapshot.requests and not any(counts)


def killed(cluster: Cluster) -> Callable[[str], None]:
    def kill(url: str) -> None:
        server = cluster.at(url)
        server.kill_group(signal.SIGKILL)
        server.wait_exit()

    return kill


def goes_on(server: Server, so_far: str, tokens: int) -> str:
    """What that server makes of the question and that beginning, asked directly; less it."""
    said = [
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": so_far},
    ]
    body: dict[str, object] = {"model": MODEL, "messages": said, "stream": False}
    if isinstance(server, OllamaNode):
        options = {"temperature": 0, "seed": 1, "num_predict": tokens}
        answer = post_json(server.url + "/api/chat", {**body, "options": options})
        whole = str(answer["message"]["content"])
    else:
        limits = {"temperature": 0, "seed": 1, "max_tokens": tokens}
        answer = post_json(server.url + "/v1/chat/completions", {**body, **limits})
        whole = str(answer["choices"][0]["message"]["content"])
    assert whole.startswith(so_far.rstrip())
    return whole[len(so_far) :] if whole.startswith(so_far) else whole[len(so_far.rstrip()) :]


def begin_alike(one: str, other: str) -> bool:
    """Whether two texts are one for so long that no chance makes it so."""
    length = min(20, len(one), len(other))
    return one[:length] == other[:length]


def check_moved(events: list[AskEvent], cluster: Cluster, uncut: str, to: str) -> Seam:
    """One answer of two writers: the seam is where the second begins, nothing is lost or twice."""
    finished = events[-1]
    assert isinstance(finished, Finished), events[-1]
    (seam,) = those(events, Seam)
    assert (seam.to_target, finished.tries) == (to, 2)
    before = text(events[: events.index(seam)])
    assert len(before) == seam.at_chars >= CUT_AFTER_CHARS
    assert uncut.startswith(before), "what came before the cut stays as it came"
    after = text(events)[seam.at_chars :]
    direct = goes_on(cluster.at(to), before, TOKENS)
    assert begin_alike(after, direct), (before, after, direct)
    assert before[:30] not in after
    assert finished.usage.completion_tokens is not None
    if finished.outcome == "length":
        assert finished.usage.completion_tokens == TOKENS
    notices = [n.text for n in those(events, Notice)]
    assert len(notices) == 1
    assert "go on with the answer" in notices[0]
    return seam


async def test_a_node_goes_on_where_the_other_was_killed(cluster: Cluster) -> None:
    async with running(settings_of(cluster.nodes)) as engine:
        uncut = text(await asked(engine))
        events = await asked(engine, killed(cluster))
        first, second = (r.decision.target or "" for r in those(events, Routed))
        assert {first, second} == {n.url for n in cluster.nodes}
        check_moved(events, cluster, uncut, second)
        assert at_rest(engine.store.snapshot)
        await until(engine, lambda s: s.node(first).status is NodeStatus.DOWN)  # type: ignore[union-attr]


async def test_a_coordinator_goes_on_where_a_node_was_killed_and_the_other_way_round(
    cluster: Cluster,
) -> None:
    node, coordinator = cluster.nodes[0], cluster.coordinator
    async with running(settings_of((node,), coordinator)) as engine:
        engine.choose_mode(Mode.BOTH)
        uncut = text(await asked(engine))
        events = await asked(engine, killed(cluster))
        check_moved(events, cluster, uncut, coordinator.url)
        await asyncio.to_thread(node.start)
        await until(engine, everything_serves, LOOK_LIMIT_S)
        engine.choose_mode(Mode.MODEL)
        uncut = text(await asked(engine))
        events = await asked(engine, killed(cluster))
        check_moved(events, cluster, uncut, node.url)
        assert at_rest(engine.store.snapshot)

        ready = CoordinatorStatus.READY
        await until(engine, lambda s: s.coordinators[0].status is not ready, LOOK_LIMIT_S)
        gone = await asked(engine)
        assert those(gone, Routed)[0].decision.target == node.url
        assert "answers instead" in those(gone, Notice)[0].text
        await asyncio.to_thread(coordinator.start)
        await until(engine, everything_serves, LOOK_LIMIT_S)
        back = await asked(engine)
        assert those(back, Routed)[0].decision.target == coordinator.url
        assert not those(back, Notice)


async def test_wherever_it_was_cut_the_next_one_goes_on_with_the_next_character(
    cluster: Cluster,
) -> None:
    """After the first character, in the middle of words, after blanks and at line ends."""
    node, coordinator = cluster.nodes[0], cluster.coordinator
    async with running(settings_of((node,), coordinator)) as engine:
        uncut = text(await asked(engine))
        places = sorted({1, 2, 3, 5, 8, 13, 21, 34, 55, uncut.find("\n\n") + 1, uncut.find("\n\n")})
        for place in (p for p in places if p > 0):
            so_far = uncut[:place]
            for server in (node, coordinator):
                request = question(so_far=so_far, target=server.url)
                rest = text(await asked(engine, request=request))
                direct = goes_on(server, so_far, TOKENS)
                assert begin_alike(rest, direct), (place, server, so_far, rest, direct)
                assert rest


@pytest.mark.parametrize("who", ["runner", "whole server"])
async def test_a_node_that_stands_still_in_mid_answer_is_left_within_the_limit(
    cluster: Cluster, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its API answers on when only its runner is stopped: 200 OK, and hung."""
    monkeypatch.setattr(health, "STALL_REST_S", 1.0)
    stopped: list[int] = []

    def stop(url: str) -> None:
        node = cluster.at(url)
        stopped.extend(node.children if who == "runner" else [node.pid, *node.children])
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

    async with running(settings_of(cluster.nodes)) as engine:
        uncut = text(await asked(engine))
        began_s = time.monotonic()
        events = await asked(engine, stop)
        took_s = time.monotonic() - began_s
        print(f"{who} stopped: the whole answer after {took_s:.1f} s")
        first, second = (r.decision.target or "" for r in those(events, Routed))
        check_moved(events, cluster, uncut, second)
        assert "no progress" in those(events, Notice)[0].text
        if who == "runner":
            await until(engine, lambda s: s.node(first).status is NodeStatus.STALLED)  # type: ignore[union-attr]
        routed = those(await asked(engine), Routed)
        assert [r.decision.target for r in routed] == [second], "it is not asked again at once"
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        await until(engine, everything_serves, LOOK_LIMIT_S)
        assert at_rest(engine.store.snapshot)


async def test_a_node_that_stands_still_before_its_first_token_is_left_too(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "STALL_REST_S", 1.0)
    settings = settings_of(cluster.nodes)._replace(first_token_limit_s=2.0)
    async with running(preferring(cluster.nodes[0].url, settings)) as engine:
        for node in cluster.nodes:  # both have it in memory
            await asked(engine, request=question(target=node.url))
        await until(engine, lambda s: all(n.loaded for n in s.nodes))
        stopped = [pid for node in cluster.nodes[:1] for pid in node.children]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        events = await asked(engine)
        assert isinstance(events[-1], Finished)
        assert not those(events, Seam)
        assert [r.decision.target for r in those(events, Routed)] == [n.url for n in cluster.nodes]
        (notice,) = those(events, Notice)
        assert "no progress" in notice.text
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
        assert at_rest(engine.store.snapshot)


async def test_when_nobody_can_go_on_what_came_stays_with_one_mark(cluster: Cluster) -> None:
    async with running(settings_of(cluster.nodes[:1])) as engine:
        uncut = text(await asked(engine))
        events = await asked(engine, killed(cluster))
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert failed.fault.kind in {FaultKind.CUT, FaultKind.SERVER}
        assert failed.kept_chars == len(text(events)) >= CUT_AFTER_CHARS
        assert uncut.startswith(text(events))
        assert at_rest(engine.store.snapshot)


async def test_a_stop_a_cold_load_and_an_unload_are_no_failures(cluster: Cluster) -> None:
    """Stopping frees the node at once; a model that was unloaded is loaded again."""
    node = cluster.nodes[0]
    async with running(settings_of((node,))) as engine:
        cold = await asked(engine)
        assert all(w.loading for w in those(cold, Waiting))
        async with aclosing(engine.ask(question())) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        assert at_rest(engine.store.snapshot)
        await until(engine, lambda s: bool(s.nodes[0].loaded))
        post_json(node.url + "/api/chat", {"model": MODEL, "messages": [], "keep_alive": 0})
        await until(engine, lambda s: not s.nodes[0].loaded)
        again = await asked(engine)
        assert isinstance(again[-1], Finished)
        snapshot = engine.store.snapshot
        assert (snapshot.totals.errors, snapshot.nodes[0].status) == (0, NodeStatus.UP)
        assert not any(record.failures for record in engine.ledger.records.values())
        assert not those([*cold, *again], Notice)


async def test_who_waits_behind_another_is_told_its_place_and_for_how_long(
    cluster: Cluster,
) -> None:
    """A node has one slot: the second question gets no byte until the first is answered (N7)."""
    async with running(settings_of(cluster.nodes[:1])) as engine:
        await asked(engine)
        long = question(options=ChatOptions(temperature=0, max_tokens=400, seed=1))
        async with aclosing(engine.ask(long)) as first:
            async for event in first:
                if isinstance(event, Delta):
                    break
            answers = asyncio.create_task(asked(engine))
            await until(engine, lambda s: s.nodes[0].in_flight == 2)
            async for _ in first:
                pass
        waits = those(await answers, Waiting)
        assert waits, "it had to wait"
        assert waits[0].position == 1
        assert not waits[0].loading
        ages = [w.age_s for w in waits]
        assert ages == sorted(ages)
        assert at_rest(engine.store.snapshot)


async def test_a_full_queue_is_saturation_and_the_next_node_answers(
    ollama_lab: Lab, store: Path
) -> None:
    """A cold model and a queue of one: the third question at once is turned away."""
    env = {"OLLAMA_MAX_QUEUE": "1"}
    port = free_port(*HOSTS)
    with (
        OllamaNode(ollama_lab, store, HOSTS[0], port, env) as full,
        OllamaNode(ollama_lab, store, HOSTS[1], port) as other,
    ):
        async with running(settings_of((full,))) as engine:
            answers = await asyncio.gather(
                *(asked(engine, request=question(target=full.url)) for _ in range(8))
            )
            ends = [events[-1] for events in answers]
            turned_away = [e for e in ends if isinstance(e, Failed)]
            assert all(e.fault.kind is FaultKind.SATURATED for e in turned_away), turned_away
            assert turned_away, "the queue was full"
            assert any(isinstance(e, Finished) for e in ends)
            assert not any(record.failures for record in engine.ledger.records.values())
            assert at_rest(engine.store.snapshot)
            await until(engine, lambda s: s.nodes[0].status is NodeStatus.UP, LOOK_LIMIT_S)
        await asyncio.to_thread(full.stop)
        await asyncio.to_thread(full.start)
        async with running(settings_of((full, other))) as engine:
            answers = await asyncio.gather(*(asked(engine) for _ in range(10)))
            assert all(isinstance(events[-1], Finished) for events in answers)
            moved = [events for events in answers if len(those(events, Routed)) > 1]
            assert all("queue full" in those(events, Notice)[0].text for events in moved)
            print(f"turned away by the full one, answered by the other: {len(moved)} of 10")
