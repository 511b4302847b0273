"""How large the context is that a model is loaded with."""

from __future__ import annotations

from sollol_tui.core.ids import model_key
from sollol_tui.core.state import ClusterSnapshot


def context_of(snapshot: ClusterSnapshot, target: str, model: str) -> int | None:
    """The tokens that one request may use there, prompt and answer; None when it is not known."""
    coordinator = snapshot.coordinator(target)
    if coordinator is not None:
        return coordinator.context_tokens
    node, key = snapshot.node(target), model_key(model)
    loaded = node.loaded if node is not None else ()
    return next((m.context_tokens for m in loaded if model_key(m.name) == key), None)
