"""What the demo takes over from the person who runs it: how the screen looks, nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sollol_tui.core.settings import Settings
from sollol_tui.core.settings_merge import PREFIX, Statement, from_variables

LOOK_KEYS = ("mode", "theme", "mouse", "ascii")


def with_look(settings: Settings, env: Mapping[str, str], flags: Sequence[Statement]) -> Settings:
    """The demo's settings with this person's look. Raises `SettingsError`."""
    wanted = {f"{PREFIX}{key.upper()}" for key in LOOK_KEYS}
    chosen = from_variables({name: value for name, value in env.items() if name in wanted})
    look: dict[str, Any] = {s.key: s.value for s in (*chosen, *flags) if s.key in LOOK_KEYS}
    return settings._replace(**look)
