"""The log of a child: a file that it writes, read as it grows, bounded, kept for two runs."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

RING_LINES = 5000
RING_BYTES = 2 * 2**20
READ_BYTES = 64 * 2**10  # at a time: to parse them takes some milliseconds
FINISH_BYTES = 256 * 2**10  # so much of what is left when the child has ended, or is ready
BEHIND_BYTES = 4 * 2**20  # further behind than this, the middle is left out, and said
FILE_BYTES = 64 * 2**20  # a larger file is emptied: the child appends, so it just goes on
LINE_BYTES = 8 * 2**10


class LogFile:
    """Reads what was appended since; keeps the last lines.

    Every read is bounded, however fast the child writes.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=RING_LINES)
        self.number = 0  # of lines read so far
        self._ring_bytes = 0
        self._at = 0
        self._partial = b""

    def read_new(self, behind_bytes: int = BEHIND_BYTES) -> list[str]:
        """The whole lines that came since the last call; at most some ten kilobytes of them.

        When more than `behind_bytes` are left to read, only their end is. The file's beginning is
        never left out: there a server says what it loads, and a run that is taken over is read from
        there.
        """
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                chunk, skipped = self._next_chunk(file, size, behind_bytes)
        except OSError:
            return []
        if size > FILE_BYTES and self._at >= size - READ_BYTES:
            self._empty(size)
        fresh = self._split(chunk, skipped)
        for line in fresh:
            self._keep(line)
        return fresh

    def catch_up(self) -> list[str]:
        """The end of what is left, at once: what was said last counts."""
        fresh = self.read_new(FINISH_BYTES)
        for _ in range(FINISH_BYTES // READ_BYTES):  # whoever writes may go on writing
            fresh += self.read_new(FINISH_BYTES)
        return fresh

    def finish(self) -> list[str]:
        """The end of what is left, with a last line that has no end: the child has ended."""
        fresh = self.catch_up()
        if self._partial:
            last = _decoded(self._partial)
            self._partial = b""
            self._keep(last)
            fresh.append(last)
        return fresh

    def tail(self, count: int) -> tuple[str, ...]:
        """The last lines."""
        return tuple(list(self.lines)[-count:])

    def _next_chunk(self, file: BinaryIO, size: int, behind_bytes: int) -> tuple[bytes, int]:
        if size < self._at:  # emptied
            self._at, self._partial = 0, b""
        skipped = 0
        if self._at and size - self._at > behind_bytes:
            skipped = size - READ_BYTES - self._at
            self._at, self._partial = size - READ_BYTES, b""
        file.seek(self._at)
        chunk = file.read(READ_BYTES)
        self._at += len(chunk)
        return chunk, skipped

    def _split(self, chunk: bytes, skipped: int) -> list[str]:
        *whole, self._partial = (self._partial + chunk).split(b"\n")
        if len(self._partial) > LINE_BYTES:
            whole.append(self._partial)
            self._partial = b""
        lines = [_decoded(line) for line in whole]
        if skipped:
            lines = [
                f"… {skipped / 2**20:.1f} MiB left out: it came too fast to read …",
                *lines[1:],
            ]
        return lines

    def _keep(self, line: str) -> None:
        if len(self.lines) == RING_LINES:
            self._ring_bytes -= len(self.lines[0])
        self.lines.append(line)
        self._ring_bytes += len(line)
        self.number += 1
        while self._ring_bytes > RING_BYTES:
            self._ring_bytes -= len(self.lines.popleft())

    def _empty(self, read_bytes: int) -> None:
        """Unless more came just now, that would be lost; a flood that never rests is cut off."""
        with suppress(OSError):
            if read_bytes < os.path.getsize(self.path) < 2 * FILE_BYTES:
                return
            os.truncate(self.path, 0)
            self._at = 0


def begin(path: Path) -> None:
    """Make room for a new run: its log starts empty, the last run's is kept beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        os.replace(path, previous(path))


def previous(path: Path) -> Path:
    """Where the log of the run before lies."""
    return path.with_suffix(f".1{path.suffix}")


def _decoded(line: bytes) -> str:
    cut = line[:LINE_BYTES].rstrip(b"\r")
    return cut.decode("utf-8", "replace") + (" …" if len(line) > LINE_BYTES else "")
