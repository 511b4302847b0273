"""Files of this machine whose path begins as it was typed: completion, nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

MOST = 50
_LOOKED_AT = 5000  # entries of one directory


def paths_like(typed: str, endings: Sequence[str], most: int = MOST) -> tuple[str, ...]:
    """The paths that the typed one can become, directories first, each with a slash behind it.

    Of files only those with one of the endings, whatever their case; hidden ones only when a dot
    was typed. `~` stays as it was typed. A directory that cannot be read has nothing in it.
    """
    folder, _, begun = typed.rpartition("/")
    if not folder and typed == "~":
        return ("~/",)
    shown = f"{folder}/" if "/" in typed else ""
    found: list[tuple[bool, str]] = []
    try:
        with os.scandir(Path(shown or ".").expanduser()) as entries:
            for _, entry in zip(range(_LOOKED_AT), entries, strict=False):
                if _is_meant(entry.name, begun) and _may_be(entry, endings):
                    found.append((not entry.is_dir(), entry.name))
    except (OSError, ValueError, RuntimeError):
        return ()
    paths = (f"{shown}{name}" if is_file else f"{shown}{name}/" for is_file, name in sorted(found))
    return tuple(paths)[:most]


def _is_meant(name: str, begun: str) -> bool:
    return name.startswith(begun) and (not name.startswith(".") or begun.startswith("."))


def _may_be(entry: os.DirEntry[str], endings: Sequence[str]) -> bool:
    return entry.is_dir() or entry.name.casefold().endswith(tuple(endings))
