"""The command as a whole: what it imports, how it ends, what it never shows."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest

from sollol_tui import cli
from sollol_tui.core.settings import Settings
from sollol_tui.io.paths import state_dir

ROOT = Path(__file__).parents[2]
COSTLY = (
    "httpx",
    "httpcore",
    "redis",
    "psutil",
    "textual",
    "rich",
    "asyncio",
    "importlib.metadata",
)

START_WITHOUT_SCREEN = """
import sys, types
screen = types.ModuleType("sollol_tui.ui.app")
screen.run_screen = lambda settings, state_dir, demo, data_dir: 7
sys.modules["sollol_tui.ui"] = types.ModuleType("sollol_tui.ui")
sys.modules["sollol_tui.ui.app"] = screen
from sollol_tui import cli
cli._has_terminal = lambda: True
assert cli.main([]) == 7
print(*sys.modules)
"""

WAIT_IN_A_VERB = """
import sys
from sollol_tui import cli
from sollol_tui.verbs import chat
def wait(words, stdin):
    print("ready", flush=True)
    return stdin.read()
chat.read_prompt = wait
sys.argv = ["sollol-tui", "chat", "-m", "x", "-"]
sys.exit(cli.entry())
"""


def run(*argv: str, env: dict[str, str] | None = None, **more: Any) -> Any:
    command = [sys.executable, "-m", "sollol_tui.cli", *argv]
    wanted = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, **more}
    return subprocess.run(command, env={**os.environ, **(env or {})}, check=False, **wanted)


def modules_of(program: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(found.stdout.split())


def test_importing_the_command_loads_nothing_that_costs_time() -> None:
    loaded = modules_of("import sys, sollol_tui.cli; print(*sys.modules)")
    assert not loaded & {*COSTLY, "argparse", "tomllib", "json", "typing_extensions"}


def test_all_that_comes_before_the_screen_loads_no_network_library_and_no_loop() -> None:
    loaded = modules_of(START_WITHOUT_SCREEN)
    assert "sollol_tui.io.settings_file" in loaded
    assert not loaded & {*COSTLY, "argparse", "tomllib", "difflib", "sollol_tui.io.sollol_files"}


@pytest.mark.parametrize(("told", "used"), [(None, "120"), ("30", "30")])
def test_keys_wait_for_no_more_than_a_120th_of_a_second_unless_told_otherwise(
    told: str | None, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if told is None:
        monkeypatch.delenv("TEXTUAL_FPS", raising=False)
    else:
        monkeypatch.setenv("TEXTUAL_FPS", told)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    screen = types.ModuleType("sollol_tui.ui.app")
    seen = list[str]()
    vars(screen)["run_screen"] = lambda *_: seen.append(os.environ["TEXTUAL_FPS"])
    monkeypatch.setitem(sys.modules, "sollol_tui.ui.app", screen)
    cli._run_screen(Settings(), Path(), Path(), demo=False)
    assert seen == [used]


def test_the_version_is_the_one_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = run("--version")
    assert (found.returncode, found.stdout) == (0, f"sollol-tui {project['version']}\n")


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["nonsense"], "sollol-tui: argument COMMAND: invalid choice: 'nonsense'"),
        (["--mode", "fast"], "sollol-tui: --mode: mode: wants one of task, model, both, off"),
        (["status", "--config", "gone.toml"], "sollol-tui: gone.toml: there is no such file"),
        (["chat", "-m", "x"], "sollol-tui: chat wants a PROMPT, or - and a text on stdin"),
        ([], 'sollol-tui: the screen needs a terminal; "sollol-tui status" does without'),
        (["demo"], "sollol-tui: the demo needs a terminal"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_code_2(argv: list[str], sentence: str) -> None:
    found = run(*argv)
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.startswith(sentence)
    assert found.stderr.count("\n") == 1


def test_help_ends_well() -> None:
    found = run("--help")
    assert (found.returncode, found.stderr) == (0, "")
    assert "examples:" in found.stdout


def test_a_pipe_that_nobody_reads_ends_it_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {"PYTHONUNBUFFERED": ""}  # what is left in the buffer is tried again at exit
    found = run(
        *("config", "example"),
        env=buffered,
        capture_output=False,
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert (found.returncode, found.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told_in_one_sentence() -> None:
    with open("/dev/full", "w") as full:
        found = run("config", "example", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert found.returncode == 74
    assert found.stderr == "sollol-tui: cannot write: No space left on device\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of POSIX")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_do_no_harm(closed: str) -> None:
    shell = f"exec '{sys.executable}' -m sollol_tui.cli config show {closed}"
    found = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_locale_without_utf8_does_no_harm() -> None:
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    found = run("config", "show", env=locale)
    assert (found.returncode, found.stderr) == (0, "")
    assert "theme" in found.stdout
    wrong = run("--theme", "a\x1b–", "nonsense", env=locale)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("sollol-tui: ")
    assert "Traceback" not in wrong.stderr


def test_ctrl_c_ends_it_with_130_and_no_traceback() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAIT_IN_A_VERB],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read() == ""


def test_ctrl_c_at_the_very_end_brings_no_traceback_either() -> None:
    program = """
import atexit, os, signal, sys
from sollol_tui import cli
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
sys.argv = ["sollol-tui", "paths"]
sys.exit(cli.entry())
"""
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_a_bug_is_one_sentence_and_a_private_report_without_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(argv: object) -> int:
        password = "hunter2"
        raise RuntimeError(f"a bug in {len(password)} letters")

    monkeypatch.setattr(cli, "main", broken)
    assert cli.outcome([]) == 70
    (report,) = state_dir().glob("crash-*.txt")
    assert capsys.readouterr().err == (
        f"sollol-tui: stopped because of a bug in it (RuntimeError); the report is {report}\n"
    )
    text = report.read_text()
    assert "RuntimeError: a bug in 7 letters" in text
    assert "in broken" in text
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_a_bug_is_told_also_where_no_report_can_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(argv: object) -> int:
        raise RuntimeError

    state_dir().parent.mkdir(parents=True)
    state_dir().write_text("in the way")
    monkeypatch.setattr(cli, "main", broken)
    assert cli.outcome([]) == 70
    assert "no report could be written" in capsys.readouterr().err


def test_few_reports_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(argv: object) -> int:
        raise RuntimeError

    state_dir().mkdir(parents=True)
    for number in range(8):
        (state_dir() / f"crash-20200101-00000{number}-1.txt").touch()
    monkeypatch.setattr(cli, "main", broken)
    cli.outcome([])
    kept = sorted(path.name for path in state_dir().glob("crash-*.txt"))
    assert len(kept) == 5
    assert kept[0] == "crash-20200101-000004-1.txt"


def test_paths_and_config_work_as_commands() -> None:
    assert "configuration" in run("paths").stdout
    assert run("config", "example").stdout.startswith("# Settings of sollol-tui.")
    found = run("--node", "gpu", "config", "show", "--json")
    assert '"value": "http://gpu:11434", "source": "--node"' in found.stdout
