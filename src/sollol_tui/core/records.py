"""What earlier answers taught about a model on a target: the memory that routing uses."""

from __future__ import annotations

from typing import NamedTuple

NEWEST_SHARE = 0.3  # of a moving average
FORGET_S = 600.0  # what was measured longer ago is unknown again, and tried again
FAILURE_HALF_LIFE_S = 60.0
FAILURE_COST_S = 10.0
FORGIVEN_S = 0.01
LEAST_TOKENS = 10  # the rate of a shorter answer says nothing
COLD_S = 0.3  # a server that says it loaded for less had the model in memory


class Measured(NamedTuple):
    """Moving averages of one model on one target; `None` until measured."""

    ttft_s: float | None = None
    decode_tps: float | None = None
    load_s: float | None = None
    measured_at_s: float | None = None
    answers: int = 0
    failures: int = 0
    failed_at_s: float | None = None
    last_load_s: float | None = None  # of the last time that it was loaded


def after_answer(
    known: Measured,
    at_s: float,
    ttft_s: float | None,
    decode_tps: float | None,
    load_s: float | None = None,
) -> Measured:
    """The record after a whole answer. A cold start's load is kept apart from the TTFT."""
    cold = load_s is not None and load_s > COLD_S
    warm_ttft_s = max(0.0, ttft_s - load_s) if cold and ttft_s and load_s else ttft_s
    return known._replace(
        ttft_s=_averaged(known.ttft_s, warm_ttft_s),
        decode_tps=_averaged(known.decode_tps, decode_tps),
        load_s=_averaged(known.load_s, load_s if cold else None),
        measured_at_s=at_s,
        answers=known.answers + 1,
        last_load_s=load_s if cold else known.last_load_s,
    )


def after_old_load(known: Measured, load_s: float | None) -> Measured:
    """The record after an answer of long ago: speed changes with load, loading hardly does."""
    cold = load_s is not None and load_s > COLD_S
    return known._replace(
        load_s=_averaged(known.load_s, load_s if cold else None),
        last_load_s=load_s if cold else known.last_load_s,
    )


def after_failure(known: Measured, at_s: float) -> Measured:
    """The record after a failure of the target (not of the request)."""
    return known._replace(failures=known.failures + 1, failed_at_s=at_s)


def failure_cost_s(known: Measured, now_s: float) -> float:
    """How many seconds a recent failure weighs: ten at once, half of it each minute."""
    if known.failed_at_s is None:
        return 0.0
    cost_s = float(FAILURE_COST_S * 0.5 ** ((now_s - known.failed_at_s) / FAILURE_HALF_LIFE_S))
    return cost_s if cost_s >= FORGIVEN_S else 0.0


def is_fresh(known: Measured, now_s: float) -> bool:
    """Whether the averages still say something."""
    return known.measured_at_s is not None and now_s - known.measured_at_s < FORGET_S


def _averaged(old: float | None, new: float | None) -> float | None:
    if new is None or old is None:
        return old if new is None else new
    return old + NEWEST_SHARE * (new - old)
