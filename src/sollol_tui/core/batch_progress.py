"""How far a batch is, as a value: for the bar of the command and for the screen."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

BatchState: TypeAlias = Literal[
    "ready", "running", "paused", "stopped", "gave up", "broken", "done"
]
"""`stopped` was by hand, `gave up` means that nothing answered any more, `broken` that the
results could not be written."""


class BatchProgress(NamedTuple):
    """Counts of prompts. `settled` have a result, of this run or of one before."""

    total: int
    settled: int
    whole: int  # of those settled
    new: int = 0  # settled in this run
    running: int = 0
    passed_s: float = 0.0  # that this run was at work, pauses left out
    bad: int = 0  # lines of the file that cannot be asked
    state: BatchState = "running"

    @property
    def failed(self) -> int:
        """Those whose result is no whole answer."""
        return self.settled - self.whole

    @property
    def left(self) -> int:
        """Those that have no result yet."""
        return self.total - self.settled

    @property
    def share(self) -> float:
        """What is settled, of one."""
        return self.settled / self.total if self.total else 1.0

    @property
    def per_minute(self) -> float | None:
        """Results a minute in this run; None before it can be told."""
        return self.new / self.passed_s * 60 if self.new and self.passed_s > 0 else None

    @property
    def left_s(self) -> float | None:
        """How long the rest takes at that rate; None before it can be told."""
        return self.left / self.new * self.passed_s if self.per_minute else None
