"""Measures as people read them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sollol_tui.core import units

GIB = 1024**3


@pytest.mark.parametrize(
    ("count_bytes", "shown"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (7.9 * GIB, "7.9 GiB"),
        (19.2 * GIB, "19.2 GiB"),
        (512 * 1024**2, "512 MiB"),
        (1023.96 * 1024**2, "1.0 GiB"),
        (5000 * 1024**5, "5000 PiB"),
    ],
)
def test_bytes_are_binary_with_one_decimal_below_a_hundred(count_bytes: float, shown: str) -> None:
    assert units.size(count_bytes) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.04, "0.0 s"),
        (0.42, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3 * 86400 + 4 * 3600 + 59, "3 d 4 h"),
        (-1, "0.0 s"),
    ],
)
def test_a_duration_has_at_most_two_units(seconds: float, shown: str) -> None:
    assert units.duration(seconds) == shown


@pytest.mark.parametrize(
    ("then_s", "shown"),
    [
        (99.5, "now"),
        (97.0, "3 s ago"),
        (100.0 - 59.9, "59 s ago"),
        (100.0 - 60, "1 min ago"),
        (100.0 - 7300, "2 h ago"),
        (100.0 - 90000, "1 d ago"),
        (130.0, "now"),
        (None, "–"),
    ],
)
def test_an_age_is_whole_and_never_in_the_future(then_s: float | None, shown: str) -> None:
    assert units.age(then_s, 100.0) == shown


@pytest.mark.parametrize(
    ("milliseconds", "shown"),
    [(0.42, "0.4 ms"), (12.3, "12 ms"), (999.4, "999 ms"), (999.6, "1.0 s"), (61000, "1 min 1 s")],
)
def test_a_latency_from_a_second_on_is_said_in_seconds(milliseconds: float, shown: str) -> None:
    assert units.latency(milliseconds) == shown


@pytest.mark.parametrize(
    ("weights", "shown"),
    [
        (134_515_008, "135 M"),
        (1.5e9, "1.5 B"),
        (13e9, "13 B"),
        (999.7e6, "1 B"),
        (70.6e9, "70.6 B"),
        (405e9, "405 B"),
        (1.0e12, "1 T"),
        (750, "750"),
    ],
)
def test_parameters_are_in_the_short_form_of_the_field(weights: float, shown: str) -> None:
    assert units.parameters(weights) == shown


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0 %"), (0.001, "<1 %"), (0.5, "50 %"), (0.996, ">99 %"), (1, "100 %")],
)
def test_a_percentage_never_rounds_to_none_or_all(share: float, shown: str) -> None:
    assert units.percent(share) == shown


def test_rates_and_counts() -> None:
    assert units.rate(34.23) == "34.2 tok/s"
    assert units.rate(123.4) == "123 tok/s"
    assert units.count(8192) == "8\u202f192"


@pytest.mark.parametrize("unknown", [None, float("nan"), float("inf")])
@pytest.mark.parametrize(
    "measure",
    [
        units.size, units.duration, units.span, units.latency, units.rate, units.parameters,
        units.count, units.percent,
    ],
)  # fmt: skip
def test_unknown_is_not_zero(measure: Callable[[float | None], str], unknown: float | None) -> None:
    assert measure(unknown) == "–"


def test_one_is_not_many() -> None:
    assert units.counted(1, "token") == "1 token"
    assert units.counted(0, "bad line") == "0 bad lines"
    assert units.counted(12, "prompt") == "12 prompts"
