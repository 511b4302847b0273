"""What is delivered: the wheel holds the stylesheets, and the program finds them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from sollol_tui.ui import theme

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.mark.xdist_group("wheel")
def test_the_wheel_holds_every_stylesheet_and_the_type_mark(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"sollol_tui/tcss/{sheet}" for sheet in theme.SHEETS} <= names
    assert "sollol_tui/py.typed" in names


@pytest.mark.xdist_group("wheel")
def test_a_program_from_the_wheel_finds_its_stylesheets(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "from sollol_tui.ui.theme import stylesheets; print(*stylesheets(), sep='\\n')"
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert [Path(line) for line in found] == [
        tmp_path / "sollol_tui" / "tcss" / sheet for sheet in theme.SHEETS
    ]


def test_a_checkout_uses_the_stylesheets_at_its_top() -> None:
    assert [Path(sheet) for sheet in theme.stylesheets()] == [
        ROOT / "tcss" / sheet for sheet in theme.SHEETS
    ]


def test_every_stylesheet_in_the_folder_is_loaded() -> None:
    assert {path.name for path in (ROOT / "tcss").glob("*.tcss")} == set(theme.SHEETS)
