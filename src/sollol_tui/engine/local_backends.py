"""RPC backends on this machine for this machine: what the app starts when asked to, and what an
earlier run left.

A coordinator that outlives the program needs the backends that were started beside it: those that
are used are kept, others ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from sollol_tui.core.ids import RPC_PORT, BackendAddress, is_loopback
from sollol_tui.core.problems import Problem
from sollol_tui.core.settings import Settings
from sollol_tui.core.worker import WorkerOrder
from sollol_tui.engine.worker_life import orphan_of, pid_file, worker_log
from sollol_tui.io import runs
from sollol_tui.io.binaries import find_rpc_server
from sollol_tui.io.files import locked
from sollol_tui.io.listening import clients_of, free_port
from sollol_tui.io.process import Running

LOCAL_HOST = "127.0.0.1"


def local_order(settings: Settings) -> WorkerOrder | Problem:
    """The order for `Worker`: loopback only, on the usual port or a free one, registered nowhere.

    It outlives this program where a coordinator that uses it does.

    Blocks while the program is looked for: call it in a thread.
    """
    binary = find_rpc_server(settings)
    if isinstance(binary, Problem):
        return binary
    return WorkerOrder(
        str(binary.path), LOCAL_HOST, free_port(LOCAL_HOST, RPC_PORT), ends_with_us=False
    )


class LeftBackend(NamedTuple):
    """One that runs, was started by this program, and is looked after by nobody."""

    order: WorkerOrder
    running: Running
    is_used: bool  # by a coordinator of ours, or by anybody now


def used_backends(state_dir: Path) -> frozenset[BackendAddress]:
    """Those that coordinators of ours hold which run now, whoever looks after them."""
    return frozenset(BackendAddress(a) for run in runs.live_runs(state_dir) for a in run.backends)


def left_backends(state_dir: Path) -> tuple[LeftBackend, ...]:
    """All of them that serve this machine only. Blocks: call it in a thread."""
    used = used_backends(state_dir)
    found = []
    for order in _noted(state_dir):
        running = _left(state_dir, order)
        if running is not None:
            clients = clients_of(running.pid, order.port)
            found.append(LeftBackend(order, running, order.address in used or bool(clients)))
    return tuple(found)


async def end_backend(state_dir: Path, left: LeftBackend) -> bool:
    """End it, unless somebody looks after it by now."""
    log = worker_log(state_dir, left.order)
    with locked(log.with_suffix(".lock"), wait=False) as is_alone:
        if not is_alone:
            return False
        await left.running.stop()
        with suppress(OSError):
            pid_file(log).unlink()
    return True


def _noted(state_dir: Path) -> Iterator[WorkerOrder]:
    for path in worker_log(state_dir, WorkerOrder("", "", 0)).parent.glob("*.pid"):
        host, _, port = path.stem.rpartition("-")
        if is_loopback(host) and port.isdigit():
            yield WorkerOrder("", host, int(port), ends_with_us=False)


def _left(state_dir: Path, order: WorkerOrder) -> Running | None:
    log = worker_log(state_dir, order)
    with suppress(OSError), locked(log.with_suffix(".lock"), wait=False) as is_alone:
        return orphan_of(log) if is_alone else None
    return None


def program_of(left: LeftBackend) -> str:
    """The program that it runs, to start it again; empty when that cannot be told."""
    with suppress(psutil.Error, OSError):
        return psutil.Process(left.running.pid).exe()
    return ""
