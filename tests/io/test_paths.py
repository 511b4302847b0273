"""Where things lie."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sollol_tui.io import paths
from sollol_tui.io.sollol_files import BACKENDS_FILE, NODES_FILE, SETTINGS_FILE


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


def test_sollols_files_are_the_ones_that_are_read() -> None:
    assert paths.SOLLOL_FILES == (SETTINGS_FILE, NODES_FILE, BACKENDS_FILE)


@pytest.mark.parametrize("place", ["home", "here"])
def test_sollol_is_here_when_one_of_its_files_is(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert not paths.is_sollol_here()
    folder = here if place == "here" else Path(os.environ["HOME"])
    (folder / BACKENDS_FILE).touch()
    assert paths.is_sollol_here()
