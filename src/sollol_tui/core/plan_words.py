"""What a plan says in words: what is too small and what would help, and what one should know."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core.memory_need import Need, need_of
from sollol_tui.core.placement import Limits, Place, Placed, default_layout, fitting_layout
from sollol_tui.core.plan_values import HOST, DevicePlan, PlanBackend, Question
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.server_flags import LocalDevice
from sollol_tui.core.units import size

SMALLEST_CONTEXT = 512


def need_for(question: Question, context_tokens: int | None = None) -> Need:
    options = question.options
    return need_of(question.model.header, context_tokens or options.context_tokens, options.slots)


def limits_for(question: Question, places: tuple[Place, ...]) -> Limits:
    held = question.model.projector_bytes
    free = max(question.host.free_bytes - held, 0) if question.host else None
    return Limits(places, question.options.reserve_bytes, free)


def places_for(backends: Sequence[PlanBackend], local: Sequence[LocalDevice]) -> tuple[Place, ...]:
    """All devices: those of the backends, counted over all of them, and then the host's GPUs."""
    remote = [(b.address, d) for b in backends for d in b.devices]
    return (
        *(Place(f"RPC{i}", a, d.total_bytes, d.free_bytes) for i, (a, d) in enumerate(remote)),
        *(Place(d.name, "", d.total_bytes, d.free_bytes) for d in local),
    )


def memory_problems(
    question: Question,
    usable: Sequence[PlanBackend],
    devices: Sequence[DevicePlan],
    home: DevicePlan,
) -> list[Problem]:
    """A problem for every device that is too small, with what would help."""
    small = [d for d in (*devices, home) if not d.fits]
    if not small:
        return []
    advice = _advice(question, usable)
    return [
        Problem(
            Cause.OUT_OF_MEMORY,
            d.address or ("this machine" if d.name == HOST else f"{d.name} of this machine"),
            (_need_words(d), _room_words(d, question.options.reserve_bytes)),
            advice,
        )
        for d in small
    ]


def _need_words(device: DevicePlan) -> str:
    parts = f"weights {size(device.weights_bytes)}, context {size(device.kv_bytes)}"
    return (
        f"{device.name} needs {size(device.bytes)}: {parts}, compute {size(device.compute_bytes)}"
    )


def _room_words(device: DevicePlan, reserve_bytes: int) -> str:
    if device.name == HOST:
        return f"it has {size(device.free_bytes)} free, for all that runs there"
    return f"it has {size(device.free_bytes)} free, of which {size(reserve_bytes)} stay free"


def _advice(question: Question, usable: Sequence[PlanBackend]) -> str:
    places = places_for(usable, question.local)
    limits = limits_for(question, places)
    context = question.options.context_tokens // 2
    while context >= SMALLEST_CONTEXT and not question.options.tensor_split:
        need = need_for(question, context)
        if fitting_layout(need, limits, default_layout(need, places, None)):
            return f"Set context_tokens to {context}, or add a backend."
        context //= 2
    return "Add a backend, or take a smaller model or quantization."


def notes_of(
    question: Question,
    usable: Sequence[PlanBackend],
    used: Sequence[PlanBackend],
    places: Sequence[Place],
    placed: Placed,
) -> tuple[str, ...]:
    """What a person should know before Enter."""
    header, options = question.model.header, question.options
    notes = [f"{b.address} is left out: nothing fits there" for b in usable if b not in used]
    if assumed := ", ".join(p.address for p in places if p.address and p.assumed_free):
        notes.append(f"all memory counts as free on {assumed}: a CPU backend cannot tell")
    if silent := ", ".join(p.address or p.name for p in places if not p.told):
        notes.append(f"{silent} tells nothing of its memory")
    if placed.host.layers and places:
        notes.append(f"{len(placed.host.layers)} of {header.layers} layers stay on this machine")
    if not places:
        notes.append("no RPC backend: the whole model runs on this machine")
    trained = header.trained_context_tokens
    if trained and options.context_tokens > trained:
        notes.append(f"the model was trained for {trained} tokens of context")
    if question.model.projector:
        held = size(question.model.projector_bytes)
        notes.append(f"it sees pictures: its projector ({held}) is loaded on this machine")
    if header.embeds:
        notes.append("this model makes embeddings, it does not answer")
    return tuple(notes)
