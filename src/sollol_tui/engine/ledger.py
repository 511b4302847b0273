"""What our requests taught: records for routing, samples for the statistics."""

from __future__ import annotations

from collections import deque
from typing import Literal, NamedTuple

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import model_key
from sollol_tui.core.records import Measured, after_answer, after_failure
from sollol_tui.core.state import Mode

SAMPLES = 2000
CONVERSATIONS = 500
AFFINITY_TTL_S = 600.0

_NOT_THE_TARGETS_FAULT = {FaultKind.BAD_REQUEST, FaultKind.NOT_FOUND, FaultKind.STOPPED}


class Sample(NamedTuple):
    """One request that ended. `fault` is None for a whole answer."""

    at_s: float
    model: str
    mode: Mode
    kind: Literal["node", "coordinator"]
    target: str
    tries: int
    ttft_s: float | None
    total_s: float
    decode_tps: float | None
    prefill_tps: float | None
    tokens: int
    fault: Fault | None = None


class Ledger:
    """Keeps the last requests, what each target taught, and where conversations went."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], Measured] = {}
        self.served: dict[str, int] = {}
        self.samples: deque[Sample] = deque(maxlen=SAMPLES)
        self._conversations: dict[str, tuple[str, float]] = {}

    def claim(self, target: str) -> None:
        """A request goes to that target."""
        self.served[target] = self.served.get(target, 0) + 1

    def add(self, sample: Sample, load_s: float | None = None) -> None:
        """A request ended."""
        self.samples.append(sample)
        key = (sample.target, model_key(sample.model))
        known = self.records.get(key, Measured())
        if sample.fault is None:
            self.records[key] = after_answer(
                known, sample.at_s, sample.ttft_s, sample.decode_tps, load_s
            )
        elif sample.fault.kind not in _NOT_THE_TARGETS_FAULT:
            self.records[key] = after_failure(known, sample.at_s)

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
