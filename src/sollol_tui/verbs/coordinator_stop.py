"""`sollol-tui coordinator stop`: ends a coordinator of ours that an earlier run left, no other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sollol_tui.core.ids import CoordinatorUrl, port_of
from sollol_tui.core.plain import plain_line
from sollol_tui.engine.coordinator_process import CoordinatorProcess
from sollol_tui.engine.local_backends import end_backend, left_backends
from sollol_tui.io import runs
from sollol_tui.io.host import port_holder
from sollol_tui.verbs.voice import Voice

EXIT_STOPPED = 0
EXIT_NOT_OURS = 1


def stop(url: CoordinatorUrl, state_dir: Path, voice: Voice) -> int:
    """Stop it; returns 0 when none of ours runs afterwards, 1 when it is not ours to stop."""
    port = port_of(url) or 0
    if (keeper := runs.keeper(state_dir, port)) is not None:
        voice.tell(
            f"sollol-tui: the coordinator at {url} is kept up by another sollol-tui: "
            f"stop that (process {keeper.pid})"
        )
        return EXIT_NOT_OURS
    process = CoordinatorProcess(url, state_dir)
    record = process.take_over()
    if record is not None:
        return asyncio.run(_end(process, f"{record.model} at {url}", state_dir, voice))
    if holder := port_holder(port):
        voice.tell(
            f"sollol-tui: port {port} belongs to {holder}, which this program did not start: "
            "it is left alone"
        )
        return EXIT_NOT_OURS
    if process.port_problem() is not None:
        voice.tell(f"sollol-tui: port {port} belongs to another user's program: it is left alone")
        return EXIT_NOT_OURS
    voice.say(f"nothing runs at {url}")
    _tell_others(state_dir, voice)
    asyncio.run(_end_backends(state_dir, voice))
    return EXIT_STOPPED


async def _end(process: CoordinatorProcess, what: str, state_dir: Path, voice: Voice) -> int:
    pid = process.running.pid if process.running is not None else 0
    await process.end()
    process.let_go()
    voice.say(plain_line(f"stopped {what} (process {pid})"))
    _tell_others(state_dir, voice)
    await _end_backends(state_dir, voice)
    return EXIT_STOPPED


def _tell_others(state_dir: Path, voice: Voice) -> None:
    """Where other coordinators of ours run: each is stopped by itself."""
    for record in runs.live_runs(state_dir):
        voice.tell(
            f"sollol-tui: {record.model} goes on at {record.url}: --coordinator {record.url} "
            "stops that one"
        )


async def _end_backends(state_dir: Path, voice: Voice) -> None:
    """Those that were started beside it, that nobody looks after and nobody uses."""
    for left in left_backends(state_dir):
        if not left.is_used and await end_backend(state_dir, left):
            voice.say(f"stopped the RPC backend {left.order.address} (process {left.running.pid})")
