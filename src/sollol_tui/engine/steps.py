"""What the supervisor tells of a coordinator: to the store, to listeners, to other programs."""

from __future__ import annotations

from collections.abc import Callable

from sollol_tui.core.events import CoordinatorStepped, TargetsFound
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.phases import Phase
from sollol_tui.core.plan import CoordinatorPlan
from sollol_tui.core.problems import Problem
from sollol_tui.core.reports import FoundCoordinator
from sollol_tui.core.shard_map import ShardMap
from sollol_tui.engine.coordinator_process import CoordinatorProcess
from sollol_tui.engine.store import Store

SOURCE = "started"

_ON_THE_WAY = {Phase.PROBING, Phase.STARTING, Phase.CONNECTING, Phase.LOADING, Phase.WARMING}


class Steps:
    """Says in which phase the coordinator is. `load_s` is how long the last start took.

    What made a restart necessary is shown until it serves again, or somebody wants something else.
    """

    def __init__(self, process: CoordinatorProcess, store: Store) -> None:
        self.load_s: float | None = None
        self.listeners: list[Callable[[CoordinatorStepped], None]] = []
        self._process = process
        self._store = store
        self._because: tuple[Problem, ...] = ()

    def begin(self) -> None:
        """There is such a coordinator, and whatever was wrong with it before is over."""
        self._because = ()
        found = FoundCoordinator(self._process.url, SOURCE)
        self._store.apply(TargetsFound(SOURCE, coordinators=(found,)))

    def to(
        self,
        phase: Phase,
        *,
        progress: float | None = None,
        problems: tuple[Problem, ...] = (),
        retry_at_s: float | None = None,
        plan: CoordinatorPlan | None = None,
        shards: ShardMap | None = None,
        backends: tuple[BackendAddress, ...] = (),
    ) -> None:
        """It is in this phase now."""
        problems = problems or (self._because if phase in _ON_THE_WAY else ())
        self._because = problems
        running = self._process.running
        event = CoordinatorStepped(
            self._process.url,
            self._store.now_s(),
            phase,
            running.pid if running is not None else None,
            progress,
            self.load_s,
            problems,
            retry_at_s,
            plan,
            shards,
            backends,
        )
        self._store.apply(event)
        self._process.note(event.at_s, phase, problems, retry_at_s)
        for listener in self.listeners:
            listener(event)
