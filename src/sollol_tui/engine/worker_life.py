"""One backend from its start to its end: made, looked at, served, deregistered, explained."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.server_flags import LocalDevice, parse_devices
from sollol_tui.core.state import BackendStatus
from sollol_tui.core.wire import one_line
from sollol_tui.core.worker import (
    ClientsChanged,
    DevicesSeen,
    PhaseChanged,
    ProblemFound,
    WorkerEvent,
    WorkerOrder,
    worker_argv,
)
from sollol_tui.core.worker_ends import Ended, port_problem, why_ended
from sollol_tui.core.worker_entry import WorkerDevice, named_devices
from sollol_tui.engine.registration import Registration
from sollol_tui.io import log_file, process
from sollol_tui.io.files import write_atomically
from sollol_tui.io.listening import clients_of, is_listening, look_at_port
from sollol_tui.io.log_file import LogFile
from sollol_tui.io.process import Command, ProcessId, Running
from sollol_tui.io.rpc import Prober

TOKEN_VARIABLE = "SOLLOL_TUI_BACKEND"  # noqa: S105 - a name
TOKEN_BYTES = 18

START_WITHIN_S = 120.0  # a host with several GPUs takes its time to find them
LISTENS_POLL_S = 0.1
LOG_TAIL_LINES = 20

_ANY_HOST = "0.0.0.0"  # noqa: S104 - compared with, not bound

Exit = asyncio.Future[int | None]


class WorkerLife:
    """Lives once per `live`. `stopping` is done when it shall end; `has_served` stays true.

    With `leaves` the backend goes on when it is told to end.
    """

    def __init__(
        self,
        order: WorkerOrder,
        log: Path,
        tell: Callable[[WorkerEvent], None],
        heartbeat_s: float,
        clock: Callable[[], float],
        stopping: asyncio.Future[None],
    ) -> None:
        self.has_served = False
        self.leaves = False
        self._order = order
        self._log = LogFile(log)
        self._tell = tell
        self._heartbeat_s = heartbeat_s
        self._clock = clock
        self._stopping = stopping
        self._prober = Prober()
        self._registration = Registration(order, tell, clock)
        self._listed: tuple[LocalDevice, ...] = ()
        self._clients: tuple[str, ...] = ()

    async def live(self, found: Running | None = None) -> Ended | None:
        """Start it, unless it was found running, and see it through. Why it ended; None when it
        was stopped."""
        running = found if found is not None else await self._blocked() or self._start()
        if isinstance(running, Ended):
            return running
        exited = asyncio.ensure_future(running.wait())
        ended = None
        try:
            ended = await self._until_ready(running, exited)
            if ended is None and not exited.done():
                await self._serve(running, exited)
        finally:
            await self._close(running)
            exited.cancel()
        if self._stopping.done():
            return None
        return ended or await self._why(running)

    async def aclose(self) -> None:
        """Close what outlives a start."""
        await self._registration.aclose()

    # Starting

    async def _blocked(self) -> Ended | None:
        look = await asyncio.to_thread(look_at_port, self._order.host, self._order.port)
        return port_problem(self._order, look)

    def _start(self) -> Running | Ended:
        self._log, self._listed = LogFile(self._log.path), ()
        token = secrets.token_urlsafe(TOKEN_BYTES)
        command = Command(
            worker_argv(self._order),
            self._log.path,
            {TOKEN_VARIABLE: token},
            ends_with_us=self._order.ends_with_us,
            ignores_pipe_signal=True,
        )
        try:
            log_file.begin(self._log.path)
            self._note_process(ProcessId(0, 0.0, token))  # first: we may be killed any time
            running = process.start(command)
        except OSError as error:
            evidence = (one_line(f"{error.filename or self._order.binary}: {error.strerror}"),)
            subject = one_line(self._order.binary)
            return Ended(Problem(Cause.NO_BINARY, subject, evidence, "Install llama.cpp."), True)
        self._note_process(running.identity)
        self._tell(PhaseChanged(self._clock(), Phase.STARTING, running.pid))
        return running

    def _note_process(self, identity: ProcessId) -> None:
        with suppress(OSError):  # without it only an orphan would not be found
            write_atomically(pid_file(self._log.path), json.dumps(identity))

    async def _until_ready(self, running: Running, exited: Exit) -> Ended | None:
        """Wait until it listens and was looked at; an `Ended` when that takes too long."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + START_WITHIN_S
        while not exited.done() and not self._stopping.done():
            if await self._is_ready(running):
                self.has_served = True
                self._tell(PhaseChanged(self._clock(), Phase.READY, running.pid))
                return None
            if loop.time() > deadline_s:
                return self._never_ready()
            await first_of(LISTENS_POLL_S, exited, self._stopping)
        return None

    async def _is_ready(self, running: Running) -> bool:
        """Whether it listens itself (on its port another one may answer) and does its work.

        A client stands for an answer: then a probe would get none.
        """
        if not await asyncio.to_thread(is_listening, running.pid, self._order.port):
            return False
        return bool(await self._who(running)) or await self._look()

    def _never_ready(self) -> Ended:
        evidence = (f"it did not answer within {START_WITHIN_S:.0f} s of its start",)
        advice = "It is started again; its log says what it was doing."
        address = self._order.address
        return Ended(Problem(Cause.BACKEND_UNREACHABLE, address, evidence, advice))

    # Serving

    async def _serve(self, running: Running, exited: Exit) -> None:
        beating = asyncio.create_task(self._beat(running, exited))
        try:
            await first_of(None, exited, self._stopping, beating)
            if beating.done():
                beating.result()  # raises its bug
        finally:
            beating.cancel()
            await asyncio.wait([beating])

    async def _beat(self, running: Running, exited: Exit) -> None:
        while not exited.done():
            clients = await self._who(running)
            had_clients = self._note(clients)
            if not clients and (had_clients or self._registration.devices is None):
                await self._look()
            await self._registration.write(bool(clients))
            await asyncio.to_thread(self._read_log)
            await first_of(self._heartbeat_s, exited)

    async def _who(self, running: Running) -> tuple[str, ...]:
        return await asyncio.to_thread(clients_of, running.pid, self._order.port)

    def _note(self, clients: tuple[str, ...]) -> bool:
        """Tell who is connected now; whether somebody was before."""
        before, self._clients = self._clients, clients
        if clients != before:
            self._tell(ClientsChanged(self._clock(), clients))
        return bool(before)

    async def _look(self) -> bool:
        """Probe it and tell its devices; whether it answered."""
        report = await self._prober.probe(_reached_at(self._order))
        is_other_version = report.status is BackendStatus.INCOMPATIBLE and report.protocol
        if report.status is not BackendStatus.IDLE and not is_other_version:
            return False
        if is_other_version and report.protocol != self._registration.protocol:
            self._tell_other_version(report)
        devices = await asyncio.to_thread(self._devices, report)
        if self._registration.learn(report.protocol, devices):
            self._tell(DevicesSeen(self._clock(), report.protocol, devices))
        return True

    def _devices(self, report: BackendReport) -> tuple[WorkerDevice, ...]:
        """With the names of its log, which it flushes when its first client comes: our probe."""
        self._read_log()
        return named_devices(report.devices, self._listed, psutil.virtual_memory().total)

    def _read_log(self) -> None:
        """Also keeps the file bounded."""
        fresh = self._log.read_new()
        self._listed = self._listed or parse_devices("\n".join(fresh))

    def _tell_other_version(self, report: BackendReport) -> None:
        advice = "Install the same llama.cpp build on all machines."
        address, evidence = self._order.address, (str(report.fault),)
        problem = Problem(Cause.BACKEND_INCOMPATIBLE, address, evidence, advice)
        self._tell(ProblemFound(self._clock(), problem))

    # Ending

    async def _close(self, running: Running) -> None:
        """Deregister first: nobody shall come to one that ends."""
        if self.leaves:
            await self._registration.remove()
            return
        try:
            if running.is_running:
                self._tell(PhaseChanged(self._clock(), Phase.STOPPING, running.pid))
            await self._registration.remove()
        finally:
            await running.stop()
            with suppress(OSError):
                pid_file(self._log.path).unlink()
        self._note(())

    async def _why(self, running: Running) -> Ended:
        await asyncio.to_thread(self._log.finish)
        look = await asyncio.to_thread(look_at_port, self._order.host, self._order.port)
        return why_ended(self._order, running.exit_code, self._log.tail(LOG_TAIL_LINES), look)


async def first_of(within_s: float | None, *futures: asyncio.Future[Any]) -> None:
    """Wait until one of them is done, at most for so long; none of them is cancelled."""
    await asyncio.wait(futures, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)


def worker_log(state_dir: Path, order: WorkerOrder) -> Path:
    """Where a backend's log lies; its lock and its identity lie beside it."""
    return state_dir / "worker" / f"{order.host}-{order.port}.log"


def pid_file(log: Path) -> Path:
    """Where the backend's identity is kept while it runs."""
    return log.with_suffix(".pid")


def orphan_of(log: Path) -> Running | None:
    """The backend that an earlier run left behind, by the log that it writes to."""
    with suppress(OSError, ValueError, TypeError):
        pid, started_at_s, name = json.loads(pid_file(log).read_bytes())
        identity = ProcessId(int(pid), float(started_at_s), str(name))
        if not identity.pid:  # its starter was killed before it could write down which one it is
            found = process.with_variable(TOKEN_VARIABLE, identity.name)
            return process.take_over(found) if found is not None else None
        return process.take_over(identity)
    return None


def _reached_at(order: WorkerOrder) -> BackendAddress:
    host = "127.0.0.1" if order.host == _ANY_HOST else order.host
    return BackendAddress(f"{host}:{order.port}")
