"""The floors: who may import whom, and what the first frame does without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

AT_FIRST_FRAME = """
import sys
from sollol_tui.core.settings import Settings
from sollol_tui.engine.engine import Engine
from sollol_tui.ui.app import SollolApp

class Probe(SollolApp):
    def _begin(self):
        sys.__stdout__.write("\\n".join(sys.modules))
        sys.__stdout__.flush()
        self.exit()

Probe(Engine(Settings())).run(headless=True)
"""

LATE = (
    "httpx",
    "httpcore",
    "redis",
    "psutil",
    "markdown_it",
    "textual.widgets._data_table",
    "textual.widgets._rich_log",
    "textual.widgets._markdown",
    "textual.widgets._footer",
    "textual.widgets._text_area",
    "sollol_tui.ui.chat",
    "sollol_tui.ui.markdown",
    "importlib.metadata",
    "sollol_tui.engine.runtime",
    "sollol_tui.core.statistics",
    "sollol_tui.ui.panes.groups",
    "sqlite3",
    "sollol_tui.ui.screens.sessions",
    "sollol_tui.ui.screens.help",
    "sollol_tui.ui.screens.mode_picker",
    "sollol_tui.ui.screens.detail",
)


def modules_after(code: str) -> set[str]:
    """The modules that are loaded when a program has run."""
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm-256color", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return set(found.stdout.split())


@pytest.fixture(scope="module")
def first_frame() -> set[str]:
    return modules_after(AT_FIRST_FRAME)


@pytest.mark.xdist_group("floors")
@pytest.mark.parametrize("module", LATE)
def test_the_first_frame_is_painted_without(module: str, first_frame: set[str]) -> None:
    assert "sollol_tui.ui.screens.dashboard" in first_frame
    assert not {name for name in first_frame if name == module or name.startswith(f"{module}.")}


@pytest.mark.parametrize("module", ["sollol_tui.engine.engine", "sollol_tui.engine.runtime"])
def test_the_engine_needs_no_screen(module: str) -> None:
    loaded = modules_after(f"import sys, {module}; print(*sys.modules, sep='\\n')")
    assert module in loaded
    assert not {name for name in loaded if name.split(".")[0] == "textual"}


def test_the_command_loads_nothing_but_itself() -> None:
    loaded = modules_after("import sys, sollol_tui.cli; print(*sys.modules, sep='\\n')")
    assert {n for n in loaded if n.startswith("sollol_tui")} == {"sollol_tui", "sollol_tui.cli"}
    assert not loaded & {"textual", "asyncio", "argparse", "httpx"}


def test_no_floor_imports_from_above_or_beside() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout
