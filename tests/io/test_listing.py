"""Completing paths: what is on the disk and begins as it was typed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sollol_tui.io.listing import paths_like

PNG = (".png", ".jpg")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "mine"
    (place / "cats").mkdir(parents=True)
    (place / ".secret").mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.chdir(place)
    for name in ("cat.png", "CAT2.PNG", "cat.txt", ".hidden.png", "my cat.jpg"):
        (place / name).touch()
    return place


def test_files_with_an_ending_and_directories_are_found_directories_first(home: Path) -> None:
    assert paths_like(f"{home}/ca", PNG) == (f"{home}/cats/", f"{home}/cat.png")
    assert paths_like(f"{home}/", PNG) == (
        f"{home}/cats/",
        f"{home}/CAT2.PNG",
        f"{home}/cat.png",
        f"{home}/my cat.jpg",
    )


def test_home_and_here_stay_as_they_were_typed(home: Path) -> None:
    assert paths_like("~", PNG) == ("~/",)
    assert paths_like("~/my", PNG) == ("~/my cat.jpg",)
    assert paths_like("./ca", PNG) == ("./cats/", "./cat.png")


def test_hidden_ones_are_found_after_a_dot(home: Path) -> None:
    assert paths_like("~/.", PNG) == ("~/.secret/", "~/.hidden.png")


def test_what_cannot_be_looked_into_has_nothing(home: Path) -> None:
    assert paths_like("/nowhere/at/all", PNG) == ()
    assert paths_like("~/cat.png/", PNG) == ()
    assert paths_like("/\0/", PNG) == ()


def test_so_many_are_enough(home: Path) -> None:
    assert len(paths_like("~/", PNG, most=2)) == 2
