"""Places for coordinators, and short waits."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sollol_tui.core import lifecycle
from sollol_tui.io import process
from tests.engine.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    left = made.servers() + made.backends()
    for one in left:
        one.kill()
    assert not left, "whatever a test does, nothing stays behind"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are as short as can be; the quarantine is as long as ever."""
    monkeypatch.setattr(lifecycle, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(process, "FIRST_WAIT_S", 0.2)
