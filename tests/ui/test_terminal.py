"""On a real terminal: it comes back as it was on every way out, and a crash tells no secrets."""

from __future__ import annotations

import base64
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.ptyrun import PYTHON, Terminal
from tests.ui.clusters import FULL

ROOT = Path(__file__).parents[2]
SHOW_CURSOR = b"\x1b[?25h"
LEAVE_ALTERNATE_SCREEN = b"\x1b[?1049l"
MOUSE_OFF = b"\x1b[?1000l"


class Screens:
    """Starts screens on terminals of their own."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.opened: list[Terminal] = []

    def open(self, *how: str, wait: bool = True, columns: int = 120, rows: int = 40) -> Terminal:
        terminal = Terminal(
            [PYTHON, "-m", "tests.ui.screen_program", str(self.state_dir), *how],
            env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "TEXTUAL_ANIMATIONS": "none"},
            columns=columns,
            rows=rows,
            cwd=ROOT,
        )
        self.opened.append(terminal)
        if wait:
            terminal.wait_for("gpu-rig", "Quit")
        return terminal


@pytest.fixture
def screens(tmp_path: Path) -> Iterator[Screens]:
    started = Screens(tmp_path / "state")
    yield started
    for terminal in started.opened:
        terminal.close()


def assert_restored(terminal: Terminal) -> None:
    assert terminal.is_restored()
    tail = terminal.output[terminal.output.rindex(LEAVE_ALTERNATE_SCREEN) - 200 :]
    assert SHOW_CURSOR in tail
    assert MOUSE_OFF in tail


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_program_with_its_code_and_restores_the_terminal(
    screens: Screens, number: signal.Signals, code: int
) -> None:
    terminal = screens.open()
    terminal.child.send_signal(number)
    assert terminal.wait_exit() == code
    assert_restored(terminal)
    after = terminal.output[terminal.output.rindex(LEAVE_ALTERNATE_SCREEN) :]
    assert (b"ended by SIGTERM" in after) is (number is signal.SIGTERM)


def test_the_quit_key_ends_the_program_well_and_restores_the_terminal(screens: Screens) -> None:
    terminal = screens.open()
    terminal.send(b"\x11")
    assert terminal.wait_exit() == 0
    assert_restored(terminal)


def test_a_terminal_that_is_closed_ends_the_program(screens: Screens) -> None:
    """A connection breaks, tmux ends. The kernel sends both signals then, and every write fails."""
    terminal = screens.open()
    terminal.hang_up()
    terminal.child.send_signal(signal.SIGHUP)
    terminal.child.send_signal(signal.SIGCONT)
    assert terminal.child.wait(20) == 129


def test_a_crash_restores_the_terminal_and_is_told_in_one_sentence(screens: Screens) -> None:
    terminal = screens.open("crash", wait=False)
    assert terminal.wait_exit() == 1
    assert_restored(terminal)
    after = terminal.output[terminal.output.rindex(LEAVE_ALTERNATE_SCREEN) :]
    told = " ".join(after.decode().split())
    assert "sollol-tui stopped because of a bug in it (RuntimeError); the report is" in told
    assert "Traceback" not in told
    assert b"a secret" not in terminal.output


def test_the_report_of_a_crash_has_the_traceback_and_no_variables(screens: Screens) -> None:
    screens.open("crash", wait=False).wait_exit()
    (path,) = screens.state_dir.glob("crash-*.txt")
    report = path.read_text()
    assert "RuntimeError: the test broke it" in report
    assert "in _tick" in report
    assert path.stat().st_mode & 0o077 == 0
    values = [line for line in report.splitlines() if "a secret" in line]
    assert all(line.lstrip().startswith("password = ") for line in values)  # the code, at most


def test_an_engine_that_fails_is_shown_and_the_screen_stays(screens: Screens) -> None:
    terminal = screens.open("worker", wait=False)
    terminal.wait_for("A bug stopped the engine: RuntimeError('the engine broke').")
    assert terminal.child.poll() is None


def test_keys_that_come_at_once_are_done_in_their_order(screens: Screens) -> None:
    terminal = screens.open()
    terminal.send(b"jy")
    second = base64.b64encode(FULL.nodes[1].url.encode()).decode()
    terminal.wait_for("Copied")
    assert f"\x1b]52;c;{second}" in terminal.output.decode()


def test_what_is_typed_ahead_arrives_where_it_was_meant_to(screens: Screens) -> None:
    terminal = screens.open(columns=80, rows=24)
    terminal.send(b"6mind the gap?")
    terminal.wait_for("mind the gap?")
    terminal.output = b""
    terminal.send(b"\x1b")
    terminal.wait_for("? Help")  # an Escape is one when nothing follows it for a while
    terminal.send(b":mode task\r")
    terminal.wait_for("Mode task, from the next request on.")


def test_control_codes_of_a_name_do_not_reach_the_terminal(screens: Screens) -> None:
    terminal = screens.open("broken", columns=200, rows=60)
    terminal.send(b":status\r")
    terminal.wait_for("[31mred")  # the name, its codes made visible
    assert b"\x1b[31mred" not in terminal.output
    assert "\u202e".encode() not in terminal.output
