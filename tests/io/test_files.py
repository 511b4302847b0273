"""Files that are whole or not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sollol_tui.io.files import locked, write_atomically, write_problem, write_secret


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "place" / "state.json"
    write_atomically(path, "old")
    write_atomically(path, "new – ü")
    assert path.read_text(encoding="utf-8") == "new – ü"
    assert os.listdir(path.parent) == ["state.json"]


def test_a_failed_write_leaves_the_old_file_and_no_scrap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "place" / "state.json"
    write_atomically(path, b"old")

    def no_space(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == ["state.json"]


def test_a_symlink_stays_one(tmp_path: Path) -> None:
    real = tmp_path / "dotfiles" / "config.toml"
    write_atomically(real, "old")
    link = tmp_path / "config.toml"
    link.symlink_to(real)
    write_atomically(link, "new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_secret_is_for_its_owner_only_even_when_the_old_file_was_not(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "crash.txt"
    write_atomically(path, "seen by all")
    write_secret(path, "seen by one")
    assert mode_of(path) == 0o600
    assert mode_of(path.parent) == 0o700


def test_a_lock_is_held_by_one_and_free_after(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, wait=False) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)
    with locked(path, wait=False) as third:
        assert third


def test_a_lock_goes_with_the_process_that_held_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from sollol_tui.io.files import locked\n"
        "with locked(Path(sys.argv[1])) as held:\n"
        "    print(held, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        with locked(path, wait=False) as held:
            assert not held
        holder.kill()
        holder.wait()
        with locked(path, wait=False) as held:
            assert held


def test_where_can_be_written_there_is_no_problem_and_no_scrap(tmp_path: Path) -> None:
    assert write_problem(tmp_path) == ""
    assert write_problem(tmp_path / "not" / "there" / "yet") == ""
    assert os.listdir(tmp_path) == ["home"]


def test_a_file_in_the_way_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert write_problem(tmp_path / "file" / "state") == f"{tmp_path / 'file'} is no directory"


def test_a_closed_place_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    assert write_problem(tmp_path / "state") == f"{tmp_path} is closed to you"

    def read_only(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", read_only)
    assert write_problem(tmp_path) == "Read-only file system"
