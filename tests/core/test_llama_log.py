"""Reading llama-server's log: every captured one, and the map of shards that follows."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from sollol_tui.core.llama_log import (
    KEPT_PROBLEMS,
    MAX_LINE,
    MIB,
    BufferSeen,
    DeviceSeen,
    LogFacts,
    LogReader,
    parse_line,
)
from sollol_tui.core.phases import Phase
from sollol_tui.core.shard_map import Shard, ShardMap, shard_map
from tests.samples import HERE

ONE, TWO = "127.0.0.1:21052", "127.0.0.1:21053"
TOTAL = 24105 * MIB


def sample(name: str) -> list[str]:
    """The lines of a captured log."""
    return (HERE / "llama-cpp" / f"{name}.txt").read_text().splitlines()


def read(lines: Iterable[str]) -> LogFacts:
    """What these lines tell."""
    reader = LogReader()
    for line in lines:
        reader.feed(line)
    return reader.facts


def mib(number: float) -> int:
    """MiB as bytes, as the log's figures are turned into them."""
    return round(number * MIB)


def buffers(*rows: tuple[str, str, float]) -> tuple[BufferSeen, ...]:
    """Buffers of these MiB."""
    return tuple(BufferSeen(place, kind, mib(size)) for place, kind, size in rows)


BOTH = buffers(
    ("CPU_Mapped", "weights", 28.69),
    (f"RPC0[{ONE}]", "weights", 33.82),
    (f"RPC0[{TWO}]", "weights", 58.28),
    (f"RPC0[{ONE}]", "kv", 96.00),
    (f"RPC0[{TWO}]", "kv", 84.00),
    (f"RPC0[{ONE}]", "compute", 59.05),
    (f"RPC0[{TWO}]", "compute", 48.91),
    ("CPU", "compute", 43.32),
)


# Lines


def test_a_plain_line_loses_its_prefix() -> None:
    line = parse_line("1.02.003.004 E srv  llama_server: exiting\n")
    assert (line.at_s, line.level, line.text) == (62.003004, "error", "srv  llama_server: exiting")


def test_a_json_line_is_the_same_line() -> None:
    raw = '{"type":"log","time":842564,"level":"warn","msg":"srv  llama_server: model loaded\\n"}'
    assert parse_line(raw) == (0.842564, "warn", "srv  llama_server: model loaded", None)


@pytest.mark.parametrize(
    "raw", ["{", '{"type":"log"', "[1]", '{"type":"log","msg":7}', "", "{" * 5000, "\x00\x1b[2J"]
)
def test_what_is_no_log_line_is_kept_as_text(raw: str) -> None:
    assert parse_line(raw).level in {"plain", "info"}


def test_control_codes_do_not_come_through() -> None:
    assert "\x1b" not in parse_line("0.00.000.001 I a: \x1b[31mred\x1b[0m").text
    assert "\x1b" not in parse_line('{"type":"log","msg":"\\u001b[2J"}').text


def test_a_line_without_end_is_cut() -> None:
    assert len(parse_line("x" * 10_000_000).text) == MAX_LINE


# Captured logs


def test_the_usual_log_at_verbosity_4() -> None:
    facts = read(sample("log_lv4_stderr"))
    assert facts.phase is Phase.READY
    assert facts.progress == 1.0
    assert facts.url == "http://127.0.0.1:21080"
    assert facts.devices == (
        DeviceSeen("RPC0", ONE, TOTAL, TOTAL),
        DeviceSeen("RPC1", TWO, TOTAL, TOTAL),
    )
    assert facts.buffers == BOTH
    assert facts.offloaded == (31, 31)
    assert (facts.layers, facts.context_tokens, facts.slots) == (30, 8192, 4)
    assert [row.name for row in facts.memory] == ["RPC0", "RPC1", "Host"]
    assert [p.level for p in facts.problems] == ["warn"]


def test_the_same_as_json() -> None:
    facts = read(sample("log_jsonl_lv4_stdout"))
    assert facts.buffers == BOTH
    assert facts.phase is Phase.READY
    assert facts.url == "http://127.0.0.1:21080"
    row = facts.memory[0]
    assert (row.kind, row.name, row.description) == ("device", "RPC0", ONE)
    assert (row.weights_bytes, row.kv_bytes, row.compute_bytes) == (mib(33), mib(96), mib(59))


def test_json_at_the_usual_verbosity_tells_whole_mib() -> None:
    facts = read(sample("log_jsonl_stdout"))
    assert facts.buffers == ()
    assert [(r.kind, r.weights_bytes // MIB) for r in facts.memory] == [
        ("device", 33),
        ("device", 58),
        ("host", 28),
    ]
    assert (facts.context_tokens, facts.slots) == (8192, 4)


def test_the_breakdown_printed_at_the_end_does_not_replace_the_first() -> None:
    """After a clean exit it comes again, when buffers may be gone."""
    lines = sample("log_jsonl_stdout")
    last = json.dumps({"type": "fit_memory_breakdown", "data": {"unit": "MiB", "rows": []}})
    assert read([*lines, last]).memory == read(lines).memory


def test_layer_lines_tell_each_layer_and_the_dry_run_is_forgotten() -> None:
    facts = read(sample("log_lv5_layer_lines"))
    assert facts.layer_devices == ("RPC0",) * 16 + ("RPC1",) * 15
    assert facts.buffers == BOTH


def test_a_buffer_that_is_made_again_counts_once() -> None:
    """A sliding window makes two caches, which add up; compute is reserved again and replaced."""
    line = f"0.00.000.001 I {{}}: RPC0[{ONE}] {{}} buffer size =    10.00 MiB"
    lines = [line.format("llama_kv_cache", "KV"), line.format("sched_reserve", "compute")] * 2
    assert read(lines).buffers == buffers(
        (f"RPC0[{ONE}]", "kv", 20), (f"RPC0[{ONE}]", "compute", 10)
    )


def test_a_partial_offload() -> None:
    facts = read(sample("fit_partial_offload_lv4"))
    assert facts.offloaded == (18, 31)
    assert facts.buffers == buffers(
        ("CPU_Mapped", "weights", 92.10),
        (f"RPC0[{ONE}]", "weights", 64.62),
        ("CPU", "kv", 19.50),
        (f"RPC0[{ONE}]", "kv", 25.50),
        (f"RPC0[{ONE}]", "compute", 13.26),
        ("CPU", "compute", 16.64),
    )


def test_phases_in_their_order() -> None:
    reader, seen = LogReader(), [LogReader().facts.phase]
    for line in sample("log_lv4_stderr"):
        reader.feed(line)
        if reader.facts.phase is not seen[-1]:
            seen.append(reader.facts.phase)
    assert seen == [Phase.CONNECTING, Phase.LOADING, Phase.WARMING, Phase.READY]


def test_a_server_that_sleeps_and_wakes() -> None:
    lines = sample("sleep_idle_log")
    asleep = next(i for i, line in enumerate(lines) if "entering sleeping" in line)
    awake = next(i for i, line in enumerate(lines) if "exiting sleeping" in line)
    ready = next(i for i, line in enumerate(lines) if i > awake and "initializing, n_slots" in line)
    assert read(lines[: asleep + 1]).sleeping
    assert not read(lines[: awake + 1]).sleeping
    assert read(lines[: awake + 3]).phase is Phase.LOADING
    assert read(lines[: ready + 1]).phase is Phase.READY
    assert read(lines).phase is Phase.LOADING  # the last wake-up found no backend


@pytest.mark.parametrize("name", [p.stem for p in sorted((HERE / "llama-cpp").glob("*.txt"))])
def test_every_captured_text_can_be_read(name: str) -> None:
    facts = read(sample(name))
    assert len(facts.problems) <= KEPT_PROBLEMS
    shard_map(facts, 30)


def test_problems_are_kept_in_bounds() -> None:
    facts = read(f"0.00.000.001 E srv stop: {i}" for i in range(1000))
    assert len(facts.problems) == KEPT_PROBLEMS
    assert facts.problems[-1].text == "srv stop: 999"


# Progress


def progress_line(value: float, stage: str = "text_model") -> str:
    """What a router's child prints while it loads."""
    payload = {"stages": [stage], "current": stage, "value": value}
    return f"cmd_child_to_router:state:{json.dumps({'state': 'loading', 'payload': payload})}"


def test_a_routers_child_tells_how_far_it_is() -> None:
    facts = read([progress_line(0.0), progress_line(0.7091427445411682)])
    assert facts.phase is Phase.LOADING
    assert facts.progress == pytest.approx(0.709, abs=0.001)


def test_a_woken_server_loads_from_the_start() -> None:
    lines = [*sample("sleep_idle_log")[:13], progress_line(0.25)]
    woken = next(i for i, line in enumerate(lines) if "exiting sleeping" in line)
    assert read(lines[:woken]).progress == 1.0
    assert read(lines[:-1]).progress is None
    assert read(lines).progress == 0.25


@pytest.mark.parametrize(
    "line",
    [
        progress_line(0.5, "mmproj_model"),
        "cmd_child_to_router:state:{",
        "cmd_child_to_router:state:[]",
        'cmd_child_to_router:state:{"payload":null}',
        'cmd_child_to_router:state:{"state":"ready","payload":{}}',
    ],
)
def test_other_words_to_the_router_tell_no_progress(line: str) -> None:
    assert read([line]).progress is None


def test_dots_are_percents() -> None:
    """How servers before the router printed progress, in one line or dot by dot."""
    assert read(["." * 42]).progress == 0.42
    dot = '{"type":"log","time":1,"level":"cont","msg":"."}'
    assert read([dot] * 7).progress == 0.07


# Older servers


def test_names_of_older_servers_are_understood() -> None:
    old = "RPC[10.0.0.2:50052]"
    facts = read(
        [
            f"llama_model_load_from_file_impl: using device {old} ({old}) - 11000 MiB free",
            "load_tensors: RPC[10.0.0.2:50052] model buffer size =   100.00 MiB",
            "llama_kv_cache_unified: RPC[10.0.0.2:50052] KV buffer size =    10.00 MiB",
            "llama_context: RPC[10.0.0.2:50052] compute buffer size =     5.00 MiB",
            "main: model loaded",
            "main: server is listening on http://127.0.0.1:8080 - starting the main loop",
        ]
    )
    assert facts.url == "http://127.0.0.1:8080"
    assert facts.phase is Phase.READY
    found = shard_map(facts, 4)
    assert found is not None
    (device,) = found.devices
    assert (device.address, device.layers) == ("10.0.0.2:50052", (0, 1, 2, 3))
    assert device.bytes == mib(115)


# The map


def shards(found: ShardMap | None) -> list[tuple[str, str, tuple[int, int] | None, bool]]:
    """The devices and the host of a map: name, address, first and last layer, output."""
    assert found is not None
    return [
        (s.name, s.address, (s.layers[0], s.layers[-1]) if s.layers else None, s.has_output)
        for s in (*found.devices, found.host)
    ]


@pytest.mark.parametrize(
    "name",
    ["log_lv4_stderr", "log_lv5_layer_lines", "log_jsonl_lv4_stdout", "log_jsonl_stdout"],
)
def test_the_map_of_two_backends(name: str) -> None:
    found = shard_map(read(sample(name)), 30)
    assert shards(found) == [
        ("RPC0", ONE, (0, 15), False),
        ("RPC1", TWO, (16, 29), True),
        ("host", "", None, False),
    ]
    assert found is not None
    assert found.exact == (name == "log_lv5_layer_lines")


def test_the_map_holds_the_reported_bytes() -> None:
    found = shard_map(read(sample("log_lv4_stderr")), 30)
    assert found is not None
    assert found.devices[1] == Shard(
        "RPC1", TWO, tuple(range(16, 30)), True, mib(58.28), mib(84), mib(48.91), TOTAL, TOTAL
    )
    assert found.host.weights_bytes == mib(28.69)
    assert found.host.compute_bytes == mib(43.32)


def test_the_map_of_a_partial_offload_begins_on_the_host() -> None:
    found = shard_map(read(sample("fit_partial_offload_lv4")), 30)
    assert shards(found) == [("RPC0", ONE, (13, 29), True), ("host", "", (0, 12), False)]


def test_one_endpoint_with_two_devices_and_another_with_one() -> None:
    """Devices count over all endpoints, buffers per endpoint."""
    facts = LogFacts(
        devices=(
            DeviceSeen("RPC0", ONE, 1, 1),
            DeviceSeen("RPC1", ONE, 1, 1),
            DeviceSeen("RPC2", TWO, 1, 1),
            DeviceSeen("CUDA0", "RTX", 1, 1),
        ),
        buffers=buffers(
            (f"RPC0[{ONE}]", "kv", 10),
            (f"RPC1[{ONE}]", "kv", 20),
            (f"RPC0[{TWO}]", "kv", 30),
            ("CUDA0", "kv", 40),
            ("CUDA0", "weights", 40),
            ("CUDA_Host", "compute", 3),
        ),
    )
    found = shard_map(facts, 10)
    assert shards(found) == [
        ("RPC0", ONE, (0, 0), False),
        ("RPC1", ONE, (1, 2), False),
        ("RPC2", TWO, (3, 5), False),
        ("CUDA0", "", (6, 9), True),
        ("host", "", None, False),
    ]
    assert found is not None
    assert found.host.compute_bytes == mib(3)


def test_layers_with_different_caches_need_their_weights() -> None:
    """Five windowed layers of 1 and a full one of 5: the halves are not three layers each."""
    facts = LogFacts(
        devices=(DeviceSeen("RPC0", ONE, 1, 1), DeviceSeen("RPC1", TWO, 1, 1)),
        buffers=buffers((f"RPC0[{ONE}]", "kv", 5), (f"RPC0[{TWO}]", "kv", 5)),
    )
    found = shard_map(facts, 6, [1, 1, 1, 1, 1, 5])
    assert shards(found)[:2] == [("RPC0", ONE, (0, 4), False), ("RPC1", TWO, (5, 5), False)]


def test_rounded_figures_do_not_move_a_layer() -> None:
    """The log prints hundredths of a MiB."""
    facts = LogFacts(
        devices=(DeviceSeen("RPC0", ONE, 1, 1), DeviceSeen("RPC1", TWO, 1, 1)),
        buffers=buffers((f"RPC0[{ONE}]", "kv", 1.33), (f"RPC0[{TWO}]", "kv", 0.67)),
    )
    assert shards(shard_map(facts, 6))[0][2] == (0, 3)
    swapped = buffers((f"RPC0[{ONE}]", "kv", 0.66), (f"RPC0[{TWO}]", "kv", 1.34))
    assert shards(shard_map(facts._replace(buffers=swapped), 6))[0][2] == (0, 1)


def test_a_model_without_a_cache_is_mapped_by_its_weights() -> None:
    facts = LogFacts(
        devices=(DeviceSeen("RPC0", ONE, 1, 1), DeviceSeen("RPC1", TWO, 1, 1)),
        buffers=buffers((f"RPC0[{ONE}]", "weights", 5), (f"RPC0[{TWO}]", "weights", 5)),
    )
    assert shards(shard_map(facts, 4))[:2] == [
        ("RPC0", ONE, (0, 1), False),
        ("RPC1", TWO, (2, 3), True),
    ]


def test_a_log_that_tells_nothing_makes_no_map() -> None:
    assert shard_map(LogFacts(), 30) is None
    assert shard_map(read(sample("log_default_stderr")), 30) is None


def test_an_unknown_number_of_layers_makes_no_layers_up() -> None:
    found = shard_map(read(sample("log_lv4_stderr")), 0)
    assert found is not None
    assert found.devices[0].layers is None
    assert found.devices[0].weights_bytes == mib(33.82)
