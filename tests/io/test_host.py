"""This host's llama-servers and their sockets, read from real processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.reports import ServerProcess
from sollol_tui.io import host, sock_diag, sockets
from sollol_tui.io.host import SocketWatch, is_this_host, server_processes, this_host_addresses

# A program that connects as a llama-server does: one connection per backend, one listening port.
PROGRAM = """#!{python} -IS
import socket, sys
from pathlib import Path
words = sys.argv[1:]
def value(flag, other=""):
    return words[words.index(flag) + 1] if flag in words else other
def connect(address):
    name, _, port = address.rpartition(":")
    return socket.create_connection(("127.0.0.1" if name.endswith(".test") else name, int(port)))
links = [connect(a) for a in value("--rpc").split(",") if a]
listener = socket.create_server(("127.0.0.1", int(value("--port", "0"))))
print(listener.getsockname()[1], flush=True)
for line in sys.stdin:
    links[int(line)].close()
    print("closed", flush=True)
"""


class Backend:
    """A listening port that accepts one client."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.address = BackendAddress(f"127.0.0.1:{self.port}")
        self.client: socket.socket | None = None

    def accept(self) -> None:
        self.client, _ = self.listener.accept()

    def close_client(self) -> None:
        assert self.client is not None
        self.client.close()

    def close(self) -> None:
        self.listener.close()
        if self.client is not None:
            self.client.close()


class Started:
    """A running program that behaves like a llama-server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.port = int(process.stdout.readline())

    @property
    def pid(self) -> int:
        return self.process.pid

    def close_link(self, number: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "closed\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


Start = Callable[..., Started]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path, stack: ExitStack) -> Start:
    """Start the program under a name, in `tmp_path`, with arguments and variables."""

    def start(*words: str, name: str = "llama-server", folder: str = "bin", **env: str) -> Started:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(PROGRAM.format(python=sys.executable))
        path.chmod(0o755)
        process = stack.enter_context(
            subprocess.Popen(
                [path, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=tmp_path,
                env={**os.environ, **env},
            )
        )
        stack.callback(process.kill)
        return Started(process)

    return start


@pytest.fixture
def backends(stack: ExitStack) -> tuple[Backend, Backend]:
    pair = Backend(), Backend()
    for backend in pair:
        stack.callback(backend.close)
    return pair


def seen(started: Started, ports: frozenset[int] = frozenset()) -> ServerProcess | None:
    return next((p for p in server_processes(ports) if p.pid == started.pid), None)


def rpc(*backends: Backend) -> tuple[str, str]:
    return "--rpc", ",".join(backend.address for backend in backends)


needs_linux = pytest.mark.skipif(not psutil.LINUX, reason="reads /proc and netlink")


@pytest.fixture(params=["netlink", pytest.param("proc", marks=needs_linux), "psutil", "other user"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the ways in which sockets are read."""
    if request.param == "proc":
        monkeypatch.setattr(sock_diag, "list_sockets", lambda *_: None)
        monkeypatch.setattr(sock_diag, "state_of", lambda _: None)
    elif request.param == "psutil":
        monkeypatch.setattr(psutil, "LINUX", False)
        monkeypatch.setattr(sock_diag, "state_of", lambda _: None)
    elif request.param == "other user":
        monkeypatch.setattr(sockets, "_socket_inodes", lambda _: None)
    return str(request.param)


# Processes


@pytest.mark.usefixtures("way")
def test_a_server_is_read_with_the_backends_it_holds_and_those_it_lost(
    start: Start, backends: tuple[Backend, Backend]
) -> None:
    server = start(
        *("-m", "models/small.gguf", "--alias", "small", "--port", "0", "--api-key", "secret"),
        *rpc(*backends),
    )
    for backend in backends:
        backend.accept()
    found = seen(server)
    assert found is not None
    assert (found.host, found.alias) == ("127.0.0.1", "small")
    assert found.backends == found.attached == (backends[0].address, backends[1].address)
    assert found.lost == ()
    assert found.started_at_s == pytest.approx(psutil.Process(server.pid).create_time())
    assert "secret" not in found.argv

    backends[1].close_client()
    found = seen(server)
    assert found is not None
    assert (found.attached, found.lost) == ((backends[0].address,), (backends[1].address,))


def test_a_relative_model_path_is_told_from_where_the_server_runs(
    start: Start, tmp_path: Path
) -> None:
    found = seen(start("-m", "models/../small.gguf", "--port", "0"))
    assert found is not None
    assert found.model_path == str(tmp_path / "small.gguf")


def test_a_port_of_the_systems_choice_is_read_from_the_socket(start: Start) -> None:
    for words in (("--port", "0"), ()):
        server = start(*words)
        found = seen(server)
        assert found is not None
        assert found.port == server.port


def test_the_variables_of_the_server_are_read(
    start: Start, backends: tuple[Backend, Backend]
) -> None:
    found = seen(start("--port", "0", LLAMA_ARG_RPC=backends[0].address, LLAMA_ARG_ALIAS="x"))
    assert found is not None
    assert (found.backends, found.alias) == ((backends[0].address,), "x")
    assert found.attached == ()


def test_a_server_under_another_name_is_found_by_its_port(
    start: Start, backends: tuple[Backend, Backend]
) -> None:
    server = start("--port", "0", *rpc(backends[0]), name="inference")
    assert seen(server) is None
    found = seen(server, frozenset({server.port}))
    assert found is not None
    assert found.attached == (backends[0].address,)


def test_a_stranger_on_the_port_is_not_taken_for_a_server(start: Start) -> None:
    server = start("--port", "0", name="inference")
    assert seen(server, frozenset({server.port})) is None


def test_a_server_that_ollama_runs_for_itself_is_left_out(start: Start) -> None:
    assert seen(start("--port", "0", folder="ollama")) is None


def test_a_child_of_ollama_is_left_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start("--port", "0")
    monkeypatch.setattr(host, "_OLLAMA", {psutil.Process().name()})
    assert seen(server) is None


def test_a_process_that_ended_is_left_out(start: Start) -> None:
    server = start("--port", "0")
    server.kill()
    assert seen(server) is None


def test_a_zombie_is_left_out(start: Start) -> None:
    server = start("--port", "0")
    server.process.kill()
    os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped
    assert psutil.Process(server.pid).status() == psutil.STATUS_ZOMBIE
    assert seen(server) is None


def test_what_may_not_be_read_is_left_empty(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> object:
        raise psutil.AccessDenied

    server = start("--port", "0", "-m", "x.gguf", LLAMA_ARG_ALIAS="x")
    for name in ("environ", "cwd", "parent"):
        monkeypatch.setattr(psutil.Process, name, denied)
    found = seen(server)
    assert found is not None
    assert (found.model_path, found.alias) == ("x.gguf", None)
    monkeypatch.setattr(psutil.Process, "cmdline", denied)
    assert seen(server) is None


# Which socket is whose


def test_an_established_connection_counts_before_a_broken_one_to_the_same_backend(
    start: Start, backends: tuple[Backend, Backend]
) -> None:
    backend = backends[0]
    server = start("--port", "0", *rpc(backend, backend))
    backend.accept()
    backend.close_client()
    found = seen(server)
    assert found is not None
    assert (found.attached, found.lost) == ((backend.address,), ())


def test_backends_by_name_are_matched_by_their_addresses(
    start: Start, backends: tuple[Backend, Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))],
    )
    names = ",".join(f"gpu{n}.test:{b.port}" for n, b in enumerate(backends))
    found = seen(start("--port", "0", "--rpc", names))
    assert found is not None
    assert found.attached == tuple(f"gpu{n}.test:{b.port}" for n, b in enumerate(backends))


def test_a_name_that_does_not_resolve_gets_the_socket_to_its_port_that_nobody_else_has(
    start: Start, backends: tuple[Backend, Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    named = f"gpu.test:{backends[1].port}"
    found = seen(start("--port", "0", "--rpc", f"{backends[0].address},{named}"))
    assert found is not None
    assert found.attached == (backends[0].address, named)


# Watching


@pytest.mark.usefixtures("way")
def test_the_watch_sees_a_lost_and_a_gone_connection_at_the_next_look(
    start: Start, backends: tuple[Backend, Backend]
) -> None:
    server = start("--port", "0", *rpc(*backends))
    for backend in backends:
        backend.accept()
    first, second = (backend.address for backend in backends)
    watch = SocketWatch(server.pid, (first, second))
    assert watch.look() == ((first, "established"), (second, "established"))
    backends[1].close_client()
    assert watch.look() == ((first, "established"), (second, "lost"))
    server.close_link(1)
    assert watch.look() == ((first, "established"), (second, "gone"))
    server.kill()
    assert watch.look() == ((first, "gone"), (second, "gone"))


def test_a_watch_finds_a_connection_that_is_made_later(
    start: Start, backends: tuple[Backend, Backend]
) -> None:
    """A starting coordinator connects several times in turn; the last connection stays."""
    server = start("--port", "0", *rpc(backends[0], backends[0]))
    address = backends[0].address
    watch = SocketWatch(server.pid, (address,))
    assert watch.look() == ((address, "established"),)
    server.close_link(0)
    assert watch.look() == ((address, "established"),)


def test_a_watch_that_sees_nothing_reads_the_table_only_now_and_then(
    start: Start, backends: tuple[Backend, Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start("--port", "0")
    reads = 0

    def count(*_: object) -> tuple[()]:
        nonlocal reads
        reads += 1
        return ()

    monkeypatch.setattr(sockets.Tables, "connected", count)
    watch = SocketWatch(server.pid, (backends[0].address,))
    for _ in range(2 * host.REMATCH_EVERY):
        assert watch.look() == ((backends[0].address, "gone"),)
    assert reads == 2


@needs_linux
def test_another_socket_on_the_same_ports_is_not_taken_for_the_one_known() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, socket.create_connection(listener.getsockname()) as client:
        inode = os.fstat(client.fileno()).st_ino
        known = sock_diag.TcpSocket(
            sock_diag.ESTABLISHED, client.getsockname(), client.getpeername(), 0, inode
        )
        assert sock_diag.state_of(known) == sock_diag.ESTABLISHED
        assert sock_diag.state_of(known._replace(inode=inode + 1)) is None
        assert sock_diag.state_of(known._replace(inode=0)) is None


@needs_linux
def test_netlink_and_proc_tell_the_same(stack: ExitStack) -> None:
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    six = stack.enter_context(socket.socket(socket.AF_INET6))
    six.bind(("::1", 0))
    six.listen()
    client = stack.enter_context(socket.create_connection(listener.getsockname()))
    inodes = {os.fstat(s.fileno()).st_ino for s in (listener, six, client)}
    states = (sock_diag.ESTABLISHED, sock_diag.LISTEN)
    for name, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        told = sock_diag.list_sockets(family, states)
        assert told is not None
        read = sockets._from_proc(os.getpid(), name, states)
        ours = {s for s in told if s.inode in inodes}
        assert ours
        assert ours == {s for s in read if s.inode in inodes}


# Addresses


def test_this_hosts_addresses_are_those_of_its_interfaces_and_its_names() -> None:
    addresses = this_host_addresses()
    assert {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()} <= addresses
    assert not any("%" in address for address in addresses)


@pytest.mark.parametrize(
    ("name", "here"),
    [
        ("LOCALHOST", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("10.1.2.3", True),
        ("10.1.2.4", False),
        ("elsewhere", False),
        ("", False),
    ],
)
def test_a_host_is_this_one_by_its_addresses_and_by_every_loopback_one(
    name: str, here: bool
) -> None:
    assert is_this_host(name, frozenset({"localhost", "10.1.2.3"})) is here
