"""Looking at files of others, with "may not" told apart from "is not there"."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path


class Disk:
    """The file system; tests put another one in its place to forbid or to lose files.

    What opens or lists raises `OSError`: `PermissionError` where this user may not look,
    `FileNotFoundError` and `NotADirectoryError` where there is nothing.
    """

    windows = os.name == "nt"

    def names(self, directory: Path) -> list[str]:
        """The entries of a directory, sorted, hidden ones left out."""
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))

    def size(self, path: Path) -> int:
        """The length of a regular file, `IsADirectoryError` for anything else."""
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            raise IsADirectoryError(f"{path} is no file")
        return found.st_size

    def read(self, path: Path, at_most: int) -> bytes:
        """The beginning of a file."""
        with open(path, "rb") as file:
            return file.read(at_most)

    def may_enter(self, directory: Path) -> bool:
        """Whether this user can look into a directory; true where there is none."""
        return not os.path.isdir(directory) or os.access(directory, os.R_OK | os.X_OK)

    def reading_group(self, path: Path) -> str:
        """The name of the group that may read a directory, "" when none but root's may."""
        try:
            import grp  # not there on Windows

            found = os.stat(path)
            readable = found.st_mode & stat.S_IRGRP and found.st_mode & stat.S_IXGRP
            return grp.getgrgid(found.st_gid).gr_name if readable and found.st_gid else ""
        except (ImportError, OSError, KeyError):
            return ""

    @contextmanager
    def mapped(self, paths: Sequence[Path]) -> Iterator[list[tuple[memoryview, int]]]:
        """The files as memory, each with its length; only what is looked at is read."""
        with ExitStack() as stack:
            views = []
            for path in paths:
                file = stack.enter_context(open(path, "rb"))
                size = os.fstat(file.fileno()).st_size
                views.append((_view(stack, file.fileno(), size), size))
            yield views


def _view(stack: ExitStack, handle: int, size: int) -> memoryview:
    if size == 0:  # nothing can be mapped there
        return memoryview(b"")
    area = stack.enter_context(mmap.mmap(handle, 0, access=mmap.ACCESS_READ))
    view = memoryview(area)
    stack.callback(view.release)  # before the map is closed
    return view
