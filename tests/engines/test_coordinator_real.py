"""The coordinator's life on real servers: brought up, drawn, killed in every way, back again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import select
import signal
import socket
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from itertools import accumulate
from pathlib import Path

import psutil
import pytest

from sollol_tui.core import presence
from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    Delta,
    Failed,
    Finished,
    Routed,
    Seam,
    Waiting,
)
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause
from sollol_tui.core.settings import NodeSetting
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
    Owner,
)
from sollol_tui.core.worker_entry import TTL_S, entry_key, registry_entry
from sollol_tui.io import host_look, runs
from tests.engine.lives import Life
from tests.engine.support import until

from .lab import Lab, library_path
from .places import (
    HOSTS,
    HUGE,
    LARGE,
    PATIENCE_S,
    SIGPIPE,
    SMALL,
    App,
    Place,
    asked,
    life,
    question,
    served,
    text_of,
    until_shown,
)
from .servers import (
    FragileBackend,
    OllamaNode,
    RedisServer,
    RpcBackend,
    free_port,
    post_json,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(300),  # two cores may be busy with other things
    pytest.mark.xdist_group("engine"),
]

MIB = 1 << 20
ROUNDS = 50
LIVES, ACTS = 3, 6
ON_THE_WAY = (Phase.STARTING, Phase.CONNECTING, Phase.LOADING, Phase.WARMING)
SEED = 20_261_125


@pytest.fixture(autouse=True)
def _one_thread_each(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**library_path(lab.lib_dir), "LLAMA_ARG_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def all_backends(lab: Lab) -> Iterator[list[RpcBackend]]:
    port = free_port(*HOSTS)
    with ExitStack() as stack:
        yield [stack.enter_context(RpcBackend(lab, host, port)) for host in HOSTS]


@pytest.fixture
def backends(all_backends: list[RpcBackend]) -> list[RpcBackend]:
    """Three backends that run and serve nobody."""
    for backend in all_backends:
        if not backend.running or not backend.answers():
            backend.start()
    return all_backends


@pytest.fixture
def place(lab: Lab, tmp_path: Path) -> Iterator[Place]:
    made = Place(lab, tmp_path)
    yield made
    left = made.servers()
    for one in left:
        one.kill()
    assert not left, "nothing stays behind, not even a zombie"


# From a model's name to an answer


async def test_a_question_to_the_large_model_brings_up_a_coordinator_and_is_answered(
    ollama_lab: Lab, place: Place, backends: list[RpcBackend]
) -> None:
    """From an Ollama store with two models: mode both, the threshold between them."""
    with OllamaNode(ollama_lab, place.store, "127.0.0.5") as node:
        nodes = (NodeSetting(parse_node_url(node.url)),)
        async with life(place, backends[:2], nodes=nodes) as lived:
            lived.engine.choose_mode(Mode.BOTH)
            events = await asked(lived, question(LARGE))
            kinds = [e.decision.kind for e in events if isinstance(e, Routed)]
            assert kinds == ["coordinator"]
            phases = [e.phase for e in events if isinstance(e, Waiting) and e.phase]
            assert phases[0] == Phase.PROBING
            assert isinstance(events[-1], Finished)
            assert text_of(events)
            state = lived.states[-1]
            assert (state.model, state.owner) == (LARGE, Owner.OURS)
            assert set(state.backends) == {b.address for b in backends[:2]}
            small = await asked(lived, question(SMALL))
            kinds = [e.decision.kind for e in small if isinstance(e, Routed)]
            assert kinds == ["node"], "the small one goes to the pool"
            assert isinstance(small[-1], Finished)


# The map


CASES: dict[str, tuple[int, Order]] = {
    "two": (2, Order(LARGE)),
    "three": (3, Order(HUGE)),
    "one": (1, Order(LARGE)),
    "none": (0, Order(LARGE)),
    "split 3:1": (2, Order(LARGE, tensor_split=(3.0, 1.0))),
    "all on the first": (2, Order(LARGE, tensor_split=(1.0, 0.0))),
    "partly": (2, Order(LARGE, gpu_layers=10)),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_map_equals_what_llama_server_logged(
    place: Place, backends: list[RpcBackend], case: str
) -> None:
    """Bytes as logged, to the hundredth of a MiB; layers by llama.cpp's own formula."""
    count, order = CASES[case]
    async with life(place, backends[:count]) as lived:
        state = await served(lived, order)
        lived.engine.choose_mode(Mode.MODEL)
        events = await asked(lived, question(order.model))
        assert isinstance(events[-1], Finished)
    shards = state.shards
    assert shards is not None
    logged = buffers_in(place.log_text)
    mapped: dict[tuple[str, str], float] = {}
    for shard in (*shards.devices, shards.host):
        sizes = {"model": shard.weights_bytes, "KV": shard.kv_bytes, "compute": shard.compute_bytes}
        mapped |= {(shard.address, kind): size / MIB for kind, size in sizes.items() if size}
    assert mapped == pytest.approx(logged, abs=0.011)
    weights = order.tensor_split or (1.0,) * count
    owners = split(shards.layers, order.gpu_layers, weights)
    for index, shard in enumerate(shards.devices):
        held = tuple(i for i, o in enumerate(owners[:-1]) if o == index)
        assert (shard.layers, shard.has_output) == (held, owners[-1] == index)
    assert shards.host.layers == tuple(i for i, o in enumerate(owners[:-1]) if o is None)


def buffers_in(log: str) -> dict[tuple[str, str], float]:
    """MiB by address ("" for the host) and kind; of compute buffers the last that was made."""
    found: dict[tuple[str, str], float] = {}
    line = r"(\S+)\s+(model|KV|compute) buffer size =\s*([\d.]+) MiB"
    for place, kind, mib in re.findall(line, log):
        endpoint = re.fullmatch(r"RPC\d+\[(.+)\]", place)
        key = (endpoint[1] if endpoint else "", kind)
        before = 0.0 if kind == "compute" else found.get(key, 0.0)
        found[key] = before + float(mib)
    return {key: mib for key, mib in found.items() if mib}


def split(layers: int, gpu_layers: int | None, weights: Sequence[float]) -> list[int | None]:
    """Which device each layer, and at last the output, lies on (llama-model.cpp:1558)."""
    if not weights:
        return [None] * (layers + 1)
    asked_for = layers + 1 if gpu_layers is None else gpu_layers
    shares = [part / sum(weights) for part in accumulate(weights)]
    start, held = max(layers + 1 - asked_for, 0), min(asked_for, layers + 1)
    return [
        None if i < start or i - start >= held else bisect_right(shares, (i - start) / held)
        for i in range(layers + 1)
    ]


# Backends that die


@asynccontextmanager
async def serving(
    place: Place, backends: Sequence[RpcBackend], order: Order, **changes: object
) -> AsyncIterator[tuple[Life, CoordinatorState]]:
    """An engine whose coordinator serves and takes every question."""
    async with life(place, backends, **changes) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        yield lived, await served(lived, order)


async def test_a_backend_that_dies_while_nobody_asks_is_lost_and_the_other_goes_on(
    place: Place, backends: list[RpcBackend]
) -> None:
    lost, other = backends[:2]
    async with serving(place, (lost, other), Order(LARGE)) as (lived, first):
        lost.kill()
        stopping = await lived.until(lambda s: bool(s.problems))
        assert (stopping.phase, stopping.problems[0].cause) == (
            Phase.STOPPING,
            Cause.BACKEND_LOST,
        )
        assert stopping.problems[0].subject == lost.address
        second = await lived.until_ready(besides=first.pid)
        assert second.backends == (other.address,)
        await until_shown(lived, lost.address, BackendStatus.DOWN)
        assert isinstance((await asked(lived, question(LARGE)))[-1], Finished)
    assert other.running


@pytest.mark.parametrize("moment", ["prompt", "generation"])
async def test_a_backend_that_dies_under_an_answer_costs_time_and_no_answer(
    place: Place, backends: list[RpcBackend], moment: str
) -> None:
    lost, other = backends[:2]
    async with serving(place, (lost, other), Order(SMALL)) as (lived, first):
        long_prompt = moment == "prompt"
        asking = question(SMALL, tokens=40, words=600 if long_prompt else 0)
        events = await struck(lived, asking, moment, lost.kill)
        assert isinstance(events[-1], Finished)
        assert text_of(events)
        assert events[-1].tries == 2
        assert sum(isinstance(e, Seam) for e in events) == (0 if long_prompt else 1)
        second = lived.states[-1]
        assert (second.backends, second.pid != first.pid) == ((other.address,), True)
        problems = [p for s in lived.states for p in s.problems]
        assert {p.cause for p in problems} == {Cause.BACKEND_LOST}
        assert problems[-1].subject == lost.address, "llama-server does not say which"
    assert other.running


async def struck(
    lived: Life, asking: AskRequest, moment: str, strike: Callable[[], None]
) -> list[AskEvent]:
    """All events of a question, under which something happens once."""
    events: list[AskEvent] = []
    done = False
    async for event in lived.engine.ask(asking):
        events.append(event)
        waits = moment == "prompt" and isinstance(event, Waiting)
        writes = moment == "generation" and isinstance(event, Delta)
        if not done and (waits or writes):
            done = True
            strike()
    assert done
    return events


async def test_a_backend_that_dies_while_the_model_is_loaded_costs_another_plan(
    place: Place, backends: list[RpcBackend]
) -> None:
    """At the very first start, and with the backends in another order than they are known."""
    lost, other = backends[:2]
    async with life(place, (lost, other)) as lived:
        on_phase(lived, Phase.LOADING, lost.kill)
        await lived.engine.start_coordinator(Order(HUGE))
        state = await lived.until_ready()
        assert state.backends == (other.address,)
        problems = [p for s in lived.states for p in s.problems]
        assert {p.cause for p in problems} <= {Cause.BACKEND_LOST, Cause.BACKEND_REFUSED}
        assert problems[-1].subject == lost.address


def on_phase(lived: Life, phase: Phase, strike: Callable[[], None]) -> None:
    """Do that once when it first comes into this phase."""
    left = [strike]

    def note(_: ClusterSnapshot, after: ClusterSnapshot) -> None:
        state = after.coordinator(lived.url)
        if state is not None and state.phase == phase and left:
            left.pop()()

    lived.engine.store.listeners.append(note)


async def test_a_second_backend_that_dies_in_the_recovery_is_lost_like_the_first(
    place: Place, backends: list[RpcBackend]
) -> None:
    async with serving(place, backends, Order(LARGE)) as (lived, first):
        backends[0].kill()
        await lived.until(lambda s: s.phase == Phase.LOADING and s.pid != first.pid)
        backends[1].kill()
        state = await lived.until(
            lambda s: s.status is CoordinatorStatus.READY and s.backends == (backends[2].address,)
        )
        assert state.pid != first.pid
        assert isinstance((await asked(lived, question(LARGE)))[-1], Finished)


async def test_without_any_backend_the_model_runs_here_when_it_fits(
    place: Place, backends: list[RpcBackend]
) -> None:
    async with serving(place, backends[:2], Order(SMALL)) as (lived, first):
        for backend in backends[:2]:
            backend.kill()
        state = await lived.until_ready(besides=first.pid)
        assert state.backends == ()
        assert isinstance((await asked(lived, question(SMALL)))[-1], Finished)


async def test_a_backend_that_comes_back_is_idle_offered_and_used_by_one_command(
    place: Place, backends: list[RpcBackend]
) -> None:
    lost, other = backends[:2]
    async with serving(place, (lost, other), Order(LARGE)) as (lived, first):
        lost.kill()
        second = await lived.until_ready(besides=first.pid)
        await asyncio.to_thread(lost.start)
        await until_shown(lived, lost.address, BackendStatus.IDLE)
        assert (await lived.until(lambda s: s.offers_replan)).pid == second.pid
        third = await served(lived, Order(LARGE))
        assert set(third.backends) == {lost.address, other.address}
        assert not third.offers_replan


# The coordinator itself, and the program


@pytest.mark.parametrize("moment", ["idle", "generation"])
async def test_a_coordinator_that_is_killed_is_started_again(
    place: Place, backends: list[RpcBackend], moment: str
) -> None:
    async with serving(place, backends[:2], Order(SMALL)) as (lived, first):
        assert first.pid is not None
        pid = first.pid
        if moment == "generation":
            events = await struck(
                lived, question(SMALL, tokens=40), moment, lambda: os.kill(pid, signal.SIGKILL)
            )
            assert isinstance(events[-1], Finished)
        else:
            os.kill(pid, signal.SIGKILL)
        second = await lived.until_ready(besides=pid)
        assert set(second.backends) == {b.address for b in backends[:2]}
        problems = [p for s in lived.states for p in s.problems]
        assert problems[0].cause is Cause.COORDINATOR_CRASHED
        assert problems[0].evidence[0].startswith("ended by signal 9")
    assert all(b.running for b in backends)


async def test_a_program_that_is_killed_leaves_a_coordinator_that_the_next_one_takes_over(
    lab: Lab, place: Place, backends: list[RpcBackend]
) -> None:
    with App(lab, place, backends[:2], LARGE) as app:
        app.kill(signal.SIGKILL)
        app.wait_exit()
    (left,) = place.servers()
    with runs.log_path(place.state_dir, place.port).open("ab") as log:
        log.write(b"noise\n" * 10**6)  # as after days
    async with life(place, backends[:2]) as lived:
        found = await lived.until_ready()
        assert (found.pid, found.owner, found.supervised) == (left.pid, Owner.OURS, True)
        assert lived.engine.found_coordinator
        assert set(found.backends) == {b.address for b in backends[:2]}
        assert found.shards is not None
        lived.engine.choose_mode(Mode.MODEL)
        assert isinstance((await asked(lived, question(LARGE)))[-1], Finished)
        backends[0].kill()
        again = await lived.until_ready(besides=found.pid)
        assert (again.model, again.backends) == (LARGE, (backends[1].address,))


async def test_a_program_that_is_killed_with_its_coordinator_leaves_nothing_in_the_way(
    lab: Lab, place: Place, backends: list[RpcBackend]
) -> None:
    with App(lab, place, backends[:2], LARGE) as app:
        app.kill(signal.SIGKILL)
        app.wait_exit()
    (left,) = place.servers()
    left.kill()
    left.wait()
    assert runs.read_run(place.state_dir, place.port) is not None
    async with life(place, backends[:2]) as lived:
        await until_shown(lived, backends[0].address, BackendStatus.IDLE)
        assert not lived.engine.found_coordinator
        assert runs.read_run(place.state_dir, place.port) is None
        state = await served(lived, Order(LARGE))
        assert set(state.backends) == {b.address for b in backends[:2]}


@pytest.mark.parametrize("phase", ["starting", "connecting", "loading", "warming"])
async def test_a_program_that_is_killed_while_it_starts_one_leaves_one_that_is_found(
    lab: Lab, place: Place, backends: list[RpcBackend], phase: str
) -> None:
    app = App(lab, place, backends[:2], HUGE)
    try:
        app.spawn()
        await asyncio.to_thread(_until_said, app, f'"phase": "{phase}"')
        app.kill(signal.SIGKILL)
        app.wait_exit()
    finally:
        app.close()
    left = [p.pid for p in place.servers()]
    async with life(place, backends[:2]) as lived:
        if left:
            found = await lived.until_ready()
            assert ([found.pid], found.owner) == (left, Owner.OURS)
        else:
            await served(lived, Order(HUGE))


def _until_said(app: App, words: str) -> None:
    while words not in app.log_text():
        assert app.running, app.log_tail()
        select.select([], [], [], 0.005)


# What hangs


@pytest.mark.parametrize("who", ["backend", "coordinator"])
async def test_what_is_stopped_under_an_answer_is_shown_as_stalled_and_goes_on_when_it_goes_on(
    place: Place, backends: list[RpcBackend], who: str
) -> None:
    """Somebody else's answer: /health says ok all the time, and only the tokens tell."""
    limits = {"token_gap_limit_s": 2.0, "timeout_s": 1.0, "failures_to_down": 2}
    async with serving(place, backends[:2], Order(SMALL), **limits) as (lived, first):
        pid = backends[0].pid if who == "backend" else first.pid
        assert pid is not None
        messages = [{"role": "user", "content": "Count from one to two hundred."}]
        body = {"messages": messages, "max_tokens": 100, "ignore_eos": True}
        asking = asyncio.create_task(
            asyncio.to_thread(post_json, f"{place.url}/v1/chat/completions", body)
        )
        await lived.until(lambda s: any(slot.decoded_tokens for slot in s.slots or ()))
        os.kill(pid, signal.SIGSTOP)
        try:
            await lived.until(lambda s: s.status is CoordinatorStatus.STALLED)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (await asking)["usage"]["completion_tokens"] == 100
        again = await lived.until(lambda s: s.status is CoordinatorStatus.READY)
        assert again.pid == first.pid


async def test_a_coordinator_that_is_stopped_while_it_rests_is_shown_as_stalled_until_it_goes_on(
    place: Place, backends: list[RpcBackend]
) -> None:
    async with serving(place, backends[:1], Order(SMALL), timeout_s=1.0) as (lived, first):
        os.kill(first.pid or 0, signal.SIGSTOP)
        try:
            stalled = await lived.until(lambda s: s.status is CoordinatorStatus.STALLED)
            assert str(stalled.fault).startswith("no answer in time")
        finally:
            os.kill(first.pid or 0, signal.SIGCONT)
        again = await lived.until(lambda s: s.status is CoordinatorStatus.READY)
        assert again.pid == first.pid


async def test_a_backend_that_is_stopped_while_it_rests_costs_the_next_question_time_and_no_answer(
    place: Place, backends: list[RpcBackend]
) -> None:
    """Nothing can tell before: its connection lasts, its host answers, and it may just be busy."""
    limits = {"first_token_limit_s": 4.0, "token_gap_limit_s": 4.0, "restart_hung": True}
    async with serving(place, backends[:2], Order(SMALL), timeout_s=1.0, **limits) as (
        lived,
        first,
    ):
        backends[0].kill(signal.SIGSTOP)
        try:
            events = await asked(lived, question(SMALL))
        finally:
            backends[0].kill(signal.SIGCONT)
        assert isinstance(events[-1], Finished)
        second = await lived.until_ready(besides=first.pid)
        assert second.backends == (backends[1].address,)


@pytest.mark.parametrize("who", ["backend", "coordinator"])
async def test_by_choice_what_hangs_is_started_anew_and_the_answer_goes_on(
    place: Place, backends: list[RpcBackend], who: str
) -> None:
    limits = {"token_gap_limit_s": 3.0, "timeout_s": 1.0, "restart_hung": True}
    async with serving(place, backends[:2], Order(SMALL), **limits) as (lived, first):
        pid = backends[0].pid if who == "backend" else first.pid
        assert pid is not None
        try:
            events = await struck(
                lived,
                question(SMALL, tokens=40),
                "generation",
                lambda: os.kill(pid, signal.SIGSTOP),
            )
        finally:
            if who == "backend":
                os.kill(pid, signal.SIGCONT)
        assert isinstance(events[-1], Finished)
        second = await lived.until_ready(besides=first.pid)
        used = [b.address for b in (backends[1:2] if who == "backend" else backends[:2])]
        assert sorted(second.backends) == used
        problem = next(p for s in reversed(lived.states) for p in s.problems)
        assert problem.cause is Cause.COORDINATOR_HUNG
        silent = f"{backends[0].address} does not answer"
        assert any(line.startswith(silent) for line in problem.evidence) is (who == "backend")


async def test_a_host_that_vanishes_is_unknown_and_lost_when_no_token_moves(
    place: Place, backends: list[RpcBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Played by a backend that is stopped and a port of its host that answers nothing any more."""
    lost, other = backends[:2]
    closed = free_port(*HOSTS)
    monkeypatch.setattr(host_look, "CLOSED_PORT", closed)
    limits = {"token_gap_limit_s": 3.0, "first_token_limit_s": 3.0, "timeout_s": 1.0}
    async with serving(place, (lost, other), Order(SMALL), **limits) as (lived, first):
        await until(
            lived.engine,
            lambda s: all(b.host_answered_at_s is not None for b in s.backends),
            PATIENCE_S,
        )
        lost.kill(signal.SIGSTOP)
        try:
            with black_hole(lost.host, closed):
                await until_shown(lived, lost.address, BackendStatus.UNKNOWN)
                state = lived.states[-1]
                assert (state.status, state.pid) == (CoordinatorStatus.READY, first.pid)
                assert lived.backend(other.address) is BackendStatus.ATTACHED
                events = await asked(lived, question(SMALL, tokens=40))
                assert isinstance(events[-1], Finished)
                second = await lived.until_ready(besides=first.pid)
                assert second.backends == (other.address,)
                problems = [p for s in lived.states for p in s.problems]
                assert problems[-1].cause is Cause.BACKEND_LOST
                assert problems[-1].subject == lost.address
        finally:
            lost.kill(signal.SIGCONT)


async def test_a_worker_whose_heartbeat_stops_leaves_its_backend_unknown(
    lab: Lab, place: Place, backends: list[RpcBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In use, on a host that answers no other port: the registry is all that can tell."""
    backend, closed = backends[0], free_port(*HOSTS)
    monkeypatch.setattr(host_look, "CLOSED_PORT", closed)
    monkeypatch.setattr(presence, "HEARTBEAT_LIMIT_S", 2.0)
    entry = json.dumps(registry_entry(None, 2**30, protocol="7.0.0", heartbeat_s=1.0))
    with RedisServer(lab) as redis, black_hole(backend.host, closed):
        redis.ask(f"SET {entry_key(backend.address)} '{entry}' EX {TTL_S}")
        async with life(place, (), redis_url=redis.url, timeout_s=0.5) as lived:
            await until_shown(lived, backend.address, BackendStatus.IDLE)
            state = await served(lived, Order(SMALL))
            assert state.backends == (backend.address,)
            await until_shown(lived, backend.address, BackendStatus.ATTACHED)
            redis.ask(f"DEL {entry_key(backend.address)}")
            snapshot = await until_shown(lived, backend.address, BackendStatus.UNKNOWN)
            shown = snapshot.backend(backend.address)
            assert shown is not None
            assert str(shown.fault) == "no answer in time: the heartbeat of its worker stopped"
            assert shown.attached_to == place.url, "and it is not asked: it may serve"
            redis.ask(f"SET {entry_key(backend.address)} '{entry}' EX {TTL_S}")
            await until_shown(lived, backend.address, BackendStatus.ATTACHED)


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """A port that answers nothing: a full accept queue."""
    with ExitStack() as stack:
        stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


# What we may never do


async def test_backends_that_die_of_a_broken_pipe_survive_all_that_we_do_ourselves(
    lab: Lab, place: Place
) -> None:
    """Probes, plans, starts, stops in every phase, answers that nobody waits for any more."""
    with fragile_backends(lab) as fragile:
        async with life(place, fragile, poll_interval_s=0.1) as lived:
            lived.engine.choose_mode(Mode.MODEL)
            for phase in ON_THE_WAY:
                await lived.engine.start_coordinator(Order(HUGE))
                await lived.until(lambda s, p=phase: s.phase in {p, Phase.READY})  # type: ignore[misc]
                await lived.engine.stop_coordinator()
            for act in (lived.engine.stop_coordinator, None):
                await served(lived, Order(SMALL))
                async with aclosing(lived.engine.ask(question(SMALL, tokens=200))) as events:
                    async for event in events:
                        if isinstance(event, Delta):
                            break
                if act is not None:
                    await act()
            answer = asyncio.create_task(asked(lived, question(SMALL, tokens=200)))
            await lived.until(lambda s: bool(s.slots_busy))
            await served(lived, Order(SMALL))  # in the place of one that answers
            check_honest(await answer)
        assert [b.running for b in fragile] == [True, True]
        for backend in fragile:
            assert backend.answers()


async def test_no_order_of_what_we_do_kills_a_backend(lab: Lab, place: Place) -> None:
    """By chance: starts over each other, stops, questions left at any word, programs left and
    followed by others, with a coordinator that stays and without."""
    chance = random.Random(SEED)
    with fragile_backends(lab) as fragile:
        for _ in range(LIVES):
            async with life(place, fragile, poll_interval_s=0.1) as lived:
                lived.engine.choose_mode(Mode.MODEL)
                for _ in range(ACTS):
                    await chance.choice((begin, begin, halt, leave_off, look))(lived, chance)
                lived.engine.leave_coordinator(stays=chance.random() < 0.7)
            assert [b.running for b in fragile] == [True, True]
        async with life(place, fragile) as lived:
            await served(lived, Order(SMALL))
            await lived.engine.stop_coordinator()
        assert [b.running for b in fragile] == [True, True]
        assert [b.answers() for b in fragile] == [True, True]


async def begin(lived: Life, chance: random.Random) -> None:
    """Start one, until it is in some phase; one that runs has to go for it."""
    wanted = chance.choice((*ON_THE_WAY, Phase.READY))
    await lived.engine.start_coordinator(Order(chance.choice((SMALL, HUGE))))
    await lived.until(lambda s: s.phase in {wanted, Phase.READY, Phase.FAILED})


async def halt(lived: Life, _: random.Random) -> None:
    """Stop it, whatever it does."""
    await lived.engine.stop_coordinator()


async def leave_off(lived: Life, chance: random.Random) -> None:
    """Ask, and leave after some events of the answer, or with its end."""
    count = chance.choice((1, 2, 5, 20, 100))
    words = chance.choice((0, 200))
    model = lived.engine.store.snapshot.coordinator(lived.url)
    name = model.model if model is not None and model.model else SMALL
    async with aclosing(lived.engine.ask(question(name, tokens=30, words=words))) as events:
        async for _ in events:
            count -= 1
            if not count:
                break


async def look(lived: Life, _: random.Random) -> None:
    """Look at everything at once, and plan over it."""
    lived.engine.refresh()
    await lived.engine.plan_coordinator(Order(LARGE))


@contextmanager
def fragile_backends(lab: Lab) -> Iterator[list[RpcBackend]]:
    """Two that die of a broken pipe, proven by the kernel's word."""
    port = free_port(*HOSTS)
    with ExitStack() as stack:
        fragile = [stack.enter_context(FragileBackend(lab, host, port)) for host in HOSTS[:2]]
        assert not any(ignores_pipe(backend.pid) for backend in fragile)
        yield list(fragile)


def ignores_pipe(pid: int) -> bool:
    """Whether that process ignores SIGPIPE, by the kernel's word."""
    status = Path(f"/proc/{pid}/status").read_text()
    ignored = next(x for x in status.splitlines() if x.startswith("SigIgn"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGPIPE - 1) & 1)


# All of it


async def test_after_fifty_random_blows_it_serves_and_nothing_is_left_behind(
    place: Place, backends: list[RpcBackend]
) -> None:
    """Blows fall on backends and the coordinator, idle and busy, killed and stopped."""
    chance = random.Random(SEED)
    limits = {"token_gap_limit_s": 2.0, "first_token_limit_s": 20.0, "timeout_s": 1.0}
    limits["restart_hung"] = True
    ends: list[int] = []
    async with serving(place, backends, Order(SMALL), **limits) as (lived, _):
        asking: asyncio.Task[list[AskEvent]] | None = None
        for _ in range(ROUNDS):
            if asking is None and chance.random() < 0.7:
                asking = asyncio.create_task(asked(lived, question(SMALL, tokens=30)))
                await asyncio.wait({asking}, timeout=chance.uniform(0.0, 1.0))
            ends += await blow(lived, backends, chance)
            if chance.random() < 0.3:
                lived.engine.retry_coordinator()  # nobody waits out a quarantine in a test
            if asking is not None and chance.random() < 0.5:
                check_honest(await asking)
                asking = None
            if chance.random() < 0.5:
                await until_settled(lived)
        if asking is not None:
            check_honest(await asking)
        for backend in backends:
            if not backend.running:
                await asyncio.to_thread(backend.start)
        await until_settled(lived)
        final = await served(lived, Order(SMALL))
        assert set(final.backends) == {b.address for b in backends}
        assert isinstance((await asked(lived, question(SMALL)))[-1], Finished)
        snapshot = lived.engine.store.snapshot
        assert snapshot.requests == ()
        assert all(c.in_flight == 0 for c in snapshot.coordinators)
        assert len(place.servers()) == 1
    assert ends.count(SIGPIPE) == 0
    assert not [c for c in psutil.Process().children() if c.status() == psutil.STATUS_ZOMBIE]


async def blow(lived: Life, backends: list[RpcBackend], chance: random.Random) -> list[int]:
    """One of many things that go wrong, mostly to what is in use; exit codes of backends."""
    for backend in backends:
        if not backend.running and chance.random() < 0.7:
            await asyncio.to_thread(backend.start)
    state = lived.engine.store.snapshot.coordinator(lived.url)
    used = state.backends if state is not None else ()
    running = [b for b in backends if b.running]
    victims = [b for b in running if b.address in used] or running
    kind = chance.choice(["backend", "backend", "coordinator", "hang", "again"])
    if kind == "coordinator" and state is not None and state.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(state.pid, signal.SIGKILL)
    elif kind == "backend" and len(running) > 1:
        victim = chance.choice(victims)
        victim.kill()
        return [await asyncio.to_thread(victim.wait_exit)]
    elif kind == "hang" and victims:
        victim = chance.choice(victims)
        victim.kill(signal.SIGSTOP)
        never = asyncio.get_running_loop().create_future()
        await asyncio.wait({never}, timeout=chance.uniform(0.1, 3.0))
        victim.kill(signal.SIGCONT)
    elif kind == "again":
        await lived.engine.start_coordinator(Order(SMALL))
    return []


async def until_settled(lived: Life) -> None:
    """Until it serves, whatever was done to it; nobody waits out a pause in a test."""

    def settled(state: CoordinatorState) -> bool:
        if state.phase in {Phase.FAILED, Phase.QUARANTINED}:
            lived.engine.retry_coordinator()
        return state.status is CoordinatorStatus.READY

    await lived.until(settled)


def check_honest(events: list[AskEvent]) -> None:
    """Whole, or said not to be: never silently cut."""
    assert isinstance(events[-1], (Finished, Failed))
    if isinstance(events[-1], Failed):
        assert events[-1].kept_chars == len(text_of(events))
