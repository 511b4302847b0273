"""Plans against real runs: what llama-server loads is what the plan said, layer by layer."""

from __future__ import annotations

import asyncio
import mmap
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from sollol_tui.core.gguf import GgufHeader, read_header
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.llama_log import LogFacts, LogReader
from sollol_tui.core.memory_need import need_of
from sollol_tui.core.plan import (
    CoordinatorPlan,
    DevicePlan,
    PlanBackend,
    PlanModel,
    PlanOptions,
    plan,
)
from sollol_tui.core.server_flags import Flags, parse_help
from sollol_tui.core.shard_map import Shard, ShardMap, shard_map
from sollol_tui.io.rpc import Prober
from tests.core.make_gguf import Q4_0, Field, Shape, gguf, padded, tensor_bytes

from .lab import Lab, library_path
from .servers import RpcBackend, Server, free_port, is_ok

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),  # two cores may be busy with other things
    pytest.mark.xdist_group("engine"),
]

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
MIB = 1 << 20
ROUNDING = 0.01 * MIB  # the log prints hundredths of a MiB
LOW, HIGH = 0.97, 1.15  # the estimate of a compute buffer, against what was made
SLACK = 0.2 * MIB
EVERY_LAYER = ["--log-jsonl", "-lv", "5", "-t", "1"]


class Planned(Server):
    """The llama-server of a plan, with the words of its command line as they are."""

    def __init__(self, lab: Lab, words: Sequence[str], port: int) -> None:
        super().__init__(lab, "127.0.0.1", port)
        self.words = words

    def command(self) -> Sequence[str | Path]:
        """The plan's command, and a line for every layer."""
        return [*self.words, *EVERY_LAYER]

    def answers(self) -> bool:
        """Whether the model is loaded."""
        return is_ok(self.url + "/health")


class Case(NamedTuple):
    """One way to split a model: `small`, `huge`, or one of those that are made up here."""

    backends: int
    options: PlanOptions = PlanOptions(context_tokens=2048)
    model: str = "huge"


CASES = {
    "one": Case(1),
    "two": Case(2),
    "three": Case(3),
    "three-of-sixty-layers": Case(3, model="small"),
    "two-slots": Case(2, PlanOptions(context_tokens=1000, slots=2)),
    "3,1": Case(2, PlanOptions(context_tokens=2048, tensor_split=(3.0, 1.0))),
    "1,0": Case(2, PlanOptions(context_tokens=2048, tensor_split=(1.0, 0.0)), model="small"),
    "partial": Case(2, PlanOptions(context_tokens=2048, gpu_layers=10)),
    "partial-on-one": Case(1, PlanOptions(context_tokens=4096, gpu_layers=20), model="small"),
    "host-only": Case(0),
    # 0.3 of ten layers: in 64 bits the fourth would lie on the first backend.
    "32-bits": Case(3, PlanOptions(context_tokens=2048, tensor_split=(0.3, 0.6, 0.1)), "windowed"),
    "windowed": Case(2, PlanOptions(context_tokens=4096), "windowed"),
    "windowed-partial": Case(1, PlanOptions(context_tokens=4096, gpu_layers=4), "windowed"),
    "experts": Case(2, model="experts"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_plan_is_what_llama_server_loads(lab: Lab, tmp_path: Path, name: str) -> None:
    """Layers, weights and context equal its log; compute lies within the stated error."""
    case = CASES[name]
    model = model_of(lab, case.model, tmp_path)
    made, facts = run(lab, model, case)
    header = header_of(model)
    found = shard_map(facts, header.layers)
    assert found is not None
    assert found.exact
    assert facts.context_tokens == -(-case.options.context_tokens // 256) * 256
    assert facts.slots == case.options.slots
    assert made.startable
    assert [d.address for d in found.devices] == [d.address for d in made.devices]
    for planned, loaded in zip(made.devices, found.devices, strict=True):
        same(planned, loaded)
        assert planned.weights_bytes == pytest.approx(loaded.weights_bytes, abs=ROUNDING)
    same(made.host, found.host)
    weigh_the_host(made, found, header)
    told_without_layer_lines(found, facts, made)


def same(planned: DevicePlan, loaded: Shard) -> None:
    """Layers and context are equal, the compute buffer is estimated well enough."""
    assert planned.layers == loaded.layers
    assert planned.has_output == loaded.has_output
    assert planned.kv_bytes == pytest.approx(loaded.kv_bytes, abs=ROUNDING)
    reserved = loaded.compute_bytes or 0
    if len(planned.layers) > 1 or planned.name == "host":
        assert planned.compute_bytes >= reserved * LOW - SLACK
        assert planned.compute_bytes <= reserved * HIGH + SLACK


def weigh_the_host(made: CoordinatorPlan, found: ShardMap, header: GgufHeader) -> None:
    """The host maps one stretch of the file: at least what it needs, at most the whole."""
    loaded = found.host.weights_bytes or 0
    assert made.host.weights_bytes <= loaded + ROUNDING
    if not made.host.layers:
        assert made.host.weights_bytes == pytest.approx(loaded, abs=ROUNDING)
    assert loaded <= header.tensor_bytes + MIB


def told_without_layer_lines(exact: ShardMap, facts: LogFacts, made: CoordinatorPlan) -> None:
    """At -lv 4 the layers follow from the shares of the cache, and are the same."""
    need = need_of(header_of(Path(made.path)), made.context_tokens, made.slots)
    derived = shard_map(facts._replace(layer_devices=()), made.layers, need.kv)
    assert derived is not None
    assert derived == exact._replace(exact=False)


def run(lab: Lab, model: Path, case: Case) -> tuple[CoordinatorPlan, LogFacts]:
    """Plan over so many backends, start what was planned, and read its log."""
    port = free_port(*HOSTS)
    with ExitStack() as stack:
        backends = [
            stack.enter_context(RpcBackend(lab, host, port)) for host in HOSTS[: case.backends]
        ]
        made = plan(
            PlanModel("lab:latest", str(model), header_of(model)),
            [probed(b.address) for b in backends],
            None,
            case.options._replace(port=free_port("127.0.0.1")),
            binary=str(lab.llama_server),
            flags=flags_of(lab),
        )
        words = list(made.argv)
        server = stack.enter_context(Planned(lab, words, int(words[words.index("--port") + 1])))
        reader = LogReader()
        for line in server.log_text().splitlines():
            reader.feed(line)
        return made, reader.facts


def model_of(lab: Lab, name: str, directory: Path) -> Path:
    """A model of the lab, or a made-up one: real measures, all weights zero."""
    if name == "small":
        return lab.model_small
    if name == "huge":
        return lab.model_huge
    fields, tensors = MADE_UP[name]
    path, head = directory / f"{name}.gguf", gguf(fields, tensors, data=False)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + sum(padded(tensor_bytes(t), 32) for t in tensors))
    return path


def layer(number: int, *more: Shape) -> list[Shape]:
    """The attention of one layer: 256 wide, four heads of 64, two for keys and values."""
    names = {"attn_q": (256, 256), "attn_k": (256, 128), "attn_v": (256, 128)}
    names["attn_output"] = (256, 256)
    norms = {"attn_norm": 256, "ffn_norm": 256, "attn_q_norm": 64, "attn_k_norm": 64}
    about = f"blk.{number}."
    return [
        *(Shape(f"{about}{name}.weight", dims, Q4_0) for name, dims in names.items()),
        *(Shape(f"{about}{name}.weight", (width,)) for name, width in norms.items()),
        *(t._replace(name=f"{about}{t.name}.weight") for t in more),
    ]


def fields_of(architecture: str, layers: int, **more: Field) -> dict[str, Field]:
    """The fields that the made-up models share."""
    said: dict[str, Field] = {
        "block_count": layers,
        "context_length": 32768,
        "embedding_length": 256,
        "feed_forward_length": 512,
        "attention.head_count": 4,
        "attention.head_count_kv": 2,
        "attention.key_length": 64,
        "attention.value_length": 64,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "rope.dimension_count": 64,
        "vocab_size": 320,
    }
    said |= {key.replace("__", "."): value for key, value in more.items()}
    about: dict[str, Field] = {"general.architecture": architecture, "general.file_type": 2}
    about["tokenizer.ggml.model"] = "no_vocab"
    return about | {f"{architecture}.{key}": value for key, value in said.items()}


def around(layers: list[list[Shape]], *, tied: bool) -> list[Shape]:
    """The tensors before and behind the layers."""
    first = Shape("token_embd.weight", (256, 320), Q4_0)
    last = [Shape("output_norm.weight", (256,))]
    if not tied:
        last.append(Shape("output.weight", (256, 320), Q4_0))
    return [first, *(t for one in layers for t in one), *last]


WIDE, BACK = (256, 512), (512, 256)
DENSE = (Shape("ffn_gate", WIDE, Q4_0), Shape("ffn_up", WIDE, Q4_0), Shape("ffn_down", BACK, Q4_0))
AFTER = (Shape("post_attention_norm", (256,)), Shape("post_ffw_norm", (256,)))
EXPERTS = (
    Shape("ffn_gate_inp", (256, 8)),
    Shape("ffn_gate_exps", (256, 64, 8), Q4_0),
    Shape("ffn_up_exps", (256, 64, 8), Q4_0),
    Shape("ffn_down_exps", (64, 256, 8), Q4_0),
)
MADE_UP = {
    "windowed": (
        fields_of("gemma3", 9, attention__sliding_window=512),
        around([layer(i, *DENSE, *AFTER) for i in range(9)], tied=True),
    ),
    "experts": (
        fields_of(
            "qwen3moe", 7, expert_count=8, expert_used_count=2, expert_feed_forward_length=64
        ),
        around([layer(i, *EXPERTS) for i in range(7)], tied=False),
    ),
}


def probed(address: str) -> PlanBackend:
    """A free backend as its probe tells it."""
    report = asyncio.run(Prober().probe(BackendAddress(address)))
    return PlanBackend(BackendAddress(address), report.devices, report.protocol)


@cache
def header_of(path: Path) -> GgufHeader:
    """The header of a real model."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        header = read_header(view, len(view))
        view.release()
    assert isinstance(header, GgufHeader), header
    return header


@cache
def flags_of(lab: Lab) -> Flags:
    """What the lab's llama-server understands."""
    answer = subprocess.run(
        [lab.llama_server, "--help"],
        env=library_path(lab.lib_dir),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return parse_help(answer.stdout)
