"""How large a model is: from metadata; from its name only as a last resort, and then said."""

from __future__ import annotations

import re
from typing import NamedTuple

from sollol_tui.core.ids import model_key
from sollol_tui.core.model_index import by_key
from sollol_tui.core.state import ClusterSnapshot, NodeModel

# "8x7b" is eight experts of seven; "-70b-", ":0.5b", "135m" stand between separators.
_EXPERTS = re.compile(r"(?<![a-z0-9.])(\d+)x(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)
_PLAIN = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bm])(?![a-z])", re.IGNORECASE)
_SCALE = {"b": 1e9, "m": 1e6}


class ModelSize(NamedTuple):
    """Number of weights, and whether only the name said so."""

    parameters: float | None
    guessed: bool = False


def size_of(model: str, snapshot: ClusterSnapshot) -> ModelSize:
    """The size of a model as the cluster's own metadata tells it, else as its name suggests."""
    key = model_key(model)
    told = [m.parameters for m in models_named(key, snapshot) if m.parameters]
    told += [
        c.parameters
        for c in snapshot.coordinators
        if c.parameters and c.model and model_key(c.model) == key
    ]
    if told:
        return ModelSize(max(told))
    return ModelSize(size_in_name(model), guessed=True)


def models_named(key: str, snapshot: ClusterSnapshot) -> list[NodeModel]:
    """What the nodes have under that name (compared by `model_key`)."""
    found = (by_key(n.models).get(key) for n in snapshot.nodes)
    return [m for m in found if m is not None]


def size_in_name(name: str) -> float | None:
    """The number of weights that a model's name suggests, or None."""
    last = name.rsplit("/", 1)[-1]
    if experts := _EXPERTS.search(last):
        return int(experts[1]) * float(experts[2]) * _SCALE[experts[3].lower()]
    if plain := _PLAIN.search(last):
        return float(plain[1]) * _SCALE[plain[2].lower()]
    return None
