"""Workers with the real ggml-rpc-server, the real Redis, and a real coordinator over them."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import FoundBackend, RegistryReport
from sollol_tui.core.settings import Settings
from sollol_tui.core.worker import DevicesSeen, PhaseChanged, WorkerEvent, WorkerOrder
from sollol_tui.engine.local_backends import local_order
from sollol_tui.engine.worker import Worker
from sollol_tui.io.binaries import Binary, find_llama_server, find_rpc_server, supports_rpc
from sollol_tui.io.registry import Registry

from .lab import Lab, library_path
from .servers import (
    Coordinator,
    RedisServer,
    RpcBackend,
    Server,
    free_port,
    post_json,
    rpc_version,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),  # two cores may be busy with other things
    pytest.mark.xdist_group("engine"),
]

HOST = "127.0.0.2"
PATIENCE_S = 60.0
TTL_S = 30
HEARTBEAT_S = 0.2  # of workers in this process
ROUNDS = 4
QUESTION = [{"role": "user", "content": "Count to one hundred."}]


class WorkerProcess(Server):
    """`sollol-tui worker --json`, with a home of its own."""

    def __init__(self, lab: Lab, redis: RedisServer) -> None:
        super().__init__(lab, HOST)
        self.redis = redis

    def command(self) -> Sequence[str | Path]:
        """On a loopback address, which needs no yes."""
        bind = ["--host", self.host, "--port", str(self.port), "--threads", "1"]
        return [sys.executable, "-m", "sollol_tui.cli", "worker", "--json", *bind]

    def environment(self) -> dict[str, str]:
        """The lab's program and Redis, and nothing of the person who runs the tests."""
        return {
            "HOME": str(self.directory),
            "SOLLOL_TUI_RPC_SERVER": str(self.lab.rpc_server),
            "SOLLOL_TUI_REDIS_URL": self.redis.url,
        }

    def answers(self) -> bool:
        """Whether it says that it is registered."""
        return any(e["event"] == "registry" and e["registered"] for e in self.events())

    def events(self) -> list[dict[str, Any]]:
        """What it has told so far."""
        whole = self.log_text().rpartition("\n")[0].splitlines()
        return [json.loads(line) for line in whole if line.startswith("{")]

    def backend_pids(self) -> list[int]:
        """The backends that became ready, in order."""
        return [int(e["pid"]) for e in self.events() if e.get("phase") == "ready"]

    @property
    def key(self) -> str:
        """Where it is registered."""
        return f"sollol:rpc:node:{self.address}"


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds; the test's own time limit ends it."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline_s
        select.select([], [], [], 0.02)


def has_ended(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


def ttl_s(worker: WorkerProcess) -> int:
    return int(worker.redis.ask(f"TTL {worker.key}").removeprefix(":"))


async def seen(redis: RedisServer) -> tuple[FoundBackend, ...]:
    registry = Registry(redis.url)
    try:
        report = await registry.look(PATIENCE_S)
    finally:
        await registry.aclose()
    assert isinstance(report, RegistryReport), report
    return report.backends


# The command


def test_it_registers_with_a_ttl_and_is_found_with_its_devices(lab: Lab) -> None:
    with RedisServer(lab) as redis, WorkerProcess(lab, redis) as worker:
        assert 0 < ttl_s(worker) <= TTL_S
        (found,) = asyncio.run(seen(redis))
        assert (found.address, found.source) == (worker.address, "redis")
        assert found.age_s is not None
        assert found.age_s <= TTL_S
        (device,) = next(e["devices"] for e in worker.events() if e["event"] == "devices")
        assert (device["name"], device["free_bytes"]) == ("CPU", None)
        assert device["total_bytes"] == psutil.virtual_memory().total
        assert found.told.startswith("CPU ")


def test_a_killed_backend_is_started_again_and_still_registered(lab: Lab) -> None:
    with RedisServer(lab) as redis, WorkerProcess(lab, redis) as worker:
        (first,) = worker.backend_pids()
        os.kill(first, signal.SIGKILL)
        until(lambda: len(worker.backend_pids()) == 2)
        until(lambda: ttl_s(worker) > 0)
        assert worker.backend_pids()[1] != first
        problems = [e for e in worker.events() if e["event"] == "problem"]
        assert [p["cause"] for p in problems] == ["backend_lost"]
        assert problems[0]["evidence"] == ["it was ended by SIGKILL"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_takes_the_entry_back_and_leaves_no_process(lab: Lab, how: signal.Signals) -> None:
    """As systemd ends it, and Ctrl+C."""
    with RedisServer(lab) as redis, WorkerProcess(lab, redis) as worker:
        (pid,) = worker.backend_pids()
        worker.kill(how)
        assert worker.wait_exit(PATIENCE_S) == 0
        assert redis.ask(f"EXISTS {worker.key}") == ":0"
        assert not psutil.pid_exists(pid)
        assert [e.get("phase") for e in worker.events()][-3:] == ["stopping", None, "stopped"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_after_sigkill_the_backend_ends_and_nobody_keeps_the_entry_alive(lab: Lab) -> None:
    with RedisServer(lab) as redis, WorkerProcess(lab, redis) as worker:
        (pid,) = worker.backend_pids()
        worker.kill(signal.SIGKILL)
        worker.wait_exit(PATIENCE_S)
        until(lambda: has_ended(pid))
        left_s = ttl_s(worker)
        assert 0 < left_s <= TTL_S
        until(lambda: 0 < ttl_s(worker) <= left_s - 2)  # it runs out, nobody renews it
        redis.ask(f"EXPIRE {worker.key} 1")  # the rest of that time is Redis's
        until(lambda: not asyncio.run(seen(redis)))
        worker.spawn()
        until(lambda: len(worker.backend_pids()) == 2)


def call(lab: Lab, tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """The command with nobody to ask, run to its end."""
    env = {**os.environ, **library_path(lab.lib_dir), "HOME": str(tmp_path)}
    return subprocess.run(
        [sys.executable, "-m", "sollol_tui.cli", "worker", *argv],
        env={**env, "SOLLOL_TUI_RPC_SERVER": str(lab.rpc_server), "SOLLOL_TUI_REDIS_URL": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_where_others_can_reach_it_it_warns_in_plain_words_and_wants_a_yes(
    lab: Lab, tmp_path: Path
) -> None:
    """Nobody is there to say it: nothing is started."""
    port = free_port("127.0.0.1")
    refused = call(lab, tmp_path, "--host", "0.0.0.0", "--port", str(port))
    assert refused.returncode == 2
    said = " ".join(refused.stderr.split())
    for words in ("no password and no encryption", "in a private network only", 'say "--yes"'):
        assert words in said, said
    with socket.socket() as sock:
        assert sock.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_the_unit_runs_the_real_program(lab: Lab, tmp_path: Path) -> None:
    """What systemd would run is what was asked for, and it starts."""
    port = str(free_port(HOST))
    printed = call(lab, tmp_path, "--host", HOST, "--port", port, "--threads", "1", "--systemd")
    assert (printed.returncode, printed.stderr) == (0, ""), printed.stderr
    (run,) = (x for x in printed.stdout.splitlines() if x.startswith("ExecStart="))
    words = shlex.split(run.removeprefix("ExecStart="))
    env = {**os.environ, **library_path(lab.lib_dir), "HOME": str(tmp_path)}
    env |= {"SOLLOL_TUI_RPC_SERVER": str(lab.rpc_server)}
    with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: rpc_version(HOST, int(port)) == (7, 0, 0))
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0


# Under a coordinator


class Run:
    """A worker in this process, and what it told."""

    def __init__(self, order: WorkerOrder, state_dir: Path) -> None:
        self.events: list[WorkerEvent] = []
        self._told = asyncio.Event()
        self.worker = Worker(order, state_dir, self._hear, HEARTBEAT_S)
        self.task = asyncio.create_task(self.worker.run())

    def _hear(self, event: WorkerEvent) -> None:
        self.events.append(event)
        self._told.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds: looked at after each event."""
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                self._told.clear()
                await self._told.wait()

    def count(self, kind: type[WorkerEvent] | Phase) -> int:
        """How many events of this kind, or changes to this phase, there were."""
        if isinstance(kind, Phase):
            return sum(isinstance(e, PhaseChanged) and e.phase is kind for e in self.events)
        return sum(isinstance(e, kind) for e in self.events)

    def accepted(self) -> int:
        """How many clients its log has seen, probes included."""
        return self.worker.log.read_text().count("Accepted client connection")


@asynccontextmanager
async def running(order: WorkerOrder, state_dir: Path) -> AsyncIterator[Run]:
    run = Run(order, state_dir)
    try:
        yield run
    finally:
        run.worker.stop()
        await run.task


@pytest.fixture
def order(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> WorkerOrder:
    for name, value in library_path(lab.lib_dir).items():
        monkeypatch.setenv(name, value)
    return WorkerOrder(str(lab.rpc_server), HOST, free_port(HOST), threads=1)


def entry(redis: RedisServer, address: BackendAddress) -> dict[str, Any]:
    """What is registered of a backend now; nothing when it is not."""
    import redis as redis_client

    with redis_client.Redis.from_url(redis.url) as client:
        found = client.get(f"sollol:rpc:node:{address}")
    return dict(json.loads(found)) if isinstance(found, bytes) else {}


async def wait_for(holds: Callable[[], bool]) -> None:
    await asyncio.to_thread(until, holds)


async def test_a_backend_in_use_is_told_so_never_probed_and_outlives_its_coordinators(
    lab: Lab, order: WorkerOrder, tmp_path: Path
) -> None:
    """Coordinators are killed while they generate: without SIGPIPE ignored that kills backends."""
    with RedisServer(lab) as redis:
        order = order._replace(redis_url=redis.url, advertised=order.address)
        async with running(order, tmp_path) as run:
            await run.until(lambda: run.count(Phase.READY) == 1)
            for _ in range(ROUNDS):
                await use_and_kill(lab, run, redis)
        assert run.count(Phase.READY) == 1, "one start, no loss"
        assert run.count(Phase.FAILED) == 0


async def use_and_kill(lab: Lab, run: Run, redis: RedisServer) -> None:
    """A coordinator takes the backend, generates, and is killed; the registry is told of both."""
    address = run.worker.order.address
    coordinator = Coordinator(lab, lab.model_small, [address])
    try:
        await asyncio.to_thread(coordinator.start)
        asked = asyncio.create_task(asyncio.to_thread(ask, coordinator))
        await wait_for(lambda: entry(redis, address).get("in_use") is True)
        accepted, beat = run.accepted(), entry(redis, address)["heartbeat"]
        await wait_for(lambda: entry(redis, address)["heartbeat"] > beat + 3 * HEARTBEAT_S)
        assert run.accepted() == accepted, "nobody probes it while it is in use"
        coordinator.kill(signal.SIGKILL)
        await asked
        await wait_for(lambda: entry(redis, address)["in_use"] is False)
        await wait_for(lambda: run.accepted() == accepted + 1)  # one look, when it is free again
    finally:
        await asyncio.to_thread(coordinator.close)


def ask(coordinator: Coordinator) -> None:
    """A long answer; that it breaks off is the point."""
    body = {"messages": QUESTION, "max_tokens": 2000, "ignore_eos": True}
    with suppress(OSError, http.client.HTTPException, ValueError):
        post_json(coordinator.url + "/v1/chat/completions", body)


# What can be in the way


async def test_a_port_that_a_real_backend_has(lab: Lab, order: WorkerOrder, tmp_path: Path) -> None:
    with RpcBackend(lab, HOST, order.port) as other:
        problem = await Run(order, tmp_path).task
        assert problem is not None
        assert problem.cause is Cause.PORT_TAKEN
        assert problem.evidence == (f"ggml-rpc-server (pid {other.pid}) listens there",)
        assert other.answers()


async def test_a_device_that_is_not_there(order: WorkerOrder, tmp_path: Path) -> None:
    problem = await Run(order._replace(devices="CUDA9"), tmp_path).task
    assert problem is not None
    assert problem.evidence[0] == "error: unknown device: CUDA9"
    assert any("CPU" in line for line in problem.evidence)


# The programs


def test_the_real_programs_are_found_and_their_help_is_understood(
    lab: Lab, order: WorkerOrder
) -> None:
    folder = Settings(llama_server=str(lab.lib_dir), rpc_server=str(lab.lib_dir))
    server = find_llama_server(folder)
    assert isinstance(server, Binary), server
    assert supports_rpc(server.help)
    backend = find_rpc_server(Settings(), {"PATH": str(lab.rpc_server.parent)})
    assert isinstance(backend, Binary), backend
    assert backend.path == lab.rpc_server
    beside = find_rpc_server(Settings(llama_server=str(lab.llama_server)), {"PATH": ""})
    assert isinstance(beside, Binary), beside
    assert beside.path == lab.rpc_server


def test_ollamas_llama_server_is_not_found(ollama_lab: Lab, order: WorkerOrder) -> None:
    assert ollama_lab.ollama is not None
    own = ollama_lab.ollama.parent.parent / "lib" / "ollama"
    assert (own / "llama-server").exists()
    result = find_llama_server(Settings(), {"PATH": str(own)})
    assert not isinstance(result, Binary) or result.path.parent != own


async def test_a_local_backend_for_the_app(lab: Lab, order: WorkerOrder, tmp_path: Path) -> None:
    mine = await asyncio.to_thread(local_order, Settings(rpc_server=str(lab.rpc_server)))
    assert not isinstance(mine, Problem)
    async with running(mine, tmp_path) as run:
        await run.until(lambda: run.count(Phase.READY) == 1)
        (devices,) = [e.devices for e in run.events if isinstance(e, DevicesSeen)]
        assert [device.name for device in devices] == ["CPU"]
