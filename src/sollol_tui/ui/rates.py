"""Tokens per second as time goes by, and what the last requests say of each target."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine.ledger import Sample
from sollol_tui.ui.panes.nodes import Counts

SAMPLES = 180


class TokenRate:
    """A sample a second of the tokens that all our requests received, while any runs.

    A curve that went on while nothing runs would be painted every second for nothing.
    """

    def __init__(self) -> None:
        self.samples: deque[float | None] = deque(maxlen=SAMPLES)
        self._last: tuple[float, int] | None = None

    def add(self, snapshot: ClusterSnapshot, now_s: float) -> None:
        """Take a sample: what came since the last one, per second."""
        received = snapshot.totals.tokens + sum(r.tokens for r in snapshot.requests)
        if self._last is not None:
            passed_s, tokens = now_s - self._last[0], received - self._last[1]
            is_over = not snapshot.requests and not tokens
            if passed_s > 0 and not (is_over and not (self.samples and self.samples[-1])):
                self.samples.append(max(0.0, tokens / passed_s))
        self._last = (now_s, received)

    def now_tps(self, snapshot: ClusterSnapshot) -> float | None:
        """What the running requests receive; None when none runs."""
        return self.samples[-1] if snapshot.requests and self.samples else None


def decode_rates(samples: Iterable[Sample]) -> dict[str, float]:
    """The generation speed of the last answer of each target. `samples`: oldest first."""
    return {s.target: s.decode_tps for s in samples if s.decode_tps is not None}


def counts(samples: Iterable[Sample]) -> dict[str, Counts]:
    """Our requests of each target, and how many of them failed."""
    found: dict[str, Counts] = {}
    for sample in samples:
        known = found.get(sample.target, Counts(0, 0))
        failed = sample.fault is not None
        found[sample.target] = Counts(known.requests + 1, known.errors + failed)
    return found
