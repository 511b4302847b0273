"""Ports of this host: whether one can be had, who has it, who is connected to it.

What looks into the process table blocks for some milliseconds; the caller runs it in a thread.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from contextlib import suppress

import psutil

from sollol_tui.core.worker_ends import PortLook
from sollol_tui.io.sock_diag import ESTABLISHED
from sollol_tui.io.sockets import Tables

_NOWHERE = ("192.0.2.1", 9)  # TEST-NET-1: the default route leads there; nothing is sent


def look_at_port(host: str, port: int) -> PortLook:
    """Whether a server could listen there, tried as servers do: bound and given back."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((host, port))
    except PermissionError:
        return PortLook("denied")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return PortLook("taken", who_listens(port))
        return PortLook("not_here", own_addresses=own_addresses())
    return PortLook("free")


def free_port(host: str, wanted: int = 0) -> int:
    """The wanted port when it is free, else one of the system's choice. Raises `OSError`."""
    if wanted and look_at_port(host, wanted).state == "free":
        return wanted
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def who_listens(port: int) -> str:
    """`redis-server (pid 7)`; empty when the system does not tell."""
    with suppress(psutil.Error, OSError):
        for found in psutil.net_connections("tcp"):
            local_port = found.laddr.port if found.laddr else 0
            if found.status == psutil.CONN_LISTEN and local_port == port and found.pid:
                return f"{psutil.Process(found.pid).name()} (pid {found.pid})"
    return ""


def is_listening(pid: int, port: int) -> bool:
    """Whether this very process listens on the port: another one may answer there."""
    with suppress(psutil.Error):
        return port in Tables().listening(psutil.Process(pid))
    return False


def clients_of(pid: int, port: int) -> tuple[str, ...]:
    """The hosts that the process serves on the port, each once."""
    with suppress(psutil.Error):
        sockets = Tables().connected(psutil.Process(pid))
        served = (s for s in sockets if s.local[1] == port and s.state == ESTABLISHED)
        return tuple(dict.fromkeys(s.remote[0] for s in served))
    return ()


def own_addresses() -> tuple[str, ...]:
    """This machine's IPv4 addresses without the loopback ones."""
    found = {
        address.address
        for interface in psutil.net_if_addrs().values()
        for address in interface
        if address.family == socket.AF_INET
    }
    return tuple(sorted(a for a in found if not ipaddress.ip_address(a).is_loopback))


def address_towards(host: str = "") -> str:
    """The address under which this machine is seen from there (default: by way of the default
    route); empty when no route leads there. Nothing is sent."""
    # UnicodeError: a name that no resolver can be asked for
    with (
        suppress(OSError, UnicodeError),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
    ):
        sock.connect((host, _NOWHERE[1]) if host else _NOWHERE)
        return str(sock.getsockname()[0])
    return ""
