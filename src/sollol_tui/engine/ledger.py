"""What our requests taught: records for routing, samples for the statistics."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.ids import model_key
from sollol_tui.core.records import (
    FORGET_S,
    LEAST_TOKENS,
    Measured,
    after_answer,
    after_failure,
    after_old_load,
)
from sollol_tui.core.samples import Sample

if TYPE_CHECKING:  # the first screen has no figures to show yet
    from sollol_tui.core.statistics import Statistics, Stats

__all__ = ["Ledger", "Sample", "Watcher"]

SAMPLES = 2000
CONVERSATIONS = 500
AFFINITY_TTL_S = 600.0

# A full queue and a load that goes on are no failures either: they pass, and are known as such.
_NOT_THE_TARGETS_FAULT = {
    FaultKind.BAD_REQUEST,
    FaultKind.NOT_FOUND,
    FaultKind.STOPPED,
    FaultKind.SATURATED,
    FaultKind.RATE_LIMITED,
    FaultKind.LOADING,
}

Records = dict[tuple[str, str], Measured]


class Watcher(Protocol):
    """Hears of requests as they go. It stands in their way: it must return at once."""

    def claimed(self, decision: RouteDecision, tries: int, instead_of: str) -> None:
        """A request goes to a target. `instead_of` is the one that just failed it, or empty."""

    def ended(self, sample: Sample, decision: RouteDecision) -> None:
        """A request ended at a target, or found none."""


class Ledger:
    """Keeps the last requests, what each target taught, and where conversations went.

    `samples` are those of this run; `stats` counts also those of earlier runs.
    """

    def __init__(self) -> None:
        self.records: Records = {}
        self.served: dict[str, int] = {}
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._statistics: Statistics | None = None
        self.watchers: list[Watcher] = []
        self._conversations: dict[str, tuple[str, float]] = {}

    def claim(self, decision: RouteDecision, tries: int = 1, instead_of: str = "") -> None:
        """A request goes to the target that was decided for."""
        target = decision.target or ""
        self.served[target] = self.served.get(target, 0) + 1
        for watcher in self.watchers:
            watcher.claimed(decision, tries, instead_of)

    def add(self, sample: Sample, decision: RouteDecision) -> None:
        """A request ended."""
        self.samples.append(sample)
        if self._statistics is not None:
            self._statistics.add(sample)
        _learn(self.records, sample)
        for watcher in self.watchers:
            watcher.ended(sample, decision)

    def recall(self, earlier: Sequence[Sample], statistics: Statistics, now_s: float) -> None:
        """Take over what earlier runs left: figures, and of the records what is still fresh.

        Args:
            earlier: their samples, oldest first.
            statistics: made of the same samples.
            now_s: seconds since the epoch.
        """
        self.records.clear()
        for sample in earlier:
            _learn(self.records, sample, is_fresh=now_s - sample.at_s < FORGET_S)
        for sample in self.samples:
            _learn(self.records, sample)
            statistics.add(sample)
        self._statistics = statistics

    def stats(self, now_s: float, window_s: float) -> Stats:
        """The figures of all that is known; the same object again until one of them changes.

        Args:
            now_s: seconds since the epoch.
            window_s: how far back its `recent` figures go.
        """
        if self._statistics is None:
            from sollol_tui.core.statistics import Statistics

            self._statistics = Statistics(self.samples, now_s)
        return self._statistics.stats(now_s, window_s)

    def last_load_s(self, target: str, model: str) -> float | None:
        """How long loading that model took there the last time; None when that is not known."""
        record = self.records.get((target, model_key(model)))
        return record.last_load_s if record is not None else None

    def affinity(self, conversation: str, now_s: float) -> str | None:
        """The target that the conversation used last, while that is not too long ago."""
        target, at_s = self._conversations.get(conversation, (None, 0.0))
        return target if target is not None and now_s - at_s < AFFINITY_TTL_S else None

    def remember(self, conversation: str, target: str, now_s: float) -> None:
        """The conversation went to that target."""
        if not conversation:
            return
        self._conversations.pop(conversation, None)
        self._conversations[conversation] = (target, now_s)
        if len(self._conversations) > CONVERSATIONS:
            del self._conversations[next(iter(self._conversations))]


def _learn(records: Records, sample: Sample, *, is_fresh: bool = True) -> None:
    """Fold a sample into the record of its model on its target."""
    key = (sample.target, model_key(sample.model))
    known = records.get(key, Measured())
    if not sample.target or (sample.fault and sample.fault.kind in _NOT_THE_TARGETS_FAULT):
        return
    if sample.fault is not None:
        records[key] = after_failure(known, sample.at_s) if is_fresh else known
    elif is_fresh:
        tps = sample.decode_tps if sample.tokens >= LEAST_TOKENS else None
        records[key] = after_answer(known, sample.at_s, sample.ttft_s, tps, sample.load_s)
    else:
        records[key] = after_old_load(known, sample.load_s)
