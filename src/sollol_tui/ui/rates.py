"""Tokens per second as time goes by."""

from __future__ import annotations

from collections import deque

from sollol_tui.core.state import ClusterSnapshot

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
