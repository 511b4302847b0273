"""What the environment, and tmux when it is there, tell of the terminal."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from sollol_tui.core.findings import TerminalSeen

TMUX_WITHIN_S = 1.0
_DEEP = ("truecolor", "24bit")


def look_at_terminal(env: Mapping[str, str]) -> TerminalSeen:
    """The terminal as programs see it. Blocks while tmux is asked."""
    term = env.get("TERM", "")
    locale = next(filter(None, (env.get(n, "") for n in ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    deep = env.get("COLORTERM", "").lower() in _DEEP or term.endswith("-direct")
    seen = TerminalSeen(term, locale, deep, bool(env.get("TMUX")))
    if not seen.in_tmux:
        return seen
    escape = _tmux_option(env, "-sv", "escape-time")
    return seen._replace(
        escape_time_ms=int(escape) if escape.isdigit() else None,
        clipboard=_tmux_option(env, "-sv", "set-clipboard"),
    )


def _tmux_option(env: Mapping[str, str], kind: str, name: str) -> str:
    tmux = shutil.which("tmux", path=env.get("PATH", ""))
    if tmux is None:
        return ""
    try:
        said = subprocess.run(
            [tmux, "show-options", kind, name],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TMUX_WITHIN_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.strip() if said.returncode == 0 else ""
