"""What a llama-server writes to its log at verbosity 4: devices, split, requests."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from sollol_tui.demo.catalog import F16_BYTES
from sollol_tui.demo.link import BackendLink
from sollol_tui.demo.llama_shapes import Served, Timing

MIB = 1024**2
_COMPUTE_MIB = 59.05

Write = Callable[[str], None]


class LlamaLog:
    """Writes lines with llama.cpp's prefix: minutes, seconds, ms, µs since the start, a level."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._began_ns = time.monotonic_ns()

    def starting(self, served: Served, links: Sequence[BackendLink]) -> None:
        """The devices and how the layers of the model are spread over them."""
        self._line("srv  llama_server: initializing ...")
        self._line("cmn  common_param: device_info:")
        devices = [(link.address, device) for link in links for device in link.devices]
        for number, (address, device) in enumerate(devices):
            memory = f"{device.total_bytes // MIB} MiB, {device.free_bytes // MIB} MiB free"
            self._line(f"cmn  common_param:   - RPC{number}    : {address} ({memory})")
        self._line(f"srv    load_model: loading model '{served.path}'")
        self._buffers(served, links)

    def ready(self, served: Served, url: str) -> None:
        """The model is loaded and the server answers."""
        slots = f"n_slots = {served.slots}, n_ctx_slot = {served.context}, kv_unified = 'false'"
        self._line(f"srv    load_model: initializing, {slots}")
        self._line("srv  llama_server: model loaded")
        self._line(f"srv  llama_server: listening on {url}")

    def launched(self, slot: int, task: int | None) -> None:
        """A slot began with a request."""
        text = "processing task, is_child = 0"
        self._line(f"slot launch_slot_: id {slot:2} | task {task} | {text}")

    def released(self, slot: int, task: int | None, held: int, timing: Timing) -> None:
        """A slot ended with it."""
        head = f"slot print_timing: id {slot:2} | task {task} |"
        read = _speed(timing.read_ms, timing.read, timing.read)
        written = _speed(timing.written_ms, timing.written, timing.written - 1)
        self._line(f"{head} prompt eval time = {read}")
        self._line(f"{head}        eval time = {written}")
        end = f"stop processing: n_tokens = {held}, truncated = 0"
        self._line(f"slot      release: id {slot:2} | task {task} | {end}")

    def aborted(self, words: str) -> None:
        """The last line, which has no prefix."""
        self._write(words)

    def _buffers(self, served: Served, links: Sequence[BackendLink]) -> None:
        layers = served.model.shape.layers
        self._line(f"load_tensors: offloaded {layers + 1}/{layers + 1} layers to GPU")
        names = [(link.address, n) for link in links for n in range(len(link.devices))]
        weights = [device.free_bytes for link in links for device in link.devices]
        buffers = [f"RPC{number}[{address}]" for address, number in names] or ["CPU"]
        counts = split(layers, weights or [1])
        weight_mib = served.model.size_bytes / MIB / (layers + 1)
        kv_mib = _kv_bytes_per_layer(served) / MIB
        for buffer, count in zip(buffers, counts, strict=True):
            self._line(f"load_tensors: {buffer} model buffer size = {weight_mib * count:8.2f} MiB")
        counts[-1] -= 1  # the output layer has no cache
        for buffer, count in zip(buffers, counts, strict=True):
            self._line(f"llama_kv_cache: {buffer} KV buffer size = {kv_mib * count:8.2f} MiB")
        for buffer in buffers:
            self._line(f"sched_reserve: {buffer} compute buffer size = {_COMPUTE_MIB:8.2f} MiB")

    def _line(self, text: str, level: str = "I") -> None:
        micros = (time.monotonic_ns() - self._began_ns) // 1000
        seconds, micros = divmod(micros, 1_000_000)
        stamp = f"{seconds // 60}.{seconds % 60:02}.{micros // 1000:03}.{micros % 1000:03}"
        self._write(f"{stamp} {level} {text}")


def split(layers: int, weights: Sequence[float]) -> list[int]:
    """How many of the layers and the output layer each device gets (llama-model.cpp)."""
    sums = list(accumulate(weights))
    shares = [part / sums[-1] for part in sums]
    counts = [0] * len(weights)
    for layer in range(layers + 1):
        counts[bisect_right(shares, layer / (layers + 1))] += 1
    return counts


def _kv_bytes_per_layer(served: Served) -> int:
    shape = served.model.shape
    head = shape.embedding // shape.heads
    return 2 * shape.kv_heads * head * served.context * served.slots * F16_BYTES


def _speed(took_ms: float, count: int, steps: int) -> str:
    per_token_ms = took_ms / max(steps, 1)
    per_second = steps / took_ms * 1000
    each = f"{per_token_ms:8.2f} ms per token, {per_second:8.2f} tokens per second"
    return f"{took_ms:10.2f} ms / {count:5} tokens ({each})"
