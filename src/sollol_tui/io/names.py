"""Host names to IPv4 addresses, without letting a dead name server hold anything up."""

from __future__ import annotations

import ipaddress
import socket
import threading
from concurrent.futures import Future

Addresses = tuple[str, ...]


class Names:
    """Looks names up, one lookup per name at a time.

    A resolver cannot be interrupted and may take half a minute. So each lookup has a daemon
    thread of its own: a stuck one takes no place in the loop's thread pool and delays no exit.
    May be used from several threads.
    """

    def __init__(self) -> None:
        self._running: dict[str, Future[Addresses]] = {}
        self._guard = threading.Lock()

    def ask(self, host: str) -> Future[Addresses]:
        """The IPv4 addresses of a name, in the resolver's order.

        The future carries `OSError` (mostly `socket.gaierror`) when there are none. Callers
        share a lookup that is under way, so it must not be cancelled; stop waiting instead.
        """
        with self._guard:
            if (running := self._running.get(host)) is not None:
                return running
            answer: Future[Addresses] = Future()
            answer.set_running_or_notify_cancel()  # from now on `cancel()` does nothing
            if is_ipv4(host):
                answer.set_result((host,))
                return answer
            self._running[host] = answer
        threading.Thread(target=self._look_up, args=(host, answer), daemon=True).start()
        return answer

    def _look_up(self, host: str, answer: Future[Addresses]) -> None:
        try:
            # IPv4 only, as llama.cpp: its RPC transport opens AF_INET sockets.
            found = socket.getaddrinfo(host, None, socket.AF_INET, socket.SOCK_STREAM)
            result, error = tuple(dict.fromkeys(str(f[4][0]) for f in found)), None
        except OSError as failure:
            result, error = (), failure
        except UnicodeError:  # a label that is too long or empty cannot be encoded
            result, error = (), socket.gaierror(socket.EAI_NONAME, "not a host name")
        with self._guard:
            del self._running[host]
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)


def is_ipv4(host: str) -> bool:
    """Whether the text is a numeric IPv4 address, which needs no lookup."""
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
