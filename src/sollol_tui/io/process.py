"""Processes that are ours: started so that nothing blocks them, proven ours before a signal.

A child has a process group of its own and writes straight to its log file: nobody has to read for
it to go on, and it can outlive us and be taken over by the next run.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

START_TIME_SLACK_S = 2.0
FIRST_WAIT_S = 2.0  # after a SIGTERM
SECOND_WAIT_S = 1.0  # after another, which llama-server obeys at once
HOLD_WAIT_S = 1.0  # microseconds, unless a disk keeps it
LAST_WAIT_S = 5.0  # after a SIGKILL: only the kernel can take so long

_PR_SET_PDEATHSIG = 1


class ProcessId(NamedTuple):
    """What proves that a process is the one that was started: ids are used again, times are not."""

    pid: int
    started_at_s: float
    name: str


class Command(NamedTuple):
    """What to start. `ends_with_us`: the kernel ends it when our thread ends (Linux only).

    `ignores_pipe_signal`: RPC backends must be started so, or a client that leaves early kills
    them (llama.cpp TR:552). `hears`: a named pipe that is made for it to read commands from.
    """

    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = {}
    ends_with_us: bool = False
    ignores_pipe_signal: bool = False
    hears: Path | None = None


class Running:
    """A process that we started, or took over from an earlier run.

    `exit_code` is negative for a signal, and None while it runs or when the process was not our
    child.
    """

    def __init__(self, identity: ProcessId, child: subprocess.Popen[bytes] | None) -> None:
        self.identity = identity
        self.exit_code: int | None = None
        self._child = child
        self._exited: asyncio.Future[None] | None = None

    @property
    def pid(self) -> int:
        return self.identity.pid

    @property
    def is_running(self) -> bool:
        """Whether the process still runs; a zombie does not."""
        if self._child is not None:
            self.exit_code = self._child.poll()
            return self.exit_code is None
        return is_same(self.identity)

    def identify_again(self) -> bool:
        """Read its name anew, as the same process; whether it has another one than before."""
        found = identify(self.pid) if self.is_running else None
        if found is None or found.name == self.identity.name:
            return False
        if not _about_same(found.started_at_s, self.identity.started_at_s):
            return False
        self.identity = found
        return True

    async def wait(self) -> int | None:
        """Wait for the end, which the kernel tells at once, and reap the child."""
        if self._exited is None:
            self._exited = asyncio.ensure_future(self._ended())
        await asyncio.shield(self._exited)
        return self.exit_code

    async def stop(self) -> int | None:
        """SIGTERM, 2 s, SIGTERM, 1 s, SIGKILL, to the whole group. Close own requests first.

        llama-server waits for open requests after the first signal and ends at the second
        (server.cpp:28); a stopped one is continued, so that it can end. A script that stands before
        it ends at the first signal: what it started is waited for too.
        """
        for number, patience_s in (
            (signal.SIGTERM, FIRST_WAIT_S),
            (signal.SIGTERM, SECOND_WAIT_S),
            (_KILL, LAST_WAIT_S),
        ):
            if not self.is_running and not await asyncio.to_thread(self._left_behind):
                break
            self.send(number)
            self.send(_CONTINUE)
            with suppress(TimeoutError):
                async with asyncio.timeout(patience_s):
                    await self._all_ended()
        return self.exit_code

    async def hold_still(self) -> None:
        """Stop its threads where they are, until it is continued or killed."""
        self.send(_HOLD)
        if self._child is not None and hasattr(os, "waitid"):
            with suppress(TimeoutError):
                async with asyncio.timeout(HOLD_WAIT_S):
                    await asyncio.to_thread(_wait_for_stop, self.pid)

    async def kill(self) -> None:
        """SIGKILL to the whole group."""
        self.send(_KILL)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_WAIT_S):
                await self._all_ended()

    def send(self, number: int) -> None:
        """Send a signal to the group, once more proven to be ours."""
        with suppress(ProcessLookupError, PermissionError):
            if self.is_running and not _leads_a_group(self.pid):
                os.kill(self.pid, number)
            elif self.is_running or self._left_behind():
                os.killpg(self.pid, number)

    async def _all_ended(self) -> None:
        await self.wait()
        for pid in await asyncio.to_thread(self._left_behind):
            await _end_of(ProcessId(pid, 0.0, ""))

    def _left_behind(self) -> list[int]:
        """The processes of its group that outlive it.

        As long as there are any, no other process gets its number: the group is named by that.
        """
        if not hasattr(os, "getpgid"):
            return []
        leader = identify(self.pid)
        if leader is not None and not _about_same(leader.started_at_s, self.identity.started_at_s):
            return []
        return [pid for pid in psutil.pids() if pid != self.pid and _is_in(self.pid, pid)]

    async def _ended(self) -> None:
        await _end_of(self.identity)
        if self._child is not None:
            self.exit_code = self._child.wait()


_KILL = signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM


def _wait_for_stop(pid: int) -> None:
    with suppress(OSError):
        os.waitid(os.P_PID, pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)


_HOLD = signal.SIGSTOP if sys.platform != "win32" else 0
_CONTINUE = signal.SIGCONT if sys.platform != "win32" else signal.SIGTERM


def start(command: Command) -> Running:
    """Start a child whose output goes to its log file. Raises `OSError` when it cannot start.

    Call it from the main thread: the kernel ties `ends_with_us` to the thread that starts.
    """
    command.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    env = {**os.environ, "GGML_NO_BACKTRACE": "1", **command.env}
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    log = os.open(command.log, flags, 0o600)
    ear = _ear(command.hears)
    try:
        child = subprocess.Popen(
            command.argv,
            stdin=subprocess.DEVNULL if ear is None else ear,
            stdout=log,
            stderr=log,
            env=env,
            start_new_session=True,
            restore_signals=not command.ignores_pipe_signal,
            # two system calls after the fork: no lock, no allocation, nothing a thread could hold
            preexec_fn=_end_with_parent() if command.ends_with_us else None,  # noqa: PLW1509
        )
    finally:
        os.close(log)
        if ear is not None:
            os.close(ear)
    return Running(identify(child.pid) or ProcessId(child.pid, 0.0, ""), child)


def tell(pipe: Path, words: str) -> None:
    """Say something to a child through the pipe that it hears; nothing when it hears no more."""
    with suppress(OSError):
        handle = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(handle, words.encode())
        finally:
            os.close(handle)


def _ear(pipe: Path | None) -> int | None:
    """The child's end of a fresh pipe. It holds the other end too, so it never hears its end:

    a program that takes the end of its input for the end of its parent goes on without us.
    """
    if pipe is None or not hasattr(os, "mkfifo"):
        return None
    with suppress(FileNotFoundError):
        pipe.unlink()
    os.mkfifo(pipe, 0o600)
    return os.open(pipe, os.O_RDWR)


def take_over(identity: ProcessId) -> Running | None:
    """A process of an earlier run, when it still is that process."""
    return Running(identity, None) if is_same(identity) else None


def with_variable(name: str, value: str) -> ProcessId | None:
    """The process that was started with that in its environment: the oldest, the others are its
    children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(name) == value:
                found.append(process)
    with suppress(psutil.Error, ValueError):
        return identify(min(found, key=lambda p: p.create_time()).pid)
    return None


def identify(pid: int) -> ProcessId | None:
    """The identity of a running process."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return ProcessId(pid, process.create_time(), process.name())
    return None


def is_same(identity: ProcessId) -> bool:
    """Whether that very process still runs: id, start time and name agree, and it is no zombie."""
    with suppress(psutil.Error):
        process = psutil.Process(identity.pid)
        same_time = _about_same(process.create_time(), identity.started_at_s)
        if same_time and process.name() == identity.name:
            return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _about_same(one_s: float, other_s: float) -> bool:
    return abs(one_s - other_s) <= START_TIME_SLACK_S


def _is_in(group: int, pid: int) -> bool:
    with suppress(OSError, psutil.Error):
        return os.getpgid(pid) == group and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def _leads_a_group(pid: int) -> bool:
    return hasattr(os, "getpgid") and os.getpgid(pid) == pid


def _end_with_parent() -> Callable[[], None] | None:
    """What the child calls before it becomes the program, or None where the kernel cannot."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended between fork and here
            os._exit(1)

    return ask


async def _end_of(identity: ProcessId) -> None:
    if hasattr(os, "pidfd_open"):
        await _pidfd_readable(identity.pid)
    else:
        await asyncio.to_thread(_wait_by_polling, identity)


async def _pidfd_readable(pid: int) -> None:
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def note() -> None:
        loop.remove_reader(handle)
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(handle, note)
    try:
        await ended
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _wait_by_polling(identity: ProcessId) -> None:
    with suppress(psutil.Error):
        psutil.Process(identity.pid).wait()
