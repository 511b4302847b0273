"""Results of a batch on disk: whole lines, one writer, ends that were torn put right."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from sollol_tui.core.batch_lines import Known, Result, result_line
from sollol_tui.io.batch_files import (
    Repaired,
    ResultsError,
    ResultsFile,
    read_lines,
    same_file,
)


def line(number: int, outcome: str = "complete") -> bytes:
    return result_line(Result(number, "m:1", None, outcome, "text\n", 1))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"


def stock(out: Path) -> tuple[list[str], Repaired]:
    with ResultsFile(out, out.parent / "state") as results:
        return list(results.known), results.repaired


def test_lines_are_appended_and_known_again(out: Path) -> None:
    with ResultsFile(out, out.parent / "state") as results:
        results.append(line(1))
        results.append(line(2, "cut"))
    with ResultsFile(out, out.parent / "state") as results:
        assert results.known == {"1": Known("1", "complete"), "2": Known("2", "cut")}
        assert results.repaired == Repaired()
        results.append(line(3))
    assert out.read_bytes() == line(1) + line(2, "cut") + line(3)


@pytest.mark.parametrize("cut_at", [1, 7, 8, 20, len(line(2)) - 2])
def test_a_torn_last_line_is_taken_away(out: Path, cut_at: int) -> None:
    out.write_bytes(line(1) + line(2)[:cut_at])
    assert stock(out) == (["1"], Repaired(torn_bytes=cut_at))
    assert out.read_bytes() == line(1)


def test_a_torn_first_line_is_taken_away_too(out: Path) -> None:
    out.write_bytes(line(1)[:30])
    assert stock(out) == ([], Repaired(torn_bytes=30))
    assert out.read_bytes() == b""


def test_a_last_line_that_only_lacks_its_end_gets_it(out: Path) -> None:
    out.write_bytes(line(1) + line(2)[:-1])
    assert stock(out) == (["1", "2"], Repaired())
    assert out.read_bytes() == line(1) + line(2)


@pytest.mark.parametrize(
    "content",
    [
        b"dear diary\n",
        b"dear diary",
        b'{"id": 1, "prompt": "?"}\n',
        b'{"id": 1, "prompt": "?"}',
        b'{"a": 1',
        b"[]",
    ],
)
def test_a_file_that_is_something_else_is_not_touched(out: Path, content: bytes) -> None:
    out.write_bytes(content)
    with pytest.raises(ResultsError, match="name another file"):
        stock(out)
    assert out.read_bytes() == content


def test_foreign_lines_among_results_are_left_and_counted(out: Path) -> None:
    content = line(1) + b"a note of mine\n\n" + line(2)
    out.write_bytes(content)
    assert stock(out) == (["1", "2"], Repaired(foreign_lines=1))
    assert out.read_bytes() == content


def test_one_program_at_a_time_may_write(out: Path) -> None:
    state_dir = out.parent / "state"
    other_name = out.parent / "link.jsonl"
    with ResultsFile(out, state_dir):
        other_name.symlink_to(out)
        for path in (out, other_name):
            with pytest.raises(ResultsError, match="another batch"), ResultsFile(path, state_dir):
                pass
    with ResultsFile(out, state_dir):
        pass


def test_results_can_be_forgotten_and_writing_goes_on_after_that(out: Path) -> None:
    out.write_bytes(line(1) + line(2, "cut") + b"a note\n" + line(3))
    out.chmod(0o600)
    with ResultsFile(out, out.parent / "state") as results:
        results.forget(lambda known: not known.is_whole)
        assert list(results.known) == ["1", "3"]
        results.append(line(2))
    assert out.read_bytes() == line(1) + b"a note\n" + line(3) + line(2)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no file"):
        stock_at(Path(os.devnull), tmp_path)
    with pytest.raises(OSError, match="directory"):
        stock_at(tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError):
        stock_at(tmp_path / "no" / "such" / "place.jsonl", tmp_path)


def stock_at(path: Path, state_dir: Path) -> None:
    with ResultsFile(path, state_dir):
        pass


def test_prompts_are_read_line_by_line_with_any_line_end(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_bytes(b'{"id":1}\r\n{"id":2}\n{"id":3}')
    assert [json.loads(raw)["id"] for raw in read_lines(path)] == [1, 2, 3]


def test_one_file_under_two_names_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    (tmp_path / "b").symlink_to(path)
    assert same_file(path, tmp_path / "b")
    assert not same_file(path, tmp_path / "c")
