"""Processes of ours: started, watched, taken over and stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from sollol_tui.io import process
from sollol_tui.io.process import Command, ProcessId

READY = "import os, signal, sys; open(os.environ['READY'], 'w').close()\n"
POLITE = READY + "signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + READY
STUBBORN += "while True: signal.pause()"
SECOND_TIME = (
    "import signal, sys\n"
    "seen = []\n"
    "def term(*_):\n"
    "    seen.append(1)\n"
    "    len(seen) > 1 and sys.exit(1)\n"
    "signal.signal(signal.SIGTERM, term)\n" + READY + "while True: signal.pause()"
)
PATIENCE_S = 10.0


def python(code: str, tmp_path: Path, **changes: object) -> Command:
    command = Command((sys.executable, "-c", code), tmp_path / "log.txt")
    return command._replace(env={"READY": str(tmp_path / "ready")})._replace(**changes)  # type: ignore[arg-type]


async def up(command: Command) -> process.Running:
    """The child, once it says through the pipe `READY` that it is."""
    ready = Path(command.env["READY"])
    os.mkfifo(ready)
    running = process.start(command)
    await asyncio.wait_for(asyncio.to_thread(ready.read_bytes), PATIENCE_S)
    return running


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_WAIT_S", 0.15)
    monkeypatch.setattr(process, "SECOND_WAIT_S", 0.15)


async def test_output_goes_to_the_log_and_the_exit_is_told(tmp_path: Path) -> None:
    running = process.start(python("import sys; print('hello'); sys.exit(3)", tmp_path))
    assert await asyncio.wait_for(running.wait(), PATIENCE_S) == 3
    assert (tmp_path / "log.txt").read_text() == "hello\n"
    assert not running.is_running


async def test_a_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    running = await up(python(POLITE, tmp_path))
    os.kill(running.pid, signal.SIGKILL)
    assert await asyncio.wait_for(running.wait(), PATIENCE_S) == -signal.SIGKILL


async def test_a_polite_child_ends_at_the_first_signal(tmp_path: Path) -> None:
    running = await up(python(POLITE, tmp_path))
    assert await running.stop() == -signal.SIGTERM


async def test_a_child_that_waits_for_a_second_signal_gets_it(tmp_path: Path, quick: None) -> None:
    running = await up(python(SECOND_TIME, tmp_path))
    assert await running.stop() == 1


async def test_a_stubborn_child_is_killed(tmp_path: Path, quick: None) -> None:
    running = await up(python(STUBBORN, tmp_path))
    assert await running.stop() == -signal.SIGKILL


async def test_a_stopped_child_is_continued_so_that_it_can_end(tmp_path: Path) -> None:
    running = await up(python(POLITE, tmp_path))
    os.kill(running.pid, signal.SIGSTOP)
    assert await running.stop() == -signal.SIGTERM


async def test_the_whole_group_goes(tmp_path: Path) -> None:
    idle = "import signal; signal.pause()"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {idle!r}])\n" + POLITE
    running = await up(python(code, tmp_path))
    children = psutil.Process(running.pid).children()
    await running.stop()
    _, alive = psutil.wait_procs(children, timeout=PATIENCE_S)
    assert not [c for c in alive if c.status() != psutil.STATUS_ZOMBIE]


async def test_a_process_of_an_earlier_run_is_taken_over_only_when_it_is_that_one(
    tmp_path: Path,
) -> None:
    running = await up(python(POLITE, tmp_path))
    identity = running.identity
    assert process.take_over(identity._replace(started_at_s=identity.started_at_s - 60)) is None
    assert process.take_over(identity._replace(name="another")) is None
    taken = process.take_over(ProcessId(*identity))
    assert taken is not None
    ended = asyncio.ensure_future(taken.wait())
    await running.stop()
    await asyncio.wait_for(ended, PATIENCE_S)
    assert not taken.is_running
    assert taken.exit_code is None, "not our child: nobody tells"


async def test_nothing_is_signalled_that_is_not_proven_ours(tmp_path: Path) -> None:
    running = await up(python(POLITE, tmp_path))
    stranger = process.Running(running.identity._replace(started_at_s=1.0), None)
    stranger.send(signal.SIGKILL)
    await stranger.stop()
    assert running.is_running
    await running.stop()


async def test_a_child_hears_what_it_is_told_and_never_the_end_of_its_input(tmp_path: Path) -> None:
    code = READY + "sys.exit(7 if sys.stdin.readline() == 'go\\n' else 1)"
    pipe = tmp_path / "in"
    running = await up(python(code, tmp_path, hears=pipe))
    assert running.is_running, "nobody of us holds the pipe open, and it does not end"
    process.tell(pipe, "go\n")
    assert await asyncio.wait_for(running.wait(), PATIENCE_S) == 7
    process.tell(pipe, "go\n")  # nobody hears: nothing happens


def test_a_program_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        process.start(Command(("/nowhere/llama-server",), tmp_path / "log.txt"))


async def test_the_environment_spares_us_the_backtrace_and_the_pipe_signal(tmp_path: Path) -> None:
    ignores = Command(
        ("/bin/sh", "-c", "echo $GGML_NO_BACKTRACE $X; grep SigIgn /proc/self/status"),
        tmp_path / "log.txt",
        {"X": "y"},
        ignores_pipe_signal=True,
    )
    await process.start(ignores).wait()
    words = (tmp_path / "log.txt").read_text().split()
    assert words[:2] == ["1", "y"]
    assert int(words[-1], 16) & 1 << (signal.SIGPIPE - 1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_child_may_be_bound_to_our_life(tmp_path: Path) -> None:
    parent = (
        "import signal, sys, pathlib; from sollol_tui.io import process\n"
        "code = 'import signal; signal.pause()'\n"
        f"log = pathlib.Path({str(tmp_path / 'child.txt')!r})\n"
        "c = process.Command((sys.executable, '-c', code), log, ends_with_us=True)\n"
        "print(process.start(c).pid, flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        child = psutil.Process(int(starter.stdout.readline()))
        starter.kill()
    _, alive = psutil.wait_procs([child], timeout=PATIENCE_S)
    assert not [c for c in alive if c.status() != psutil.STATUS_ZOMBIE]


async def test_what_a_script_leaves_behind_is_ended_with_it(tmp_path: Path) -> None:
    """A script ends at the first signal; the server that it started may take its time."""
    ready = f"open({str(tmp_path / 'ready')!r}, 'w').close()"
    slow = f"import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); {ready}\n"
    child = f"{slow}while True: signal.pause()"
    script = f"import subprocess, sys; subprocess.call([sys.executable, '-c', {child!r}])"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "FIRST_WAIT_S", 0.1)
        patch.setattr(process, "SECOND_WAIT_S", 0.1)
        running = await up(python(script, tmp_path))
        (left,) = psutil.Process(running.pid).children()
        assert await running.stop() == -signal.SIGTERM
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
