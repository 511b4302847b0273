"""The words of the mode picker: what a mode needs, whether that is there, what will happen."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, short_name
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
    NodeState,
    NodeStatus,
)
from sollol_tui.ui.text import Line, Span, clean, wrap

There = Literal["yes", "partly", "no", "unknown"]

MEANINGS = {
    Mode.TASK: "requests are spread over the Ollama nodes",
    Mode.MODEL: "one model, split over RPC backends by a coordinator",
    Mode.BOTH: "small models to the nodes, large ones to the coordinator",
    Mode.OFF: "no spreading: every request goes to one node you pin",
}

CARD_CELLS = 64

MARKS: dict[There, Span] = {
    "yes": ("●", "good"),
    "partly": ("▲", "warn"),
    "no": ("✗", "bad"),
    "unknown": ("?", "muted"),
}
_USABLE = (NodeStatus.UP, NodeStatus.SATURATED)


class Need(NamedTuple):
    """One thing that a mode stands on."""

    what: str
    there: There
    state: str


class ModeCard(NamedTuple):
    """What the picker says of one mode."""

    mode: Mode
    needs: tuple[Need, ...]
    effect: str

    @property
    def there(self) -> There:
        """Whether the mode can work now; `both` works partly with one of its two sides."""
        found = {need.there for need in self.needs}
        if len(found) == 1:
            return found.pop()
        return "partly" if found & {"yes", "partly"} and self.mode is Mode.BOTH else self._worst()

    def _worst(self) -> There:
        order: tuple[There, ...] = ("no", "unknown", "partly", "yes")
        return min((need.there for need in self.needs), key=order.index)


def mode_card(mode: Mode, snapshot: ClusterSnapshot, threshold: str, starts: str = "") -> ModeCard:
    """What a mode needs and does in this cluster.

    `threshold` is the size that parts `both`; `starts` the sentence about the coordinator that
    entering the mode would start, empty where it would start none.
    """
    nodes = _nodes_need(snapshot)
    if mode is Mode.TASK:
        return ModeCard(mode, (nodes,), _task_effect(nodes))
    if mode is Mode.OFF:
        pin = _pin_need(snapshot)
        return ModeCard(mode, (pin,), "Every request goes there, whatever else is free.")
    coordinator = _coordinator_need(snapshot)
    if mode is Mode.MODEL:
        effect = starts or _model_effect(snapshot, coordinator)
        return ModeCard(mode, (coordinator, _backends_need(snapshot)), effect)
    effect = f"Models below {threshold} go to the nodes, from {threshold} on to the coordinator."
    return ModeCard(mode, (nodes, coordinator), f"{effect} {starts}".rstrip())


def card_lines(card: ModeCard) -> tuple[Line, ...]:
    """The lower half of the picker: the needs of one mode and what happens."""
    lines: list[Line] = []
    for number, need in enumerate(card.needs):
        head = "needs" if number == 0 else ""
        lines.append(
            (
                (f" {head:<6}", "muted"),
                MARKS[need.there],
                (f" {need.what}  ", ""),
                (clean(need.state), "muted"),
            )
        )
    for number, part in enumerate(wrap(card.effect, CARD_CELLS)):
        lines.append(((f" {'then' if number == 0 else '':<6}", "muted"), (part, "")))
    return tuple(lines)


def _nodes_need(snapshot: ClusterSnapshot) -> Need:
    total = len(snapshot.nodes)
    usable = sum(node.status in _USABLE and not node.drained for node in snapshot.nodes)
    if not total:
        return Need("Ollama nodes", "no" if snapshot.looked else "unknown", "none is known")
    if not usable and any(node.status is NodeStatus.UNKNOWN for node in snapshot.nodes):
        return Need("Ollama nodes", "unknown", "still looking")
    there: There = "yes" if usable == total else "partly" if usable else "no"
    return Need("Ollama nodes", there, f"{usable} of {total} can answer")


def _coordinator_need(snapshot: ClusterSnapshot) -> Need:
    serving = ready_coordinator(snapshot)
    if serving:
        model = serving.model or "its model"
        return Need("coordinator", "yes", f"{_short(serving)} serves {model}")
    if not snapshot.coordinators:
        return Need("coordinator", "no" if snapshot.looked else "unknown", "none is known")
    first = snapshot.coordinators[0]
    if first.status is CoordinatorStatus.UNKNOWN:
        return Need("coordinator", "unknown", f"{_short(first)}: still looking")
    if first.status in (CoordinatorStatus.LOADING, CoordinatorStatus.STARTING):
        return Need("coordinator", "partly", f"{_short(first)} is loading its model")
    why = str(first.fault) if first.fault else first.status.value
    return Need("coordinator", "no", f"{_short(first)}: {why}")


def _backends_need(snapshot: ClusterSnapshot) -> Need:
    good = (BackendStatus.IDLE, BackendStatus.ATTACHED)
    total = len(snapshot.backends)
    usable = sum(backend.status in good for backend in snapshot.backends)
    if not total:
        return Need("RPC backends", "no" if snapshot.looked else "unknown", "none is known")
    there: There = "yes" if usable == total else "partly" if usable else "no"
    attached = sum(b.status is BackendStatus.ATTACHED for b in snapshot.backends)
    serving = f", {attached} serving" if attached else ""
    return Need("RPC backends", there, f"{usable} of {total} there{serving}")


def _pin_need(snapshot: ClusterSnapshot) -> Need:
    node = snapshot.node(snapshot.pinned) if snapshot.pinned else None
    if node is None:
        return Need("one Ollama node", _nodes_need(snapshot).there, "Enter asks which")
    there: There = "yes" if node.status in _USABLE else "no"
    return Need("one Ollama node", there, f"{node_name(node)} is pinned; Enter asks again")


def _task_effect(nodes: Need) -> str:
    if nodes.there == "no":
        return "Nothing can answer until a node is up; :node add brings one in."
    return "The next request goes to the node that fits it best; the event log says why."


def _model_effect(snapshot: ClusterSnapshot, coordinator: Need) -> str:
    serving = ready_coordinator(snapshot)
    if serving:
        model = serving.model or "its model"
        return f"Requests for {model} go to the coordinator, others to a node that has theirs."
    if coordinator.there == "partly":
        return "Requests wait until the model is loaded."
    return "Requests go to a node that has the model until a coordinator answers."


def ready_coordinator(snapshot: ClusterSnapshot) -> CoordinatorState | None:
    """The first coordinator that answers requests."""
    return next((c for c in snapshot.coordinators if c.status is CoordinatorStatus.READY), None)


def _short(coordinator: CoordinatorState) -> str:
    return coordinator.name or short_name(coordinator.url, COORDINATOR_PORT)


def node_name(node: NodeState) -> str:
    return node.name or short_name(node.url, OLLAMA_PORT)
