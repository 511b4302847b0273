"""Where a request goes, and why: every candidate with its score, every rejection with its reason.

A score is the expected time of an answer of 200 tokens, in seconds below zero: waiting, loading,
first token, writing, and what recent failures weigh. So CPU and GPU nodes compete by what was
measured. A target without a record is taken to be as good as the best: it is tried, and the record
decides from then on. What was measured long ago counts when it was better than the best: so a slow
one gets another try, and a fast one is not forgotten. One that has never answered and would have
to load first is tried too, once others have answered often enough to make up for that load.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from sollol_tui.core import units
from sollol_tui.core.asks import AskRequest, Candidate, RouteDecision
from sollol_tui.core.ids import coordinator_words, is_called, is_model_path, model_key
from sollol_tui.core.model_fit import fits_no_node
from sollol_tui.core.model_index import key_of
from sollol_tui.core.model_size import Found, models_on_nodes, size_of
from sollol_tui.core.patience import reloads
from sollol_tui.core.records import Measured, failure_cost_s, is_fresh
from sollol_tui.core.route_words import NO_MODEL, NOT_ASKED_FOR, Kind, reason_words, stand_in_words
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

ANSWER_TOKENS = 200
ASSUMED_TTFT_S = 0.5
ASSUMED_TPS = 20.0
ASSUMED_LOAD_BYTES_S = 1e9
AFFINITY_S = 1.0
TRIED_AFTER_S = 1.0  # of loading that each answer of others pays for
JUST_BETTER_S = 0.01
DOUBTED_ANSWERS = 2  # after so many its own figures count half
SERVERS_WORD = 10  # answers that its own counters are worth

# Older nodes do not tell what a model can do: nomic-bert, mxbai-embed-large, gemma-embedding.
_EMBEDS = re.compile(r"(?:^|[-_/ ])(?:nomic-|jina-)?(?:bert|embed)", re.IGNORECASE)

NO_RECORD = Measured()
SEES = "vision"  # what Ollama calls it (types/model/capability.go)
BLIND = "does not see images"
FITS_NO_NODE = "fits no single node's memory"


class Circumstances(NamedTuple):
    """What a decision rests on besides the request: kept small, so that it can be replayed."""

    snapshot: ClusterSnapshot
    now_s: float
    threshold_parameters: float = 13e9
    records: Mapping[tuple[str, str], Measured] = {}
    served: Mapping[str, int] = {}  # requests given to each target so far
    excluded: Mapping[str, str] = {}  # targets that failed this request already, and how
    affinity: str | None = None  # the target that this conversation used last


class _Place(NamedTuple):
    """A target that can take the request, before it is scored."""

    target: str
    kind: Kind
    name: str
    in_flight: int
    slots: int
    weight: float
    load_s: float  # expected: 0 when the model is in memory
    record: Measured
    anew: str = ""  # the model is loaded there, and this request has it loaded anew


class _Best(NamedTuple):
    """The best of all that can take the request."""

    ttft_s: float
    tps: float
    answers: int
    in_flight: int


def choose(request: AskRequest, now: Circumstances, decision_id: str) -> RouteDecision:
    """The decision for a request. Pure: the same arguments give the same decision."""
    mode = request.mode or now.snapshot.mode
    found = models_on_nodes(request.model, now.snapshot)
    first, why = _preferred(request, mode, found, now)
    places, rejected = _sorted_out(request, mode, found, now)
    scored = _scored(places, now)
    anew = {place.target: place.anew for place in places if place.anew}
    ranked = sorted(scored, key=lambda c: _rank(c, first, now))
    best = ranked[0] if ranked else None
    return RouteDecision(
        id=decision_id,
        model=request.model,
        mode=mode,
        target=best.target if best else None,
        kind=best.kind if best else None,
        name=best.name if best else "",
        reason=reason_words(ranked, rejected, first, why, anew, by_hand=request.target is not None),
        candidates=(*ranked, *rejected),
        stands_in=stand_in_words(best, rejected, first) if best and not request.target else "",
    )


def _rank(candidate: Candidate, first: Kind, now: Circumstances) -> tuple[bool, float, int, str]:
    served = now.served.get(candidate.target, 0)
    return candidate.kind != first, -(candidate.score or 0.0), served, candidate.target


def wants_coordinator(request: AskRequest, now: Circumstances) -> bool:
    """Whether the mode and the model's size send the request to a coordinator first."""
    mode = request.mode or now.snapshot.mode
    kind, _ = _preferred(request, mode, models_on_nodes(request.model, now.snapshot), now)
    return kind == "coordinator"


def _preferred(
    request: AskRequest, mode: Mode, found: Found, now: Circumstances
) -> tuple[Kind, str]:
    """Which kind of target comes first, and why ('' when it goes without saying)."""
    if mode is Mode.MODEL:
        return "coordinator", ""
    if mode is not Mode.BOTH:
        return "node", ""
    if is_model_path(request.model):
        return "coordinator", "a file, which only a coordinator runs"
    size = size_of(request.model, found, now.snapshot.coordinators)
    if size.parameters is None:
        unfit = fits_no_node(found, now.snapshot)
        return ("coordinator", FITS_NO_NODE) if unfit else ("node", "size unknown")
    said = units.parameters(size.parameters) + (" by its name" if size.guessed else "")
    limit = units.parameters(now.threshold_parameters)
    if size.parameters >= now.threshold_parameters:
        return "coordinator", f"{said}, from {limit} on the coordinator"
    if fits_no_node(found, now.snapshot):
        return "coordinator", FITS_NO_NODE
    return "node", f"{said}, below {limit}"


def _sorted_out(
    request: AskRequest, mode: Mode, found: Found, now: Circumstances
) -> tuple[list[_Place], list[Candidate]]:
    places: list[_Place] = []
    rejected: list[Candidate] = []
    key = model_key(request.model)
    for node, model in zip(now.snapshot.nodes, found, strict=True):
        reason = _node_refusal(node, model, request, mode, now)
        if reason is None and model is not None:
            places.append(_node_place(node, model, key, request, now))
        else:
            rejected.append(Candidate(node.url, "node", node.name, None, (), reason))
    for coordinator in now.snapshot.coordinators:
        name = coordinator_words(coordinator.name)
        reason = _coordinator_refusal(coordinator, request, mode, now)
        if reason is None:
            places.append(_coordinator_place(coordinator, name, request, now))
        else:
            rejected.append(Candidate(coordinator.url, "coordinator", name, None, (), reason))
    return places, rejected


def _node_refusal(
    node: NodeState, model: NodeModel | None, request: AskRequest, mode: Mode, now: Circumstances
) -> str | None:
    if node.url in now.excluded:
        return now.excluded[node.url]
    if request.target is not None and request.target != node.url:
        return NOT_ASKED_FOR
    if node.status is not NodeStatus.UP:
        return f"{node.status}" + (f": {node.fault}" if node.fault else "")
    if node.drained and request.target is None:
        return "drained"
    if mode is Mode.OFF and now.snapshot.pinned and now.snapshot.pinned != node.url:
        return "mode off: another node is pinned"
    return _model_refusal(model, _has_images(request))


def _has_images(request: AskRequest) -> bool:
    return any(message.images for message in request.messages)


def _model_refusal(model: NodeModel | None, has_images: bool) -> str | None:
    if model is None:
        return NO_MODEL
    if model.remote_host:
        return "cloud model: its weights are not here"
    if model.capabilities and "completion" not in model.capabilities:
        return f"cannot chat: {', '.join(model.capabilities)} only"
    if not model.capabilities and _embeds(model.name, model.family):
        return "cannot chat: an embedding model by its name"
    if has_images and model.capabilities and SEES not in model.capabilities:
        return BLIND
    return None


@lru_cache(maxsize=1024)
def _embeds(name: str, family: str) -> bool:
    return _EMBEDS.search(f"{name} {family}") is not None


def serves(coordinator: CoordinatorState, model: str) -> bool:
    """Whether a coordinator holds that model, by its alias or by its file's name."""
    return is_called(model, coordinator.model or "", coordinator.model_path or "")


def _coordinator_refusal(
    coordinator: CoordinatorState, request: AskRequest, mode: Mode, now: Circumstances
) -> str | None:
    if coordinator.url in now.excluded:
        return now.excluded[coordinator.url]
    if request.target is not None and request.target != coordinator.url:
        return NOT_ASKED_FOR
    if request.target is None and mode in {Mode.TASK, Mode.OFF}:
        return f"mode {mode} uses the Ollama nodes"
    if coordinator.status is not CoordinatorStatus.READY:
        return f"{coordinator.status}" + (f": {coordinator.fault}" if coordinator.fault else "")
    if not serves(coordinator, request.model):
        return f"serves {coordinator.model or 'another model'}"
    return BLIND if _has_images(request) and coordinator.sees is False else None


def _node_place(
    node: NodeState, model: NodeModel, key: str, request: AskRequest, now: Circumstances
) -> _Place:
    record = now.records.get((node.url, key), NO_RECORD)
    load_s, anew = record.load_s or _load_guess_s(model), ""
    for loaded in node.loaded:
        if key_of(loaded.name) != key:
            continue
        if reloads(loaded, request.options.context_tokens):
            anew = _anew_words(loaded, request)
        else:
            load_s = 0.0
    at = node.in_flight
    return _Place(node.url, "node", node.name, at, 1, node.weight, load_s, record, anew)


def _anew_words(loaded: LoadedModel, request: AskRequest) -> str:
    """What is said when the request's context makes Ollama load the model anew."""
    wanted, there = request.options.context_tokens, loaded.context_tokens
    return f"loads the model anew there: a context of {wanted} is asked for, {there} is loaded"


def _load_guess_s(model: NodeModel) -> float:
    return max(1.0, (model.size_bytes or 0) / ASSUMED_LOAD_BYTES_S)


def _coordinator_place(
    coordinator: CoordinatorState, name: str, request: AskRequest, now: Circumstances
) -> _Place:
    record = now.records.get((coordinator.url, model_key(request.model)), NO_RECORD)
    if record.decode_tps is None and coordinator.decode_tps is not None:
        told = max(record.answers, SERVERS_WORD)
        rate = coordinator.decode_tps
        record = record._replace(decode_tps=rate, measured_at_s=now.now_s, answers=told)
    seen = (coordinator.slots_busy or 0) + (coordinator.deferred or 0)  # ours and others'
    busy = max(coordinator.in_flight, seen)
    slots = coordinator.slots_total or 1
    load_s = record.load_s or 1.0 if coordinator.sleeping else 0.0
    return _Place(coordinator.url, "coordinator", name, busy, slots, 1.0, load_s, record)


def _scored(places: list[_Place], now: Circumstances) -> list[Candidate]:
    known = [p.record for p in places if p.record is not NO_RECORD]
    fresh = [record for record in known if is_fresh(record, now.now_s)]
    best = _Best(
        ttft_s=min((r.ttft_s for r in fresh if r.ttft_s is not None), default=ASSUMED_TTFT_S),
        tps=max((r.decode_tps for r in fresh if r.decode_tps), default=ASSUMED_TPS),
        answers=max((record.answers for record in known), default=0),
        in_flight=min((p.in_flight for p in places), default=0),
    )
    return [_candidate(p, best, now) for p in places]


def _expected(record: Measured, best: _Best, now_s: float) -> tuple[float, float]:
    """Seconds to the first token, and of writing: as measured, and as the best while that rests on
    few answers, for one slow answer proves little; where it was measured long ago, at least so.
    """
    if record is NO_RECORD:
        return best.ttft_s, ANSWER_TOKENS / best.tps
    ttft_s = best.ttft_s if record.ttft_s is None else record.ttft_s
    write_s = ANSWER_TOKENS / (record.decode_tps or best.tps)
    best_write_s = ANSWER_TOKENS / best.tps
    if not is_fresh(record, now_s):
        return min(best.ttft_s, ttft_s), min(best_write_s, write_s)
    known = record.answers / (record.answers + DOUBTED_ANSWERS)
    return _mixed(ttft_s, best.ttft_s, known), _mixed(write_s, best_write_s, known)


def _mixed(own: float, other: float, share: float) -> float:
    return other + share * (own - other)


def _untried_s(place: _Place, best: _Best) -> float:
    """What a place that has never answered is forgiven of its loading."""
    if place.record.answers or not place.load_s:
        return 0.0
    return min(place.load_s + JUST_BETTER_S, TRIED_AFTER_S * best.answers)


def _candidate(place: _Place, best: _Best, now: Circumstances) -> Candidate:
    ttft_s, write_s = _expected(place.record, best, now.now_s)
    ahead = max(0, place.in_flight - place.slots + 1)
    scale = -1.0 / place.weight
    wait = scale * ahead * (ttft_s + write_s) / place.slots
    load, first, answer = scale * place.load_s, scale * ttft_s, scale * write_s
    failures = scale * failure_cost_s(place.record, now.now_s)
    score = wait + load + first + answer + failures
    parts: tuple[tuple[str, float], ...] = (
        ("wait", wait),
        ("load", load),
        ("first token", first),
        ("answer", answer),
        ("failures", failures),
    )
    if best.answers and (untried_s := _untried_s(place, best)):
        parts = (*parts, ("not tried yet", untried_s / place.weight))
        score += untried_s / place.weight
    if place.target == now.affinity and within_load_guard(place.in_flight, best.in_flight):
        parts = (*parts, ("same conversation", AFFINITY_S))
        score += AFFINITY_S
    return Candidate(place.target, place.kind, place.name, score, parts)


def within_load_guard(in_flight: int, least: int) -> bool:
    """Whether a conversation may stay where it is: not when others are much less loaded."""
    return in_flight <= least + 2 and in_flight <= 1.5 * least + 1
