"""What a worker writes about itself into the registry: SOLLOL's own shape, and more beside it.

SOLLOL's setup_rpc_node.py writes 80 % of each size and always names the host's CPU first; its
readers look at those fields only. `devices` tells the whole truth, as the backend did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sollol_tui.core.devices import Device
from sollol_tui.core.registry_shapes import RPC_NODE_PREFIX
from sollol_tui.core.server_flags import LocalDevice

HEARTBEAT_S = 10.0
TTL_S = 30  # three heartbeats: one or two may be late

CPU = "CPU"
_SOLLOL_SHARE = 0.8
_MIB = 1 << 20


class WorkerDevice(NamedTuple):
    """A device of the backend: `CUDA0`, `NVIDIA GeForce RTX 3090`; texts are empty when not known.

    `free_bytes` is None for a CPU: llama.cpp takes all of it as free.
    """

    name: str
    description: str
    total_bytes: int
    free_bytes: int | None


def named_devices(
    probed: Sequence[Device], listed: Sequence[LocalDevice], ram_bytes: int
) -> tuple[WorkerDevice, ...]:
    """What the probe found, with the names that the backend's log lists in the same order.

    One without a name that is as large as this machine's memory is the CPU.
    """
    names = list(listed) if len(listed) == len(probed) else [None] * len(probed)
    return tuple(_named(d, n, ram_bytes) for d, n in zip(probed, names, strict=True))


def _named(device: Device, listed: LocalDevice | None, ram_bytes: int) -> WorkerDevice:
    name = listed.name if listed else CPU if device.total_bytes == ram_bytes else ""
    free_bytes = None if name == CPU else device.free_bytes
    description = listed.description if listed else ""
    return WorkerDevice(name, description, device.total_bytes, free_bytes)


def device_json(device: WorkerDevice) -> dict[str, object]:
    """A device as JSON, in the registry and on the command line alike."""
    return device._asdict()


def entry_key(address: str) -> str:
    """Where the entry of a backend lies."""
    return f"{RPC_NODE_PREFIX}{address}"


def registry_entry(
    devices: Sequence[WorkerDevice] | None,
    ram_bytes: int,
    *,
    protocol: str | None = None,
    in_use: bool | None = None,
    heartbeat_s: float = 0.0,
) -> dict[str, object]:
    """The entry. `devices` None: not known yet, because a client has held it since its start.

    `heartbeat` is the worker's clock; `ttl_s` lets a reader tell the age without trusting it.
    """
    gpus = [device for device in devices or () if device.name != CPU]
    sizes_mb = [_sollol_mb(device.total_bytes) for device in gpus]
    ram_mb = _sollol_mb(ram_bytes)
    ids = [_sollol_id(device, number) for number, device in enumerate(gpus)]
    return {
        "has_gpu": bool(gpus),
        "gpu_devices": ids,
        "gpu_vram_mb": sizes_mb,
        "gpu_names": [device.description or device.name for device in gpus],
        "cpu_ram_mb": ram_mb,
        "device_config": ",".join(["cpu", *ids]),
        "memory_config": ",".join(map(str, [ram_mb, *sizes_mb])),
        "total_parallel_workers": 1 + len(gpus),
        "protocol": protocol,
        "devices": None if devices is None else [device_json(device) for device in devices],
        "in_use": in_use,
        "heartbeat": heartbeat_s,
        "ttl_s": TTL_S,
        "source": "sollol-tui",
    }


def _sollol_mb(size_bytes: int) -> int:
    return int(size_bytes * _SOLLOL_SHARE / _MIB)


def _sollol_id(device: WorkerDevice, number: int) -> str:
    """`CUDA0` is `cuda:0` there."""
    kind = device.name.rstrip("0123456789")
    index = device.name[len(kind) :] or str(number)
    return f"{(kind or 'gpu').lower()}:{index}"
