"""A question to a model by the path of its file: only a coordinator runs one."""

from __future__ import annotations

from sollol_tui.core.ids import is_model_path
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import Mode

_WITH_COORDINATOR = (Mode.MODEL, Mode.BOTH)


def mode_for(settings: Settings) -> Mode | None:
    """The mode to ask in; where none was set, a file is asked of a coordinator."""
    return settings.mode or (Mode.MODEL if is_model_path(settings.model) else None)


def objection(settings: Settings) -> str:
    """Why that mode has nobody to run the file; empty when it has, or when it is no file."""
    mode = settings.mode
    if mode is None or mode in _WITH_COORDINATOR or not is_model_path(settings.model):
        return ""
    return f"a file needs a coordinator, and mode {mode} uses none: --mode model, or both"
