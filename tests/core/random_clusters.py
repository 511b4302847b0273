"""Random clusters for the properties of routing: each is made of one number, and again from it.

Hypothesis draws the number alone. Drawing every field by itself took fifty times as long, so that
a tenth as many clusters were looked at. A small number makes a small cluster, so that what fails
is brought down to something readable.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions
from sollol_tui.core.ids import CoordinatorUrl, NodeUrl
from sollol_tui.core.records import FORGET_S, Measured
from sollol_tui.core.routing import Circumstances
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    LoadedModel,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
)

NOW_S = 10_000.0
NAMES = ("llama3:8b", "mixtral:8x7b", "qwen2.5:0.5b", "nomic-embed-text:latest", "big:70b")
NODES = "abcdefgh"
GIB = 2**30
TARGETS = [f"http://{n}:11434" for n in NODES] + [f"http://c{n}:18080" for n in "123"]

_CAPABILITIES: list[tuple[str, ...]] = [
    (),
    ("completion",),
    ("embedding",),
    ("completion", "tools"),
]
_EDGE = 0.1  # so often a figure is the least or the most that it may be

Item = TypeVar("Item")


class Maker:
    """Makes one cluster and one request."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._most = min(6, seed.bit_length())  # things of a kind

    def circumstances(self) -> Circumstances:
        """A cluster, what is known of it, and what was tried already."""
        dice = self._dice
        nodes = tuple(self._node(n) for n in self._some(NODES, self._most))
        return Circumstances(
            ClusterSnapshot(
                mode=dice.choice(list(Mode)),
                pinned=dice.choice(["", *(n.url for n in nodes)]),
                nodes=nodes,
                coordinators=tuple(self._coordinator(n) for n in self._some("123", self._most)),
            ),
            NOW_S,
            dice.choice([1e9, 13e9]),
            self._records(),
            {target: dice.randint(0, 50) for target in self._some(TARGETS, 8)},
            dict.fromkeys(self._some(TARGETS, 2), "failed this request: refused"),
            self._or_none(lambda: dice.choice(TARGETS)),
        )

    def request(self) -> AskRequest:
        dice = self._dice
        return AskRequest(
            model=dice.choice(NAMES),
            messages=(ChatMessage("user", "hi"),),
            options=ChatOptions(context_tokens=dice.choice([None, None, 4096, 16384])),
            mode=self._or_none(lambda: dice.choice(list(Mode))),
            target=dice.choice(TARGETS) if dice.random() < 1 / 3 else None,
        )

    def _node(self, name: str) -> NodeState:
        dice = self._dice
        return NodeState(
            url=NodeUrl(f"http://{name}:11434"),
            name="node",
            status=dice.choice([NodeStatus.UP, *NodeStatus]) if dice.random() < 0.5 else _UP,
            models=tuple(self._model(name) for name in self._some(NAMES, 4)),
            loaded=tuple(self._loaded(name) for name in self._some(NAMES, 4)),
            in_flight=dice.randint(0, 6),
            weight=dice.choice([0.5, 1.0, 2.0]),
            drained=dice.random() < 0.5,
            vram_total_bytes=self._or_none(lambda: int(self._figure(0, 80 * GIB))),
            vram_free_bytes=self._or_none(lambda: int(self._figure(0, 80 * GIB))),
        )

    def _model(self, name: str) -> NodeModel:
        return NodeModel(
            name=name,
            size_bytes=self._or_none(lambda: int(self._figure(1, 60 * GIB))),
            parameters=self._or_none(lambda: self._figure(1e8, 1e11)),
            capabilities=self._dice.choice(_CAPABILITIES),
            remote_host=self._dice.choice(["", "", "https://ollama.com"]),
        )

    def _loaded(self, name: str) -> LoadedModel:
        return LoadedModel(
            name=name,
            bytes=self._or_none(lambda: int(self._figure(1, 60 * GIB))),
            vram_bytes=self._or_none(lambda: int(self._figure(0, 60 * GIB))),
            context_tokens=self._dice.choice([None, 2048, 4096, 8192]),
        )

    def _coordinator(self, name: str) -> CoordinatorState:
        dice = self._dice
        return CoordinatorState(
            url=CoordinatorUrl(f"http://c{name}:18080"),
            name="c",
            status=dice.choice(list(CoordinatorStatus)) if dice.random() < 0.5 else _READY,
            model=self._or_none(lambda: dice.choice(NAMES)),
            parameters=self._or_none(lambda: self._figure(1e8, 1e11)),
            slots_total=self._or_none(lambda: dice.randint(1, 4)),
            slots_busy=self._or_none(lambda: dice.randint(0, 4)),
            deferred=self._or_none(lambda: dice.randint(0, 4)),
            in_flight=dice.randint(0, 6),
            decode_tps=self._or_none(lambda: self._figure(0.1, 200)),
            sleeping=dice.random() < 0.5,
        )

    def _records(self) -> dict[tuple[str, str], Measured]:
        pairs = [(target, name) for target in TARGETS for name in NAMES]
        return {pair: self._record() for pair in self._some(pairs, 12)}

    def _record(self) -> Measured:
        return Measured(
            ttft_s=self._or_none(lambda: self._figure(0.01, 30)),
            decode_tps=self._or_none(lambda: self._figure(0.1, 300)),
            load_s=self._or_none(lambda: self._figure(0.5, 90)),
            measured_at_s=self._or_none(lambda: self._figure(NOW_S - 3 * FORGET_S, NOW_S)),
            answers=self._dice.randint(0, 50),
            failures=self._dice.randint(0, 5),
            failed_at_s=self._or_none(lambda: self._figure(NOW_S - 600, NOW_S)),
        )

    def _some(self, of: Sequence[Item], most: int) -> list[Item]:
        return self._dice.sample(of, self._dice.randint(0, min(most, len(of))))

    def _or_none(self, make: Callable[[], Item]) -> Item | None:
        return make() if self._dice.random() < 0.5 else None

    def _figure(self, least: float, most: float) -> float:
        if self._dice.random() < _EDGE:
            return self._dice.choice([least, most])
        return self._dice.uniform(least, most)


_UP = NodeStatus.UP
_READY = CoordinatorStatus.READY

_SEEDS = st.integers(0, 2**32 - 1)


def circumstances() -> st.SearchStrategy[Circumstances]:
    return _SEEDS.map(lambda seed: Maker(seed).circumstances())


def requests() -> st.SearchStrategy[AskRequest]:
    return _SEEDS.map(lambda seed: Maker(seed).request())
