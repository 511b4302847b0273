"""The engine: everything that goes on over time, started and stopped in order.

Importing this module loads no network library: `running()` does, off the loop's thread, so that
a screen can paint its first frame meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sollol_tui.core.asks import AskEvent, AskRequest
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.engine.store import Store

if TYPE_CHECKING:
    from pathlib import Path


class Engine:
    """What screens and headless verbs hold. Belongs to one event loop.

    Args:
        settings: resolved settings.
        state_dir: where what must survive a restart is kept (mode, hand-added targets); None
            keeps nothing.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        settings: Settings,
        state_dir: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self._state_dir = state_dir
        self.store = Store(ClusterSnapshot(), clock)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Store]:
        """Start discovery and one poll task per target; stop them all on leaving."""
        yield self.store

    async def look_once(self) -> ClusterSnapshot:
        """Look at everything once, within the time limits, and return what was seen."""
        return self.store.snapshot

    def ask(self, request: AskRequest) -> AsyncIterator[AskEvent]:
        """Route a question and stream its answer; closing the iterator stops it."""
        raise NotImplementedError

    def choose_mode(self, mode: Mode, pinned: str = "") -> None:
        """Switch the mode for the next request, and keep it for the next run."""

    def refresh(self, target: str | None = None) -> None:
        """Look again now: at one target (URL or address), or at everything."""

    def pause(self, paused: bool) -> None:
        """Hold the polling (requests go on), or go on with it."""

    def add_node(self, text: str) -> str:
        """Add an Ollama node by hand. Returns its URL; raises `ValueError` with a sentence."""
        raise NotImplementedError

    def add_backend(self, text: str) -> str:
        """Add an RPC backend by hand. Returns its address; raises `ValueError` with a sentence."""
        raise NotImplementedError

    def remove(self, target: str) -> bool:
        """Forget a target that was added by hand; False when it comes from elsewhere."""
        raise NotImplementedError
