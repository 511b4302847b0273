"""Plans: the split of llama.cpp, what fits, and the command that follows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.devices import Device
from sollol_tui.core.gguf import GgufHeader, read_header
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.llama_log import MIB, LogReader
from sollol_tui.core.memory_need import need_of
from sollol_tui.core.plan import (
    CoordinatorPlan,
    HostMemory,
    PlanBackend,
    PlanModel,
    PlanOptions,
    plan,
    plan_json,
)
from sollol_tui.core.plan_values import GIB
from sollol_tui.core.problems import Cause
from sollol_tui.core.server_flags import Flags, LocalDevice, parse_devices, parse_help
from sollol_tui.core.split import split_layers
from tests.samples import HERE

from .make_gguf import Q4_0, Field, Model, Shape, gguf, llama_fields, llama_tensors

ADDRESSES = tuple(BackendAddress(f"10.0.0.{i}:50052") for i in range(2, 8))
CURRENT = frozenset(
    {
        *("--rpc", "--fit", "--fit-target", "--cache-ram", "--log-jsonl", "-lv", "--metrics"),
        *("--no-ui", "--cors-origins", "--offline", "--slots"),
    }
)


def counts(owners: Sequence[int | None]) -> list[int]:
    """How many layers, the output among them, the host and each device have."""
    devices = [o for o in owners if o is not None]
    return [owners.count(None), *(owners.count(i) for i in range(max(devices, default=-1) + 1))]


# The split


@pytest.mark.parametrize(
    ("ngl", "weights", "expected"),
    [
        (31, [1.0, 1.0], [0, 16, 15]),  # measured: 2 equal backends
        (31, [25275924480.0, 25275924480.0], [0, 16, 15]),
        (31, [3.0, 1.0], [0, 24, 7]),  # measured: -ts 3,1
        (31, [1.0, 0.0], [0, 31]),
        (10, [1.0, 1.0], [21, 5, 5]),  # measured: -ngl 10
        (999, [1.0, 1.0], [0, 16, 15]),
        (0, [1.0, 1.0], [31]),
        (31, [], [31]),
        (31, [0.0, 0.0], [0, 16, 15]),
        (31, [1.0, 1.0, 1.0], [0, 11, 10, 10]),
    ],
)
def test_layers_are_split_as_measured(ngl: int, weights: list[float], expected: list[int]) -> None:
    assert counts(split_layers(30, ngl, weights)) == expected


def test_the_split_rounds_to_32_bits() -> None:
    """0.1 + 0.2 is 0.3 there; in 64 bits it is more, and layer 3 would lie one device earlier."""
    assert split_layers(9, 10, [0.1, 0.2, 0.7]) == (0, 1, 1, *(2,) * 7)
    assert split_layers(9, 10, [0.3, 0.6, 0.1]) == (0, 0, 0, *(1,) * 7)


@given(
    st.integers(1, 120),
    st.lists(st.integers(0, 40), min_size=1, max_size=6).filter(any),
)
def test_counted_weights_give_exactly_those_counts(extra: int, wanted: list[int]) -> None:
    """`-ts` with numbers of layers is obeyed layer by layer: what a fitted plan relies on."""
    total = sum(wanted)
    owners = split_layers(total + extra - 1, total, [float(w) for w in wanted])
    assert [owners.count(i) for i in range(len(wanted))] == wanted
    assert owners.count(None) == extra
    assert sorted(o for o in owners if o is not None) == [o for o in owners if o is not None]


# Memory


def header_of(model: Model = Model(), **more: Field) -> GgufHeader:  # noqa: B008
    """The header of a made-up model."""
    data = gguf(llama_fields(model, **more), llama_tensors(model))
    read = read_header(data, len(data))
    assert isinstance(read, GgufHeader), read
    return read


SMOL = Model(30, 576, 9, 3, 1536, 49152, tied=True, type=Q4_0)
"""SmolLM2 135M in its measures; the captured file is Q4_1 and Q8_0."""


def smol_need(context: int, slots: int = 1) -> tuple[int, int]:
    """The context of one layer and of all."""
    need = need_of(header_of(SMOL), context, slots)
    return need.kv[0], sum(need.kv)


@pytest.mark.parametrize(
    ("context", "slots", "mib"),
    [(8192, 1, 180.0), (2048, 1, 45.0), (2000, 1, 45.0), (2048, 4, 180.0), (1, 1, 5.625)],
)
def test_the_context_is_what_was_logged(context: int, slots: int, mib: float) -> None:
    """180 MiB for 8192 cells, in whole steps of 256 cells per slot."""
    one, all_layers = smol_need(context, slots)
    assert all_layers == mib * MIB
    assert one * 30 == all_layers


def test_a_window_bounds_the_context_of_its_layers() -> None:
    """min(all cells, window + 512 tokens) in steps of 256 (llama-kv-cache-iswa.cpp)."""
    fields: dict[str, Field] = {
        "general.architecture": "gemma3",
        "gemma3.block_count": 6,
        "gemma3.embedding_length": 64,
        "gemma3.attention.head_count": 4,
        "gemma3.attention.head_count_kv": 2,
        "gemma3.attention.sliding_window": 1000,
    }
    tensors = [Shape(f"blk.{i}.attn_q.weight", (64, 64)) for i in range(6)]
    data = gguf(fields, tensors)
    header = read_header(data, len(data))
    assert isinstance(header, GgufHeader)
    per_cell = 2 * 16 * 2 * 2
    assert need_of(header, 8192, 1).kv == (1536 * per_cell,) * 5 + (8192 * per_cell,)
    assert need_of(header, 512, 2).kv == (512 * 2 * per_cell,) * 6


@pytest.mark.parametrize("sample", ["log_lv4_stderr", "fit_partial_offload_lv4"])
def test_the_estimate_of_compute_is_near_what_was_logged(sample: str) -> None:
    """Within 3 % for a small dense model, host and devices (captured logs of SmolLM2 135M)."""
    reader = LogReader()
    for line in (HERE / "llama-cpp" / f"{sample}.txt").read_text().splitlines():
        reader.feed(line)
    logged = {b.place: b.bytes for b in reader.facts.buffers if b.kind == "compute"}
    whole = sample == "log_lv4_stderr"
    options = PlanOptions(context_tokens=8192 if whole else 2048)
    if not whole:
        options = options._replace(gpu_layers=18)
    made = plan_of(header_of(SMOL), [24 * GIB] * (2 if whole else 1), options)
    for device in (*made.devices, made.host):
        place = next(p for p in logged if (device.name == "host") == p.startswith("CPU"))
        assert 0.97 <= device.compute_bytes / logged.pop(place) <= 1.03, device.name


# Plans


def backends_of(
    frees: Sequence[int | tuple[int, int]], protocol: str | None = "7.0.0"
) -> list[PlanBackend]:
    """Backends with one device each: free bytes, or total and free."""
    devices = [Device(*f) if isinstance(f, tuple) else Device(f, f) for f in frees]
    return [PlanBackend(a, (d,), protocol) for a, d in zip(ADDRESSES, devices, strict=False)]


def plan_of(
    header: GgufHeader,
    frees: Sequence[int | tuple[int, int]],
    options: PlanOptions = PlanOptions(),  # noqa: B008
    host: HostMemory | None = None,
    flags: Flags | None = CURRENT,
    local: Sequence[LocalDevice] = (),
) -> CoordinatorPlan:
    """A plan over backends with so much memory."""
    model = PlanModel("tiny:8b", "/models/tiny.gguf", header)
    return plan(
        model, backends_of(frees), host, options, binary="llama-server", flags=flags, local=local
    )


def layer_counts(made: CoordinatorPlan) -> list[int]:
    """The repeating layers of each device."""
    return [len(d.layers) for d in made.devices]


def following(made: CoordinatorPlan, flag: str) -> str | None:
    """The word that follows a flag on the command line."""
    return made.argv[made.argv.index(flag) + 1] if flag in made.argv else None


BIG = Model(layers=40, embedding=4096, heads=32, kv_heads=8, feed_forward=14336, vocabulary=512,
            type=Q4_0)  # fmt: skip


BIG_HEAD = gguf(llama_fields(BIG), llama_tensors(BIG), data=False)


@pytest.fixture(scope="module")
def big() -> GgufHeader:
    """A model of 40 layers of 117 MiB: 4.6 GiB, and 1.25 GiB for 8192 tokens."""
    read = read_header(BIG_HEAD, 6 * GIB)
    assert isinstance(read, GgufHeader)
    return read


def test_a_model_that_fits_is_left_to_the_servers_own_split(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB, 24 * GIB])
    assert made.startable
    assert made.problems == ()
    assert layer_counts(made) == [21, 19]
    assert [d.has_output for d in made.devices] == [False, True]
    assert made.devices[0].weights_bytes == sum(big.layer_bytes[:21])
    assert made.devices[1].weights_bytes == sum(big.layer_bytes[21:]) + big.output_bytes
    assert made.devices[0].kv_bytes == 21 * 2 * 1024 * 8192 * 2
    assert made.host.weights_bytes == big.input_bytes
    assert following(made, "-ts") is None
    assert following(made, "-ngl") is None


def test_the_command_is_the_recipe(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB, 24 * GIB], PlanOptions(threads=3))
    assert made.argv == (
        *("llama-server", "--rpc", "10.0.0.2:50052,10.0.0.3:50052"),
        *("-m", "/models/tiny.gguf", "--alias", "tiny:8b"),
        *("--host", "127.0.0.1", "--port", "18080", "-c", "8192", "-np", "1"),
        *("-b", "512", "-t", "3", "--log-jsonl", "-lv", "4", "--metrics", "--no-ui"),
        *("--cors-origins", "localhost", "--offline"),
    )


def test_unequal_memory_is_split_in_proportion_by_the_server_itself(big: GgufHeader) -> None:
    made = plan_of(big, [30 * GIB, 10 * GIB])
    assert layer_counts(made) == [31, 9]
    assert following(made, "-ts") is None
    assert made.fits


def test_a_split_that_does_not_fit_by_itself_is_written_out(big: GgufHeader) -> None:
    """Too many layers for the small one: shares of free memory do not see what else it holds."""
    made = plan_of(big, [7 * GIB, (16 * GIB, 2 * GIB)])
    assert made.startable
    first, second = layer_counts(made)
    assert first + second == 40
    assert following(made, "-ts") == f"{first},{second + 1}"
    assert following(made, "-ngl") is None  # everything still lies on the devices
    assert all(d.bytes + GIB <= (d.free_bytes or 0) for d in made.devices)


def test_what_fits_nowhere_stays_on_the_host_and_is_told(big: GgufHeader) -> None:
    made = plan_of(big, [4 * GIB], host=HostMemory(64 * GIB, 60 * GIB))
    assert made.startable
    (device,) = made.devices
    assert device.bytes + GIB <= 4 * GIB
    assert made.host.layers == tuple(range(40 - len(device.layers)))
    assert device.layers == tuple(range(len(made.host.layers), 40))
    assert following(made, "-ngl") == str(len(device.layers) + 1)
    assert f"{len(made.host.layers)} of 40 layers stay on this machine" in made.notes


def test_devices_are_filled_up_before_the_host_takes_layers(big: GgufHeader) -> None:
    """With layers on the host inputs are kept once, not four times: that makes room for more."""
    made = plan_of(big, [3 * GIB, 3 * GIB], host=HostMemory(64 * GIB, 60 * GIB))
    assert made.startable
    layer = made.host.weights_bytes // len(made.host.layers)
    for device in made.devices:
        left = 3 * GIB - GIB - device.bytes
        assert 0 <= left < layer + made.host.kv_bytes // len(made.host.layers)


def test_a_model_that_fits_nowhere_is_not_started(big: GgufHeader) -> None:
    made = plan_of(big, [2 * GIB, 2 * GIB], host=HostMemory(2 * GIB, GIB))
    assert not made.fits
    assert not made.startable
    assert {p.subject for p in made.problems} == {ADDRESSES[0], ADDRESSES[1]}
    assert all(p.cause is Cause.OUT_OF_MEMORY for p in made.problems)
    assert made.problems[0].evidence[0].startswith("RPC0 needs ")
    assert made.problems[0].evidence[1] == "it has 2.0 GiB free, of which 1.0 GiB stay free"
    assert made.problems[0].next == "Add a backend, or take a smaller model or quantization."


def test_a_smaller_context_is_advised_where_it_would_fit(big: GgufHeader) -> None:
    options = PlanOptions(context_tokens=131072)
    made = plan_of(big, [8 * GIB], options, host=HostMemory(4 * GIB, GIB))
    assert not made.fits
    assert made.problems[0].next == "Set context_tokens to 16384, or add a backend."
    again = plan_of(big, [8 * GIB], PlanOptions(context_tokens=16384), HostMemory(4 * GIB, GIB))
    assert again.fits


def test_a_backend_too_small_for_a_layer_is_left_out(big: GgufHeader) -> None:
    made = plan_of(big, [8 * GIB, (16 * GIB, GIB), 8 * GIB])
    assert made.backends == (ADDRESSES[0], ADDRESSES[2])
    assert following(made, "--rpc") == f"{ADDRESSES[0]},{ADDRESSES[2]}"
    assert [d.name for d in made.devices] == ["RPC0", "RPC1"]
    assert f"{ADDRESSES[1]} is left out: nothing fits there" in made.notes
    assert made.startable


def test_a_wished_split_is_obeyed_and_judged(big: GgufHeader) -> None:
    options = PlanOptions(tensor_split=(3.0, 1.0))
    made = plan_of(big, [24 * GIB, 24 * GIB], options)
    assert layer_counts(made) == [31, 9]
    assert following(made, "-ts") == "3,1"
    small = plan_of(big, [4 * GIB, 24 * GIB], options)
    assert layer_counts(small) == [31, 9]
    assert not small.fits


def test_wished_layers_are_obeyed(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB, 24 * GIB], PlanOptions(gpu_layers=11))
    assert (len(made.host.layers), layer_counts(made)) == (30, [6, 4])
    assert following(made, "-ngl") == "11"
    assert plan_of(big, [24 * GIB], PlanOptions(gpu_layers=999)).gpu_layers == 41
    nothing = plan_of(big, [24 * GIB], PlanOptions(gpu_layers=0))
    assert (layer_counts(nothing), nothing.host.has_output) == ([0], True)


def test_a_server_without_fit_is_told_how_many_layers(big: GgufHeader) -> None:
    """Before --fit nothing was offloaded unless -ngl said so."""
    made = plan_of(big, [24 * GIB], flags=frozenset({"--rpc"}))
    assert following(made, "-ngl") == "41"


def test_no_backend_at_all_is_a_plan_for_this_machine(big: GgufHeader) -> None:
    made = plan_of(big, [], host=HostMemory(64 * GIB, 60 * GIB))
    assert made.startable
    assert made.host.layers == tuple(range(40))
    assert made.host.has_output
    assert "--rpc" not in made.argv
    assert "-ngl" not in made.argv
    assert "no RPC backend: the whole model runs on this machine" in made.notes


def test_a_tied_embedding_is_not_counted_twice_on_the_host() -> None:
    header = header_of(Model(tied=True))
    alone = plan_of(header, [], host=None)
    assert alone.host.weights_bytes == header.tensor_bytes
    split = plan_of(header, [24 * GIB])
    total = split.host.weights_bytes + split.devices[0].weights_bytes
    assert total == header.tensor_bytes + header.tied_bytes


def test_gpus_of_this_machine_come_behind_the_backends(big: GgufHeader) -> None:
    local = [LocalDevice("CUDA0", "RTX", 24 * GIB, 24 * GIB)]
    made = plan_of(big, [24 * GIB], local=local)
    assert [(d.name, d.address) for d in made.devices] == [("RPC0", ADDRESSES[0]), ("CUDA0", "")]
    assert made.devices[1].has_output


def test_several_devices_of_one_backend_count_on(big: GgufHeader) -> None:
    gpu = Device(24 * GIB, 20 * GIB)
    backends = [PlanBackend(ADDRESSES[0], (gpu, gpu)), PlanBackend(ADDRESSES[1], (gpu,))]
    made = plan(PlanModel("m", "/m", big), backends, None, PlanOptions())
    assert [(d.name, d.address) for d in made.devices] == [
        ("RPC0", ADDRESSES[0]),
        ("RPC1", ADDRESSES[0]),
        ("RPC2", ADDRESSES[1]),
    ]
    assert sum(layer_counts(made)) == 40


def test_a_backend_that_tells_nothing_of_its_memory_is_believed(big: GgufHeader) -> None:
    made = plan_of(big, [0, 0])
    assert made.fits
    assert made.devices[0].free_bytes is None
    assert layer_counts(made) == [21, 19]
    assert f"{ADDRESSES[0]}, {ADDRESSES[1]} tells nothing of its memory" in made.notes


def test_memory_that_is_only_assumed_free_is_told(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB, (24 * GIB, 20 * GIB)])
    assert any(f"free on {ADDRESSES[0]}:" in n for n in made.notes)


def test_backends_on_one_host_share_its_memory(big: GgufHeader) -> None:
    """Each of them tells the whole of it."""
    whole = Device(6 * GIB, 6 * GIB)
    backends = [
        PlanBackend(BackendAddress(f"10.0.0.9:{port}"), (whole,)) for port in (50052, 50053)
    ]
    made = plan(PlanModel("m", "/m", big), backends, None, PlanOptions())
    assert not made.fits
    apart = plan_of(big, [6 * GIB, 6 * GIB])
    assert apart.fits


def test_a_backend_beside_the_coordinator_takes_from_the_same_memory(big: GgufHeader) -> None:
    here = [PlanBackend(BackendAddress("127.0.0.1:50052"), (Device(24 * GIB, 24 * GIB),))]
    model = PlanModel("m", "/m", big)
    assert plan(model, here, HostMemory(24 * GIB, 20 * GIB), PlanOptions()).fits
    full = plan(model, here, HostMemory(24 * GIB, 2 * GIB), PlanOptions())
    assert not full.fits
    assert full.problems[0].subject == "this machine"


def test_a_backend_of_another_protocol_is_left_out(big: GgufHeader) -> None:
    backends = backends_of([24 * GIB] * 3)
    backends[1] = backends[1]._replace(protocol="5.0.0")
    made = plan(PlanModel("m", "/m", big), backends, None, PlanOptions())
    assert made.backends == (ADDRESSES[0], ADDRESSES[2])
    (problem,) = made.problems
    assert (problem.cause, problem.subject) == (Cause.BACKEND_INCOMPATIBLE, ADDRESSES[1])
    assert problem.evidence == ("it speaks RPC 5.0.0", "the coordinator speaks RPC 7.0.0")
    assert made.startable


def test_the_servers_own_protocol_decides_when_it_is_known(big: GgufHeader) -> None:
    made = plan(
        PlanModel("m", "/m", big), backends_of([24 * GIB] * 2), None, PlanOptions(protocol="6.0.0")
    )
    assert made.backends == ()
    assert len(made.problems) == 2


def test_a_server_without_rpc_is_a_problem(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB], flags=frozenset({"--metrics"}))
    assert [p.cause for p in made.problems] == [Cause.NO_RPC_SUPPORT]
    assert not made.startable


def test_adapters_belong_to_the_model(big: GgufHeader) -> None:
    model = PlanModel("a,b", "/m", big, ("/lora/1", "/lora/2"))
    made = plan(model, [], None, PlanOptions())
    words = " ".join(made.argv)
    assert "-m /m --lora /lora/1 --lora /lora/2 --alias a_b" in words


def test_what_it_sees_with_is_loaded_on_the_coordinators_machine_and_counted(
    big: GgufHeader,
) -> None:
    """A backend would hold it otherwise, and nothing tells beforehand which one."""
    model = PlanModel("a", "/m", big, (), "/mmproj", GIB)
    blind = plan(model._replace(projector="", projector_bytes=0), [], None, PlanOptions())
    made = plan(model, [], None, PlanOptions())
    assert "-m /m --mmproj /mmproj --no-mmproj-offload --alias a" in " ".join(made.argv)
    assert made.host.weights_bytes == blind.host.weights_bytes + GIB
    assert made.projector == "/mmproj"
    assert "it sees pictures: its projector (1.0 GiB) is loaded on this machine" in made.notes
    backends = backends_of([24 * GIB])
    need = plan(model, backends, None, PlanOptions()).host.bytes
    for free, fits in ((need, True), (need - 1, False)):
        host = HostMemory(64 * GIB, free)
        assert plan(model, backends, host, PlanOptions()).fits is fits


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (CURRENT, ""),
        (CURRENT | {"--mmproj"}, "--mmproj /mmproj"),
        (CURRENT | {"--mmproj", "--no-mmproj-offload"}, "--mmproj /mmproj --no-mmproj-offload"),
    ],
)
def test_an_older_server_is_given_only_what_it_knows_to_see_with(
    big: GgufHeader, flags: Flags, words: str
) -> None:
    model = PlanModel("a", "/m", big, (), "/mmproj", GIB)
    made = plan(model, [], HostMemory(64 * GIB, 60 * GIB), PlanOptions(), flags=flags)
    assert f"-m /m {words} --alias a".replace("  ", " ") in " ".join(made.argv)
    assert bool(made.projector) is bool(words)
    assert any("pictures" in note for note in made.notes) is bool(words)


def test_slots_have_the_whole_context_each(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB], PlanOptions(context_tokens=4096, slots=3))
    assert (following(made, "-c"), following(made, "-np")) == ("12288", "3")
    assert made.devices[0].kv_bytes == 40 * 2 * 1024 * 4096 * 2 * 3


def test_another_reserve_is_told_to_the_server(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB], PlanOptions(reserve_bytes=512 * MIB))
    assert following(made, "--fit-target") == "512"


def test_a_small_host_keeps_less_of_old_prompts(big: GgufHeader) -> None:
    roomy = plan_of(big, [24 * GIB], host=HostMemory(64 * GIB, 60 * GIB))
    assert "--cache-ram" not in roomy.argv
    small = plan_of(big, [24 * GIB], host=HostMemory(4 * GIB, 3 * GIB))
    kept = following(small, "--cache-ram")
    assert kept is not None
    assert 1000 < int(kept) < 1536


def test_what_a_person_should_know_is_noted() -> None:
    header = header_of(llama__pooling_type=1)
    made = plan_of(header, [24 * GIB])
    assert "the model was trained for 4096 tokens of context" in made.notes
    assert "this model makes embeddings, it does not answer" in made.notes


def test_the_json_has_the_promised_form(big: GgufHeader) -> None:
    made = plan_of(big, [24 * GIB], host=HostMemory(64 * GIB, 60 * GIB))
    read = json.loads(json.dumps(plan_json(made)))
    assert read["schema"] == 1
    assert (read["model"], read["gguf"], read["layers"]) == ("tiny:8b", "/models/tiny.gguf", 40)
    assert read["context_tokens"] == 8192
    assert read["model_bytes"] == 6 * GIB
    assert read["fits"] is True
    assert read["argv"] == list(made.argv)
    assert read["problems"] == []
    assert set(read["devices"][0]) == {
        *("name", "address", "layers", "weights_bytes", "kv_bytes", "compute_bytes"),
        *("free_bytes", "fits"),
    }
    assert [(d["name"], d["address"], d["layers"]) for d in read["devices"]] == [
        ("RPC0", ADDRESSES[0], 40),
        ("host", None, 0),
    ]


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=5),
    st.integers(0, 16),
    st.sampled_from([512, 8192, 65536]),
)
def test_every_layer_has_one_place_whatever_the_memory(
    gib: list[int], host_gib: int, context: int
) -> None:
    header = read_header(BIG_HEAD, 6 * GIB)
    assert isinstance(header, GgufHeader)
    host = HostMemory(16 * GIB, host_gib * GIB)
    made = plan_of(header, [(16 * GIB, g * GIB) for g in gib], PlanOptions(context), host)
    everybody = (*made.devices, made.host)
    assert sorted(i for d in everybody for i in d.layers) == list(range(40))
    assert sum(d.has_output for d in everybody) == 1
    assert made.fits == all(d.fits for d in everybody)
    assert made.startable == (not made.problems)


# What a server understands


def test_help_is_read_with_all_names_of_a_flag() -> None:
    text = """----- common params -----

-h,    --help, --usage                  print usage and exit
-c,    --ctx-size N                     size of the prompt context (default: 0, 0 = loaded from
                                        --model, or -1)
                                        - auto: mmap
--rpc SERVERS                           comma-separated list of RPC servers (host:port)
--ui,  --webui, --no-ui, --no-webui     whether to enable the Web UI (default: enabled)
-fa,   --flash-attn [on|off|auto]       set Flash Attention use
"""
    assert parse_help(text) == {
        *("-h", "--help", "--usage", "-c", "--ctx-size", "--rpc", "--ui", "--webui"),
        *("--no-ui", "--no-webui", "-fa", "--flash-attn"),
    }


def test_older_names_are_used_where_newer_are_unknown(big: GgufHeader) -> None:
    old = frozenset({"--rpc", "--no-webui", "--verbosity", "--metrics", "--slots"})
    words = plan_of(big, [24 * GIB], flags=old).argv
    assert "--no-webui" in words
    assert "--no-ui" not in words
    assert "--log-jsonl" not in words
    assert "--cors-origins" not in words
    assert words[words.index("--verbosity") + 1] == "4"
    assert "--slots" in words


def test_listed_devices_are_read() -> None:
    text = "Available devices:\n  CUDA0: NVIDIA RTX 3090 (24105 MiB, 20000 MiB free)\n"
    assert parse_devices(text) == (
        LocalDevice("CUDA0", "NVIDIA RTX 3090", 24105 * MIB, 20000 * MIB),
    )
    assert parse_devices("Available devices:\n  (none)\n") == ()
