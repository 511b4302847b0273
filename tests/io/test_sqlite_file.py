"""A SQLite file of ours: whatever is wrong with it is a sentence, and nothing stops for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sollol_tui.io import sqlite_file
from sollol_tui.io.sqlite_file import SqliteFile

ROWS = 20


class Notes(SqliteFile):
    """A table of texts; since schema 2 a second one."""

    def __init__(self, directory: Path, schema: int = 2) -> None:
        super().__init__(directory / "notes.sqlite", "the notes", schema)
        self.upgraded = list[int]()

    def upgrade(self, connection: sqlite3.Connection, schema: int) -> None:
        self.upgraded.append(schema)
        if schema == 0:
            connection.execute("CREATE TABLE notes (text TEXT)")
        if self._schema > 1:
            connection.execute("CREATE TABLE more (text TEXT)")

    def add(self, text: str) -> bool:
        connection = self.connection()
        with connection:
            connection.execute("INSERT INTO notes VALUES (?)", (text,))
        return True

    def count(self) -> int:
        return int(self.connection().execute("SELECT count(*) FROM notes").fetchone()[0])


def problem(work: Callable[[], object], file: Notes) -> str:
    """Why the work was not done."""
    done, why = file.sound(work)
    assert done is None
    return why


def test_a_file_of_before_is_brought_up_to_date_once_and_keeps_what_it_had(tmp_path: Path) -> None:
    old = Notes(tmp_path, schema=1)
    old.add("kept")
    old.close()
    file = Notes(tmp_path)
    assert file.count() == 1
    file.close()
    assert file.count() == 1  # opened anew
    file.close()
    assert file.upgraded == [1]


def test_an_update_that_fails_changes_nothing(tmp_path: Path) -> None:
    old = Notes(tmp_path, schema=1)
    old.connection().execute("CREATE TABLE more (other TEXT)")  # in the way
    old.close()
    file = Notes(tmp_path)
    assert "the notes cannot be used: table more already exists" in problem(file.count, file)
    again = Notes(tmp_path, schema=1)
    assert again.count() == 0
    again.close()


def test_a_full_disk_is_said_and_what_is_there_can_be_read(tmp_path: Path) -> None:
    file = Notes(tmp_path)
    file.connection().execute("PRAGMA max_page_count = 8")
    why = problem(lambda: file.add("x" * 100_000), file)
    assert why == f"the notes cannot be used: the disk is full · {tmp_path / 'notes.sqlite'}"
    assert file.sound(file.count) == (0, "")
    file.close()


def test_a_file_that_may_not_be_written_is_said_and_can_be_read(tmp_path: Path) -> None:
    file = Notes(tmp_path)
    file.add("kept")
    file.connection().execute("PRAGMA query_only = 1")
    assert "the notes cannot be used: it cannot be written here · " in problem(
        lambda: file.add("more"), file
    )
    assert file.sound(file.count) == (1, "")
    file.close()


def test_a_directory_in_the_place_of_the_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.sqlite").mkdir()
    file = Notes(tmp_path)
    assert "the notes cannot be used: it cannot be opened or made here · " in problem(
        file.count, file
    )


def test_a_directory_that_cannot_be_made_is_said_without_numbers(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = Notes(tmp_path / "file" / "deeper")
    assert "the notes cannot be used: Not a directory · " in problem(file.count, file)


def test_another_program_that_keeps_the_file_is_said_and_waited_for_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "BUSY_S", 0.0)
    file = Notes(tmp_path)
    file.add("kept")
    with closing(sqlite3.connect(tmp_path / "notes.sqlite")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "another program keeps it to itself" in problem(lambda: file.add("more"), file)
        assert file.sound(file.count) == (1, "")  # reading goes on
        other.rollback()
    assert file.sound(lambda: file.add("more")) == (True, "")
    file.close()


def test_two_programs_that_start_at_once_update_the_file_once(tmp_path: Path) -> None:
    """The second one reads the schema before the first one has changed it."""
    one, two = Notes(tmp_path), Notes(tmp_path)
    assert (one.count(), two.count()) == (0, 0)
    one.add("a")
    two.add("b")
    assert (one.count(), two.count()) == (2, 2)
    assert (one.upgraded, two.upgraded) == ([0], [])
    one.close()
    two.close()


def test_a_file_that_breaks_in_use_is_set_aside_and_the_work_is_done(tmp_path: Path) -> None:
    file = Notes(tmp_path)
    for number in range(ROWS):
        file.add(f"{number}" * 1000)
    file.close()
    path = tmp_path / "notes.sqlite"
    broken = bytearray(path.read_bytes())
    broken[4096:] = b"\xff" * (len(broken) - 4096)
    path.write_bytes(broken)
    done, why = file.sound(lambda: file.add("new"))
    assert done is True
    aside = tmp_path / "notes.broken"
    assert why == f"the notes: the file was broken, a new one begins · {aside}"
    assert file.count() == 1
    file.close()
    assert aside.read_bytes() == bytes(broken)
