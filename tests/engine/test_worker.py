"""A worker keeps a backend up and registered, whatever happens to either."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest

from sollol_tui.core.faults import FaultKind
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.lifecycle import FAILURES_TO_QUARANTINE
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings import Settings
from sollol_tui.core.worker import (
    ClientsChanged,
    DevicesSeen,
    PhaseChanged,
    ProblemFound,
    RegistryChanged,
    WorkerEvent,
    WorkerOrder,
)
from sollol_tui.core.worker_ends import PortLook
from sollol_tui.core.worker_entry import WorkerDevice
from sollol_tui.engine import registration, worker_life
from sollol_tui.engine.local_backends import local_order
from sollol_tui.engine.worker import Worker
from sollol_tui.engine.worker_life import pid_file
from sollol_tui.io.listening import free_port, look_at_port
from sollol_tui.io.process import Command, Running, start
from tests.engine import fake_rpc_server
from tests.engine.fake_rpc_server import FREE, TOTAL
from tests.io.fake_redis import FakeRedis

HOST = "127.0.0.1"
PATIENCE_S = 20.0  # no test waits for it
HEARTBEAT_S = 0.05
MIB = 1 << 20
GPU = WorkerDevice("CUDA0", "NVIDIA GeForce RTX 3090", TOTAL, FREE)

Event = TypeVar("Event", bound=WorkerEvent)


class Run:
    """A worker that runs, and what it told."""

    def __init__(self, order: WorkerOrder, state_dir: Path) -> None:
        self.events: list[WorkerEvent] = []
        self._told = asyncio.Event()
        self._seen = 0
        self.worker = Worker(order, state_dir, self._hear, HEARTBEAT_S)
        self.task = asyncio.create_task(self.worker.run())

    def _hear(self, event: WorkerEvent) -> None:
        self.events.append(event)
        self._told.set()

    async def next(
        self, kind: type[Event], fits: Callable[[Event], bool] = lambda _: True
    ) -> Event:
        """The next event of this kind that fits; those before it are passed over."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self._seen < len(self.events):
                    event = self.events[self._seen]
                    self._seen += 1
                    if isinstance(event, kind) and fits(event):
                        return event
                self._told.clear()
                await self._told.wait()

    async def phase(self, phase: Phase) -> PhaseChanged:
        """The next change to this phase."""
        return await self.next(PhaseChanged, lambda event: event.phase is phase)

    async def ready(self) -> int:
        """The pid of the backend that is ready next."""
        pid = (await self.phase(Phase.READY)).pid
        assert pid is not None
        return pid

    async def end(self) -> Problem | None:
        """Stop it."""
        self.worker.stop()
        async with asyncio.timeout(PATIENCE_S):
            return await self.task


@pytest.fixture
def order(tmp_path: Path) -> WorkerOrder:
    binary = fake_rpc_server.install(tmp_path / "bin")
    return WorkerOrder(str(binary), HOST, free_port(HOST))


@asynccontextmanager
async def running(order: WorkerOrder, tmp_path: Path) -> AsyncIterator[Run]:
    run = Run(order, tmp_path)
    try:
        yield run
    finally:
        await run.end()


def registered(order: WorkerOrder, redis: FakeRedis) -> WorkerOrder:
    return order._replace(redis_url=redis.url, advertised=BackendAddress(f"10.0.0.5:{order.port}"))


async def until(redis: FakeRedis, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await redis.until(holds)


def entry(redis: FakeRedis) -> dict[str, Any]:
    (content,) = redis.data.values()
    assert isinstance(content, bytes)
    found: dict[str, Any] = json.loads(content)
    return found


# Starting


async def test_it_starts_safely_tells_its_devices_and_is_ready(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[Command] = []

    def noting(command: Command) -> Running:
        commands.append(command)
        return start(command)

    monkeypatch.setattr("sollol_tui.io.process.start", noting)
    async with running(order, tmp_path) as run:
        started = await run.phase(Phase.STARTING)
        seen = await run.next(DevicesSeen)
        assert (seen.protocol, seen.devices) == ("7.0.0", (GPU,))
        assert await run.ready() == started.pid
        assert commands[0].ignores_pipe_signal
        assert commands[0].ends_with_us
        assert os.getpgid(started.pid or 0) == started.pid
        assert psutil.Process(started.pid).environ()["GGML_NO_BACKTRACE"] == "1"
        assert "Accepted client" in run.worker.log.read_text()


async def test_stopping_leaves_no_process_and_ends_without_a_problem(
    order: WorkerOrder, tmp_path: Path
) -> None:
    run = Run(order, tmp_path)
    pid = await run.ready()
    assert await run.end() is None
    assert not psutil.pid_exists(pid)
    assert not pid_file(run.worker.log).exists()
    phases = [e.phase for e in run.events if isinstance(e, PhaseChanged)]
    assert phases == [Phase.STARTING, Phase.READY, Phase.STOPPING, Phase.STOPPED]


async def test_a_cancelled_worker_leaves_no_process(order: WorkerOrder, tmp_path: Path) -> None:
    run = Run(order, tmp_path)
    pid = await run.ready()
    run.task.cancel()
    await asyncio.wait([run.task])
    assert run.task.cancelled()
    assert not psutil.pid_exists(pid)


async def test_one_that_is_stopped_before_it_is_ready_ends(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RPC", "mute")
    async with running(order, tmp_path) as run:
        started = await run.phase(Phase.STARTING)
        assert await run.end() is None
        assert not psutil.pid_exists(started.pid or 0)


async def test_a_port_that_is_taken_is_told_and_nothing_is_started(
    order: WorkerOrder, tmp_path: Path
) -> None:
    with socket.create_server((HOST, 0)) as stranger:
        port = stranger.getsockname()[1]
        run = Run(order._replace(port=port), tmp_path)
        problem = await run.task
    assert problem is not None
    assert (problem.cause, problem.subject) == (Cause.PORT_TAKEN, f"{HOST}:{port}")
    assert f"(pid {os.getpid()}) listens there" in problem.evidence[0]
    assert [type(event) for event in run.events] == [ProblemFound, PhaseChanged]


async def test_a_stranger_on_the_port_is_never_taken_for_ours(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another backend got the port between our look and our start: a probe would be answered."""
    looks, really = [PortLook("free")], look_at_port
    async with running(order, tmp_path / "theirs") as theirs:
        pid = await theirs.ready()
        monkeypatch.setattr(
            worker_life, "look_at_port", lambda *where: looks.pop() if looks else really(*where)
        )
        ours = Run(order, tmp_path / "ours")
        problem = await ours.task
        assert [type(event) for event in ours.events] == [PhaseChanged, ProblemFound, PhaseChanged]
        assert problem is not None
        assert problem.cause is Cause.PORT_TAKEN
        assert f"(pid {pid})" in problem.evidence[0]


async def test_an_address_of_no_interface_is_told(order: WorkerOrder, tmp_path: Path) -> None:
    problem = await Run(order._replace(host="203.0.113.9"), tmp_path).task
    assert problem is not None
    assert problem.evidence[0] == "203.0.113.9 is no address of this machine"


async def test_a_device_that_is_not_there_is_told_and_not_tried_again(
    order: WorkerOrder, tmp_path: Path
) -> None:
    problem = await Run(order._replace(devices="CUDA9"), tmp_path).task
    assert problem is not None
    assert problem.evidence[0] == "error: unknown device: CUDA9"


async def test_a_program_that_cannot_be_started_is_told(order: WorkerOrder, tmp_path: Path) -> None:
    problem = await Run(order._replace(binary="/nowhere/ggml-rpc-server"), tmp_path).task
    assert problem is not None
    assert problem.cause is Cause.NO_BINARY
    assert problem.evidence == ("/nowhere/ggml-rpc-server: No such file or directory",)


async def test_a_second_worker_of_the_same_address_is_refused_and_harms_nobody(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with running(order, tmp_path) as run:
        pid = await run.ready()
        problem = await Run(order, tmp_path).task
        assert problem is not None
        assert problem.evidence == ("another worker of this program keeps a backend there",)
        assert psutil.pid_exists(pid)
        assert "Accepted client" in run.worker.log.read_text()


async def test_a_state_directory_that_cannot_be_used_is_told(
    order: WorkerOrder, tmp_path: Path
) -> None:
    (tmp_path / "worker").write_text("a file")
    problem = await Run(order, tmp_path).task
    assert problem is not None
    assert "File exists" in problem.evidence[0]


async def test_a_backend_that_an_earlier_run_left_is_ended_first(
    order: WorkerOrder, tmp_path: Path
) -> None:
    run = Run(order, tmp_path)
    await run.ready()
    await run.end()
    port = str(order.port)
    left = start(Command((order.binary, "--host", HOST, "--port", port), tmp_path / "left.log"))
    pid_file(run.worker.log).write_text(json.dumps(left.identity))
    async with running(order, tmp_path) as again:
        assert await again.ready() != left.pid
        assert not left.is_running


async def test_a_pid_file_of_nonsense_is_passed_over(order: WorkerOrder, tmp_path: Path) -> None:
    log = tmp_path / "worker" / f"{HOST}-{order.port}.log"
    log.parent.mkdir()
    pid_file(log).write_text('{"pid": 1')
    async with running(order, tmp_path) as run:
        await run.ready()


# Failing and coming back


async def test_a_killed_backend_is_started_again(order: WorkerOrder, tmp_path: Path) -> None:
    async with running(order, tmp_path) as run:
        first = await run.ready()
        os.kill(first, signal.SIGKILL)
        lost = await run.next(ProblemFound)
        assert lost.problem.cause is Cause.BACKEND_LOST
        assert lost.problem.evidence == ("it was ended by SIGKILL",)
        failed = await run.phase(Phase.FAILED)
        assert failed.retry_in_s is not None
        assert 0.5 < failed.retry_in_s <= 1.0
        run.worker.try_now()
        assert await run.ready() != first


async def test_one_that_has_served_is_tried_again_even_when_its_port_is_taken(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with running(order, tmp_path) as run:
        os.kill(await run.ready(), signal.SIGKILL)
        await run.phase(Phase.FAILED)
        with socket.create_server((HOST, order.port)):
            run.worker.try_now()
            taken = await run.next(ProblemFound, lambda e: e.problem.cause is Cause.PORT_TAKEN)
            assert "listens there" in taken.problem.evidence[0]
            assert (await run.phase(Phase.FAILED)).retry_in_s is not None
        run.worker.try_now()
        await run.ready()


async def test_one_that_keeps_failing_rests(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(order, tmp_path) as run:
        pid = await run.ready()
        os.kill(pid, signal.SIGKILL)
        monkeypatch.setenv("FAKE_RPC", "crash")
        monkeypatch.setattr("sollol_tui.core.lifecycle.BACKOFF_FIRST_S", 0.0)
        rests = await run.phase(Phase.QUARANTINED)
        assert (rests.retry_in_s or 0) > 200
        problems = [e.problem for e in run.events if isinstance(e, ProblemFound)]
        assert len(problems) == FAILURES_TO_QUARANTINE
        assert "GGML_ASSERT(false) failed" in problems[-1].evidence
        monkeypatch.delenv("FAKE_RPC")
        run.worker.try_now()
        await run.ready()


async def test_one_that_never_answers_is_started_again(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RPC", "mute")
    monkeypatch.setattr(worker_life, "START_WITHIN_S", 0.0)
    async with running(order, tmp_path) as run:
        problem = (await run.next(ProblemFound)).problem
        assert problem.cause is Cause.BACKEND_UNREACHABLE
        assert (await run.phase(Phase.FAILED)).retry_in_s is not None


async def test_another_protocol_version_serves_and_is_told(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_RPC", "old")
    async with running(order, tmp_path) as run:
        problem = (await run.next(ProblemFound)).problem
        assert problem.cause is Cause.BACKEND_INCOMPATIBLE
        assert "3.6.0" in problem.evidence[0]
        await run.ready()


# Serving


async def test_while_a_client_is_connected_nothing_is_probed_and_after_it_left_once(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with running(order, tmp_path) as run:
        await run.ready()
        _, writer = await asyncio.open_connection(HOST, order.port)
        came = await run.next(ClientsChanged)
        assert came.clients == (HOST,)
        writer.close()
        await writer.wait_closed()
        left = await run.next(ClientsChanged)
        assert left.clients == ()
        seen = await run.next(DevicesSeen)
        assert seen.devices == (GPU._replace(free_bytes=FREE - 2 * MIB),)
        await run.end()
        accepted = run.worker.log.read_text().count("Accepted client connection")
        assert accepted == 3, "the probe at the start, the client, the probe after it"


# The registry


async def test_it_is_registered_with_its_devices_and_a_heartbeat_until_it_ends(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with FakeRedis().serving() as redis:
        run = Run(registered(order, redis), tmp_path)
        told = await run.next(RegistryChanged)
        assert (told.registered, told.address) == (True, f"10.0.0.5:{order.port}")
        assert list(redis.data) == [b"sollol:rpc:node:10.0.0.5:%d" % order.port]
        assert set(redis.ttl_s.values()) == {30}
        assert entry(redis)["gpu_names"] == ["NVIDIA GeForce RTX 3090"]
        first = entry(redis)["heartbeat"]
        await until(redis, lambda: entry(redis)["heartbeat"] > first)
        await run.end()
        assert redis.data == {}
        assert (await run.next(RegistryChanged)).registered is False


async def test_a_backend_that_died_is_not_registered_until_it_serves_again(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with FakeRedis().serving() as redis, running(registered(order, redis), tmp_path) as run:
        pid = await run.ready()
        await run.next(RegistryChanged, lambda event: event.registered)
        os.kill(pid, signal.SIGKILL)
        await run.phase(Phase.FAILED)
        assert redis.data == {}
        run.worker.try_now()
        await run.next(RegistryChanged, lambda event: event.registered)
        assert len(redis.data) == 1


async def test_a_registry_that_is_down_is_told_once_and_served_when_it_is_back(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with FakeRedis().serving() as redis:
        await redis.stop()
        async with running(registered(order, redis), tmp_path) as run:
            down = await run.next(RegistryChanged)
            assert down.fault is not None
            assert down.fault.kind is FaultKind.REFUSED
            await redis.start()
            assert (await run.next(RegistryChanged)).registered
        told = [event.registered for event in run.events if isinstance(event, RegistryChanged)]
        assert told == [False, True, False]


async def test_a_registry_that_is_silent_holds_up_neither_the_next_start_nor_the_end(
    order: WorkerOrder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "REMOVE_WITHIN_S", 0.05)
    redis = FakeRedis()
    redis.overrides[b"SET"] = redis.overrides[b"DEL"] = None
    async with redis.serving(), running(registered(order, redis), tmp_path) as run:
        pid = await run.ready()
        os.kill(pid, signal.SIGKILL)
        await run.phase(Phase.FAILED)
        run.worker.try_now()
        await run.ready()


async def test_a_client_in_possession_is_told_to_the_registry(
    order: WorkerOrder, tmp_path: Path
) -> None:
    async with FakeRedis().serving() as redis, running(registered(order, redis), tmp_path) as run:
        await run.next(RegistryChanged)
        _, writer = await asyncio.open_connection(HOST, order.port)
        await run.next(ClientsChanged)
        await until(redis, lambda: entry(redis)["in_use"])
        writer.close()
        await writer.wait_closed()


# For the app


async def test_the_app_gets_an_order_for_this_machine(order: WorkerOrder, tmp_path: Path) -> None:
    mine = await asyncio.to_thread(local_order, Settings(rpc_server=str(tmp_path / "bin")))
    assert isinstance(mine, WorkerOrder)
    assert (mine.binary, mine.host, mine.redis_url) == (order.binary, HOST, "")
    async with running(mine, tmp_path) as run:
        await run.ready()
    missing = await asyncio.to_thread(local_order, Settings(rpc_server="/nowhere"))
    assert isinstance(missing, Problem)
