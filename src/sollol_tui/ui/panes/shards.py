"""The shard map: which layers of a split model lie on which device, drawn (N8).

Only what llama-server reported is drawn, never the plan: `--fit` may have moved layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.ids import RPC_PORT, short_name
from sollol_tui.ui.panes.figures import bar, gib
from sollol_tui.ui.text import UNKNOWN, Line, clean, fit, width

if TYPE_CHECKING:
    from sollol_tui.core.shard_map import Shard, ShardMap
    from sollol_tui.core.state import CoordinatorState

_BAR_LEAST, _BAR_MOST = 6, 24
_SIZES = (("WEIGHTS", 7), ("KV", 5), ("COMP", 5))
_HERE = "here"


class Held(NamedTuple):
    """How many of a model's layers lie on one backend."""

    layers: int
    of: int


def shard_lines(shards: ShardMap, cells: int) -> list[Line]:
    """A title and one line per device, the host's last when it has anything."""
    parts = [*shards.devices]
    if shards.host.layers or shards.host.bytes:
        parts.append(shards.host)
    names = _column(["", *(part.name for part in parts)])
    ranges = _column(["LAYERS", *(layers_text(p.layers, has_output=p.has_output) for p in parts)])
    places = ["AT", *(_place(part) for part in parts)]
    fixed = width(names[0]) + width(ranges[0]) + sum(cells for _, cells in _SIZES) + 8
    free = cells - fixed - max(map(width, places))
    bar_cells = max(_BAR_LEAST, min(_BAR_MOST, free))
    sizes = " ".join(fit(title, size, "right") for title, size in _SIZES)
    head = f"{names[0]} {'':<{bar_cells}} {ranges[0]}  {sizes}  {places[0]}"
    lines: list[Line] = [((head, "head"),)]
    for part, name, spread, place in zip(parts, names[1:], ranges[1:], places[1:], strict=True):
        count = len(part.layers) if part.layers is not None else 0
        amounts = (part.weights_bytes, part.kv_bytes, part.compute_bytes)
        told = " ".join(
            fit(gib(b), size, "right") for b, (_, size) in zip(amounts, _SIZES, strict=True)
        )
        lines.append(
            (
                (f"{name} ", "muted"),
                *bar(count, shards.layers, bar_cells),
                (f" {spread}  ", ""),
                (told, ""),
                (f"  {place}", "muted"),
            )
        )
    return lines


def layers_text(layers: Sequence[int] | None, *, has_output: bool) -> str:
    """Which layers: `0–14`, `0–3 8`, `15–29 +out`; `–` for unknown, `none` for none."""
    if layers is None:
        return UNKNOWN
    runs: list[list[int]] = []
    for number in layers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in runs]
    if has_output:
        texts.append("+out" if texts else "out")
    return " ".join(texts) or "none"


def held_layers(coordinators: Iterable[CoordinatorState]) -> Mapping[str, Held]:
    """How many layers each backend holds, by its address, over all its devices."""
    held: dict[str, Held] = {}
    for coordinator in coordinators:
        shards = coordinator.shards
        for shard in shards.devices if shards is not None else ():
            if shards is not None and shard.address and shard.layers is not None:
                before = held.get(shard.address, Held(0, 0)).layers
                held[shard.address] = Held(before + len(shard.layers), shards.layers)
    return held


def _column(texts: Sequence[str]) -> list[str]:
    cells = max(width(clean(text, 24)) for text in texts)
    return [fit(text, cells) for text in texts]


def _place(part: Shard) -> str:
    return clean(short_name(part.address, RPC_PORT), 40) if part.address else _HERE
