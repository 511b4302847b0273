"""The TCP sockets of this host's processes: who is connected where, and in which state."""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
from collections.abc import Iterable

import psutil

from sollol_tui.io import sock_diag
from sollol_tui.io.sock_diag import CLOSE_WAIT, ESTABLISHED, LISTEN, TcpSocket

_CONNECTED = (ESTABLISHED, CLOSE_WAIT)
_FAMILIES = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}
_PSUTIL_STATES = {
    psutil.CONN_ESTABLISHED: ESTABLISHED,
    psutil.CONN_CLOSE_WAIT: CLOSE_WAIT,
    psutil.CONN_LISTEN: LISTEN,
}

# /proc/net/tcp: "0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 123"
_ROW = re.compile(
    rb"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) (01|08|0A)"
    rb" \S+ \S+ \S+ +(\d+) +\d+ (\d+)",
    re.MULTILINE,
)


class Tables:
    """The system's socket tables as they were when first asked for; made anew for each look."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, str, tuple[int, ...]], tuple[TcpSocket, ...]] = {}

    def connected(self, process: psutil.Process) -> tuple[TcpSocket, ...]:
        """The IPv4 connections of a process that are established or that the other end closed.

        A process of another user hides which sockets are its own. Then it is every connection of
        that user: who looks for connections to known backends is not misled by that.
        """
        return self._of(process, ("tcp",), _CONNECTED)

    def listening(self, process: psutil.Process) -> frozenset[int]:
        """The ports on which a process listens (or its user, when it hides its sockets)."""
        found = self._of(process, ("tcp", "tcp6"), (LISTEN,))
        return frozenset(listener.local[1] for listener in found)

    def listened(self, ports: Iterable[int]) -> frozenset[int]:
        """Those of the ports on which anybody listens here; all of them where it is not told."""
        wanted = frozenset(ports)
        if not psutil.LINUX or not wanted:
            return wanted
        rows = (row for name in _FAMILIES for row in self._table(os.getpid(), name, (LISTEN,)))
        return wanted & {row.local[1] for row in rows}

    def _of(
        self, process: psutil.Process, names: tuple[str, ...], states: tuple[int, ...]
    ) -> tuple[TcpSocket, ...]:
        try:
            if not psutil.LINUX:
                return tuple(s for s in _from_psutil(process) if s.state in states)
            own = _socket_inodes(process.pid)
            uid = process.uids().effective if own is None else -1
        except (psutil.Error, OSError):
            return ()  # it has ended
        rows = (row for name in names for row in self._table(process.pid, name, states))
        if own is None:
            return tuple(row for row in rows if row.uid == uid)
        return tuple(row for row in rows if row.inode in own)

    def _table(self, pid: int, name: str, states: tuple[int, ...]) -> tuple[TcpSocket, ...]:
        own_network = _network_of(os.getpid())
        network = _network_of(pid) or own_network
        key = network, name, states
        if key not in self._read:
            told = (
                sock_diag.list_sockets(_FAMILIES[name], states) if network == own_network else None
            )
            self._read[key] = _from_proc(pid, name, states) if told is None else told
        return self._read[key]


def _socket_inodes(pid: int) -> frozenset[int] | None:
    """The inodes of a process' sockets; None when it may not be asked. Raises `OSError`."""
    folder = f"/proc/{pid}/fd"
    try:
        handles = os.listdir(folder)
    except PermissionError:
        return None
    inodes = set()
    for handle in handles:
        try:
            target = os.readlink(f"{folder}/{handle}")
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return None
            continue  # closed meanwhile
        if target.startswith("socket:["):
            inodes.add(int(target[8:-1]))
    return frozenset(inodes)


def _network_of(pid: int) -> str:
    """The network namespace of a process (a container has its own); empty when it is not told."""
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return ""


def _from_proc(pid: int, name: str, states: tuple[int, ...]) -> tuple[TcpSocket, ...]:
    try:
        with open(f"/proc/{pid}/net/{name}", "rb") as table:
            rows = map(_row, _ROW.finditer(table.read()))
            return tuple(row for row in rows if row.state in states)
    except OSError:
        return ()


def _row(found: re.Match[bytes]) -> TcpSocket:
    local_ip, local_port, remote_ip, remote_port, state, uid, inode = found.groups()
    return TcpSocket(
        int(state, 16),
        (_ip(local_ip), int(local_port, 16)),
        (_ip(remote_ip), int(remote_port, 16)),
        int(uid),
        int(inode),
    )


def _ip(hexadecimal: bytes) -> str:
    """The kernel prints an IPv4 address as a number of its own byte order; IPv6 is not read."""
    if len(hexadecimal) != 8:
        return ""
    return socket.inet_ntoa(struct.pack("=I", int(hexadecimal, 16)))


def _from_psutil(process: psutil.Process) -> list[TcpSocket]:
    return [
        TcpSocket(
            _PSUTIL_STATES[found.status],
            (found.laddr.ip, found.laddr.port),
            ("", 0) if found.status == psutil.CONN_LISTEN else (found.raddr.ip, found.raddr.port),
        )
        for found in process.net_connections("tcp")
        if found.status in _PSUTIL_STATES
    ]
