"""A node's models by name, made once per list: routing asks a thousand nodes per request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sollol_tui.core.ids import model_key
from sollol_tui.core.state import NodeModel

_KEPT = 4096
_INDEXES: dict[int, tuple[tuple[NodeModel, ...], Mapping[str, NodeModel]]] = {}

key_of = lru_cache(maxsize=_KEPT)(model_key)


def by_key(models: tuple[NodeModel, ...]) -> Mapping[str, NodeModel]:
    """The models by `model_key`; the same object again for the same tuple."""
    known = _INDEXES.get(id(models))
    if known is not None and known[0] is models:
        return known[1]
    if len(_INDEXES) >= _KEPT:
        _INDEXES.clear()
    index = {key_of(m.name): m for m in models}
    _INDEXES[id(models)] = (models, index)
    return index
