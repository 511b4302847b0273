"""Which device gets which layer: llama.cpp's own arithmetic, bit for bit.

llama.cpp src/llama-model.cpp:1558-1603 (build 11434). The arithmetic is in 32-bit floats there, and
so it is here: a boundary may fall on the other side in 64 bits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from struct import Struct

_F32 = Struct("<f")


def f32(number: float) -> float:
    """The number as a 32-bit float holds it."""
    (rounded,) = _F32.unpack(_F32.pack(number))
    return float(rounded)


def split_layers(n_layer: int, ngl: int, weights: Sequence[float]) -> tuple[int | None, ...]:
    """The device of each layer, by index; the entry after the last layer is the output's.

    None is the host. `ngl` layers, the output among them, go to the devices (`-ngl`); `weights` are
    `-ts`, or the devices' free bytes when that is not given. Weights that sum to nothing count as
    equal.
    """
    if not weights:
        return (None,) * (n_layer + 1)
    shares = _cumulated(weights if sum(weights) > 0 else [1.0] * len(weights))
    first, count = max(n_layer + 1 - ngl, 0), min(ngl, n_layer + 1)
    return tuple(
        None if layer < first or layer - first >= count else _device(shares, layer - first, count)
        for layer in range(n_layer + 1)
    )


def _cumulated(weights: Sequence[float]) -> list[float]:
    sums = list(accumulate(map(f32, weights), lambda total, weight: f32(total + weight)))
    return [f32(s / sums[-1]) for s in sums]


def _device(shares: Sequence[float], index: int, count: int) -> int:
    return bisect_right(shares, f32(f32(index) / f32(count)))
