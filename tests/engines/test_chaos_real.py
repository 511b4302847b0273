"""Chats over a real cluster whose servers are killed, stopped and restarted all the time.

`SOLLOL_TUI_CHAOS` is the number of chats (default 40), `SOLLOL_TUI_CHAOS_SEED` the seed.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import NamedTuple

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
)
from sollol_tui.core.ids import model_key, parse_coordinator_url, parse_node_url
from sollol_tui.core.settings import CoordinatorSetting, NodeSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode, NodeStatus
from sollol_tui.engine.engine import Engine
from tests.engine.support import until

from .chaos import Chaos
from .lab import Lab
from .servers import Coordinator, OllamaNode, RpcBackend, free_port, make_store

CHATS = int(os.environ.get("SOLLOL_TUI_CHAOS", "40"))
SEED = int(os.environ.get("SOLLOL_TUI_CHAOS_SEED", "6"))
AT_ONCE = 4
STRIKES_PER_CHAT = 0.5
TOKENS = 64
A_CHAT_ENDS_WITHIN_S = 90.0
HEAD_CHARS = 16
NOTHING = "Nothing can take it "
NAME = re.compile(r"127[0-9.:]+: ")

BACKENDS = ("127.0.0.2", "127.0.0.3")
NODES = ("127.0.0.5", "127.0.0.6")
SMALL, LARGE = "smol:135m", "smol:241m"
PROMPTS = {
    SMALL: "Tell me a story about a river and a bridge.",
    LARGE: "Describe the sea in a few sentences.",
}

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(120 + 10 * CHATS),
    pytest.mark.xdist_group("engine"),
]


class Cluster(NamedTuple):
    """The real servers that are harmed."""

    nodes: tuple[OllamaNode, ...]
    coordinator: Coordinator
    backends: tuple[RpcBackend, ...]


class Chat(NamedTuple):
    """What came of one chat."""

    model: str
    events: tuple[AskEvent, ...]

    @property
    def text(self) -> str:
        return "".join(e.text for e in self.events if isinstance(e, Delta))

    @property
    def seams(self) -> list[Seam]:
        return [e for e in self.events if isinstance(e, Seam)]

    @property
    def end(self) -> AskEvent:
        return self.events[-1]


@pytest.fixture
def cluster(ollama_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    lab, port, node_port = ollama_lab, free_port(*BACKENDS), free_port(*NODES)
    store = make_store(
        tmp_path_factory.mktemp("store"), {SMALL: lab.model_small, LARGE: lab.model_large}
    )
    with ExitStack() as stack:
        backends = tuple(stack.enter_context(RpcBackend(lab, h, port)) for h in BACKENDS)
        coordinator = stack.enter_context(
            Coordinator(lab, lab.model_large, backends, extra_args=["--alias", LARGE])
        )
        nodes = tuple(stack.enter_context(OllamaNode(lab, store, h, node_port)) for h in NODES)
        yield Cluster(nodes, coordinator, backends)


def settings_of(cluster: Cluster) -> Settings:
    """Short limits: what stands still for longer is a stall."""
    return Settings(
        nodes=tuple(NodeSetting(parse_node_url(n.url)) for n in cluster.nodes),
        coordinators=(CoordinatorSetting(parse_coordinator_url(cluster.coordinator.url)),),
        redis_url="",
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.5,
        timeout_s=1.0,
        threshold_parameters=200e6,
        first_token_limit_s=5.0,
        token_gap_limit_s=3.0,
    )


async def test_every_chat_ends_whole_or_with_one_honest_mark(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No answer is silently cut, doubled or empty, and every count returns to zero."""
    monkeypatch.setattr(health, "STALL_REST_S", 2.0)
    engine = Engine(settings_of(cluster))
    async with engine.running():
        await until(engine, lambda s: s.looked)
        engine.choose_mode(Mode.BOTH)
        uncut = {model: await chat(engine, model) for model in PROMPTS}
        chaos = Chaos(SEED, cluster.nodes, (cluster.coordinator,), cluster.backends)
        chats = await under(chaos, engine)
        await chaos.ends()
        with capsys.disabled():
            print(figures(chats, chaos, uncut))
        assert at_rest(engine.store.snapshot)
        await until(engine, everything_serves, within_s=30.0)
        after = [await chat(engine, model) for model in PROMPTS]
    for one in uncut.values():
        assert isinstance(one.end, Finished)
    for one in (*chats, *after):
        check(one, uncut[one.model].text)
    assert all(isinstance(one.end, Finished) for one in after)
    assert 4 * sum(isinstance(one.end, Finished) for one in chats) >= CHATS, "it is not all failure"
    assert at_rest(engine.store.snapshot)


async def under(chaos: Chaos, engine: Engine) -> list[Chat]:
    """All chats, some at a time; some of them see a server harmed in the middle of their answer."""
    chance, numbers = random.Random(SEED + 1), count()
    chats: list[Chat] = []

    async def worker() -> None:
        for number in numbers:
            if number >= CHATS:
                return
            model = chance.choice(list(PROMPTS))
            at_chars = chance.randrange(240) if chance.random() < STRIKES_PER_CHAT else None
            await until(engine, something_serves, within_s=60.0)  # nobody asks a dead cluster
            chats.append(await chat(engine, model, chaos, at_chars))

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
    return chats


async def chat(
    engine: Engine, model: str, chaos: Chaos | None = None, at_chars: int | None = None
) -> Chat:
    options = ChatOptions(temperature=0, max_tokens=TOKENS, seed=1)
    request = AskRequest(model, (ChatMessage("user", PROMPTS[model]),), options)
    events: list[AskEvent] = []
    chars = 0
    async with asyncio.timeout(A_CHAT_ENDS_WITHIN_S):
        async for event in engine.ask(request):
            events.append(event)
            chars += len(event.text) if isinstance(event, Delta) else 0
            if chaos is not None and at_chars is not None and chars >= at_chars:
                chaos.strike()
                at_chars = None
    return Chat(model, tuple(events))


def check(one: Chat, uncut: str) -> None:
    """One chat ended as it should."""
    last = [e for e in one.events if isinstance(e, (Finished, Failed))]
    assert last == [one.end], "one end, and it comes last"
    if isinstance(one.end, Failed):
        assert one.end.kept_chars == len(one.text)
        assert str(one.end.fault)
    if isinstance(one.end, Finished):
        assert one.text
        written = one.end.usage.completion_tokens
        if one.end.outcome == "length":
            assert written == TOKENS, "the limit counts over all that wrote"
    for seam in one.seams:
        head = one.text[:HEAD_CHARS]
        rest = one.text[seam.at_chars :]
        assert 0 < seam.at_chars < len(one.text), "a seam has text on both sides"
        assert seam.at_chars < HEAD_CHARS or not rest.startswith(head), (one.text, seam)
    places = [seam.at_chars for seam in one.seams]
    assert len(set(places)) == len(places), "two seams at one place"
    assert one.text[:HEAD_CHARS] == uncut[: len(one.text[:HEAD_CHARS])]


def at_rest(snapshot: ClusterSnapshot) -> bool:
    counts = [n.in_flight for n in snapshot.nodes] + [c.in_flight for c in snapshot.coordinators]
    return not snapshot.requests and not any(counts)


def something_serves(snapshot: ClusterSnapshot) -> bool:
    return any(n.status is NodeStatus.UP for n in snapshot.nodes)


def everything_serves(snapshot: ClusterSnapshot) -> bool:
    return all(n.status is NodeStatus.UP for n in snapshot.nodes) and all(
        c.status is CoordinatorStatus.READY for c in snapshot.coordinators
    )


def figures(chats: list[Chat], chaos: Chaos, uncut: dict[str, Chat]) -> str:
    """What happened, in a few lines."""
    whole = [c for c in chats if isinstance(c.end, Finished)]
    failed = [c.end for c in chats if isinstance(c.end, Failed)]
    same = sum(c.text == uncut[c.model].text for c in whole)
    tries = Counter(sum(isinstance(e, Routed) for e in c.events) for c in chats)
    causes = Counter(
        f"{f.fault.words}, {'text kept' if f.kept_chars else 'no text'}, {f.tries} tries"
        for f in failed
    )
    notices = Counter(
        e.text.split(": ", 1)[-1].split(".")[0][:60]
        for c in chats
        for e in c.events
        if isinstance(e, Notice) and not e.text.startswith((NOTHING, "Node", "Coordinator"))
    )
    refusals = Counter(
        NAME.sub("…: ", said)
        for c in chats
        if isinstance(c.end, Failed)
        for e in c.events[-2:]
        if isinstance(e, Notice) and e.text.startswith(NOTHING)
        for said in [e.text.removeprefix(NOTHING)]
    )
    models = Counter(model_key(c.model) for c in chats)
    seams = sum(bool(c.seams) for c in whole)
    return "\n".join(
        (
            f"\nchaos: {len(chats)} chats, seed {SEED}, {dict(models)}",
            f"  harm: {dict(chaos.done)}",
            f"  complete {len(whole)} (with seams {seams}, as if uncut {same})",
            f"  failed {len(failed)}",
            f"  tries: {dict(sorted(tries.items()))}",
            f"  failed by cause: {dict(causes)}",
            *(f"  {n} × nobody could: {said}" for said, n in refusals.most_common(12)),
            f"  tries failed by cause: {dict(notices.most_common(12))}",
        )
    )
