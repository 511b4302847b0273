"""One try of a request at one target, as it ended: what the record keeps and the figures count."""

from __future__ import annotations

from typing import Literal, NamedTuple

from sollol_tui.core.asks import End, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode


class Sample(NamedTuple):
    """A request ended at a target. `fault` is None for a whole answer.

    A request that failed at one target and went to another has a sample for each; `tries` counts
    them. One that nothing could take has an empty `target`, no `kind` and no tries.
    """

    at_s: float
    model: str
    mode: Mode
    kind: Literal["node", "coordinator"] | None
    target: str
    tries: int
    ttft_s: float | None
    total_s: float
    decode_tps: float | None
    prefill_tps: float | None
    tokens: int
    fault: Fault | None = None
    request: str = ""  # the same for all tries of one request
    outcome: str = "complete"  # complete, length, or the kind of the fault (stopped is one)
    prompt_tokens: int | None = None
    load_s: float | None = None
    queue_s: float | None = None  # waited there for others, as far as the server's figures tell
    backends: tuple[str, ...] = ()  # RPC backends that the coordinator held

    @property
    def stopped(self) -> bool:
        """Whether the person stopped it: neither a success nor a failure."""
        return self.fault is not None and self.fault.kind is FaultKind.STOPPED

    @property
    def failed(self) -> bool:
        """Whether it failed."""
        return self.fault is not None and self.fault.kind is not FaultKind.STOPPED


def outcome_of(end: End | None, fault: Fault | None) -> str:
    """How a try ended, in one word."""
    if end is not None:
        return "length" if end.reason == "length" else "complete"
    return (fault.kind if fault is not None else FaultKind.CUT).value


def queue_wait_s(ttft_s: float | None, usage: Usage | None) -> float | None:
    """How long the request waited for others: as the server says, else what reading the prompt
    leaves of the time to the first token. None when neither is known.
    """
    if usage is None or usage.queue_s is not None:
        return None if usage is None else usage.queue_s
    if ttft_s is None or usage.prompt_tokens is None or not usage.prefill_tps:
        return None
    read = max(0, usage.prompt_tokens - (usage.cached_tokens or 0))
    return max(0.0, ttft_s - (usage.load_s or 0.0) - read / usage.prefill_tps)
