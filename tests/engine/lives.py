"""An engine that runs, and each state of its coordinator in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

from sollol_tui.core.lifecycle import may_move
from sollol_tui.core.phases import Phase
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
)
from sollol_tui.engine.engine import Engine
from tests.engine.support import PATIENCE_S, until


class Life:
    """Follows a coordinator that the engine looks after itself: the usual one, or another."""

    def __init__(
        self, engine: Engine, within_s: float = PATIENCE_S, url: str | None = None
    ) -> None:
        self.engine = engine
        self.url = url or engine.coordinator_url
        self.states: list[CoordinatorState] = []
        self._within_s = within_s
        engine.store.listeners.append(self._note)

    def _note(self, before: ClusterSnapshot, after: ClusterSnapshot) -> None:
        old, new = before.coordinator(self.url), after.coordinator(self.url)
        if new is not None and new is not old:
            self.states.append(new)

    @property
    def phases(self) -> list[str]:
        """Those that it went through, each change once."""
        seen = [""]
        for state in self.states:
            if state.phase != seen[-1]:
                seen.append(state.phase)
        return seen[1:]

    def check_moves(self) -> None:
        """Every move that the supervisor made was a legal one."""
        statuses = [s.status for s in self.states if s.supervised]
        moves = [(a, b) for a, b in pairwise(statuses) if not may_move(a, b)]
        assert not moves, moves

    async def until(self, condition: Callable[[CoordinatorState], bool]) -> CoordinatorState:
        """The first state that fulfils the condition, from now on."""

        def holds(snapshot: ClusterSnapshot) -> bool:
            state = snapshot.coordinator(self.url)
            return state is not None and condition(state)

        snapshot = await until(self.engine, holds, self._within_s)
        state = snapshot.coordinator(self.url)
        assert state is not None
        return state

    async def until_phase(self, phase: Phase) -> CoordinatorState:
        """Until it is in that phase."""
        return await self.until(lambda s: s.phase == phase)

    async def until_ready(self, besides: int | None = None) -> CoordinatorState:
        """Until it serves, in another process than that one."""
        return await self.until(
            lambda s: s.status is CoordinatorStatus.READY and s.pid not in {None, besides}
        )

    def backend(self, address: str) -> BackendStatus | None:
        """How that backend is shown now."""
        state = self.engine.store.snapshot.backend(address)
        return state.status if state is not None else None


@asynccontextmanager
async def living(
    settings: Settings, state_dir: Path, within_s: float = PATIENCE_S
) -> AsyncIterator[Life]:
    """A running engine after its first look, and its coordinator's life."""
    engine = Engine(settings, state_dir)
    async with engine.running():
        lived = Life(engine, within_s)
        await until(engine, lambda s: s.looked, within_s)
        yield lived
    lived.check_moves()
