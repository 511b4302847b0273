"""What llama-server says in its log: how far it is, and which bytes lie on which device.

Read are the lines of `--log-jsonl -lv 4` (stdout), the plain prefixed lines of stderr, and the
progress lines of a server that was started as a router's child (llama.cpp SM:1862). No endpoint
tells the split; these lines do (build 11434; older names are read where they are known).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sollol_tui.core.phases import Phase
from sollol_tui.core.plain import plain_line

MIB = 1 << 20
KEPT_PROBLEMS = 100
MAX_LINE = 16_384  # no line of use is longer; a flood must not cost memory
_MAX_LAYERS = 4096

_PREFIX = re.compile(r"(\d+)\.(\d\d)\.(\d{3})\.(\d{3}) ([DIWE]) (.*)$", re.DOTALL)
_LEVELS = {"D": "debug", "I": "info", "W": "warn", "E": "error"}
FOR_THE_STARTER = "cmd_child_to_router:"
"""What begins a line that llama-server tells the program that started it, and no person."""
_STATE = f"{FOR_THE_STARTER}state:"
_BUFFER = re.compile(
    r"(\S+)\s+(?:DSV4 \S+ )?(model|KV|RS|compute|state|LoRA) buffer size =\s*([\d.]+) MiB"
)
_KINDS = {"model": "weights", "LoRA": "weights", "compute": "compute"}
_RPC_BUFFER = re.compile(r"RPC(\d*)\[([^\]]+)\]$")
_DEVICE_INFO = re.compile(r"\s*- (\S+)\s*: (.*) \((\d+) MiB, (\d+) MiB free\)$")
_USING = re.compile(r"using device (\S+) \(([^)]*)\)(?: \([^)]*\))? - (\d+) MiB free")
_LAYER = re.compile(r"layer\s+(\d+) assigned to device ([^,]+),")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_SLOTS = re.compile(r"n_slots = (\d+), n_ctx_slot = (\d+)")
_VALUE = re.compile(r"(n_layer|n_ctx_seq|n_seq_max)\s+= (\d+)$")
_ROW = re.compile(
    r"\|   - (?P<name>\S+)(?: \((?P<description>.*)\))?\s*\|"
    r"(?: *(?P<total>\d+) = (?P<free>\d+) \+ \()? *(?P<self>\d+) = *(?P<model>\d+) \+"
    r" *(?P<context>\d+) \+ *(?P<compute>\d+)"
)


class LogLine(NamedTuple):
    """One line as it is shown and judged."""

    at_s: float | None  # since the server's start
    level: str  # debug, info, warn, error, cont; "plain" for what carries no level
    text: str
    data: Mapping[str, Any] | None = None  # of a JSON object that is no log line


class DeviceSeen(NamedTuple):
    """A device as the server lists it. For an RPC device `description` is its `host:port`."""

    name: str  # "RPC0": counted over all endpoints
    description: str
    total_bytes: int | None
    free_bytes: int | None


class BufferSeen(NamedTuple):
    """A buffer that the server made. `place` counts per endpoint: `RPC0[host:port]`, `CPU`."""

    place: str
    kind: str  # "weights", "kv", "compute"
    bytes: int


class MemoryRow(NamedTuple):
    """One row of the memory breakdown, whole MiB as the server prints them."""

    kind: str  # "device", "host", "buffer_type"
    name: str
    description: str
    total_bytes: int | None
    free_bytes: int | None
    weights_bytes: int
    kv_bytes: int
    compute_bytes: int


class LogFacts(NamedTuple):
    """All that the log has told so far. What belongs to a load is that of the last one."""

    phase: Phase = Phase.CONNECTING
    progress: float | None = None  # of loading, 0 to 1
    url: str = ""
    devices: tuple[DeviceSeen, ...] = ()
    buffers: tuple[BufferSeen, ...] = ()
    layer_devices: tuple[str, ...] = ()  # per layer and the output, from -lv 5
    memory: tuple[MemoryRow, ...] = ()
    offloaded: tuple[int, int] | None = None  # what was asked for, of how many: no proof
    layers: int | None = None
    context_tokens: int | None = None  # per slot
    slots: int | None = None
    sleeping: bool = False
    problems: tuple[LogLine, ...] = ()  # warnings and errors, the last hundred


def parse_line(line: str) -> LogLine:
    """One line of stdout or stderr, made harmless; never fails."""
    line = line[:MAX_LINE].rstrip("\r\n")
    if line.startswith("{") and (read := _json_line(line)) is not None:
        return read
    if match := _PREFIX.match(line):
        minutes, seconds, milli, micro, level, text = match.groups()
        at_s = int(minutes) * 60 + int(seconds) + int(milli) / 1e3 + int(micro) / 1e6
        return LogLine(at_s, _LEVELS[level], plain_line(text))
    return LogLine(None, "plain", plain_line(line))


def _json_line(line: str) -> LogLine | None:
    try:
        read = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    time_us, kind = read.get("time"), read.get("type")
    at_s = time_us / 1e6 if isinstance(time_us, int | float) else None
    if kind == "log" and isinstance(message := read.get("msg"), str):
        return LogLine(at_s, str(read.get("level", "info")), plain_line(message.rstrip("\n")))
    return LogLine(at_s, "info", plain_line(line), read)


class LogReader:
    """Reads a log line by line and knows what it told; pure, holds a bounded amount."""

    def __init__(self) -> None:
        self._facts = LogFacts()
        self._layers: dict[int, str] = {}
        self._buffers: dict[tuple[str, str], int] = {}
        self._devices: dict[str, DeviceSeen] = {}
        self._problems: list[LogLine] = []
        self._dots = 0
        self._loaded = False
        self._handlers: dict[str, Callable[[str], None]] = {
            "common_param": self._device_info,
            "llama_prepare_model_devices": self._using_device,
            "llama_model_load_from_file_impl": self._using_device,
            "load_model": self._load_model,
            "load_tensors": self._load_tensors,
            "print_info": self._value,
            "llama_context": self._context,
            "common_init_": self._common_init,
            "common_init_from_params": self._common_init,
            "llama_server": self._server,
            "main": self._server,
            "start_loop": self._loop,
            "common_memory_breakdown_print": self._breakdown_line,
        }

    @property
    def facts(self) -> LogFacts:
        """What is known now, as a value."""
        highest = max(self._layers, default=-1)
        return self._facts._replace(
            devices=tuple(self._devices.values()),
            buffers=tuple(BufferSeen(p, k, b) for (p, k), b in self._buffers.items()),
            layer_devices=tuple(self._layers.get(i, "") for i in range(highest + 1)),
            problems=tuple(self._problems),
        )

    def feed(self, line: str) -> LogLine:
        """Take one line and return it parsed."""
        if line.startswith(_STATE):
            self._state(line[len(_STATE) :])
        read = parse_line(line)
        if read.level in {"warn", "error"}:
            self._problems.append(read)
            del self._problems[:-KEPT_PROBLEMS]
        if read.data is not None:
            self._json(read.data)
        elif read.text.strip(".") == "":
            self._count_dots(read.text)
        else:
            self._text(read.text)
        return read

    def _text(self, text: str) -> None:
        head, _, rest = text.partition(": ")
        words = head.split()
        name = words[-1] if words else ""
        if " buffer size =" in rest:
            self._buffer(rest)
        elif handler := self._handlers.get(name):
            handler(rest)

    def _set(self, **changes: object) -> None:
        self._facts = self._facts._replace(**changes)  # type: ignore[arg-type]

    def _enter(self, phase: Phase) -> None:
        if self._facts.phase is not phase:
            self._set(phase=phase)

    # What the lines tell, by the function that prints them

    def _device_info(self, rest: str) -> None:
        if match := _DEVICE_INFO.match(rest):
            name, description, total, free = match.groups()
            if name != "CPU":
                seen = DeviceSeen(name, description, int(total) * MIB, int(free) * MIB)
                self._devices[name] = seen

    def _using_device(self, rest: str) -> None:
        if match := _USING.match(rest):
            name, description, free = match.groups()
            if old := _RPC_BUFFER.match(name):  # before devices were counted: RPC[host:port]
                description = old[2]
            known = self._devices.get(name)
            total = known.total_bytes if known else None
            self._devices[name] = DeviceSeen(name, description, total, int(free) * MIB)

    def _load_model(self, rest: str) -> None:
        if rest.startswith("loading model"):
            self._loaded, self._dots = False, 0
            self._enter(Phase.LOADING)
            self._set(progress=None)
        elif match := _SLOTS.search(rest):
            self._set(slots=int(match[1]), context_tokens=int(match[2]))
            if self._facts.url:  # woken up: "model loaded" is said at the first start only
                self._ready()

    def _load_tensors(self, rest: str) -> None:
        if match := _LAYER.match(rest):
            layer = int(match[1])
            if layer == 0:
                self._new_block()
            if layer < _MAX_LAYERS:
                self._layers[layer] = match[2]
        elif match := _OFFLOADED.match(rest):
            self._set(offloaded=(int(match[1]), int(match[2])))
        elif rest.startswith("loading model tensors"):
            self._new_block()
            self._enter(Phase.LOADING)

    def _new_block(self) -> None:
        # The dry run of --fit prints the same lines (at -lv 5): the last block counts.
        self._layers.clear()
        self._buffers.clear()

    def _value(self, rest: str) -> None:
        if match := _VALUE.match(rest):
            key = {"n_layer": "layers", "n_ctx_seq": "context_tokens", "n_seq_max": "slots"}
            self._set(**{key[match[1]]: int(match[2])})

    def _context(self, rest: str) -> None:
        if rest.startswith("constructing"):
            self._buffers = {k: b for k, b in self._buffers.items() if k[1] == "weights"}
        self._value(rest)

    def _buffer(self, rest: str) -> None:
        if match := _BUFFER.search(rest):
            place, kind, mib = match.groups()
            key = (place, _KINDS.get(kind, "kv"))
            # A sliding window makes two caches, a split file several buffers of weights: they add
            # up. Compute buffers are made again, and then the last size counts.
            before = 0 if kind == "compute" else self._buffers.get(key, 0)
            self._buffers[key] = before + round(float(mib) * MIB)

    def _common_init(self, rest: str) -> None:
        if rest.startswith("warming up"):
            self._enter(Phase.WARMING)

    def _server(self, rest: str) -> None:
        if rest.startswith("initializing"):
            self._enter(Phase.LOADING)
        elif rest.startswith("model loaded"):
            self._ready()
        elif match := re.match(r"(?:server is )?listening on (\S+)", rest):
            self._set(url=match[1])

    def _ready(self) -> None:
        self._loaded = True
        self._enter(Phase.READY)
        self._set(progress=1.0)

    def _loop(self, rest: str) -> None:
        if rest.startswith("entering sleeping"):
            self._set(sleeping=True)
        elif rest.startswith("exiting sleeping"):
            self._set(sleeping=False)

    # Progress, and the memory breakdown

    def _count_dots(self, text: str) -> None:
        # One dot is one percent, in a line of its own or growing (llama.cpp src/llama.cpp:421).
        if text and not self._loaded:
            self._dots = min(self._dots + len(text), 100)
            self._set(progress=self._dots / 100)

    def _state(self, text: str) -> None:
        try:
            payload = json.loads(text).get("payload", {})
            value, stage = payload.get("value"), payload.get("current", "text_model")
        except (ValueError, AttributeError):
            return
        if isinstance(value, int | float) and stage == "text_model" and not self._loaded:
            self._enter(Phase.LOADING)
            self._set(progress=min(max(float(value), 0.0), 1.0))

    def _json(self, read: Mapping[str, Any]) -> None:
        data = read.get("data")
        if read.get("type") != "fit_memory_breakdown" or not isinstance(data, dict):
            return
        rows = data.get("rows")
        if isinstance(rows, list) and not self._loaded:
            self._set(memory=tuple(_row(r) for r in rows if isinstance(r, dict)))

    def _breakdown_line(self, rest: str) -> None:
        if self._loaded:
            return
        if "memory breakdown [MiB]" in rest:
            self._set(memory=())
        elif match := _ROW.match(rest):
            row = match.groupdict() | {"kind": "device" if match["total"] else "buffer_type"}
            row["kind"] = "host" if match["name"] == "Host" else row["kind"]
            self._set(memory=(*self._facts.memory, _row(row)))


def _row(row: Mapping[str, Any]) -> MemoryRow:
    def size(key: str) -> int | None:
        value = row.get(key)
        return int(value) * MIB if isinstance(value, int | float | str) else None

    return MemoryRow(
        plain_line(str(row.get("kind") or "")),
        plain_line(str(row.get("name") or "")),
        plain_line(str(row.get("description") or "")),
        size("total"),
        size("free"),
        size("model") or 0,
        size("context") or 0,
        size("compute") or 0,
    )
