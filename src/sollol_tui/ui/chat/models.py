"""The models of the cluster: where each lies, what is loaded, what cannot be asked and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sollol_tui.core.ids import COORDINATOR_PORT, OLLAMA_PORT, model_key, short_name
from sollol_tui.core.routing import SEES, serves
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    NodeModel,
    NodeState,
    NodeStatus,
)

_GONE = (NodeStatus.DOWN, NodeStatus.UNAUTHORIZED)
_SERVING = (CoordinatorStatus.READY, CoordinatorStatus.LOADING, CoordinatorStatus.STARTING)


class Place(NamedTuple):
    """Where a model lies. `problem` says why it cannot be asked there; empty when it can."""

    url: str
    name: str
    is_coordinator: bool = False
    is_loaded: bool = False
    problem: str = ""
    sees: bool | None = None  # takes pictures; None: it did not say


class ModelChoice(NamedTuple):
    """A model that may be chosen, or why it may not."""

    name: str
    places: tuple[Place, ...]
    parameters: float | None = None
    size_bytes: int | None = None
    quantization: str = ""
    problem: str = ""  # why it cannot be asked anywhere

    @property
    def is_usable(self) -> bool:
        return not self.problem

    @property
    def is_loaded(self) -> bool:
        return any(place.is_loaded for place in self.places)

    @property
    def sees(self) -> bool | None:
        """Whether it takes pictures somewhere; None when no place said."""
        told = [place.sees for place in self.places if place.sees is not None]
        return any(told) if told else None


class _Kept:
    """What the last snapshot said, and the models made of it."""

    read: object = None
    choices: tuple[ModelChoice, ...] = ()


_kept = _Kept()


def models_of(snapshot: ClusterSnapshot) -> tuple[ModelChoice, ...]:
    """Every model of the cluster once: usable ones first, then by name.

    Names are compared as servers do: without case, the tag `latest` when none is written.
    Snapshots change with every token that moves, what is read here seldom: the last answer is
    kept.
    """
    read = (
        tuple((n.url, n.name, n.status, n.drained, n.models, n.loaded) for n in snapshot.nodes),
        tuple((c.url, c.name, c.status, c.model, c.model_bytes) for c in snapshot.coordinators),
        tuple((c.parameters, c.quantization, c.sees) for c in snapshot.coordinators),
        snapshot.set_models,
    )
    if _kept.read != read:
        _kept.read, _kept.choices = read, _union(snapshot)
    return _kept.choices


def _union(snapshot: ClusterSnapshot) -> tuple[ModelChoice, ...]:
    found: dict[str, ModelChoice] = {}
    for choice in (*_on_nodes(snapshot), *_on_coordinators(snapshot), *_set_up(snapshot)):
        key = model_key(choice.name)
        found[key] = _merged(found[key], choice) if key in found else choice
    judged = (choice._replace(problem=_problem(choice)) for choice in found.values())
    return tuple(sorted(judged, key=lambda c: (not c.is_usable, model_key(c.name))))


def find_model(choices: tuple[ModelChoice, ...], name: str) -> ModelChoice | None:
    """The choice that a name means."""
    key = model_key(name) if name.strip() else ""
    return next((choice for choice in choices if model_key(choice.name) == key), None)


def best_model(choices: tuple[ModelChoice, ...], wanted: str = "") -> str:
    """The model to begin with: the wanted one, else one that is loaded, else the first usable
    one; empty when there is none. A wanted model that is not there stays wanted."""
    if wanted:
        found = find_model(choices, wanted)
        return found.name if found else wanted
    usable = [choice for choice in choices if choice.is_usable]
    loaded = [choice for choice in usable if choice.is_loaded]
    return next((choice.name for choice in (*loaded, *usable)), "")


def _on_nodes(snapshot: ClusterSnapshot) -> Iterator[ModelChoice]:
    for node in snapshot.nodes:
        for model in node.models:
            place = Place(
                node.url,
                node.name or short_name(node.url, OLLAMA_PORT),
                is_loaded=any(model_key(m.name) == model_key(model.name) for m in node.loaded),
                problem=_problem_on(node, model),
                sees=SEES in model.capabilities if model.capabilities else None,
            )
            yield ModelChoice(
                model.name, (place,), model.parameters, model.size_bytes, model.quantization
            )


def _on_coordinators(snapshot: ClusterSnapshot) -> Iterator[ModelChoice]:
    for coordinator in snapshot.coordinators:
        if not coordinator.model:
            continue
        is_serving = coordinator.status in _SERVING
        place = Place(
            coordinator.url,
            coordinator.name or short_name(coordinator.url, COORDINATOR_PORT),
            is_coordinator=True,
            is_loaded=coordinator.status is CoordinatorStatus.READY,
            problem="" if is_serving else f"the coordinator is {coordinator.status}",
            sees=coordinator.sees,
        )
        yield _choice_of(coordinator, coordinator.model, place)


def _set_up(snapshot: ClusterSnapshot) -> Iterator[ModelChoice]:
    """What coordinators of ours are set to run, and do not run now: asking starts one."""
    for url, model in snapshot.set_models:
        state = snapshot.coordinator(url)
        if state is None or not serves(state, model):
            name = state.name if state is not None else ""
            place = Place(url, name or short_name(url, COORDINATOR_PORT), is_coordinator=True)
            yield ModelChoice(model, (place,))


def _choice_of(coordinator: CoordinatorState, model: str, place: Place) -> ModelChoice:
    return ModelChoice(
        model,
        (place,),
        coordinator.parameters,
        coordinator.model_bytes,
        coordinator.quantization,
    )


def _problem_on(node: NodeState, model: NodeModel) -> str:
    if model.remote_host:
        return f"a stub: it runs at {model.remote_host}"
    if _only_embeds(model):
        return "makes embeddings, does not chat"
    if node.status in _GONE:
        return f"{node.name or short_name(node.url, OLLAMA_PORT)} is {node.status}"
    return "the node is drained" if node.drained else ""


def _only_embeds(model: NodeModel) -> bool:
    """By what the model can do, or, where that was not asked yet, by its family."""
    if model.capabilities:
        return "completion" not in model.capabilities
    return "bert" in model.family.lower()


def _merged(one: ModelChoice, other: ModelChoice) -> ModelChoice:
    """Two sightings of one model; what the first does not know the second may."""
    return ModelChoice(
        one.name,
        (*one.places, *other.places),
        one.parameters if one.parameters is not None else other.parameters,
        one.size_bytes if one.size_bytes is not None else other.size_bytes,
        one.quantization or other.quantization,
    )


def _problem(choice: ModelChoice) -> str:
    """Why no place can be asked: the first one's reason; empty when one can."""
    if any(not place.problem for place in choice.places):
        return ""
    return choice.places[0].problem
