"""Writing a document for a person: never over a file that is there."""

from __future__ import annotations

from pathlib import Path

import platformdirs

MOST_NAMES = 1000


def write_new(place: str, name: str, text: str) -> Path:
    """Write a new file and return where it lies.

    Args:
        place: the file, or a directory for it; empty: the person's downloads, else the working
            directory.
        name: what it is called in a directory; a number is put in when that is taken.

    Raises `FileExistsError` for a named file that is there, other `OSError` as they come.
    """
    path = Path(place).expanduser() if place else _downloads()
    if path.is_dir():
        return _write_free(path, name, text)
    _write(path, text)
    return path.absolute()


def _downloads() -> Path:
    found = platformdirs.user_downloads_path()
    return found if found.is_dir() else Path.cwd()


def _write_free(folder: Path, name: str, text: str) -> Path:
    stem, suffix = Path(name).stem, Path(name).suffix
    for number in range(1, MOST_NAMES):
        path = folder / (name if number == 1 else f"{stem}-{number}{suffix}")
        try:
            _write(path, text)
        except FileExistsError:
            continue
        return path.absolute()
    raise FileExistsError(f"{folder / name} and {MOST_NAMES - 1} more are there already")


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(text)
