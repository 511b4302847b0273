"""The version rule of the RPC protocol."""

from __future__ import annotations

import pytest

from sollol_tui.core.rpc_version import compatible, format_version, parse_version


@pytest.mark.parametrize(
    ("coordinator", "backend", "usable"),
    [
        ("7.0.0", "7.0.0", True),
        ("7.0.0", "7.0.3", True),  # the patch is ignored
        ("7.0.9", "7.0.0", True),
        ("7.1.0", "7.0.0", True),  # an older minor serves a newer client
        ("7.0.0", "7.1.0", False),  # a newer minor does not serve an older one
        ("7.0.0", "6.0.0", False),
        ("7.0.0", "5.0.0", False),
        ("7.0.0", "8.0.0", False),
        ("6.0.0", "7.0.0", False),
        ("7.0", "7.0.0", True),
        ("7.0.0", "3.6.1", False),
        ("", "7.0.0", False),
        ("7.0.0", "seven", False),
        ("7.0.0", "7", False),
    ],
)
def test_same_major_and_no_newer_minor(coordinator: str, backend: str, usable: bool) -> None:
    assert compatible(coordinator, backend) is usable


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.0.0", (7, 0, 0)),
        (" v3.6.1\n", (3, 6, 1)),
        ("7.1", (7, 1, 0)),
        ("7.0.0.0", None),
        ("7.-1.0", None),
        ("7..0", None),
        ("٧.٠.٠", None),
    ],
)
def test_a_version_is_two_or_three_numbers(text: str, version: tuple[int, int, int] | None) -> None:
    assert parse_version(text) == version


def test_a_version_is_shown_with_three_numbers() -> None:
    assert format_version((7, 0, 0)) == "7.0.0"
