"""Connections of a process that is to be ended: they end with RST, which harms no RPC backend.

A backend that answers somebody who left with FIN dies of SIGPIPE (llama.cpp TR:552), and that is
how the kernel parts for a process that is killed. RST makes its `send` fail instead, and it goes on
with the next client. Whether a socket leaves with RST is an option of the socket, and whoever may
trace a process may share its sockets (Linux 5.6, `pidfd_getfd`): a parent may, and root.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import psutil

_PIDFD_GETFD = 438  # the same number on every architecture
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@contextmanager
def resetting(pid: int, ports: frozenset[int]) -> Iterator[bool]:
    """While this is held, end that process: its connections to these remote ports are reset then.

    Also those of its descendants. False when nothing could be done about them: no right, another
    system. Connections that it makes meanwhile are left as they are: stop it first.
    """
    with ExitStack() as held:
        yield _share(_family(pid), ports, held)


def _family(pid: int) -> list[int]:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    return []


def _share(pids: Iterable[int], ports: frozenset[int], held: ExitStack) -> bool:
    if not ports:
        return True
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        for pid in pids:
            for shared in _sockets_of(pid):
                if _remote_port(shared) in ports:
                    shared.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                    held.enter_context(shared)  # the last one to close it: then it is reset
                else:
                    shared.close()
    except OSError:
        return False
    return True


def _sockets_of(pid: int) -> Iterator[socket.socket]:
    """The TCP sockets of a process, shared with it."""
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).syscall
    with ExitStack() as stack:
        handle = os.pidfd_open(pid)
        stack.callback(os.close, handle)
        for name in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                    continue
                number = call(_PIDFD_GETFD, handle, int(name), 0)
                if number < 0:
                    raise OSError(ctypes.get_errno(), "pidfd_getfd")
                yield socket.socket(fileno=number)


def _remote_port(shared: socket.socket) -> int:
    """The port on the other side of an IPv4 connection, 0 for any other socket."""
    if shared.family != socket.AF_INET or shared.type != socket.SOCK_STREAM:
        return 0
    with suppress(OSError):
        return int(shared.getpeername()[1])
    return 0
