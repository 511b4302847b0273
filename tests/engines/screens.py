"""The whole program in a terminal of tmux: typed into, read, and measured."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import psutil

from .lab import Lab

PATIENCE_S = 30.0
POLL_S = 0.05
PROGRAM = (sys.executable, "-c", "import sys; from sollol_tui.cli import entry; sys.exit(entry())")


class Screen:
    """A terminal of tmux with one program in it."""

    def __init__(self, tmux: Path, name: str, size: tuple[int, int]) -> None:
        self._tmux = [str(tmux), "-L", name, "-f", "/dev/null"]
        self._size = size

    def start(self, command: str, env: Mapping[str, str]) -> None:
        columns, rows = map(str, self._size)
        words = [*self._tmux, "new-session", "-d", "-s", "t", "-x", columns, "-y", rows, command]
        # else the program believes these rather than the terminal; pytest's workers have them
        own = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
        subprocess.run([*words, ";", "set", "-g", "escape-time", "0"], check=True, env=own)

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", "-t", "t", *keys], check=True)

    def text(self) -> str:
        shown = [*self._tmux, "capture-pane", "-p", "-t", "t"]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout

    def wait_for(self, *texts: str, within_s: float = PATIENCE_S) -> str:
        """The screen as soon as it shows all the texts; fails with what it shows instead."""
        shown = ""
        for _ in range(int(within_s / POLL_S)):
            shown = self.text()
            if all(text in shown for text in texts):
                return shown
            Event().wait(POLL_S)
        missing = [text for text in texts if text not in shown]
        raise AssertionError(f"never shown: {missing}\n{shown}")

    def escape(self, text: str) -> None:
        """Escape, and wait until the text is gone: a key right behind it would be Alt and key."""
        self.keys("Escape")
        self.wait_gone(text)

    def wait_gone(self, text: str) -> None:
        """Until the text is shown no longer."""
        for _ in range(int(PATIENCE_S / POLL_S)):
            if text not in self.text():
                return
            Event().wait(POLL_S)
        raise AssertionError(f"still shown: {text}\n{self.text()}")

    def type(self, text: str) -> None:
        """Type a line, see that it stands there, and send it."""
        self.keys(text)
        self.wait_for(text)
        self.keys("Enter")

    def command(self, line: str) -> None:
        """Give a command in the command line."""
        self.keys(":")
        self.type(line)

    @property
    def process(self) -> psutil.Process:
        """The program: the child of the terminal's shell."""
        asked = [*self._tmux, "list-panes", "-t", "t", "-F", "#{pane_pid}"]
        shell = int(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
        return psutil.Process(shell).children()[0]

    def end(self) -> None:
        """Take the terminal away, as a connection that breaks does: the program ends with it."""
        asked = [*self._tmux, "list-panes", "-t", "t", "-F", "#{pane_pid}"]
        shell = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        inside = psutil.Process(int(shell)).children() if shell else []
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)
        _, left = psutil.wait_procs(inside, PATIENCE_S)
        for process in left:
            process.kill()
        assert not left, f"outlives its terminal: {left}"


@contextmanager
def program(
    lab: Lab, home: Path, size: tuple[int, int], *flags: str, env: Mapping[str, str] | None = None
) -> Iterator[Screen]:
    """The program in a terminal of that size, with that home; its exit code is shown."""
    screen = Screen(lab.tmux, f"sollol-{os.getpid()}-{size[0]}", size)
    more = {"HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    more["SOLLOL_TUI_LOOK_AT_LOCALHOST"] = "no"  # what else runs here is not of this test
    command = shlex.join([*PROGRAM, "--redis", "off", *flags])
    screen.start(f"{command}; echo exit code $?; cat", {**os.environ, **more, **(env or {})})
    try:
        yield screen
    finally:
        screen.end()
