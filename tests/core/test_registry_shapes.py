"""The values of SOLLOL's Redis keys, in every shape that its writers leave."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sollol_tui.core.registry_shapes import (
    MAX_NOTES,
    METADATA_KEY,
    RegistryValue,
    Shaped,
    devices_told,
    join,
    read_value,
)
from sollol_tui.core.reports import FoundBackend, FoundNode

NOW_S = 1_795_479_990.0
MIB = 1 << 20

RAY_HYBRID = {
    "nodes": [{"host": "10.9.66.45", "port": "11434"}],
    "rpc_backends": [{"host": "10.9.66.48", "port": 50052}],
    "metrics": {"router_type": "ray_hybrid", "ollama_pool": {"nodes": 1, "requests": 0}},
}
OLLAMA_POOL = {
    "source": "ollamapool",
    "app_name": "OllamaPool",
    "metrics": {"analytics": {"p50_latency_ms": 60.37}, "total_pools": 2},
    "nodes": [
        {
            "url": "http://127.0.0.1:11434",
            "host": "127.0.0.1:11434",
            "available": True,
            "latency_ms": 60.37,
            "gpu_free_mem": 20100,
            "priority": 999,
        },
        {"host": "10.0.0.7:11500", "gpu_free_mem": 0},
    ],
    "applications": [
        {"app_id": "ollamapool", "name": "OllamaPool", "last_heartbeat": 1795479931.96},
        {"app_id": "x", "name": "My App"},
    ],
    "timestamp": NOW_S - 58,
}
SYNAPTIC = {"source": "synaptic_llamas", "metrics": {"synaptic_llamas": {"total_nodes": 2}}}
CPU_NODE = {
    "has_gpu": False,
    "gpu_devices": [],
    "gpu_vram_mb": [],
    "gpu_names": [],
    "cpu_ram_mb": 19284,
    "device_config": "cpu",
    "memory_config": "19284",
    "total_parallel_workers": 1,
}
GPU_NODE = {
    "has_gpu": True,
    "gpu_devices": ["cuda:0"],
    "gpu_vram_mb": [19660],
    "gpu_names": ["NVIDIA GeForce RTX 3090"],
    "cpu_ram_mb": 12000,
    "device_config": "cpu,cuda:0",
    "memory_config": "12000,19660",
    "total_parallel_workers": 2,
}
GPU = {
    "index": 0,
    "name": "NVIDIA GeForce RTX 3090",
    "memory_total_mb": 24576,
    "memory_free_mb": 20100,
    "memory_used_mb": 4476,
    "utilization_percent": 12,
}
GPU_REPORT = {
    "vendor": "nvidia",
    "gpus": [GPU],
    "timestamp": NOW_S - 3,
    "node_id": "10.9.66.90:11434",
}


def read(key: str, content: object, ttl_s: int | None = None, **options: Any) -> Shaped:
    if not isinstance(content, bytes | dict):
        raise TypeError
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return read_value(RegistryValue(key, raw, ttl_s), NOW_S, **options)


def backends(shape: Shaped) -> list[str]:
    return [backend.address for backend in shape.backends]


# The router's metadata


def test_ray_hybrid_routers_form_gives_nodes_and_backends_aged_by_its_hour() -> None:
    shape = read(METADATA_KEY, RAY_HYBRID, ttl_s=3500)
    assert shape.nodes == (FoundNode("http://10.9.66.45:11434", "redis", age_s=100.0),)  # type: ignore[arg-type]
    assert shape.backends == (FoundBackend("10.9.66.48:50052", "redis", 100.0),)  # type: ignore[arg-type]
    assert shape.apps == ("ray_hybrid",)
    assert shape.notes == ()


def test_ollama_pools_form_gives_nodes_by_url_and_by_host_aged_by_its_timestamp() -> None:
    shape = read(METADATA_KEY, OLLAMA_POOL, ttl_s=28)
    assert [n.url for n in shape.nodes] == ["http://127.0.0.1:11434", "http://10.0.0.7:11500"]
    assert [n.age_s for n in shape.nodes] == [58.0, 58.0]
    assert [n.vram_free_bytes for n in shape.nodes] == [20100 * MIB, None]  # 0 is "not known"
    assert shape.apps == ("OllamaPool", "My App", "OllamaPool")
    assert shape.backends == ()


def test_synaptic_llamas_form_names_its_program_and_nothing_else() -> None:
    assert read(METADATA_KEY, SYNAPTIC, ttl_s=30) == Shaped(apps=("synaptic_llamas",))


def test_a_value_that_never_expires_has_no_age() -> None:
    """The coordinator manager writes without a TTL: it may be from last year."""
    assert read(METADATA_KEY, RAY_HYBRID).backends[0].age_s is None


def test_a_clock_that_is_ahead_gives_the_age_zero() -> None:
    shape = read(METADATA_KEY, {**OLLAMA_POOL, "timestamp": NOW_S + 500})
    assert shape.nodes[0].age_s == 0.0


def test_the_coordinators_stand_in_is_ignored() -> None:
    for port in (0, "0"):
        document = {"rpc_backends": [{"host": "coordinator", "port": port}]}
        assert read(METADATA_KEY, document) == Shaped()


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ({"host": "gpu1", "port": "50053"}, "gpu1:50053"),
        ({"host": "gpu1"}, "gpu1:50052"),
        ({"host": "gpu1:50054", "port": 50052}, "gpu1:50054"),
        ({"host": "fe80::1", "port": 50052}, "[fe80::1]:50052"),
        ("gpu1:50055", "gpu1:50055"),
    ],
)
def test_a_backend_entry_may_have_its_port_in_any_place(entry: object, address: str) -> None:
    assert backends(read(METADATA_KEY, {"rpc_backends": [entry]})) == [address]


def test_the_enriched_form_tells_the_devices() -> None:
    entry = {"host": "10.0.0.8", "port": 50052, **GPU_NODE, "num_workers": 2}
    (backend,) = read(METADATA_KEY, {"rpc_backends": [entry]}).backends
    assert backend.told == "RTX 3090 19.2 GiB · CPU 11.7 GiB"


def test_bad_entries_are_noted_and_the_rest_is_read() -> None:
    document = {
        "nodes": [{"port": 1}, None, {"url": "ftp://x"}, {"host": "ok"}],
        "rpc_backends": [{}, {"host": "a b", "port": 1}, {"host": "ok", "port": 99999}, "fine:1"],
    }
    shape = read(METADATA_KEY, document)
    assert [n.url for n in shape.nodes] == ["http://ok:11434"]
    assert backends(shape) == ["fine:1"]
    assert len(shape.notes) == 6
    assert all(note.startswith("sollol:router:metadata: ") for note in shape.notes)


# Registered workers


def test_a_registered_gpu_worker_is_told_with_its_devices_and_its_age() -> None:
    (backend,) = read("sollol:rpc:node:192.0.2.2:50052", GPU_NODE, ttl_s=3590).backends
    assert backend[:4] == ("192.0.2.2:50052", "redis", 10.0, "RTX 3090 19.2 GiB · CPU 11.7 GiB")
    assert not backend.beats


def test_a_registered_cpu_worker_is_told_with_its_memory() -> None:
    (backend,) = read("sollol:rpc:node:192.0.2.2:50052", CPU_NODE, ttl_s=3600).backends
    assert (backend.told, backend.age_s) == ("CPU 18.8 GiB", 0.0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"gpu_names": None}, "cuda:0 19.2 GiB · CPU 11.7 GiB"),  # setup_rpc_node.py
        ({"gpu_vram_mb": []}, "RTX 3090 · CPU 11.7 GiB"),
        ({"gpu_names": ["AMD Radeon RX 7900 XTX"]}, "RX 7900 XTX 19.2 GiB · CPU 11.7 GiB"),
        ({"gpu_names": ["NVIDIA"]}, "NVIDIA 19.2 GiB · CPU 11.7 GiB"),
        ({"gpu_vram_mb": [19660, 9830]}, "RTX 3090 19.2 GiB · GPU 9.6 GiB · CPU 11.7 GiB"),
        ({"cpu_ram_mb": 0}, "RTX 3090 19.2 GiB"),
        ({"cpu_ram_mb": "lots"}, "RTX 3090 19.2 GiB"),
        ({"gpu_names": ["\x1b[2JEvil\n card"]}, "[2JEvil card 19.2 GiB · CPU 11.7 GiB"),
    ],
)
def test_devices_are_told_from_what_is_there(change: dict[str, object], told: str) -> None:
    assert devices_told({**GPU_NODE, **change}) == told


def test_the_made_up_cpu_of_an_unknown_host_is_not_told() -> None:
    made_up = {**CPU_NODE, "cpu_ram_mb": 8000, "memory_config": "8000"}
    assert devices_told(made_up) == ""


# Reports of GPUs


def test_a_gpu_report_gives_the_node_its_gpu_and_memory() -> None:
    (node,) = read("sollol:gpu:10.9.66.90:11434", GPU_REPORT, ttl_s=117).nodes
    assert node == FoundNode(
        "http://10.9.66.90:11434",  # type: ignore[arg-type]
        "redis",
        age_s=3.0,
        gpu="RTX 3090",
        vram_total_bytes=24576 * MIB,
        vram_free_bytes=20100 * MIB,
    )


def test_the_memory_of_several_gpus_is_summed() -> None:
    report = {**GPU_REPORT, "gpus": [GPU, GPU, {**GPU, "name": "NVIDIA L4"}]}
    (node,) = read("sollol:gpu:x:1", report).nodes
    assert node.gpu == "2 × RTX 3090 · L4"
    assert node.vram_total_bytes == 3 * 24576 * MIB


def test_a_report_of_no_gpu_says_so_and_knows_no_memory() -> None:
    report = {"vendor": "none", "gpus": [], "timestamp": NOW_S, "node_id": "10.0.0.3:11434"}
    (node,) = read("sollol:gpu:10.0.0.3:11434", report).nodes
    assert (node.gpu, node.vram_total_bytes, node.vram_free_bytes) == ("no GPU", None, None)


def test_the_reporters_note_is_kept_and_the_key_names_the_node_when_the_value_does_not() -> None:
    report = {"vendor": "nvidia", "gpus": [GPU], "note": "GPU present but Ollama using CPU-only"}
    (node,) = read("sollol:gpu:10.0.0.3:11434", report, ttl_s=100).nodes
    assert node.gpu == "RTX 3090 · GPU present but Ollama using CPU-only"
    assert (node.url, node.age_s) == ("http://10.0.0.3:11434", 20.0)


# The manual's keys


@pytest.mark.parametrize(
    ("key", "content", "expected"),
    [
        ("rpc:backend:1", b'{"host": "10.0.0.5", "port": 50053}', ["10.0.0.5:50053"]),
        ("rpc:backend:gpu", b'{"host": "10.0.0.5"}', ["10.0.0.5:50052"]),
        ("rpc:backend:10.0.0.6:50052", b"1", ["10.0.0.6:50052"]),
        ("rpc:backend:10.0.0.6:50052", b"\xff\xfe", ["10.0.0.6:50052"]),
        ("rpc:backend:a", b"10.0.0.7:50052", ["10.0.0.7:50052"]),
        ("rpc:backend:a", b'"10.0.0.7:50052"', ["10.0.0.7:50052"]),
        ("rpc:backend:a", {"host": "10.0.0.8", "port": "50055"}, ["10.0.0.8:50055"]),
        ("rpc:backend:10.0.0.9:50052", {}, ["10.0.0.9:50052"]),
        ("rpc:backend:[fe80::1]:50052", b"", ["[fe80::1]:50052"]),
        ("rpc:backend:gpu1", b"up", []),
    ],
)
def test_a_backend_key_of_the_manual_is_read_from_value_or_key(
    key: str, content: bytes | dict[str, str], expected: list[str]
) -> None:
    shape = read_value(RegistryValue(key, content), NOW_S)
    assert backends(shape) == expected
    assert bool(shape.notes) is not bool(expected)


# All of them


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{", b"\xff", pytest.param(b"[" * 100_000, id="deep"), b"1e999"],
)
def test_a_value_that_is_no_object_is_noted(content: bytes) -> None:
    shape = read(METADATA_KEY, content)
    assert shape == Shaped(notes=("sollol:router:metadata: not a JSON object",))


def test_loopback_addresses_of_another_machines_registry_are_left_out_with_a_note() -> None:
    document = {
        "nodes": [{"host": "localhost", "port": "11434"}, {"host": "10.0.0.1", "port": "11434"}],
        "rpc_backends": ["127.0.0.1:50052", "10.0.0.1:50052"],
    }
    here = read(METADATA_KEY, document)
    assert (len(here.nodes), len(here.backends)) == (2, 2)
    elsewhere = read(METADATA_KEY, document, loopback_is_here=False)
    assert [n.url for n in elsewhere.nodes] == ["http://10.0.0.1:11434"]
    assert backends(elsewhere) == ["10.0.0.1:50052"]
    assert len(elsewhere.notes) == 2
    assert "another machine's own address" in elsewhere.notes[0]


@pytest.mark.parametrize("order", [1, -1])
def test_a_target_that_is_told_twice_is_one_with_the_younger_age_and_all_that_is_known(
    order: int,
) -> None:
    shapes = [
        read(METADATA_KEY, {"nodes": [{"host": "10.9.66.90"}], "timestamp": NOW_S - 50}),
        read("sollol:gpu:10.9.66.90:11434", GPU_REPORT),
        read("rpc:backend:192.0.2.2:50052", b""),
        read("sollol:rpc:node:192.0.2.2:50052", GPU_NODE, ttl_s=3000),
        read(METADATA_KEY, {"rpc_backends": ["192.0.2.2:50052"], "timestamp": NOW_S - 1}),
    ]
    joined = join(shapes[::order])
    (node,) = joined.nodes
    assert (node.age_s, node.gpu, node.vram_free_bytes) == (3.0, "RTX 3090", 20100 * MIB)
    (backend,) = joined.backends
    assert (backend.age_s, backend.told) == (1.0, "RTX 3090 19.2 GiB · CPU 11.7 GiB")


def test_the_programs_are_named_once() -> None:
    assert join([read(METADATA_KEY, OLLAMA_POOL)]).apps == ("OllamaPool", "My App")


def test_very_many_notes_are_counted() -> None:
    joined = join([Shaped(notes=tuple("n" * 30)), Shaped(notes=("m",))])
    assert len(joined.notes) == MAX_NOTES + 1
    assert joined.notes[-1] == "and 11 more values that cannot be read"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    *("nodes", "rpc_backends", "applications", "metrics", "app_name", "source", "timestamp"),
    *("url", "host", "port", "gpus", "node_id", "vendor", "note", "gpu_names", "gpu_devices"),
    *("gpu_vram_mb", "cpu_ram_mb", "gpu_free_mem"),
)
entries = st.dictionaries(st.sampled_from(["host", "port", "url", "name"]), json_values, max_size=3)
known_fields = st.dictionaries(st.sampled_from(FIELDS), json_values | st.lists(entries))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [METADATA_KEY, "sollol:rpc:node:a:1", "sollol:gpu:a:1", "rpc:backend:a", "sollol:gpu:"]
    ),
    known_fields | json_values,
    st.none() | st.integers(-2, 10_000),
)
def test_no_value_whatever_raises(key: str, content: object, ttl_s: int | None) -> None:
    value = RegistryValue(key, json.dumps(content).encode(), ttl_s)
    shape = join([read_value(value, NOW_S)])
    for node in shape.nodes:
        assert node.age_s is None or node.age_s >= 0
