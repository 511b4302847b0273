"""Where things lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sollol_tui.io import paths


@pytest.mark.skipif(sys.platform != "linux", reason="the customs of Linux")
def test_every_place_follows_the_xdg_variables() -> None:
    home = Path(os.environ["HOME"])
    assert paths.config_file({}) == home / "config" / "sollol-tui" / "config.toml"
    assert paths.state_dir() == home / "state" / "sollol-tui"
    assert paths.data_dir() == home / "data" / "sollol-tui"
    assert paths.cache_dir() == home / "cache" / "sollol-tui"


def test_a_variable_names_another_configuration_file() -> None:
    home = Path(os.environ["HOME"])
    assert paths.config_file({"SOLLOL_TUI_CONFIG": "~/my.toml"}) == home / "my.toml"


def test_asking_for_a_place_makes_nothing() -> None:
    for place in (paths.config_dir, paths.state_dir, paths.data_dir, paths.cache_dir):
        assert not place().exists()
