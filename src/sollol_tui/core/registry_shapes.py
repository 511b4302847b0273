"""The values that SOLLOL programs write into Redis, in every shape they are found in.

Sources: SOLLOL 0.9.66 and SynapticLlamas 0.1.2. Nothing here raises for what a value holds: what
cannot be read is told in a note. Ages are seconds, of the statement, not of the key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import NamedTuple

from sollol_tui.core import units, wire
from sollol_tui.core.ids import host_of, is_loopback, parse_backend_address, parse_node_url
from sollol_tui.core.plain import plain_line
from sollol_tui.core.registry_mark import without_own
from sollol_tui.core.reports import FoundBackend, FoundNode

METADATA_KEY = "sollol:router:metadata"
RPC_NODE_PREFIX = "sollol:rpc:node:"
GPU_PREFIX = "sollol:gpu:"
RPC_BACKEND_PREFIX = "rpc:backend:"
GPU_STREAM_KEY = "sollol:gpu:stats"  # a stream among the strings; nobody reads it

COORDINATOR_STAND_IN = "coordinator:0"  # an entry that means "the coordinator knows"

SOURCE = "redis"
MAX_NOTES = 20
MAX_ENTRIES = 10_000  # of one list
MAX_DEVICES_TOLD = 16

_HOUR_S = 3600  # for so long registrations and the router's metadata are kept
_GPU_REPORT_S = 120
_MIB = 1 << 20
_NAME_CHARS = 60
_MAKERS = {"nvidia", "geforce", "amd", "radeon", "intel"}


class RegistryValue(NamedTuple):
    """One key as it was read: a string's bytes, or the fields of a hash."""

    key: str
    content: bytes | Mapping[str, str]
    ttl_s: int | None = None  # None: it never expires


class Shaped(NamedTuple):
    """What values say. `apps` are names of programs, `notes` what could not be read."""

    nodes: tuple[FoundNode, ...] = ()
    backends: tuple[FoundBackend, ...] = ()
    apps: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _NodeTold(NamedTuple):
    age_s: float | None
    gpu: str = ""
    total_bytes: int | None = None
    free_bytes: int | None = None


class _Reading:
    """Collects what one value says."""

    def __init__(self, key: str, loopback_is_here: bool) -> None:
        self.key = key
        self._loopback_is_here = loopback_is_here
        self.nodes: list[FoundNode] = []
        self.backends: list[FoundBackend] = []
        self.apps: list[str] = []
        self.notes: list[str] = []

    def note(self, problem: str) -> None:
        self.notes.append(f"{_clean(self.key)}: {_clean(problem, 200)}")

    def add_node(self, text: str, told: _NodeTold) -> None:
        try:
            url = parse_node_url(text)
        except ValueError as error:
            self.note(str(error))
            return
        if self._means_here(url):
            self.nodes.append(
                FoundNode(
                    url,
                    SOURCE,
                    age_s=told.age_s,
                    gpu=told.gpu,
                    vram_total_bytes=told.total_bytes,
                    vram_free_bytes=told.free_bytes,
                )
            )

    def add_backend(
        self, text: str, age_s: float | None, told: str, *, beats: bool = False
    ) -> None:
        try:
            address = parse_backend_address(text)
        except ValueError as error:
            self.note(str(error))
            return
        if self._means_here(address):
            self.backends.append(FoundBackend(address, SOURCE, age_s, told, beats))

    def _means_here(self, target: str) -> bool:
        """A loopback address means the machine that wrote it, which is another one."""
        if self._loopback_is_here or not is_loopback(host_of(target)):
            return True
        self.note(f"{target} is another machine's own address")
        return False

    def result(self) -> Shaped:
        return Shaped(tuple(self.nodes), tuple(self.backends), tuple(self.apps), tuple(self.notes))


def read_value(
    value: RegistryValue, now_s: float, *, loopback_is_here: bool = True, own_instance: str = ""
) -> Shaped:
    """What one key says. `now_s` is seconds since the epoch, as the values' own timestamps.

    `loopback_is_here`: whether 127.0.0.1 in it may mean this machine, because Redis runs here;
    `own_instance`: whose entries are left out.
    """
    reading = _Reading(value.key, loopback_is_here)
    if value.key.startswith(RPC_BACKEND_PREFIX):
        _read_rpc_backend(reading, value)
        return reading.result()
    content = value.content if isinstance(value.content, bytes) else b""
    document = wire.parse_json(content)
    if not isinstance(document, dict):
        reading.note("not a JSON object")
    elif value.key == METADATA_KEY:
        _read_metadata(reading, without_own(document, own_instance), value.ttl_s, now_s)
    elif value.key.startswith(RPC_NODE_PREFIX):
        age_s = _age_by_ttl(value.ttl_s, wire.positive(document.get("ttl_s")) or _HOUR_S)
        tail = value.key.removeprefix(RPC_NODE_PREFIX)
        beats = wire.positive(document.get("heartbeat")) is not None  # only ours does
        reading.add_backend(tail, age_s, devices_told(document), beats=beats)
    elif value.key.startswith(GPU_PREFIX):
        _read_gpu(reading, document, value.ttl_s, now_s)
    return reading.result()


def join(shapes: Iterable[Shaped]) -> Shaped:
    """All of them as one: each target once, with the youngest statement and all that was told."""
    nodes: dict[str, FoundNode] = {}
    backends: dict[str, FoundBackend] = {}
    apps: dict[str, None] = {}
    notes: list[str] = []
    for shape in shapes:
        for node in shape.nodes:
            nodes[node.url] = _join_nodes(nodes.get(node.url), node)
        for backend in shape.backends:
            backends[backend.address] = _join_backends(backends.get(backend.address), backend)
        apps.update(dict.fromkeys(shape.apps))
        notes.extend(shape.notes)
    return Shaped(
        tuple(nodes.values()), tuple(backends.values()), tuple(apps), shortened(tuple(notes))
    )


def shortened(notes: tuple[str, ...]) -> tuple[str, ...]:
    """The first notes, and how many more there are."""
    if len(notes) <= MAX_NOTES:
        return notes
    return (*notes[:MAX_NOTES], f"and {len(notes) - MAX_NOTES} more values that cannot be read")


def devices_told(document: Mapping[str, object]) -> str:
    """The devices of a registered backend, for people: `RTX 3090 19.2 GiB · CPU 11.7 GiB`.

    SOLLOL registers 80 % of each size; a worker of ours adds what the backend itself said. Empty
    when it knows nothing: for hosts it could not ask SOLLOL writes a made-up CPU of 8000 MB.
    """
    if _is_made_up(document):
        return ""
    if "devices" in document:
        exact = wire.items(document["devices"])[:MAX_DEVICES_TOLD]
        return " · ".join(_exact_device_told(wire.fields(device)) for device in exact)
    names = wire.texts(document.get("gpu_names")) or wire.texts(document.get("gpu_devices"))
    sizes = wire.items(document.get("gpu_vram_mb"))
    told = [
        _device_told(_short_name(name) or "GPU", size_mb)
        for name, size_mb in list(zip_longest(names, sizes, fillvalue=""))[:MAX_DEVICES_TOLD]
    ]
    if wire.number(document.get("cpu_ram_mb")):
        told.append(_device_told("CPU", document.get("cpu_ram_mb")))
    return " · ".join(told)


def node_text(entry: object) -> str:
    """The address in an entry of a list of nodes: a text, `url`, or `host` and `port`."""
    found = wire.fields(entry)
    host = wire.text(found.get("host"))
    return (
        wire.text(entry)
        or wire.text(found.get("url"))
        or (_with_port(host, found.get("port")) if host else "")
    )


def backend_text(entry: object) -> str:
    """The address in an entry of a list of RPC backends: a text, or `host` and `port`."""
    found = wire.fields(entry)
    return wire.text(entry) or _with_port(wire.text(found.get("host")), found.get("port"))


# The router's metadata


def _read_metadata(
    reading: _Reading, document: dict[str, object], ttl_s: int | None, now_s: float
) -> None:
    """Four writers, three forms, the last one wins: any part may be missing."""
    age_s = _age_by_timestamp(document, now_s)
    if age_s is None:
        age_s = _age_by_ttl(ttl_s, _HOUR_S)
    for entry in wire.items(document.get("nodes"))[:MAX_ENTRIES]:
        if text := node_text(entry):
            free_bytes = _mib(wire.fields(entry).get("gpu_free_mem"))
            reading.add_node(text, _NodeTold(age_s, free_bytes=free_bytes))
        else:
            reading.note("a node without an address")
    for entry in wire.items(document.get("rpc_backends"))[:MAX_ENTRIES]:
        _read_backend_entry(reading, entry, age_s)
    reading.apps.extend(_apps(document))


def _read_backend_entry(reading: _Reading, entry: object, age_s: float | None) -> None:
    text = backend_text(entry)
    if text == COORDINATOR_STAND_IN:
        return
    if text:
        reading.add_backend(text, age_s, devices_told(wire.fields(entry)))
    else:
        reading.note("an RPC backend without an address")


def _apps(document: dict[str, object]) -> list[str]:
    named = [
        wire.text(wire.fields(a).get("name")) for a in wire.items(document.get("applications"))
    ]
    router = wire.text(wire.fields(document.get("metrics")).get("router_type"))
    candidates = [*named, wire.text(document.get("app_name"))]
    if not any(candidates):
        candidates = [router, wire.text(document.get("source"))]
    return [_clean(name) for name in candidates if name.strip()]


# Reports of GPUs, and the keys that only the manual knows


def _read_gpu(
    reading: _Reading, document: dict[str, object], ttl_s: int | None, now_s: float
) -> None:
    age_s = _age_by_timestamp(document, now_s)
    gpus = [wire.fields(gpu) for gpu in wire.items(document.get("gpus"))[:MAX_ENTRIES]]
    told = _NodeTold(
        age_s=_age_by_ttl(ttl_s, _GPU_REPORT_S) if age_s is None else age_s,
        gpu=_gpus_told(document, gpus),
        total_bytes=_sum_mib(gpu.get("memory_total_mb") for gpu in gpus),
        free_bytes=_sum_mib(gpu.get("memory_free_mb") for gpu in gpus),
    )
    name = wire.text(document.get("node_id")) or reading.key.removeprefix(GPU_PREFIX)
    reading.add_node(name, told)


def _gpus_told(document: dict[str, object], gpus: list[dict[str, object]]) -> str:
    counts: dict[str, int] = {}
    for gpu in gpus:
        name = _short_name(wire.text(gpu.get("name"))) or "GPU"
        counts[name] = counts.get(name, 0) + 1
    told = [name if n == 1 else f"{n} × {name}" for name, n in counts.items()]
    if not told and wire.text(document.get("vendor")) == "none":
        told = ["no GPU"]
    note = _clean(wire.text(document.get("note")))
    return " · ".join([*told[:MAX_DEVICES_TOLD], note] if note else told[:MAX_DEVICES_TOLD])


def _read_rpc_backend(reading: _Reading, value: RegistryValue) -> None:
    """A string or a hash with host and port, `host:port` as a string, or only in the key."""
    if isinstance(value.content, bytes):
        document = wire.parse_json(value.content)
        plain = wire.text(document) or value.content[:256].decode("utf-8", "replace").strip()
    else:
        document, plain = dict(value.content), ""
    found = wire.fields(document)
    tail = value.key.removeprefix(RPC_BACKEND_PREFIX)
    host = wire.text(found.get("host"))
    in_key_or_text = next(filter(_has_port, (tail, plain)), "")
    text = _with_port(host, found.get("port")) if host else in_key_or_text
    if text:
        reading.add_backend(text, None, devices_told(found))
    else:
        reading.note("neither the key nor the value is host:port")


# Pieces


def _with_port(host: str, port: object) -> str:
    """`host:port`; the host as it is when it brings a port of its own, or none is given."""
    number = str(port) if isinstance(port, int) and not isinstance(port, bool) else wire.text(port)
    if not host or not number or "://" in host or _has_port(host):
        return host
    bare_ipv6 = ":" in host and not host.startswith("[")
    return f"[{host}]:{number}" if bare_ipv6 else f"{host}:{number}"


def _has_port(text: str) -> bool:
    host, colon, port = text.rpartition(":")
    is_ipv6 = ":" in host and not host.endswith("]")
    return bool(colon and host and port.isdigit() and not is_ipv6)


def _age_by_timestamp(document: Mapping[str, object], now_s: float) -> float | None:
    written_at_s = wire.number(document.get("timestamp"))
    return None if written_at_s is None else max(0.0, now_s - written_at_s)


def _age_by_ttl(ttl_s: int | None, full_s: int) -> float | None:
    """How old a value is whose writer gave it `full_s` to live; None when that cannot be."""
    return None if ttl_s is None or not 0 <= ttl_s <= full_s else float(full_s - ttl_s)


def _sum_mib(values: Iterable[object]) -> int | None:
    sizes = [size for value in values if (size := _mib(value)) is not None]
    return sum(sizes) if sizes else None


def _mib(value: object) -> int | None:
    """Bytes of a figure in MiB; None for 0, which stands for "not known" there."""
    number = wire.number(value)
    return int(number * _MIB) if number is not None and number > 0 else None


def _is_made_up(document: Mapping[str, object]) -> bool:
    made_up = {"cpu_ram_mb": 8000, "device_config": "cpu", "memory_config": "8000"}
    return all(document.get(key) == value for key, value in made_up.items())


def _device_told(name: str, size_mb: object) -> str:
    size_bytes = _mib(size_mb)
    return name if size_bytes is None else f"{name} {units.size(size_bytes)}"


def _exact_device_told(device: Mapping[str, object]) -> str:
    name = _clean(wire.text(device.get("name")))
    kind = "" if name == "CPU" else _short_name(wire.text(device.get("description")))
    size_bytes = wire.positive(device.get("total_bytes"))
    told = kind or name or "device"
    return told if size_bytes is None else f"{told} {units.size(size_bytes)}"


def _short_name(name: str) -> str:
    """`NVIDIA GeForce RTX 3090` is an RTX 3090."""
    words = _clean(name).split()
    while len(words) > 1 and words[0].lower().removesuffix("(r)") in _MAKERS:
        words.pop(0)
    return " ".join(words)


def _clean(text: str, limit: int = _NAME_CHARS) -> str:
    return wire.one_line(plain_line(text[: 4 * limit]), limit)


def _join_nodes(known: FoundNode | None, more: FoundNode) -> FoundNode:
    """Two statements about one node: the younger one, completed by the other."""
    if known is None:
        return more
    young, old = (more, known) if _is_younger(more.age_s, known.age_s) else (known, more)
    total_bytes, free_bytes = young.vram_total_bytes, young.vram_free_bytes
    return young._replace(
        gpu=young.gpu or old.gpu,
        vram_total_bytes=old.vram_total_bytes if total_bytes is None else total_bytes,
        vram_free_bytes=old.vram_free_bytes if free_bytes is None else free_bytes,
    )


def _join_backends(known: FoundBackend | None, more: FoundBackend) -> FoundBackend:
    """Two statements about one backend: the younger one, completed by the other.

    A heartbeat stands before what somebody else says, however young that is.
    """
    if known is None:
        return more
    younger = _is_younger(more.age_s, known.age_s)
    more_counts = more.beats if more.beats != known.beats else younger
    young, old = (more, known) if more_counts else (known, more)
    return young._replace(told=young.told or old.told)


def _is_younger(one_s: float | None, other_s: float | None) -> bool:
    return one_s is not None and (other_s is None or one_s < other_s)
