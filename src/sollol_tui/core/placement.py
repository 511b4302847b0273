"""Layers onto devices: what each would hold, whether that fits, and a split that does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.core.memory_need import Need, device_compute_bytes, host_compute_bytes
from sollol_tui.core.split import split_layers


class Place(NamedTuple):
    """A device that layers can go to, in the order in which llama.cpp counts them."""

    name: str  # "RPC0", "CUDA0"
    address: str  # of its backend; "" for the coordinator's own
    total_bytes: int
    free_bytes: int

    @property
    def told(self) -> bool:
        """Whether it says how much memory it has."""
        return self.total_bytes > 0 or self.free_bytes > 0

    @property
    def assumed_free(self) -> bool:
        """Whether all its memory counts as free: a CPU device cannot tell (ggml-cpu.cpp:373)."""
        return self.told and self.total_bytes == self.free_bytes


class Layout(NamedTuple):
    """A way to split a model: `-ngl` and the weights of `-ts`."""

    gpu_layers: int  # the output counts as one
    weights: tuple[float, ...]
    written: bool  # the weights are said on the command line, not left to the server


class Part(NamedTuple):
    """What one device, or the host, holds."""

    layers: tuple[int, ...]
    has_output: bool
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int

    @property
    def bytes(self) -> int:
        """All of it."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes


class Placed(NamedTuple):
    """A layout carried out: the host's part, and one per device."""

    layout: Layout
    host: Part
    parts: tuple[Part, ...]


class Limits(NamedTuple):
    """How much may be taken."""

    places: tuple[Place, ...]
    reserve_bytes: int  # to be left free on every device
    host_free_bytes: int | None  # None: not known, no limit

    def fits(self, index: int, part: Part) -> bool:
        """Whether a device can hold its part; one that tells nothing is believed to."""
        place = self.places[index]
        unused = not part.layers and not part.has_output
        return unused or not place.told or part.bytes + self.reserve_bytes <= place.free_bytes

    def host_fits(self, part: Part) -> bool:
        """Whether the host can hold its part."""
        return self.host_free_bytes is None or part.bytes <= self.host_free_bytes

    def all_fit(self, placed: Placed) -> bool:
        """Whether everything has its place."""
        return self.host_fits(placed.host) and all(
            self.fits(i, part) for i, part in enumerate(placed.parts)
        )


def default_layout(need: Need, places: Sequence[Place], host_total_bytes: int | None) -> Layout:
    """What llama-server does by itself: everything, in proportion to free memory."""
    weights = tuple(float(p.free_bytes if p.told else host_total_bytes or 0) for p in places)
    return Layout(need.layers + 1, weights, written=False)


def place(need: Need, layout: Layout, n_places: int) -> Placed:
    """What each device would hold."""
    owners = split_layers(need.layers, layout.gpu_layers, layout.weights[:n_places])
    held: list[list[int]] = [[] for _ in range(n_places)]
    at_home: list[int] = []
    for layer, owner in enumerate(owners[:-1]):
        (at_home if owner is None else held[owner]).append(layer)
    works = bool(at_home) or owners[-1] is None
    pipelined = n_places > 1 and layout.gpu_layers > need.layers
    first = next((i for i in range(n_places) if held[i]), -1)
    parts = []
    for index, layers in enumerate(held):
        compute = need.logits_bytes if owners[-1] == index else 0
        if layers:
            compute = device_compute_bytes(
                need, layers, first=index == first, pipelined=pipelined, host_works=works
            )
        parts.append(_part(need, layers, owners[-1] == index, compute))
    compute = host_compute_bytes(need, at_home, pipelined=pipelined, works=works)
    host = _part(need, at_home, owners[-1] is None, compute)
    # A tied output that stays on the host is the embedding that lies there already.
    twice = need.tied_bytes if owners[-1] is None else 0
    host = host._replace(weights_bytes=host.weights_bytes + need.input_bytes - twice)
    return Placed(layout, host, tuple(parts))


def _part(need: Need, layers: Sequence[int], has_output: bool, compute: int) -> Part:
    weights, kv = need.slice_bytes(layers, has_output)
    return Part(tuple(layers), has_output, weights, kv, compute)


def fitting_layout(need: Need, limits: Limits, default: Layout) -> Placed | None:
    """A split that fits, the simplest first; None when there is none.

    Tried in turn: what the server does by itself; shares of the room that each device has after its
    compute buffer; each device as full as it gets, from the last one on; and then the first layers
    on the host, as `--fit` does.
    """
    count = len(limits.places)
    layouts = [default]
    if count > 0 and all(p.told for p in limits.places):
        full = _filled(need, limits, partly=False)
        layouts.append(_by_room(need, limits))
        layouts.append(
            full if full.gpu_layers > need.layers else _filled(need, limits, partly=True)
        )
    for layout in layouts:
        placed = place(need, layout, count)
        if limits.all_fit(placed):
            return placed
    return None


def _rooms(need: Need, limits: Limits, *, partly: bool) -> list[int]:
    """The bytes for weights and context on each device."""
    pipelined, every = len(limits.places) > 1 and not partly, range(need.layers)
    return [
        max(
            p.free_bytes
            - limits.reserve_bytes
            - device_compute_bytes(
                need, every, first=i == 0, pipelined=pipelined, host_works=partly
            ),
            0,
        )
        for i, p in enumerate(limits.places)
    ]


def _by_room(need: Need, limits: Limits) -> Layout:
    rooms = _rooms(need, limits, partly=False)
    owners = split_layers(need.layers, need.layers + 1, [float(r) for r in rooms])
    return _counted([owners.count(i) for i in range(len(rooms))])


def _filled(need: Need, limits: Limits, *, partly: bool) -> Layout:
    """As many layers as fit, from the output back to the first; the rest stays on the host."""
    rooms = _rooms(need, limits, partly=partly)
    counts = [0] * len(rooms)
    costs = [*(w + k for w, k in zip(need.weights, need.kv, strict=True)), need.output_bytes]
    device = len(rooms) - 1
    for cost in reversed(costs):
        while device >= 0 and cost > rooms[device]:
            device -= 1
        if device < 0:
            break
        rooms[device] -= cost
        counts[device] += 1
    return _counted(counts)


def _counted(counts: Sequence[int]) -> Layout:
    """A layout that gives each device exactly so many layers, the output among them."""
    return Layout(sum(counts), tuple(map(float, counts)), written=True)
