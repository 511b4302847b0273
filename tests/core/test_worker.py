"""A worker's command line, its events as JSON, what it registers, and why it ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.registry_shapes import RegistryValue, read_value
from sollol_tui.core.server_flags import LocalDevice
from sollol_tui.core.worker import (
    ClientsChanged,
    DevicesSeen,
    PhaseChanged,
    ProblemFound,
    RegistryChanged,
    WorkerEvent,
    WorkerOrder,
    unknown_flags,
    worker_argv,
    worker_event_json,
)
from sollol_tui.core.worker_ends import Ended, PortLook, port_problem, why_ended
from sollol_tui.core.worker_entry import (
    TTL_S,
    WorkerDevice,
    entry_key,
    named_devices,
    registry_entry,
)

README = Path(__file__).parents[2] / "README.md"
GIB = 1 << 30
MIB = 1 << 20
ORDER = WorkerOrder("/opt/ggml-rpc-server", "10.0.0.5", 50052)
ADDRESS = BackendAddress("10.0.0.5:50052")
GPU = WorkerDevice("CUDA0", "NVIDIA GeForce RTX 3090", 24 * GIB, 20 * GIB)
CPU = WorkerDevice("CPU", "AMD EPYC", 24105 * MIB, None)

BANNER = """\
Starting RPC server v7.0.0
  endpoint       : 10.0.0.5:50052
  local cache    : n/a
Devices:
  CUDA0: NVIDIA GeForce RTX 3090 (24576 MiB, 23000 MiB free)
  transport      : TCP
Accepted client connection
Client connection closed""".splitlines()
HELP = "options:\n  -H, --host HOST  host\n  -p, --port PORT  port\n  -c, --cache  cache"


# The command line


def test_only_what_is_wished_stands_in_the_command_line() -> None:
    plain = ("/opt/ggml-rpc-server", "--host", "10.0.0.5", "--port", "50052")
    assert worker_argv(ORDER) == plain
    full = ORDER._replace(devices="CUDA0,CUDA1", threads=8, cache=True)
    assert worker_argv(full) == (
        *plain,
        *("--device", "CUDA0,CUDA1", "--threads", "8", "--cache"),
    )


def test_a_flag_that_an_older_build_lacks_is_told_before_it_is_started() -> None:
    assert unknown_flags(ORDER, HELP) == ()
    wished = ORDER._replace(devices="CUDA0", threads=8, cache=True)
    assert unknown_flags(wished, HELP) == ("--device", "--threads")


# Events


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            PhaseChanged(1.5, Phase.FAILED, None, 4.0),
            {
                "at": 1.5,
                "event": "phase",
                "phase": "failed",
                "progress": None,
                "pid": None,
                "url": None,
                "address": "10.0.0.5:50052",
                "retry_in_s": 4.0,
            },
        ),
        (
            ProblemFound(1.5, Problem(Cause.PORT_TAKEN, "a:1", ("x",), "y")),
            {
                "at": 1.5,
                "event": "problem",
                "cause": "port_taken",
                "subject": "a:1",
                "evidence": ["x"],
                "next": "y",
            },
        ),
        (
            DevicesSeen(1.5, "7.0.0", (GPU,)),
            {
                "at": 1.5,
                "event": "devices",
                "protocol": "7.0.0",
                "devices": [
                    {
                        "name": "CUDA0",
                        "description": "NVIDIA GeForce RTX 3090",
                        "total_bytes": 24 * GIB,
                        "free_bytes": 20 * GIB,
                    }
                ],
            },
        ),
        (
            ClientsChanged(1.5, ("10.0.0.1",)),
            {"at": 1.5, "event": "clients", "clients": ["10.0.0.1"]},
        ),
        (
            RegistryChanged(1.5, ADDRESS, False, Fault(FaultKind.REFUSED)),
            {
                "at": 1.5,
                "event": "registry",
                "address": "10.0.0.5:50052",
                "registered": False,
                "error": "connection refused",
            },
        ),
    ],
)
def test_events_as_json(event: PhaseChanged | ProblemFound, expected: dict[str, object]) -> None:
    assert worker_event_json(event, ADDRESS) == expected


def test_the_readme_shows_every_event_in_its_shape() -> None:
    section = README.read_text(encoding="utf-8").split("### `worker --json`")[1]
    shown = [
        json.loads(line) for line in section.split("```json\n")[1].split("```")[0].splitlines()
    ]
    events: list[WorkerEvent] = [
        PhaseChanged(1.5, Phase.READY),
        DevicesSeen(1.5, "7.0.0", (GPU,)),
        RegistryChanged(1.5, ADDRESS, True),
        ClientsChanged(1.5, ()),
        ProblemFound(1.5, Problem(Cause.PORT_TAKEN, "a:1", ("x",), "y")),
    ]
    made = [worker_event_json(event, ADDRESS) for event in events]
    assert [list(line) for line in shown] == [list(line) for line in made]
    assert [line["event"] for line in shown] == [line["event"] for line in made]
    assert list(shown[1]["devices"][0]) == list(GPU._fields)


# What is registered


def test_a_worker_without_gpu_registers_what_sollols_script_would() -> None:
    entry = registry_entry((CPU,), 24105 * MIB)
    sollol = {
        "has_gpu": False,
        "gpu_devices": [],
        "gpu_vram_mb": [],
        "gpu_names": [],
        "cpu_ram_mb": 19284,
        "device_config": "cpu",
        "memory_config": "19284",
        "total_parallel_workers": 1,
    }
    assert {key: entry[key] for key in sollol} == sollol


def test_a_worker_with_gpus_registers_them_under_sollols_names() -> None:
    second = WorkerDevice("Vulkan1", "", 8 * GIB, 8 * GIB)
    entry = registry_entry((GPU, second), 15000 * MIB)
    assert entry["gpu_devices"] == ["cuda:0", "vulkan:1"]
    assert entry["gpu_vram_mb"] == [19660, 6553]
    assert entry["gpu_names"] == ["NVIDIA GeForce RTX 3090", "Vulkan1"]
    assert entry["device_config"] == "cpu,cuda:0,vulkan:1"
    assert entry["memory_config"] == "12000,19660,6553"
    assert entry["total_parallel_workers"] == 3


def found(entry: dict[str, object], ttl_s: int) -> tuple[str, float | None, str]:
    value = RegistryValue(entry_key(ADDRESS), json.dumps(entry).encode(), ttl_s)
    (backend,) = read_value(value, 0.0).backends
    return backend.address, backend.age_s, backend.told


def test_what_is_registered_is_read_back_with_whole_sizes_and_its_true_age() -> None:
    entry = registry_entry((GPU, CPU), CPU.total_bytes, heartbeat_s=1e12)
    assert found(entry, TTL_S - 4) == (ADDRESS, 4.0, "RTX 3090 24.0 GiB · CPU 23.5 GiB")


def test_devices_that_nobody_could_ask_yet_are_not_told() -> None:
    entry = registry_entry(None, 24105 * MIB, in_use=True)
    assert found(entry, TTL_S) == (ADDRESS, 0.0, "")
    assert (entry["devices"], entry["in_use"]) == (None, True)


def test_foreign_devices_do_no_harm() -> None:
    entry = registry_entry((), GIB) | {"devices": [7, {"name": "a\x1b[2J", "total_bytes": "x"}]}
    assert found(entry, TTL_S)[2] == "device · a[2J"
    assert found(entry | {"devices": "CPU"}, TTL_S)[2] == ""


def test_devices_get_the_names_of_the_log_in_its_order() -> None:
    probed = (Device(24 * GIB, 20 * GIB), Device(24105 * MIB, 24105 * MIB))
    listed = (
        LocalDevice("CUDA0", "NVIDIA GeForce RTX 3090", 24 * GIB, 23 * GIB),
        LocalDevice("CPU", "AMD EPYC", 24105 * MIB, 24105 * MIB),
    )
    assert named_devices(probed, listed, 0) == (GPU, CPU)


def test_without_names_only_the_whole_memory_of_the_host_is_known_to_be_its_cpu() -> None:
    probed = (Device(24 * GIB, 20 * GIB), Device(16 * GIB, 16 * GIB))
    assert named_devices(probed, (), 16 * GIB) == (
        WorkerDevice("", "", 24 * GIB, 20 * GIB),
        WorkerDevice("CPU", "", 16 * GIB, None),
    )


# Why it ended


def ended(exit_code: int | None, *log: str, look: PortLook = PortLook("free")) -> Ended:  # noqa: B008
    return why_ended(ORDER, exit_code, log, look)


def test_a_port_that_is_taken_names_who_has_it() -> None:
    warning = ("!!!!!!!!", "WARNING: Host ('10.0.0.5') is != '127.0.0.1'")
    look = PortLook("taken", "redis-server (pid 7)")
    result = ended(0, *warning, "", "Failed to create server socket", look=look)
    assert result == port_problem(ORDER, look)
    assert result.is_lasting
    assert result.problem.cause is Cause.PORT_TAKEN
    assert result.problem.evidence == ("redis-server (pid 7) listens there",)


def test_an_address_of_another_machine_names_our_own() -> None:
    look = PortLook("not_here", own_addresses=("10.0.0.7", "10.0.1.7"))
    result = ended(0, "Failed to create server socket", look=look)
    assert result.problem.cause is Cause.BACKEND_UNREACHABLE
    assert result.problem.evidence == (
        "10.0.0.5 is no address of this machine",
        "it has 10.0.0.7, 10.0.1.7",
    )


def test_a_port_that_is_free_again_is_tried_again() -> None:
    result = ended(0, "Failed to create server socket")
    assert not result.is_lasting
    assert result.problem.evidence == ("Failed to create server socket",)


def test_a_port_that_wants_more_rights() -> None:
    result = port_problem(ORDER._replace(port=80), PortLook("denied"))
    assert result is not None
    assert result.problem.evidence == ("this user may not listen on port 80",)


def test_a_free_port_is_no_problem() -> None:
    assert port_problem(ORDER, PortLook("free")) is None


def test_a_device_that_is_not_there_shows_those_that_are() -> None:
    result = ended(
        1, "error: unknown device: CUDA9", "available devices:", "  CPU: AMD (9 MiB, 9 MiB free)"
    )
    assert result.is_lasting
    assert result.problem.evidence == (
        "error: unknown device: CUDA9",
        "available devices:",
        "CPU: AMD (9 MiB, 9 MiB free)",
    )


def test_an_argument_that_is_not_known_ends_it_with_exit_code_0() -> None:
    result = ended(0, "error: unknown argument: --mem", "Usage: rpc [options]", "", "options:")
    assert result.is_lasting
    assert result.problem.evidence[0] == "error: unknown argument: --mem"


def test_a_library_that_is_missing() -> None:
    line = "error while loading shared libraries: libggml.so: cannot open shared object file"
    result = ended(127, line)
    assert (result.problem.cause, result.problem.subject) == (Cause.NO_BINARY, ORDER.binary)
    assert result.problem.evidence == (line,)


@pytest.mark.parametrize(
    ("exit_code", "log", "evidence"),
    [
        (-9, BANNER, ("it was ended by SIGKILL",)),
        (-13, BANNER, ("it was ended by SIGPIPE",)),
        (-250, BANNER, ("it was ended by signal 250",)),
        (None, [], ("it ended",)),
        (
            -6,
            [*BANNER, "ggml_abort: x", "ggml_abort: x", "\x1b[31mred"],
            ("it was ended by SIGABRT", "ggml_abort: x", "[31mred"),
        ),
        (3, ["no banner"], ("it ended with exit code 3", "no banner")),
    ],
)
def test_any_other_end_is_a_loss_with_its_last_words(
    exit_code: int | None, log: Sequence[str], evidence: tuple[str, ...]
) -> None:
    result = ended(exit_code, *log)
    assert not result.is_lasting
    assert result.problem.cause is Cause.BACKEND_LOST
    assert result.problem.evidence == evidence
