"""The mark on what we write into lists that other programs share: whose it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sollol_tui.core import wire

MARK = "sollol_tui"
"""The field of an entry that names the start of this program that wrote it."""

LISTS = ("nodes", "rpc_backends", "applications")


def is_of(entry: object, is_meant: Callable[[str], bool]) -> bool:
    """Whether an entry was written by a start of this program for whose name `is_meant` holds."""
    name = wire.text(wire.fields(entry).get(MARK))
    return bool(name) and is_meant(name)


def without_own(document: Mapping[str, object], instance_id: str) -> dict[str, object]:
    """The router's metadata without our own entries: what we said ourselves is no news to us."""
    left = dict(document)
    for key in LISTS:
        if isinstance(entries := left.get(key), list):
            left[key] = [e for e in entries if not is_of(e, lambda name: name == instance_id)]
    return left
