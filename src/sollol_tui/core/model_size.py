"""How large a model is: from metadata; from its name only as a last resort, and then said."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sollol_tui.core.ids import model_key
from sollol_tui.core.model_index import by_key
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, NodeModel

# "8x7b" is eight experts of seven; "-70b-", ":0.5b", "135m" stand between separators.
_EXPERTS = re.compile(r"(?<![a-z0-9.])(\d+)x(\d+(?:\.\d+)?)([bmt])(?![a-z])", re.IGNORECASE)
_PLAIN = re.compile(r"(?<![a-z0-9.])(\d+(?:\.\d+)?)([bmt])(?![a-z])", re.IGNORECASE)
Found = Sequence[NodeModel | None]

_SCALE = {"t": 1e12, "b": 1e9, "m": 1e6}


class ModelSize(NamedTuple):
    """Number of weights, and whether only the name said so."""

    parameters: float | None
    guessed: bool = False


def models_on_nodes(name: str, snapshot: ClusterSnapshot) -> Found:
    """What each node has under that name, in the order of the nodes; None where it has nothing."""
    key = model_key(name)
    return [by_key(node.models).get(key) for node in snapshot.nodes]


def size_of(name: str, found: Found, coordinators: Iterable[CoordinatorState]) -> ModelSize:
    """The size of a model as the cluster's own metadata tells it, else as its name suggests."""
    key = model_key(name)
    told = [m.parameters for m in found if m is not None and m.parameters]
    told += [
        c.parameters for c in coordinators if c.parameters and c.model and model_key(c.model) == key
    ]
    return ModelSize(max(told)) if told else ModelSize(size_in_name(name), guessed=True)


def size_in_name(name: str) -> float | None:
    """The number of weights that a model's name suggests, or None."""
    last = name.rsplit("/", 1)[-1]
    if experts := _EXPERTS.search(last):
        return int(experts[1]) * float(experts[2]) * _SCALE[experts[3].lower()]
    if plain := _PLAIN.search(last):
        return float(plain[1]) * _SCALE[plain[2].lower()]
    return None
