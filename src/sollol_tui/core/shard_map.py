"""Which layers lie on which device, and how many bytes: drawn from what the server reported.

Never from the plan: what was wished and what was loaded may differ (`--fit` moves layers).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.core.llama_log import BufferSeen, DeviceSeen, LogFacts

_RPC_PLACE = re.compile(r"RPC(\d*)\[([^\]]+)\]$")
_RPC_NAME = re.compile(r"RPC\d*$|RPC\d*\[")
HOST = "host"


class Shard(NamedTuple):
    """One device's part of a loaded model. None: the log did not say."""

    name: str  # "RPC0", "CUDA0", "host"
    address: str  # of an RPC device's backend; "" for the coordinator's own
    layers: tuple[int, ...] | None  # which repeating layers
    has_output: bool
    weights_bytes: int | None
    kv_bytes: int | None
    compute_bytes: int | None
    total_bytes: int | None = None
    free_bytes: int | None = None

    @property
    def bytes(self) -> int | None:
        """All that the model takes there."""
        known = [
            b for b in (self.weights_bytes, self.kv_bytes, self.compute_bytes) if b is not None
        ]
        return sum(known) if known else None


class ShardMap(NamedTuple):
    """The whole model: devices in the order in which the layers pass them, the host apart."""

    devices: tuple[Shard, ...]
    host: Shard
    layers: int
    exact: bool  # the layers were told one by one; else they follow from the reported bytes


class _Part(NamedTuple):
    device: DeviceSeen
    sizes: dict[str, int]


def shard_map(
    facts: LogFacts, n_layers: int, layer_kv_bytes: Sequence[int] = ()
) -> ShardMap | None:
    """The shard map that a log tells, None before it tells anything.

    `layer_kv_bytes` (any unit) weighs layers whose caches differ, as with a sliding window; without
    it all layers weigh the same. Layers come from `-lv 5` lines when there are any, else from each
    device's share of the reported cache: the first layers lie on the host, then device by device.
    """
    host, parts = _parts(facts)
    if not parts and not host:
        return None
    told = len(facts.layer_devices) > n_layers > 0
    owners: list[str | None] | None
    if told:
        owners = [d if d != "CPU" else None for d in facts.layer_devices]
    else:
        owners = _by_share(host, parts, n_layers, layer_kv_bytes)
    shards = tuple(_shard(p.device.name, p, owners, n_layers) for p in parts)
    return ShardMap(
        shards, _shard(None, _Part(_HOST_DEVICE, host), owners, n_layers), n_layers, told
    )


_HOST_DEVICE = DeviceSeen(HOST, "", None, None)


def _parts(facts: LogFacts) -> tuple[dict[str, int], list[_Part]]:
    """The sizes on the host and on each device, by kind."""
    if not facts.buffers:
        return _parts_of_rows(facts)
    devices = facts.devices or _devices_of(facts.buffers)
    parts = [_Part(d, {}) for d in devices]
    host: dict[str, int] = {}
    places = _places(devices)
    for buffer in facts.buffers:
        index = places.get(_key(buffer.place))
        sizes = host if index is None else parts[index].sizes
        sizes[buffer.kind] = sizes.get(buffer.kind, 0) + buffer.bytes
    return host, parts


def _parts_of_rows(facts: LogFacts) -> tuple[dict[str, int], list[_Part]]:
    """The same from the memory breakdown: whole MiB, all that verbosity 3 prints."""
    host: dict[str, int] = {}
    parts: list[_Part] = []
    for row in facts.memory:
        sizes = {"weights": row.weights_bytes, "kv": row.kv_bytes, "compute": row.compute_bytes}
        if row.kind == "device":
            device = DeviceSeen(row.name, row.description, row.total_bytes, row.free_bytes)
            parts.append(_Part(device, sizes))
        else:
            host = {kind: host.get(kind, 0) + size for kind, size in sizes.items()}
    return host, parts


def _places(devices: Sequence[DeviceSeen]) -> dict[tuple[str, int], int]:
    """Where a buffer's place points: devices count globally, buffers count per endpoint."""
    seen: Counter[str] = Counter()
    places: dict[tuple[str, int], int] = {}
    for index, device in enumerate(devices):
        where = device.description if _RPC_NAME.match(device.name) else device.name
        places[(where, seen[where])] = index
        seen[where] += 1
    return places


def _key(place: str) -> tuple[str, int]:
    if match := _RPC_PLACE.match(place):
        return match[2], int(match[1] or 0)
    return place, 0


def _devices_of(buffers: Sequence[BufferSeen]) -> list[DeviceSeen]:
    places = dict.fromkeys(b.place for b in buffers if _RPC_PLACE.match(b.place))
    return [DeviceSeen(f"RPC{i}", _key(p)[0], None, None) for i, p in enumerate(places)]


def _by_share(
    host: dict[str, int], parts: Sequence[_Part], n_layers: int, costs: Sequence[int]
) -> list[str | None] | None:
    """Who has each layer, by cumulated shares of the cache (of the weights when there is none)."""
    everybody = [host, *(p.sizes for p in parts)]
    kind = "kv" if any(s.get("kv") for s in everybody) else "weights"
    sizes = [s.get(kind, 0) for s in everybody]
    if kind == "weights":
        sizes[0] = 0  # the host's are the embedding: a model without a cache lies elsewhere
    total, names = sum(sizes), [None, *(p.device.name for p in parts)]
    if total <= 0 or n_layers <= 0:
        return None
    weights = list(costs) if len(costs) == n_layers and sum(costs) > 0 else [1] * n_layers
    scale, owners, filled, passed = total / sum(weights), [], sizes[0], 0.0
    current = 0
    for weight in weights:
        middle = (passed + weight / 2) * scale
        while middle > filled and current < len(sizes) - 1:
            current += 1
            filled += sizes[current]
        owners.append(names[current])
        passed += weight
    last = next((p.device.name for p in reversed(parts) if p.sizes.get("weights")), None)
    return [*owners, last]


def _shard(name: str | None, part: _Part, owners: list[str | None] | None, n_layers: int) -> Shard:
    device, sizes = part
    layers = None
    if owners is not None:
        layers = tuple(i for i in range(n_layers) if owners[i] == name)
    return Shard(
        device.name,
        device.description if _RPC_NAME.match(device.name) else "",
        layers,
        owners is not None and owners[n_layers] == name,
        sizes.get("weights", 0),
        sizes.get("kv", 0),
        sizes.get("compute", 0),
        device.total_bytes,
        device.free_bytes,
    )
