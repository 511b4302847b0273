"""The settings of this run: our file, other programs' files, variables and flags put together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import cast

from sollol_tui.core.ids import is_model_path, parse_model_name
from sollol_tui.core.settings import BackendSetting, CoordinatorSetting, NodeSetting
from sollol_tui.core.settings_merge import (
    Origin,
    Resolved,
    SettingsError,
    Statement,
    from_variables,
    merge,
    state,
)
from sollol_tui.core.settings_old import from_old_variables
from sollol_tui.core.state import Mode
from sollol_tui.io.paths import CONFIG_VARIABLE, config_file, is_sollol_here, state_dir
from sollol_tui.io.settings_secrets import SecretReader, Table

__all__ = ["Origin", "Resolved", "SettingsError", "load_settings"]

_THEIR_USUAL_REDIS = "redis://localhost:6379"
_PATH_KEYS = ("model_path", "ollama_models")


def load_settings(
    env: Mapping[str, str], flags: Iterable[Statement] = (), config: Path | None = None
) -> Resolved:
    """Defaults < SOLLOL's files < our file < old variables < `SOLLOL_TUI_*` < flags.

    `config` is the file that `--config` names. A file that was named must be there; the one at
    the platform's place need not. Raises `SettingsError`.
    """
    named = config is not None or bool(env.get(CONFIG_VARIABLE))
    path = config.expanduser() if config is not None else config_file(env)
    ours, notes = _read_ours(path, env, named)
    old, old_notes = from_old_variables(env)
    statements = [*ours, *old, *from_variables(env), *flags]
    notes += old_notes
    if _wants_sollol_files(statements) and is_sollol_here():
        theirs, their_notes = _read_theirs()
        statements = [*theirs, *statements]
        notes += their_notes
    return merge([_expanded(statement) for statement in statements], notes)


def _read_ours(
    path: Path, env: Mapping[str, str], named: bool
) -> tuple[list[Statement], list[str]]:
    raw = _read_toml(path, named)
    secrets = SecretReader(path, env)
    resolved = _beside(secrets.resolve(raw), path)
    statements = [state(key, value, str(path), "config") for key, value in resolved.items()]
    return statements, secrets.notes()


def _read_toml(path: Path, named: bool) -> Table:
    """The file's table; empty when there is no file and nobody named one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if not named:
            return {}
        raise SettingsError(str(path), "", "there is no such file") from None
    except UnicodeDecodeError as error:
        raise SettingsError(str(path), "", f"is not UTF-8 (at byte {error.start})") from None
    except OSError as error:
        raise SettingsError(str(path), "", f"cannot be read: {error.strerror}") from None
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:  # it says line and column
        raise SettingsError(str(path), "", f"is not TOML: {error}") from None


def _beside(raw: Table, file: Path) -> Table:
    """The table with its relative paths made to start at the file that they stand in."""
    resolved = {
        key: _path_beside(value, file) if key in _PATH_KEYS else value for key, value in raw.items()
    }
    for key in ("nodes", "coordinators"):
        entries = resolved.get(key)
        if isinstance(entries, list):
            resolved[key] = [_target_beside(entry, file) for entry in entries]
    return resolved


def _target_beside(entry: object, file: Path) -> object:
    if not isinstance(entry, dict):
        return entry
    return {k: _path_beside(v, file) if _is_path(k, v) else v for k, v in entry.items()}


def _is_path(key: str, value: object) -> bool:
    """Whether a key of a target holds a path; a coordinator's model may be one or a name."""
    is_file = key == "model" and isinstance(value, str) and is_model_path(value)
    return key == "ca_file" or is_file


def _path_beside(value: object, file: Path) -> object:
    if not isinstance(value, str) or not value.strip():
        return value
    return str(file.parent / Path(value.strip()).expanduser())


def _expanded(statement: Statement) -> Statement:
    """`~` in a path is the home directory, also where no shell saw it (a service's variables)."""
    if statement.key not in _PATH_KEYS or not statement.value:
        return statement
    return statement._replace(value=str(Path(cast("str", statement.value)).expanduser()))


def _wants_sollol_files(statements: Iterable[Statement]) -> bool:
    said = [s.value for s in statements if s.key == "read_sollol_files"]
    return bool(said[-1]) if said else True


def _read_theirs() -> tuple[list[Statement], list[str]]:
    """What SOLLOL's and SynapticLlamas' files say: the weakest statements after the defaults."""
    from sollol_tui.io.sollol_files import SOURCE, read_sollol_files

    files = read_sollol_files()
    said_by = ", ".join(str(path) for path in files.read)
    values: dict[str, object] = {
        "nodes": tuple(NodeSetting(n.url, n.name, source=SOURCE) for n in files.nodes),
        "coordinators": tuple(
            CoordinatorSetting(c.url, c.name, source=SOURCE) for c in files.coordinators
        ),
        "backends": tuple(BackendSetting(b.address, SOURCE) for b in files.backends),
        # Its file always names a Redis: the usual one says nothing about this set-up.
        "redis_url": None if files.redis_url == _THEIR_USUAL_REDIS else files.redis_url,
        **_until_chosen_here(files.mode, files.model),
    }
    said = [Statement(key, value, said_by) for key, value in values.items() if value]
    return said, list(files.notes)


def _until_chosen_here(mode: Mode | None, model: str | None) -> dict[str, object]:
    """SOLLOL's mode and model begin with; what a person chose here since then is stronger."""
    if not mode and not model:
        return {}
    from sollol_tui.io.kept import read_kept

    kept = read_kept(state_dir())
    return {
        "mode": None if kept.mode else mode,
        "model": None if kept.model or not model else parse_model_name(model),
    }
