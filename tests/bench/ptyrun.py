"""A program on a real pseudo-terminal: started, fed, read, timed and measured.

It answers the questions that Textual asks a modern terminal at its start: synchronised output
(DECRQM 2026) is there, in-band resize (2048) is not.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

ESCAPES = re.compile(
    rb"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[=>]"
)
_ANSWERS = {b"\x1b[?2026$p": b"\x1b[?2026;2$y", b"\x1b[?2048$p": b"\x1b[?2048;0$y"}
_FOREIGN = ("TEXTUAL", "NO_COLOR", "COLUMNS", "LINES", "SOLLOL", "OLLAMA", "REDIS")


class Terminal:
    """A child on a pty. Times are seconds since it was started; use it with `with`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 120,
        rows: int = 40,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        self.tell_size(columns, rows)
        self.initial_mode = termios.tcgetattr(slave)
        self._slave = slave
        clean = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        clean |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", **(env or {})}
        self.output = b""
        self.is_at_end = False
        self.started_at = time.perf_counter()
        self.child = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=clean,
            cwd=cwd,
            start_new_session=True,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def text(self) -> str:
        """All that was written so far, without escape sequences."""
        return ESCAPES.sub(b"", self.output).decode("utf-8", "replace")

    def elapsed_s(self) -> float:
        return time.perf_counter() - self.started_at

    def tell_size(self, columns: int, rows: int) -> None:
        """Set the terminal's size; a running child is told by SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if hasattr(self, "child"):
            self.child.send_signal(signal.SIGWINCH)

    def read(self, within_s: float = 0.05) -> bytes:
        """What comes within a time; empty when nothing does."""
        ready, _, _ = select.select([self._master], [], [], within_s)
        if not ready:
            return b""
        try:
            data = os.read(self._master, 65536)
        except OSError:  # Linux says so when the other side is closed
            data = b""
        self.is_at_end = not data
        self.output += data
        for question, answer in _ANSWERS.items():
            if question in data:
                os.write(self._master, answer)
        return data

    def wait_for(self, *texts: str, within_s: float = 20.0) -> float:
        """Read until all texts were written; seconds since the start. Raises TimeoutError."""
        missing = list(texts)
        deadline = time.perf_counter() + within_s
        while time.perf_counter() < deadline and not self.is_at_end:
            self.read(0.2)
            shown = self.text
            missing = [text for text in missing if text not in shown]
            if not missing:
                return self.elapsed_s()
        raise TimeoutError(f"never written: {missing}")

    def read_for(self, seconds: float) -> int:
        """Read for a time; the number of bytes."""
        count, deadline = 0, time.perf_counter() + seconds
        while time.perf_counter() < deadline and not self.is_at_end:
            count += len(self.read(0.05))
        return count

    def send(self, data: bytes) -> None:
        """Type."""
        os.write(self._master, data)

    def wait_exit(self, within_s: float = 20.0) -> int:
        """Read until the child ends; its exit code. Raises TimeoutError."""
        deadline = time.perf_counter() + within_s
        while time.perf_counter() < deadline:
            self.read(0.05)
            if self.child.poll() is not None:
                while self.read(0.02):
                    pass
                return self.child.returncode
        raise TimeoutError("it does not end")

    def is_restored(self) -> bool:
        """Whether the terminal is in the mode it had before the child."""
        return termios.tcgetattr(self._slave) == self.initial_mode

    def hang_up(self) -> None:
        """Close the terminal under the child."""
        os.close(self._slave)
        os.close(self._master)
        self._slave = self._master = -1

    def cpu_s(self) -> float:
        """CPU time of all threads of the child so far."""
        used_ns = 0
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            try:
                used_ns += int((task / "schedstat").read_text().split()[0])
            except OSError:  # the thread ended meanwhile
                continue
        return used_ns / 1e9

    def rss_mib(self) -> float:
        """Resident memory of the child."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def close(self) -> None:
        """End the child if it still runs, and close the terminal."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for descriptor in (self._slave, self._master):
            if descriptor >= 0:
                os.close(descriptor)
        self._slave = self._master = -1


def load_average() -> float:
    return os.getloadavg()[0]


PYTHON = sys.executable
