"""Tokens per second as time goes by."""

from __future__ import annotations

from sollol_tui.core.state import ClusterSnapshot, RequestState, Totals
from sollol_tui.ui.rates import TokenRate


def snapshot(done: int, *running: int) -> ClusterSnapshot:
    """That many tokens of requests that ended, and those of each that runs."""
    requests = tuple(RequestState(str(i), "m", "t", 0.0, tokens=n) for i, n in enumerate(running))
    return ClusterSnapshot(totals=Totals(tokens=done), requests=requests)


def test_the_rate_counts_tokens_of_running_and_ended_requests() -> None:
    rate = TokenRate()
    states = [snapshot(0), snapshot(0, 20), snapshot(0, 60, 10), snapshot(80), snapshot(80, 5)]
    for second, state in enumerate(states):
        rate.add(state, float(second))
    assert list(rate.samples) == [20.0, 50.0, 10.0, 5.0]
    assert rate.now_tps(snapshot(80, 10)) == 5.0
    assert rate.now_tps(snapshot(90)) is None


def test_a_steady_answer_is_steady_though_it_is_told_of_in_halves_of_a_second() -> None:
    rate = TokenRate()
    told = {10.0: 9.9, 11.0: 10.4, 12.0: 11.9, 13.0: 12.9}  # a sample, and up to when it is told
    for now_s, told_s in told.items():
        request = RequestState("a", "m", "t", 9.0, 9.0, told_s, round(40 * (told_s - 9.0)))
        rate.add(ClusterSnapshot(requests=(request,)), now_s)
    rate.add(snapshot(round(40 * 5.0)), 14.0)
    assert [round(tps or 0.0) for tps in rate.samples] == [40, 40, 40, 40]


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
