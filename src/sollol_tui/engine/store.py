"""The one mutable reference: the current snapshot, the journal, and who waits for changes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.events import Event
from sollol_tui.core.journal import Area, Entry, Level
from sollol_tui.core.reduce import reduce
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.core.telling import tell

Listener = Callable[[ClusterSnapshot, ClusterSnapshot], None]

JOURNAL_ENTRIES = 5000
DECISIONS = 1000


class Store:
    """Holds the snapshot; only `apply` changes it, only through `core.reduce`.

    Belongs to one event loop. `changes()` has one consumer.
    """

    def __init__(self, snapshot: ClusterSnapshot, clock: Callable[[], float]) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._changed = asyncio.Event()
        self._journal: deque[Entry] = deque(maxlen=JOURNAL_ENTRIES)
        self._decisions: dict[str, RouteDecision] = {}
        self._next_number = 1
        self.listeners: list[Listener] = []  # called after each change, in order

    @property
    def snapshot(self) -> ClusterSnapshot:
        return self._snapshot

    def now_s(self) -> float:
        """Seconds since the epoch, from the engine's clock."""
        return self._clock()

    def apply(self, event: Event) -> None:
        """Fold one fact into the snapshot; what people should read of it goes to the journal."""
        before = self._snapshot
        after = reduce(before, event)
        for level, area, subject, text in tell(before, after, event):
            self.log(level, area, subject, text)
        if after is not before and after != before:
            self._snapshot = after
            self._changed.set()
            for listener in self.listeners:
                listener(before, after)

    def log(
        self,
        level: Level,
        area: Area,
        subject: str,
        text: str,
        decision: RouteDecision | None = None,
    ) -> None:
        """Add a line to the journal."""
        if decision is not None:
            self._keep(decision)
        decision_id = decision.id if decision else None
        self._journal.append(
            Entry(self._next_number, self._clock(), level, area, subject, text, decision_id)
        )
        self._next_number += 1
        self._changed.set()

    def entries_after(self, number: int) -> list[Entry]:
        """The journal's entries with a larger number, oldest first."""
        if not self._journal or self._journal[-1].number <= number:
            return []
        missing = self._journal[-1].number - number
        return list(self._journal)[-missing:]

    def entry(self, number: int) -> Entry | None:
        """The entry with that number, while it is there."""
        found = self.entries_after(number - 1)
        return found[0] if found and found[0].number == number else None

    def entry_of(self, decision: RouteDecision) -> int | None:
        """The number of a routing decision's entry, while it is there.

        Ids begin anew with each run: the decision itself has to be the same.
        """
        if self._decisions.get(decision.id) != decision:
            return None
        numbers = (e.number for e in reversed(self._journal) if e.decision_id == decision.id)
        return next(numbers, None)

    def decision(self, decision_id: str) -> RouteDecision | None:
        """The record of a routing decision, while it is kept (the last thousand)."""
        return self._decisions.get(decision_id)

    async def changes(self) -> AsyncIterator[ClusterSnapshot]:
        """The snapshot after each change of it or of the journal; many changes, one wake."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            yield self._snapshot

    def _keep(self, decision: RouteDecision) -> None:
        self._decisions[decision.id] = decision
        if len(self._decisions) > DECISIONS:
            del self._decisions[next(iter(self._decisions))]
