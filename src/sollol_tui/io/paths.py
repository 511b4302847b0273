"""Where things lie on this machine, by the platform's customs (XDG, macOS, Windows).

Nothing here makes a directory: whoever writes does.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs

APP = "sollol-tui"
CONFIG_VARIABLE = "SOLLOL_TUI_CONFIG"

SOLLOL_FILES = (".synapticllamas.json", ".synapticllamas_nodes.json", "rpc_backends.conf")
"""What SOLLOL and SynapticLlamas keep at home; the last may lie in the working directory too."""


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


def is_sollol_here() -> bool:
    """Whether any of SOLLOL's files may be there: most people have none, and need no reader."""
    folders = (os.path.expanduser("~"), os.curdir)
    return any(os.path.exists(os.path.join(f, n)) for f in folders for n in SOLLOL_FILES)
