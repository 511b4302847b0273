"""A child's log, read as it grows."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from sollol_tui.io import log_file
from sollol_tui.io.log_file import LogFile


def test_only_whole_lines_come_and_the_last_one_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    log = LogFile(path)
    assert log.read_new() == [], "no file is no error"
    path.write_bytes(b"one\ntw")
    assert log.read_new() == ["one"]
    with path.open("ab") as file:
        file.write(b"o\r\nlast")
    assert log.read_new() == ["two"]
    assert log.finish() == ["last"]
    assert log.tail(2) == ("two", "last")
    assert log.number == 3


def test_foreign_bytes_and_endless_lines_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\xff\xfe\n" + b"x" * (3 * log_file.LINE_BYTES) + b"\nend\n")
    lines = LogFile(path).finish()
    assert lines[0] == "\ufffd\ufffd"
    assert all(len(line) <= log_file.LINE_BYTES + 2 for line in lines)
    assert lines[-1] == "end"


def test_a_flood_is_left_out_in_the_middle_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(800_000)))
    log = LogFile(path)
    assert log.read_new()[0] == "line 0", "a server says first what it loads"
    fresh = log.read_new()
    assert "left out" in fresh[0]
    assert log.finish() == []
    assert fresh[-1] == "line 799999"


def test_a_file_that_grows_too_large_is_emptied_and_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "FILE_BYTES", 100)
    path = tmp_path / "a.log"
    path.write_bytes(b"0123456789\n" * 20)
    log = LogFile(path)
    assert len(log.read_new()) == 20
    assert path.stat().st_size == 0
    with path.open("ab") as file:
        file.write(b"after\n")
    assert log.read_new() == ["after"]


def test_memory_is_bounded_whatever_comes(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes((b"y" * 5000 + b"\n") * 700)
    log = LogFile(path)
    tracemalloc.start()
    log.finish()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(line) for line in log.lines) <= log_file.RING_BYTES
    assert peak < 10 * 2**20


def test_the_run_before_is_kept_beside(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "coordinator.log"
    for run in ("first", "second", "third"):
        log_file.begin(path)
        path.write_text(run)
    assert path.read_text() == "third"
    assert log_file.previous(path).read_text() == "second"
    assert len(list(path.parent.iterdir())) == 2


def test_who_is_far_behind_catches_up_with_the_end_at_once(tmp_path: Path) -> None:
    """What a server said last before it was ready is known then, whatever it said before."""
    path = tmp_path / "a.log"
    path.write_bytes(b"noise\n" * 400_000)
    log = LogFile(path)
    log.read_new()
    with path.open("ab") as file:
        file.write(b"the map\n")
    assert log.read_new()[-1] == "noise", "a bounded part at a time"
    assert log.catch_up()[-1] == "the map"
    assert log.catch_up() == []
