"""Tokens per second as time goes by."""

from __future__ import annotations

from sollol_tui.core.state import ClusterSnapshot, RequestState, Totals
from sollol_tui.ui.rates import TokenRate


def snapshot(done: int, *running: int) -> ClusterSnapshot:
    requests = tuple(RequestState(str(n), "m", "t", 0.0, tokens=n) for n in running)
    return ClusterSnapshot(totals=Totals(tokens=done), requests=requests)


def test_the_rate_counts_tokens_of_running_and_ended_requests() -> None:
    rate = TokenRate()
    for second, state in enumerate(
        [snapshot(0), snapshot(0, 20), snapshot(0, 60, 10), snapshot(80, 10)]
    ):
        rate.add(state, float(second))
    assert list(rate.samples) == [20.0, 50.0, 20.0]
    assert rate.now_tps(snapshot(80, 10)) == 20.0
    assert rate.now_tps(snapshot(90)) is None


def test_the_curve_ends_at_zero_and_stands_still_while_nothing_runs() -> None:
    rate = TokenRate()
    states = [snapshot(0), snapshot(0), snapshot(0, 5), snapshot(5), snapshot(5), snapshot(5)]
    for second, state in enumerate(states):
        rate.add(state, float(second))
    assert list(rate.samples) == [5.0, 0.0]


def test_a_clock_that_stands_or_goes_back_gives_no_sample() -> None:
    rate = TokenRate()
    for now_s in (5.0, 5.0, 4.0):
        rate.add(snapshot(0, int(100 - now_s)), now_s)
    assert not rate.samples
