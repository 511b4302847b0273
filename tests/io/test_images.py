"""Reading pictures from the disk: by their bytes, within a bound, with a reason where it fails."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from sollol_tui.core.images import MOST_BYTES, Image, ImageRefused
from sollol_tui.io.images import read_image

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))


def _why(path: str) -> str:
    read = read_image(path)
    assert isinstance(read, ImageRefused)
    assert read.path == path
    return read.why


def test_a_picture_is_read_whole_whatever_its_name(tmp_path: Path) -> None:
    place = tmp_path / "my cat"
    place.write_bytes(PNG)
    read = read_image(str(place))
    assert isinstance(read, Image)
    assert (read.name, read.kind, read.size_bytes) == ("my cat", "png", len(PNG))
    assert base64.b64decode(read.data) == PNG


def test_the_home_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.png").write_bytes(PNG)
    assert isinstance(read_image("~/a.png"), Image)


def test_what_is_no_picture_says_why(tmp_path: Path) -> None:
    text = tmp_path / "a.png"
    text.write_text("no picture")
    (tmp_path / "empty.png").touch()
    assert _why(str(text)) == "it is no image (PNG, JPEG, WebP or GIF)"
    assert _why(str(tmp_path / "empty.png")) == "it is no image (PNG, JPEG, WebP or GIF)"
    assert _why(str(tmp_path)) == "it is a directory"
    assert _why(str(tmp_path / "none.png")) == "there is no such file"
    assert _why(str(text / "below.png")) == "not a directory"
    assert _why("\0") != ""
    assert _why("x" * 5000) == "file name too long"


def test_one_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    place = tmp_path / "large.png"
    with place.open("wb") as file:
        file.write(PNG)
        file.truncate(MOST_BYTES + 1)
    assert "too large" in _why(str(place))


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert _why(str(tmp_path / "pipe.png")) == "it is no plain file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_one_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    place = tmp_path / "closed.png"
    place.write_bytes(PNG)
    place.chmod(0)
    assert _why(str(place)) == "it may not be read"
