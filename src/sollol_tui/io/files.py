"""Files that are whole or not there, directories for one person, locks between processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sollol_tui.core.ids import is_model_path

PUBLIC_MODE = 0o644
PRIVATE_MODE = 0o600
_BINARY = getattr(os, "O_BINARY", 0)  # Windows would write newlines its own way


def private_dir(path: Path) -> Path:
    """Make the directory, for its owner only, with its parents; an existing one stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def whole_path(model: str) -> str:
    """The path of a model's file as its coordinator tells it; a name is left as it is."""
    if not is_model_path(model):
        return model
    path = os.path.abspath(os.path.expanduser(model))
    return path if "/" in model or os.sep in model or os.path.exists(path) else model


def write_atomically(path: Path, content: str | bytes, mode: int = PUBLIC_MODE) -> None:
    """Replace a file in one step: a reader, or a crash, finds the old content or the new.

    `mode` is what the file has afterwards, less the umask. A symlink stays one: the file that it
    names is replaced. A missing directory is made, for the owner only. Raises `OSError`, and leaves
    nothing behind then.
    """
    target = path.resolve()
    private_dir(target.parent)
    beside = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        _write_through(beside, data, mode)
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_directory(target.parent)


def write_problem(directory: Path) -> str:
    """Why nothing can be written into a directory, which need not exist yet; empty when it can."""
    there = next((p for p in (directory, *directory.parents) if p.exists()), directory)
    if not there.is_dir():
        return f"{there} is no directory"
    if there != directory:
        return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} is closed to you"
    try:
        beside = directory / f".{os.getpid()}.{os.urandom(4).hex()}"
        _write_through(beside, b"", PRIVATE_MODE)
        beside.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def write_secret(path: Path, content: str | bytes) -> None:
    """`write_atomically` for what only its owner may read."""
    write_atomically(path, content, PRIVATE_MODE)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold the lock that this file stands for among processes; true when it is held.

    Without `wait` it is false at once when somebody else holds it. The lock goes with the process,
    however that ends. The file stays: removing it would let two hold "it". Raises `OSError` when
    the file cannot be made.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
    try:
        yield _lock(handle, wait)
    finally:
        os.close(handle)


def _write_through(path: Path, data: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)
    with open(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(path: Path) -> None:
    """Make new names in a directory survive a power cut, where the file system can do that."""
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


if sys.platform == "win32":

    def _lock(handle: int, wait: bool) -> bool:
        import msvcrt

        how = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
        try:
            msvcrt.locking(handle, how, 1)
        except OSError:
            return False
        return True

else:

    def _lock(handle: int, wait: bool) -> bool:
        import fcntl

        how = fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            return False
        return True
