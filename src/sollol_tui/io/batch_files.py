"""The files of a batch: results are appended line by line, each of them whole or not there."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Self

from sollol_tui.core.batch_lines import RESULT_START, Known, read_result
from sollol_tui.core.wire import parse_json
from sollol_tui.io.files import locked, private_dir, sync_directory, write_atomically

_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
_NEW_MODE = 0o666  # less the umask


class ResultsError(Exception):
    """The results file cannot be used; the text is one sentence."""


class Repaired(NamedTuple):
    """What was found in a results file, and done to its end."""

    torn_bytes: int = 0  # of a last line that was cut off: taken away
    foreign_lines: int = 0  # that are no results: left alone


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file. Raises `OSError`."""
    with open(path, "rb") as file:
        return file.read().splitlines()


class ResultsFile:
    """Appends results. Use it as a context manager: one program at a time may.

    Args:
        path: the file; made when it is missing.
        state_dir: where the lock lies.

    Raises `ResultsError` and `OSError` on entering.
    """

    def __init__(self, path: Path, state_dir: Path) -> None:
        self._path = path
        self._state_dir = state_dir
        self._stack = ExitStack()
        self._handle = -1
        self._is_new = True  # its name may not be on the disk yet
        self.known: dict[str, Known] = {}
        self.repaired = Repaired()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._lock(stack)
            self._handle = os.open(self._path, _FLAGS | os.O_CREAT, _NEW_MODE)
            stack.callback(os.close, self._handle)
            if not stat.S_ISREG(os.fstat(self._handle).st_mode):
                raise ResultsError(f"{self._path} is no file that lines can be kept in")
            self._take_stock()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def append(self, line: bytes) -> None:
        """Add a line, in one write. Raises `OSError`."""
        left = memoryview(line)
        while left:
            left = left[os.write(self._handle, left) :]

    def sync(self) -> None:
        """Have what was added on the disk, so that a power cut leaves it there. Raises `OSError`.

        It takes as long as the disk needs, and may run in another thread than `append`.
        """
        os.fsync(self._handle)
        if self._is_new:
            self._is_new = False
            sync_directory(self._path.resolve().parent)

    def forget(self, is_forgotten: Callable[[Known], bool]) -> None:
        """Take those results out of the file, all at once or, when it fails, none."""
        with open(self._path, "rb") as file:
            kept = [line for line in file if not _is_meant(line, is_forgotten)]
        mode = os.stat(self._path).st_mode & 0o777
        write_atomically(self._path, b"".join(kept), mode)
        self.known = {key: k for key, k in self.known.items() if not is_forgotten(k)}
        fresh = os.open(self._path, _FLAGS)
        os.dup2(fresh, self._handle)
        os.close(fresh)

    def _lock(self, stack: ExitStack) -> None:
        name = hashlib.sha256(str(self._path.resolve()).encode("utf-8", "replace")).hexdigest()[:16]
        place = private_dir(self._state_dir / "run")
        if not stack.enter_context(locked(place / f"batch-{name}.lock", wait=False)):
            raise ResultsError(f"another batch writes to {self._path}")

    def _take_stock(self) -> None:
        """Read whose results are there; end or take away a last line without an end."""
        foreign, last = 0, b""
        with open(self._path, "rb") as file:
            for line in file:
                last = line
                known = read_result(line)
                if known is not None:
                    self.known[known.key] = known
                elif line.strip() and line.endswith(b"\n"):
                    foreign += 1
        if foreign and not self.known:
            raise ResultsError(f"{self._path} is there and holds no results: name another file")
        torn = 0
        if last and not last.endswith(b"\n"):
            torn = self._end(last)
        self.repaired = Repaired(torn, foreign)

    def _end(self, last: bytes) -> int:
        """Give the last line its end, or take away what an interrupted write left of one."""
        if read_result(last) is not None:
            self.append(b"\n")
            return 0
        if parse_json(last) is not None or not last.startswith(RESULT_START[: len(last)]):
            raise ResultsError(f"{self._path} does not end as results do: name another file")
        os.ftruncate(self._handle, os.fstat(self._handle).st_size - len(last))
        return len(last)


def _is_meant(line: bytes, is_meant: Callable[[Known], bool]) -> bool:
    known = read_result(line)
    return known is not None and is_meant(known)


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths name one file that is there."""
    try:
        return one.samefile(other)
    except OSError:
        return False
