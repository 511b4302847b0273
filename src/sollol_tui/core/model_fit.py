"""Whether a model fits the memory of a single node, as far as nodes tell of their memory."""

from __future__ import annotations

from sollol_tui.core.ids import same_model
from sollol_tui.core.model_size import Found
from sollol_tui.core.state import ClusterSnapshot, LoadedModel, NodeModel, NodeState, NodeStatus


def fits_no_node(found: Found, snapshot: ClusterSnapshot) -> bool:
    """Whether every node that could take the model told of its memory, and none has enough.

    Args:
        found: what each node has under the model's name, in the order of the nodes.
    """
    tells = False
    for node, model in zip(snapshot.nodes, found, strict=True):
        if model is None or node.drained or node.status is not NodeStatus.UP:
            continue
        if _fits(node, model) is not False:
            return False
        tells = True
    return tells


def room_bytes(node: NodeState) -> int | None:
    """What a model may take on a node's GPUs: what is free, and what Ollama would make free by
    unloading (sched.go:1557). None when nobody told.
    """
    total, free = node.vram_total_bytes, node.vram_free_bytes
    loaded = [m.vram_bytes for m in node.loaded]
    if total is None or free is None or any(used is None for used in loaded):
        return total
    return min(total, free + sum(used or 0 for used in loaded))


def _fits(node: NodeState, model: NodeModel) -> bool | None:
    """None: not known."""
    for loaded in node.loaded:
        if same_model(loaded.name, model.name) and (told := _is_whole(loaded)) is not None:
            return told
    room = room_bytes(node)
    return None if room is None or model.size_bytes is None else model.size_bytes <= room


def _is_whole(loaded: LoadedModel) -> bool | None:
    """Whether a loaded model lies on the GPU as a whole; None where that says nothing: unknown,
    or a node that computes on its CPU anyhow.
    """
    if loaded.bytes is None or not loaded.vram_bytes:
        return None
    return loaded.vram_bytes >= loaded.bytes
