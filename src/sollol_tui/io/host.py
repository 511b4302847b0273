"""This host: its llama-server processes, their connections to RPC backends, its addresses.

Everything here blocks for some milliseconds; the caller runs it in a thread. What may not be read
(another user's process, one that just ended) is left out.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import TimeoutError as LookupTimeoutError
from pathlib import PurePath
from typing import Literal

import psutil

from sollol_tui.core.ids import RPC_PORT, BackendAddress, host_of, port_of
from sollol_tui.core.reports import ServerProcess
from sollol_tui.core.server_argv import (
    DEFAULT_PORT,
    ServerArgs,
    looks_like_llama,
    parse_server_argv,
    without_secrets,
)
from sollol_tui.io import sock_diag
from sollol_tui.io.names import Addresses, Names
from sollol_tui.io.sock_diag import CLOSE_WAIT, ESTABLISHED, TcpSocket
from sollol_tui.io.sockets import Tables

Link = Literal["established", "lost", "gone"]

NAMES_WITHIN_S = 0.3
REMATCH_EVERY = 10

_PROGRAMS = {"llama-server", "llama-server.exe"}
_OLLAMA = {"ollama", "ollama.exe"}
_PROGRAM_WITHIN = 3  # words: before a script stands its interpreter
_names = Names()


def server_processes(ports: frozenset[int] = frozenset()) -> tuple[ServerProcess, ...]:
    """The llama-servers that run on this host, in order of pid.

    Found by the name of their executable; and under any other name when they listen on one of
    `ports` and their command line is like a llama-server's. Those that Ollama runs for itself are
    left out, and those whose port cannot be known: without a readable command line, on a Unix
    socket, or on a port of the system's choice that is not open yet.
    """
    tables = Tables()
    found = {p.pid: _read(p, tables) for p in _named_processes()}
    known_ports = {server.port for server in found.values() if server is not None}
    if missing := tables.listened(ports - known_ports):
        found |= {
            p.pid: _read(p, tables)
            for p in psutil.process_iter()
            if p.pid not in found and _is_server_on(p, missing, tables)
        }
    return tuple(server for _, server in sorted(found.items()) if server is not None)


def this_host_addresses() -> frozenset[str]:
    """Every numeric address of this host's interfaces, its name, and `localhost`."""
    addresses = {"localhost", "127.0.0.1", "::1", socket.gethostname().lower()}
    for interface in psutil.net_if_addrs().values():
        for address in interface:
            if address.family in (socket.AF_INET, socket.AF_INET6):
                addresses.add(address.address.split("%")[0])
    return frozenset(addresses)


def memory() -> tuple[int, int]:
    """The machine's memory in bytes: all of it, and what a program could get now."""
    read = psutil.virtual_memory()
    return read.total, read.available


def port_holder(port: int) -> str:
    """Who listens on a port of this host, in words; empty when that may not be seen."""
    try:
        for connection in psutil.net_connections("tcp"):
            at_port = getattr(connection.laddr, "port", None) == port
            if at_port and connection.status == psutil.CONN_LISTEN:
                process = psutil.Process(connection.pid) if connection.pid else None
                return f"{process.name()}, process {process.pid}" if process else ""
    except psutil.Error:
        return ""
    return ""


def serving_process(pid: int, port: int) -> int:
    """The process that listens on the port: this one, or a descendant where this is a script that
    stands before it. This one when none is seen to listen.
    """
    tables = Tables()
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
    except psutil.Error:
        return pid
    return next((p.pid for p in family if port in tables.listening(p)), pid)


def is_this_host(host: str, addresses: frozenset[str]) -> bool:
    """Whether a host part means this machine: one of its addresses, or any loopback address."""
    if host.lower() in addresses:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class SocketWatch:
    """Watches the connections of one llama-server to its backends, cheaply enough for each second.

    When a backend dies, the kernel turns the coordinator's socket to CLOSE_WAIT within
    milliseconds, while the coordinator itself notices nothing until its next request
    (llama.cpp, measured). A host that vanishes sends nothing: its socket stays established.
    """

    def __init__(self, pid: int, backends: Iterable[BackendAddress]) -> None:
        self._pid = pid
        self._links: dict[BackendAddress, TcpSocket | None] = dict.fromkeys(backends)
        self._looks = 0

    def look(self) -> tuple[tuple[BackendAddress, Link], ...]:
        """The state of each backend's connection; all `gone` when the process is."""
        states = {address: self._state(link) for address, link in self._links.items()}
        missing = [address for address, state in states.items() if state is None]
        # A connection that is not there is looked for in the table, which is dear: when it has
        # just gone, and then now and again.
        if any(self._links[a] for a in missing) or (missing and self._looks % REMATCH_EVERY == 0):
            self._match()
            states = {a: link.state if link else None for a, link in self._links.items()}
        self._looks += 1
        return tuple((address, _LINKS.get(state, "gone")) for address, state in states.items())

    def _match(self) -> None:
        try:
            owned = Tables().connected(psutil.Process(self._pid))
        except psutil.Error:
            owned = ()
        matched = _match(owned, tuple(self._links))
        self._links = {address: matched.get(address) for address in self._links}

    @staticmethod
    def _state(link: TcpSocket | None) -> int | None:
        state = sock_diag.state_of(link) if link is not None else None
        return state if state in _LINKS else None


_LINKS: Mapping[int | None, Link] = {ESTABLISHED: "established", CLOSE_WAIT: "lost"}


# Finding processes


def _named_processes() -> Iterator[psutil.Process]:
    if not psutil.LINUX:
        yield from (p for p in psutil.process_iter(["name"]) if p.info["name"] in _PROGRAMS)
        return
    for entry in os.listdir("/proc"):  # three times cheaper than asking psutil for every name
        if entry.isdigit() and _name_of(entry) in _PROGRAMS:
            try:
                yield psutil.Process(int(entry))
            except psutil.Error:
                continue


def _name_of(pid: str) -> str:
    try:
        with open(f"/proc/{pid}/comm", "rb") as name:
            return name.read().decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def _is_server_on(process: psutil.Process, ports: frozenset[int], tables: Tables) -> bool:
    try:
        argv = process.cmdline()
    except psutil.Error:
        return False
    if not looks_like_llama(argv):
        return False
    return bool(tables.listening(process) & ports)


def _is_ollamas(process: psutil.Process, argv: list[str]) -> bool:
    """Whether Ollama runs this llama-server for itself: `lib/ollama/llama-server`, or its child."""
    programs = (PurePath(word.replace("\\", "/")) for word in argv[:_PROGRAM_WITHIN])
    if any(path.name in _PROGRAMS and path.parent.name == "ollama" for path in programs):
        return True
    try:
        parent = process.parent()
        return parent is not None and parent.name() in _OLLAMA
    except psutil.Error:
        return False


# Reading one process


def _read(process: psutil.Process, tables: Tables) -> ServerProcess | None:
    try:
        with process.oneshot():
            argv = process.cmdline()
            started_at_s = process.create_time()
            if not argv or _is_ollamas(process, argv):
                return None
    except psutil.Error:
        return None
    args = parse_server_argv(argv, _environment(process))
    port = _port(process, args, tables)
    if not port or args.host.endswith(".sock"):
        return None
    owned = tables.connected(process) if args.backends else ()
    links = _match(owned, args.backends)
    return ServerProcess(
        pid=process.pid,
        started_at_s=started_at_s,
        port=port,
        host=args.host,
        model_path=_absolute(process, args.model_path),
        alias=args.alias,
        backends=args.backends,
        attached=tuple(a for a, link in links.items() if link.state == ESTABLISHED),
        lost=tuple(a for a, link in links.items() if link.state == CLOSE_WAIT),
        argv=without_secrets(argv),
    )


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):
        return {}


def _port(process: psutil.Process, args: ServerArgs, tables: Tables) -> int:
    """The port of its command line, else the one it listens on, else its default; 0: not known."""
    if args.port:
        return args.port
    default = DEFAULT_PORT if args.port is None else 0
    return min(tables.listening(process), default=default)


def _absolute(process: psutil.Process, path: str | None) -> str | None:
    if path is None or os.path.isabs(path):
        return path
    try:
        return os.path.normpath(os.path.join(process.cwd(), path))
    except (psutil.Error, OSError):
        return path


# Which socket leads to which backend


def _match(
    owned: Iterable[TcpSocket], backends: tuple[BackendAddress, ...]
) -> dict[BackendAddress, TcpSocket]:
    """The socket of each backend, in the backends' order; an established one before a lost one.

    A backend whose name does not resolve gets a socket to its port that leads to no other one.
    """
    ports = {port_of(address) or RPC_PORT for address in backends}
    free = sorted((s for s in owned if s.remote[1] in ports), key=lambda s: s.state)
    if not free:
        return {}
    resolved = _resolve({host_of(address) for address in backends})
    found: dict[BackendAddress, TcpSocket] = {}
    for known in (True, False):
        for address in backends:
            hosts, port = resolved.get(host_of(address), ()), port_of(address) or RPC_PORT
            if bool(hosts) is not known:
                continue
            fitting = [
                s for s in free if s.remote[1] == port and (s.remote[0] in hosts or not known)
            ]
            if fitting:
                found[address] = fitting[0]
                free = [s for s in free if s.remote != fitting[0].remote]
    return {address: found[address] for address in backends if address in found}


def _resolve(hosts: Iterable[str]) -> dict[str, Addresses]:
    """The IPv4 addresses of the names that resolve soon."""
    asked = {host: _names.ask(host) for host in hosts}
    by_s = time.monotonic() + NAMES_WITHIN_S
    found = {}
    for host, answer in asked.items():
        try:
            found[host] = answer.result(max(0.0, by_s - time.monotonic()))
        except (OSError, LookupTimeoutError):
            continue
    return found
