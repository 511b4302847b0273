"""How long a routing decision takes with 50 and with 1000 nodes, 20 models on each.

`python -m tests.bench route [--short]`. The baseline in the same run is the least that any router
would do: look at every node's list for the model.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

from sollol_tui.core.asks import AskRequest, ChatMessage
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.routing import Circumstances, choose
from sollol_tui.core.state import ClusterSnapshot, Mode, NodeModel, NodeState, NodeStatus

AIMS_MS = {50: 0.2, 1000: 3.0}
MODELS = 20
REQUEST = AskRequest("model3:7b", (ChatMessage("user", "hello"),))


def cluster(count: int) -> ClusterSnapshot:
    """That many nodes that are up and have every model."""
    nodes = tuple(
        NodeState(
            parse_node_url(f"10.0.{i // 250}.{i % 250}"),
            f"node-{i:04}",
            ("config",),
            NodeStatus.UP,
            models=tuple(NodeModel(f"model{j}:7b", 4 * 10**9, 7e9) for j in range(MODELS)),
        )
        for i in range(count)
    )
    return ClusterSnapshot(mode=Mode.BOTH, nodes=nodes)


def median_ms(work: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return statistics.median(times) * 1000


def every_list(snapshot: ClusterSnapshot) -> int:
    """Look at every node's list."""
    return sum(any(m.name == REQUEST.model for m in n.models) for n in snapshot.nodes)


def main() -> int:
    rounds = 30 if "--short" in sys.argv else 200
    for count, aim_ms in AIMS_MS.items():
        snapshot = cluster(count)
        now = Circumstances(snapshot, 0.0)
        choose(REQUEST, now, "warm")
        ours = median_ms(partial(choose, REQUEST, now, "d"), rounds)
        base = median_ms(partial(every_list, snapshot), rounds)
        print(
            f"{count:>5} nodes: decision {ours:.3f} ms (aim ≤ {aim_ms}), "
            f"reading every list {base:.3f} ms, ratio ×{ours / base:.1f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
