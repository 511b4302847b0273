"""`sollol-tui demo`: a cluster of its own on loopback ports, for as long as the screen is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Thread

from sollol_tui.core.settings import Settings
from sollol_tui.demo.cluster import Cluster

_CLOSE_WITHIN_S = 5.0


class RunningCluster:
    """A demo cluster in a thread with a loop of its own: the screen runs another one."""

    def __init__(self) -> None:
        self._ready: Future[tuple[Settings, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="demo cluster", daemon=True)
        self._thread.start()
        self.settings, self._loop, self._closing = self._ready.result()

    def close(self) -> None:
        """Stop the servers. Raises what broke them meanwhile, if anything did."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(_CLOSE_WITHIN_S)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - the thread's end: the joiner gets it
            if self._ready.done():
                self._error = error
            else:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        closing = asyncio.Event()
        async with Cluster() as cluster:
            self._ready.set_result((cluster.settings(), asyncio.get_running_loop(), closing))
            await closing.wait()


def start_cluster() -> RunningCluster:
    """Start a demo cluster and return when its servers listen."""
    return RunningCluster()


def with_passing_dir(run: Callable[[Path], int]) -> int:
    """Run with a directory for the state of one demo; it stays when a crash report lies there."""
    place = Path(mkdtemp(prefix="sollol-tui-demo-"))
    try:
        return run(place)
    finally:
        if not any(place.glob("crash-*.txt")):
            rmtree(place, ignore_errors=True)
