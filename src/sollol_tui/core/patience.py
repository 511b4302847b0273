"""How long silence on an answer is no stall (N3): loading and queueing are not hanging."""

from __future__ import annotations

from sollol_tui.core.ids import model_key
from sollol_tui.core.state import ClusterSnapshot, LoadedModel, NodeStatus

LOAD_EXTRA_S = 300.0  # a cold model may take so long, and more the larger it is
LOAD_EXTRA_S_PER_BYTE = 20.0 / 2**30

_ANSWERS = {NodeStatus.UP, NodeStatus.SATURATED}


def reloads(loaded: LoadedModel, context_tokens: int | None) -> bool:
    """Whether a request's context makes Ollama load the model anew (server/sched.go:1381)."""
    return context_tokens is not None and loaded.context_tokens not in {None, context_tokens}


def is_cold(
    snapshot: ClusterSnapshot, target: str, model: str, context_tokens: int | None = None
) -> bool:
    """Whether a node has to load the model first. A coordinator never has to.

    Args:
        context_tokens: what the request asks for; with another one the model is loaded anew.
    """
    node, key = snapshot.node(target), model_key(model)
    if node is None:
        return False
    return not any(model_key(m.name) == key and not reloads(m, context_tokens) for m in node.loaded)


def first_token_limit_s(
    snapshot: ClusterSnapshot, target: str, model: str, context_tokens: int | None = None
) -> float:
    """How long the first token may take, in seconds: longest while the model is loaded there.

    Only a node that goes on answering its looks is believed to load: Ollama does while it loads
    (measured), a stopped one does not.
    """
    limit_s = snapshot.rules.first_token_limit_s
    node, key = snapshot.node(target), model_key(model)
    if node is None or node.status not in _ANSWERS:
        return limit_s
    if not is_cold(snapshot, target, model, context_tokens):
        return limit_s
    size = next((m.size_bytes for m in node.models if model_key(m.name) == key), None)
    return limit_s + LOAD_EXTRA_S + LOAD_EXTRA_S_PER_BYTE * (size or 0)


def others_moved_at_s(snapshot: ClusterSnapshot, target: str, request_id: str) -> float:
    """When another request of ours last got a token there: what waits behind it does not hang."""
    others = (r for r in snapshot.requests if r.target == target and r.id != request_id)
    return max((r.last_token_at_s or 0.0 for r in others), default=0.0)
