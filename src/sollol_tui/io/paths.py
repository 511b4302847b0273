"""Where things lie on this machine, by the platform's customs (XDG, macOS, Windows).

Nothing here makes a directory: whoever writes does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import platformdirs

APP = "sollol-tui"
CONFIG_VARIABLE = "SOLLOL_TUI_CONFIG"


def config_dir() -> Path:
    """The directory of the configuration file."""
    return platformdirs.user_config_path(APP, appauthor=False)


def config_file(env: Mapping[str, str]) -> Path:
    """The configuration file: what `SOLLOL_TUI_CONFIG` names, else the platform's place."""
    named = env.get(CONFIG_VARIABLE, "")
    return Path(named).expanduser() if named else config_dir() / "config.toml"


def state_dir() -> Path:
    """What must survive a restart: mode, hand-added targets, logs, crash reports."""
    return platformdirs.user_state_path(APP, appauthor=False)


def data_dir() -> Path:
    """What people would miss: chats and the record of requests."""
    return platformdirs.user_data_path(APP, appauthor=False)


def cache_dir() -> Path:
    """What can be made again."""
    return platformdirs.user_cache_path(APP, appauthor=False)
