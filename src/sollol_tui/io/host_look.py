"""Whether a host answers at all, when the server on it may not be asked."""

from __future__ import annotations

import asyncio
import socket
import struct

from sollol_tui.io.names import Names, is_ipv4

CLOSED_PORT = 9  # "discard": hardly anybody listens there, so a host that lives refuses

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_names = Names()


async def host_answers(host: str, within_s: float) -> bool | None:
    """Whether a TCP connection to a closed port of the host is refused, or accepted, in time.

    Both come from its kernel. Silence may also be a firewall that drops: only a host that answered
    before is known to be away then. None: its name does not resolve, so nobody was asked.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            address = host if is_ipv4(host) else (await asyncio.wrap_future(_names.ask(host)))[0]
    except (TimeoutError, OSError):
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        try:
            async with asyncio.timeout(within_s):
                await loop.sock_connect(sock, (address, CLOSED_PORT))
        except ConnectionRefusedError:
            return True
        except (TimeoutError, OSError):
            return False
    return True
