"""One SQLite file of ours: opened at its first use, brought up to date, set aside when broken.

Write-ahead logging lets several programs use it at once. Used in one thread at a time; whoever
calls has to see to that.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from sollol_tui.io.files import private_dir

BUSY_S = 5.0  # another program writes: it takes milliseconds
Answer = TypeVar("Answer")

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_WORDS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "it cannot be written here",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened or made here",
    sqlite3.SQLITE_PERM: "it may not be opened",
    sqlite3.SQLITE_BUSY: "another program keeps it to itself",
    sqlite3.SQLITE_LOCKED: "another program keeps it to itself",
    sqlite3.SQLITE_IOERR: "the disk cannot be read or written",
}


class _NewerError(Exception):
    """The file was made by a program that knows more than this one."""


class SqliteFile:
    """The file. Its heirs say how it is brought from one schema to the next.

    Args:
        path: where it lies; its directory is made when it is missing.
        called: what it is, in a sentence: `the chats`.
        schema: the one that this program knows, from 1.
    """

    def __init__(self, path: Path, called: str, schema: int) -> None:
        self._path = path
        self._called = called
        self._schema = schema
        self._connection: sqlite3.Connection | None = None

    def upgrade(self, connection: sqlite3.Connection, schema: int) -> None:
        """Make what is missing since that schema, 0 for a new file; all of it, or nothing."""
        raise NotImplementedError

    def made_ready(self, connection: sqlite3.Connection) -> None:
        """Whatever is to be done each time the file was opened."""

    def sound(self, work: Callable[[], Answer]) -> tuple[Answer | None, str]:
        """What the work returned, or a sentence why not. A broken file is set aside, once."""
        try:
            return work(), ""
        except (sqlite3.Error, OSError, _NewerError) as error:
            if _code(error) not in _BROKEN:
                return None, self._unusable(error)
        aside = self._set_aside()
        try:
            return work(), f"{self._called}: the file was broken, a new one begins · {aside}"
        except (sqlite3.Error, OSError) as error:
            return None, self._unusable(error)

    def connection(self) -> sqlite3.Connection:
        """The open file. Raises what SQLite raises, see `sound`."""
        if self._connection is None:
            private_dir(self._path.parent)
            connection = sqlite3.connect(self._path, timeout=BUSY_S, check_same_thread=False)
            try:
                self._prepare(connection)
                self.made_ready(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last rows
        schema = _schema_of(connection)
        if schema > self._schema:
            raise _NewerError(f"a newer version of this program made it (schema {schema})")
        if schema == self._schema:
            return
        with connection:
            connection.execute("BEGIN IMMEDIATE")  # two programs may start at once
            schema = _schema_of(connection)
            if schema < self._schema:
                self.upgrade(connection, schema)
                connection.execute(f"PRAGMA user_version = {self._schema}")

    def _unusable(self, error: Exception) -> str:
        why = _WORDS.get(_code(error), "")
        if not why:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
        return f"{self._called} cannot be used: {why} · {self._path}"

    def _set_aside(self) -> Path:
        with suppress(sqlite3.Error):
            self.close()
        self._connection = None
        aside = self._path.with_suffix(".broken")
        for ending in ("-wal", "-shm"):
            with suppress(OSError):
                os.unlink(f"{self._path}{ending}")
        with suppress(OSError):
            os.replace(self._path, aside)
        return aside


def _schema_of(connection: sqlite3.Connection) -> int:
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    return int(schema)


def _code(error: Exception) -> int:
    """SQLite's code of an error, without its details; -1 when it has none."""
    code = getattr(error, "sqlite_errorcode", None)
    return -1 if code is None else code & 0xFF


def writable(text: str) -> str:
    """Half a surrogate pair, from a model or a foreign name, cannot be written."""
    return text.encode("utf-8", "replace").decode()
