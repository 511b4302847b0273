"""Which models take pictures: asked of those who have them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import same_model
from sollol_tui.core.routing import SEES, serves
from sollol_tui.core.state import ClusterSnapshot, NodeState, NodeStatus
from sollol_tui.io import ollama
from sollol_tui.io.http import Http, Server

ASK_S = 3.0


async def sees(
    model: str, snapshot: ClusterSnapshot, server: Callable[[str], Server], http: Http
) -> bool | None:
    """Whether the model takes pictures at some place; None when no place told.

    A node's `/api/show` decides: what `/api/tags` says besides may be older (facts/ollama.md §0).
    A coordinator tells it among its properties.
    """
    nodes = [node for node in snapshot.nodes if _has(node, model)]
    told = await asyncio.gather(*(_at(node, model, server(node.url), http) for node in nodes))
    told += [c.sees for c in snapshot.coordinators if serves(c, model)]
    known = [answer for answer in told if answer is not None]
    return any(known) if known else None


def _has(node: NodeState, model: str) -> bool:
    return any(same_model(each.name, model) for each in node.models)


async def _at(node: NodeState, model: str, server: Server, http: Http) -> bool | None:
    listed = next(each for each in node.models if same_model(each.name, model))
    if node.status is NodeStatus.UP:
        shown = await ollama.show(http, server, listed.name, ASK_S)
        if not isinstance(shown, Fault) and shown.capabilities:
            return SEES in shown.capabilities
    return SEES in listed.capabilities if listed.capabilities else None
