"""How the connections of a process end when it is ended by us."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sollol_tui.io.parting import resetting

CLIENT = """
import socket, signal
connected = socket.create_connection(("127.0.0.1", {port}))
signal.pause()
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def client_of(listening: socket.socket) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """A child that is connected, and our end of the connection."""
    code = CLIENT.format(port=port_of(listening))
    child = subprocess.Popen([sys.executable, "-c", code])
    connected, _ = listening.accept()
    return child, connected


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def test_a_killed_process_leaves_without_a_word_and_with_a_reset_when_asked(
    listening: socket.socket,
) -> None:
    child, connected = client_of(listening)
    with connected:
        child.kill()
        child.wait()
        assert connected.recv(1) == b"", "that is how the kernel parts by itself"
    child, connected = client_of(listening)
    with connected:
        with resetting(child.pid, frozenset({port_of(listening)})) as is_harmless:
            if not is_harmless:
                child.kill()
                child.wait()
                pytest.skip("this kernel does not let us share sockets of a child")
            child.kill()
            child.wait()
        with pytest.raises(ConnectionResetError):
            connected.recv(1)


def test_other_connections_are_left_as_they_are(listening: socket.socket) -> None:
    child, connected = client_of(listening)
    with connected:
        with resetting(child.pid, frozenset({1})):
            child.kill()
            child.wait()
        assert connected.recv(1) == b""


def test_a_process_that_has_ended_has_nothing_to_reset(listening: socket.socket) -> None:
    child, connected = client_of(listening)
    connected.close()
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    with resetting(child.pid, frozenset({port_of(listening)})) as is_harmless:
        assert is_harmless
