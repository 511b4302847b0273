"""What the environment and tmux tell of the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sollol_tui.core.findings import TerminalSeen
from sollol_tui.io.terminal import look_at_terminal


@pytest.mark.parametrize(
    ("env", "seen"),
    [
        ({}, TerminalSeen("", "")),
        ({"TERM": "xterm", "LANG": "C.UTF-8"}, TerminalSeen("xterm", "C.UTF-8")),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, TerminalSeen("", "C")),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8"}, TerminalSeen("", "C.UTF-8")),
        ({"COLORTERM": "truecolor"}, TerminalSeen("", "", truecolor=True)),
        ({"TERM": "xterm-direct"}, TerminalSeen("xterm-direct", "", truecolor=True)),
        ({"TMUX": "/tmp/x", "PATH": ""}, TerminalSeen("", "", in_tmux=True)),
    ],
)
def test_the_variables_tell(env: dict[str, str], seen: TerminalSeen) -> None:
    assert look_at_terminal(env) == seen


TMUX = f"""\
#!{sys.executable}
import sys
print({{"escape-time": "500", "set-clipboard": "external"}}[sys.argv[-1]])
"""


def test_tmux_is_asked_how_long_it_waits_and_what_it_copies(tmp_path: Path) -> None:
    (tmp_path / "tmux").write_text(TMUX)
    (tmp_path / "tmux").chmod(0o755)
    seen = look_at_terminal({"TMUX": "x", "PATH": str(tmp_path)})
    assert (seen.escape_time_ms, seen.clipboard) == (500, "external")


def test_a_tmux_that_fails_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "tmux").write_text("#!/bin/sh\necho 500\nexit 1\n")
    (tmp_path / "tmux").chmod(0o755)
    seen = look_at_terminal({"TMUX": "x", "PATH": str(tmp_path)})
    assert seen == TerminalSeen("", "", in_tmux=True)
