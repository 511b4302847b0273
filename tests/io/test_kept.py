"""What the program remembers between runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sollol_tui.core.state import Mode
from sollol_tui.io.kept import FILE_NAME, Kept, read_kept, write_kept

EVERYTHING = Kept(Mode.OFF, "http://n:1", ("a",), ("b",), ("c",), "llama3", "nord")


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    write_kept(tmp_path, EVERYTHING)
    assert read_kept(tmp_path) == EVERYTHING


@pytest.mark.parametrize("text", ["", "[]", "{", '{"mode": 3, "nodes": "x", "theme": []}'])
def test_what_cannot_be_read_is_as_if_nothing_had_been_kept(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
    assert read_kept(tmp_path) == Kept()
