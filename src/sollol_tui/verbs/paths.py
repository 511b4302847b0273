"""`sollol-tui paths`: where everything lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sollol_tui.core.plain import plain_line
from sollol_tui.io import paths
from sollol_tui.verbs.voice import Voice


def show_paths(env: Mapping[str, str], config: Path | None, voice: Voice) -> int:
    """Every place this program reads or writes, and whether it is there yet."""
    home = Path("~").expanduser()
    places = [
        ("configuration", config.expanduser() if config else paths.config_file(env)),
        ("state", paths.state_dir()),
        ("data", paths.data_dir()),
        ("cache", paths.cache_dir()),
        ("crash reports", paths.state_dir() / "crash-*.txt"),
        *(("SOLLOL's (read only)", home / name) for name in paths.SOLLOL_FILES),
    ]
    width = max(len(name) for name, _ in places)
    for name, path in places:
        missing = "" if _is_there(path) else "  (not there)"
        voice.say(f"{name:{width}}  {plain_line(str(path))}{missing}")
    return 0


def _is_there(path: Path) -> bool:
    if "*" in path.name:
        return any(path.parent.glob(path.name))
    return path.exists()
