"""`sollol-tui worker`: what it asks, what it says, how it ends."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings_merge import Resolved, state
from sollol_tui.core.worker import (
    ClientsChanged,
    DevicesSeen,
    PhaseChanged,
    ProblemFound,
    RegistryChanged,
    WorkerEvent,
    WorkerOrder,
)
from sollol_tui.core.worker_entry import WorkerDevice
from sollol_tui.io.listening import free_port
from sollol_tui.verbs.arguments import UsageError, parse
from sollol_tui.verbs.worker import WorkerCall, worker
from sollol_tui.verbs.worker_options import Place, WorkerOptions, choose_place, read_host
from sollol_tui.verbs.worker_unit import Unit, unit_text
from sollol_tui.verbs.worker_words import event_lines, warning
from tests.engine import fake_rpc_server
from tests.verbs.fakes import Terminal, heard, resolved, voice

HOST = "127.0.0.1"
ELSEWHERE = "203.0.113.9"  # no address of this machine: nothing is ever bound there
PATIENCE_S = 20.0
ORDER = WorkerOrder("/opt/ggml-rpc-server", "10.0.0.5", 50052, redis_url="redis://:s3cret@10.0.0.1")


DEVICES_TOLD = (
    "devices: CUDA0 RTX 3090 24.0 GiB (20.0 GiB free) · CPU AMD EPYC 16.0 GiB · "
    "device 1.0 GiB (1.0 GiB free) (RPC protocol 7.0.0)"
)


def settings(tmp_path: Path, *more: tuple[str, object]) -> Resolved:
    binary = fake_rpc_server.install(tmp_path / "bin")
    said = [("rpc_server", str(binary)), ("redis_url", "off"), *more]
    return resolved(*(state(key, value, "test", "test") for key, value in said))


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.create_server((HOST, 0)) as sock:
        yield sock.getsockname()[1]


# The command line


def test_the_flags() -> None:
    argv = "worker --host 10.0.0.5 --port 50060 --device CUDA0 --threads 4 --cache --yes --systemd"
    found = parse([*argv.split(), "--advertise", "gpu1:50060", "--json", "--redis", "r:1"])
    assert found.worker == WorkerOptions(
        "10.0.0.5", 50060, "CUDA0", 4, True, "gpu1:50060", True, True
    )
    assert found.as_json
    assert [statement.value for statement in found.flags] == ["redis://r:1"]
    assert parse(["worker"]).worker == WorkerOptions()


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ("--host gpu1", "not an IPv4 address"),
        ("--host ::1", "not an IPv4 address"),
        ("--port 0", "not a port"),
        ("--port x", "not a port"),
        ("--threads 0", "not a number of threads"),
        ("--threads ²", "not a number of threads"),
    ],
)
def test_what_the_backend_could_not_take_is_wrong_usage(argv: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse(["worker", *argv.split()])


def test_localhost_is_the_address_that_the_backend_takes() -> None:
    assert read_host("localhost") == HOST


# What is advertised


@pytest.mark.parametrize(
    ("options", "host", "redis_url", "advertised"),
    [
        (WorkerOptions(), "10.0.0.5", "redis://10.0.0.1", "10.0.0.5:50052"),
        (WorkerOptions(port=1), "10.0.0.5", "redis://127.0.0.1:6379", "10.0.0.5:1"),
        (WorkerOptions(), "0.0.0.0", "redis://10.0.0.1", "to-10.0.0.1:50052"),
        (WorkerOptions(), "0.0.0.0", "redis://127.0.0.1", "to-anywhere:50052"),
        (WorkerOptions(), HOST, "redis://localhost:6379", "127.0.0.1:50052"),
        (WorkerOptions(), HOST, "unix:///run/redis.sock", "127.0.0.1:50052"),
        (WorkerOptions(), HOST, "redis://10.0.0.1", None),
        (WorkerOptions(), "10.0.0.5", "", None),
        (WorkerOptions(advertise="gpu1.lan"), HOST, "redis://10.0.0.1", "gpu1.lan:50052"),
        (WorkerOptions(advertise="gpu1:7"), "10.0.0.5", "redis://10.0.0.1", "gpu1:7"),
        (WorkerOptions(advertise="127.0.0.1:7"), HOST, "redis://127.0.0.1", "127.0.0.1:7"),
    ],
)
def test_the_registry_is_told_an_address_that_its_readers_can_reach(
    options: WorkerOptions, host: str, redis_url: str, advertised: str | None
) -> None:
    place = choose_place(options, host, redis_url, lambda to: f"to-{to or 'anywhere'}")
    assert place.advertised == advertised
    assert ("not registered" in place.note) is (advertised is None)


def test_without_any_network_nobody_is_told() -> None:
    place = choose_place(WorkerOptions(), "0.0.0.0", "redis://10.0.0.1", lambda _: "")
    assert place == Place(None, "not registered: this machine has no network (give --advertise)")


@pytest.mark.parametrize("address", ["0.0.0.0:1", "127.0.0.1:1", "localhost", "[::1]:1", "a b:1"])
def test_an_advertised_address_that_leads_nowhere_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        choose_place(WorkerOptions(advertise=address), HOST, "redis://10.0.0.1", lambda _: "x")


# The yes


def test_elsewhere_than_on_loopback_it_wants_a_yes(tmp_path: Path) -> None:
    call = WorkerCall(WorkerOptions(ELSEWHERE), settings(tmp_path), tmp_path)
    spoken = voice()
    assert worker(call, spoken, None) == 2
    said = heard(spoken)[1]
    assert "no password and no encryption" in said
    assert "private network only" in said
    assert '"--yes"' in said
    for answer in ("", "no\n", "y\n"):
        assert worker(call, voice(), Terminal(answer)) == 2


@pytest.mark.parametrize("confirmed", [True, False])
def test_with_a_yes_it_goes_on(tmp_path: Path, confirmed: bool) -> None:
    options = WorkerOptions(ELSEWHERE, is_confirmed=confirmed)
    spoken = voice()
    stdin = None if confirmed else Terminal("yes\n")
    assert worker(WorkerCall(options, settings(tmp_path), tmp_path), spoken, stdin) == 1
    out, err = heard(spoken)
    assert "no password and no encryption" in err, "the warning is shown all the same"
    assert f"{ELSEWHERE} is no address of this machine" in out


def test_on_loopback_it_asks_nothing_and_says_that_others_cannot_reach_it(tmp_path: Path) -> None:
    spoken = voice()
    with taken_port() as port:
        call = WorkerCall(WorkerOptions(port=port), settings(tmp_path), tmp_path)
        assert worker(call, spoken, None) == 1
    out, err = heard(spoken)
    assert "only programs on this machine can use it" in err
    assert f"127.0.0.1:{port} is used by another program." in out
    assert f"(pid {os.getpid()}) listens there" in out


def test_the_warning_names_networks_and_public_addresses() -> None:
    lines = list(warning(ORDER._replace(host="0.0.0.0"), ("10.0.0.5", "8.8.8.8")))
    assert "0.0.0.0 means every network of this machine: 10.0.0.5, 8.8.8.8." in lines
    assert [line for line in lines if "public" in line] == [
        "8.8.8.8 is a public Internet address: do not do this without a firewall."
    ]
    assert not [line for line in warning(ORDER, ()) if "public" in line]


# What stops it before it begins


def test_read_only_starts_nothing(tmp_path: Path) -> None:
    spoken = voice()
    call = WorkerCall(WorkerOptions(), settings(tmp_path, ("read_only", True)), tmp_path)
    assert worker(call, spoken, None) == 2
    assert "read_only" in heard(spoken)[1]


def test_a_wrong_advertise_is_wrong_usage(tmp_path: Path) -> None:
    spoken = voice()
    more = settings(tmp_path, ("redis_url", "redis://10.0.0.1"))
    options = WorkerOptions(advertise="0.0.0.0")
    assert worker(WorkerCall(options, more, tmp_path), spoken, None) == 2
    assert "--advertise: 0.0.0.0 is no address" in heard(spoken)[1]


def test_a_program_that_is_not_there_is_a_problem_as_json(tmp_path: Path) -> None:
    spoken = voice()
    missing = resolved(state("rpc_server", "/nowhere/x", "test", "test"))
    assert worker(WorkerCall(WorkerOptions(), missing, tmp_path, as_json=True), spoken, None) == 1
    event = json.loads(heard(spoken)[0])
    assert (event["event"], event["cause"], event["subject"]) == (
        *("problem", "no_binary", "/nowhere/x"),
    )


def test_a_wish_that_an_older_program_does_not_know_is_wrong_usage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = WorkerCall(WorkerOptions(threads=2), settings(tmp_path), tmp_path)
    old = tmp_path / "bin" / "ggml-rpc-server"
    old.write_text("#!/bin/sh\necho '  -H HOST, --host HOST'\necho '  -p PORT, --port PORT'\n")
    spoken = voice()
    assert worker(call, spoken, None) == 2
    assert "knows no --threads" in heard(spoken)[1]


# What it says


@pytest.mark.parametrize(
    ("event", "lines"),
    [
        (
            PhaseChanged(0.0, Phase.STARTING, 7),
            ["starting /opt/ggml-rpc-server on 10.0.0.5:50052 (pid 7)"],
        ),
        (PhaseChanged(0.0, Phase.READY, 7), ["ready on 10.0.0.5:50052"]),
        (PhaseChanged(0.0, Phase.FAILED, None, 4.0), ["starts again in 4.0 s"]),
        (PhaseChanged(0.0, Phase.FAILED), ["not started"]),
        (
            PhaseChanged(0.0, Phase.QUARANTINED, None, 299.9),
            ["failed too often: starts again in 5 min"],
        ),
        (PhaseChanged(0.0, Phase.STOPPED), ["stopped"]),
        (
            ProblemFound(0.0, Problem(Cause.BACKEND_LOST, "a:1", ("x", "y"), "Do z.")),
            ["The RPC backend a:1 has ended.", "  x", "  y", "  Do z."],
        ),
        (
            DevicesSeen(
                0.0,
                "7.0.0",
                (
                    WorkerDevice("CUDA0", "RTX 3090", 24 << 30, 20 << 30),
                    WorkerDevice("CPU", "AMD EPYC", 16 << 30, None),
                    WorkerDevice("", "", 1 << 30, 1 << 30),
                ),
            ),
            [DEVICES_TOLD],
        ),
        (ClientsChanged(0.0, ("10.0.0.1",)), ["in use by 10.0.0.1"]),
        (ClientsChanged(0.0, ()), ["free: nobody uses it"]),
        (
            RegistryChanged(0.0, BackendAddress("10.0.0.5:50052"), True),
            ["registered as 10.0.0.5:50052 in redis://:•••@10.0.0.1"],
        ),
        (
            RegistryChanged(0.0, BackendAddress("10.0.0.5:50052"), False, Fault(FaultKind.REFUSED)),
            ["not registered in redis://:•••@10.0.0.1: connection refused; tried again every 10 s"],
        ),
    ],
)
def test_events_in_words(event: WorkerEvent, lines: list[str]) -> None:
    assert [line for line, _ in event_lines(event, ORDER)] == lines


# The unit

SECTIONS = ("[Unit]", "[Service]", "[Install]")


def test_the_unit_runs_this_worker_and_brings_the_yes(tmp_path: Path) -> None:
    more = settings(tmp_path, ("redis_url", "redis://10.0.0.1"))
    options = WorkerOptions(ELSEWHERE, 50060, "CUDA0", 4, True, "gpu1:50060", wants_unit=True)
    spoken = voice()
    call = WorkerCall(options, more, tmp_path, config=Path("/etc/sollol-tui.toml"))
    assert worker(call, spoken, None) == 0
    unit, said = heard(spoken)
    assert "no password and no encryption" in said
    command = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    assert command.split(" worker ")[1] == (
        f"--host {ELSEWHERE} --port 50060 --device CUDA0 --threads 4 --cache "
        "--advertise gpu1:50060 --redis redis://10.0.0.1 --config /etc/sollol-tui.toml --yes"
    )
    assert f"Environment=SOLLOL_TUI_RPC_SERVER={tmp_path}/bin/ggml-rpc-server" in unit
    assert [line for line in unit.splitlines() if line in SECTIONS] == list(SECTIONS)


def test_a_password_is_never_in_the_unit(tmp_path: Path) -> None:
    secret = settings(tmp_path, ("redis_url", "redis://:s3cret@10.0.0.1"))
    spoken = voice()
    assert worker(WorkerCall(WorkerOptions(wants_unit=True), secret, tmp_path), spoken, None) == 0
    unit, said = heard(spoken)
    assert "s3cret" not in unit + said
    assert "EnvironmentFile=/etc/sollol-tui/worker.env" in unit


def test_words_that_mean_something_to_systemd_are_quoted() -> None:
    unit = unit_text(Unit(("/a b/x", "100%", "$HOME", 'q"\\'), "me", {"X": "a b%"}))
    assert 'ExecStart="/a b/x" 100%% "$$HOME" "q\\"\\\\"\n' in unit
    assert 'Environment="X=a b%%"\n' in unit


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_has_nothing_to_say_against_the_unit(tmp_path: Path) -> None:
    options = WorkerOptions(ELSEWHERE, wants_unit=True)
    spoken = voice()
    assert worker(WorkerCall(options, settings(tmp_path), tmp_path), spoken, None) == 0
    path = tmp_path / "sollol-tui-worker.service"
    path.write_text(heard(spoken)[0])
    found = subprocess.run(
        ["systemd-analyze", "verify", path], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


# The whole command


def start(tmp_path: Path, *argv: str, **more: Any) -> subprocess.Popen[str]:
    binary = fake_rpc_server.install(tmp_path / "bin")
    env = {**os.environ, "SOLLOL_TUI_RPC_SERVER": str(binary), "SOLLOL_TUI_REDIS_URL": "off"}
    command = [sys.executable, "-m", "sollol_tui.cli", "worker", "--json", *argv]
    wanted = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "text": True, **more}
    return subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, **wanted)


def until_ready(process: subprocess.Popen[str]) -> int:
    """The pid of its backend."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event.get("phase") == "ready":
            return int(event["pid"])
    raise AssertionError("it ended")


def ends(pid: int) -> bool:
    """Whether it ends; whether somebody has buried it does not matter."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], PATIENCE_S)[0])
    finally:
        os.close(handle)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it_and_its_backend_with_exit_code_0(tmp_path: Path, number: int) -> None:
    with start(tmp_path, "--port", str(free_port(HOST))) as process:
        pid = until_ready(process)
        process.send_signal(number)
        phases = [json.loads(line).get("phase") for line in process.stdout or ()]
        assert process.wait(PATIENCE_S) == 0
    assert phases == ["stopping", "stopped"]
    assert not psutil.pid_exists(pid)


def test_it_ends_with_its_backend_when_nobody_reads_its_words(tmp_path: Path) -> None:
    with start(tmp_path, "--port", str(free_port(HOST))) as process:
        pid = until_ready(process)
        assert process.stdout is not None
        process.stdout.close()
        os.kill(pid, signal.SIGKILL)  # gives it something to say
        assert process.wait(PATIENCE_S) == 141


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_when_it_is_killed_its_backend_ends_too(tmp_path: Path) -> None:
    with start(tmp_path, "--port", str(free_port(HOST))) as process:
        pid = until_ready(process)
        process.kill()
        assert ends(pid)
