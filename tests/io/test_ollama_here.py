"""Whether an Ollama of this machine has what it runs models with."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sollol_tui.io.ollama_here import runner_missing

LISTENS = f"""\
#!{sys.executable}
import signal, socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
signal.pause()
"""


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[int]:
    """The port of a program that is called ollama."""
    path = tmp_path / "ollama"
    path.write_text(LISTENS)
    path.chmod(0o755)
    with subprocess.Popen([path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


def test_one_without_a_llama_server_says_where_it_would_lie(ollama: int) -> None:
    told = runner_missing(ollama, "0.30.1")
    assert told
    assert all(line.startswith("no llama-server in ") for line in told)


def test_one_that_has_it_is_fine(
    ollama: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib" / "ollama").mkdir(parents=True)
    (tmp_path / "lib" / "ollama" / "llama-server").touch()
    monkeypatch.setattr("os.path.realpath", lambda _: tmp_path / "bin" / "ollama")
    assert runner_missing(ollama, "0.30.1") == ()


@pytest.mark.parametrize("version", ["0.29.9", "0.1", "nonsense", "", None])
def test_older_ones_have_theirs_inside(ollama: int, version: str | None) -> None:
    assert runner_missing(ollama, version) == ()


def test_of_another_program_nothing_is_known() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert runner_missing(listening.getsockname()[1], "0.30.1") == ()
