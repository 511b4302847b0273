"""The settings that `check` works with: those of this run, or the defaults when they are broken."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sollol_tui.core.findings import SettingsSeen
from sollol_tui.core.settings_merge import Resolved, SettingsError, merge
from sollol_tui.engine.examine import Examination
from sollol_tui.io.paths import config_file
from sollol_tui.io.settings_file import load_settings
from sollol_tui.verbs.arguments import Arguments


def examination(arguments: Arguments, env: Mapping[str, str], state_dir: Path) -> Examination:
    """What to look at. Raises `SettingsError` for a file that was named and is not there."""
    path = arguments.config.expanduser() if arguments.config else config_file(env)
    source, error = str(path), ""
    try:
        resolved = load_settings(env, arguments.flags, arguments.config)
    except SettingsError as broken:
        if not path.exists() and str(path) == broken.source:
            raise
        resolved = merge(arguments.flags)
        source, error = broken.source, f"{broken.key}: {broken.problem}".lstrip(": ")
    return Examination(
        resolved.settings,
        state_dir,
        SettingsSeen(source, path.exists(), _our_notes(resolved), error),
        bool(resolved.settings.redis_url) and not resolved.is_default("redis_url"),
        arguments.model,
        env,
    )


def _our_notes(resolved: Resolved) -> tuple[str, ...]:
    """The notes that are not on SOLLOL's files: those stand with the files."""
    from sollol_tui.io.sollol_files import read_sollol_files

    theirs = read_sollol_files().notes if resolved.settings.read_sollol_files else ()
    return tuple(note for note in resolved.notes if note not in theirs)
