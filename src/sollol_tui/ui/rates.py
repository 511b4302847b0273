"""Tokens per second as time goes by."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from sollol_tui.core.state import ClusterSnapshot

SAMPLES = 180


class _Heard(NamedTuple):
    """How many tokens were received, and up to when that was told."""

    tokens: int
    at_s: float


class TokenRate:
    """A sample a second of the tokens that all our requests received, while any runs.

    What is received is told twice a second, not to the moment: it is divided by the time that it
    is told of, or a steady answer would look like one that jumps. A curve that went on while
    nothing runs would be painted every second for nothing.
    """

    def __init__(self) -> None:
        self.samples: deque[float | None] = deque(maxlen=SAMPLES)
        self._ended: _Heard | None = None  # by requests that have ended
        self._running: Mapping[str, _Heard] = {}

    def add(self, snapshot: ClusterSnapshot, now_s: float) -> None:
        """Take a sample: what came since the last one, per second."""
        before, running = self._ended, self._running
        self._ended = _Heard(snapshot.totals.tokens, now_s)
        self._running = {
            r.id: _Heard(r.tokens, r.last_token_at_s or now_s) for r in snapshot.requests
        }
        if before is None or now_s <= before.at_s:
            return
        begun = _Heard(0, before.at_s)
        parts = [_tps(running.get(key, begun), heard) for key, heard in self._running.items()]
        over = [heard for key, heard in running.items() if key not in self._running] or [begun]
        known = before.tokens + sum(heard.tokens for heard in over)
        since_s = min(heard.at_s for heard in over)
        tps = sum(parts) + _tps(_Heard(known, since_s), self._ended)
        is_over = not snapshot.requests and not tps
        if not is_over or (self.samples and self.samples[-1]):
            self.samples.append(tps)

    def now_tps(self, snapshot: ClusterSnapshot) -> float | None:
        """What the running requests receive; None when none runs."""
        return self.samples[-1] if snapshot.requests and self.samples else None


def _tps(before: _Heard, after: _Heard) -> float:
    passed_s = after.at_s - before.at_s
    return max(0.0, (after.tokens - before.tokens) / passed_s) if passed_s > 0 else 0.0
