"""What `sollol-tui worker` may be told, and where a worker is then reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

# Every start with a flag imports this module: what only a worker needs is imported late.
from sollol_tui.core.ids import RPC_PORT, BackendAddress, host_of, parse_backend_address, port_of

LOOPBACK = "127.0.0.1"
WILDCARD = "0.0.0.0"  # noqa: S104 - never bound without a yes


class WorkerOptions(NamedTuple):
    """The flags of the verb; `host` and `advertise` are empty when not given."""

    host: str = ""
    port: int = RPC_PORT
    devices: str = ""
    threads: int | None = None
    cache: bool = False
    advertise: str = ""
    is_confirmed: bool = False
    wants_unit: bool = False


class Place(NamedTuple):
    """What the registry is told (None: nothing), and why, in a sentence."""

    advertised: BackendAddress | None
    note: str


def read_host(text: str) -> str:
    """The address to listen on. Raises `ValueError`: a backend takes numeric IPv4 only."""
    import ipaddress

    if text.lower() == "localhost":
        return LOOPBACK
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IPv4 address such as 192.168.1.5 (RPC backends take no names)"
        ) from None


def read_port(text: str) -> int:
    """A port to listen on. Raises `ValueError`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is not a port (1 to 65535)")
    return int(text)


def read_threads(text: str) -> int:
    """A number of threads: a wrong one would make the backend abort. Raises `ValueError`."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 4096:
        raise ValueError(f"{text!r} is not a number of threads (1 to 4096)")
    return int(text)


def choose_place(
    options: WorkerOptions, host: str, redis_url: str, address_towards: Callable[[str], str]
) -> Place:
    """What to tell the registry: an address that others can reach.

    `address_towards` is asked for this machine's address on the way to a host ("": to anywhere).
    Raises `ValueError` for an --advertise that leads nowhere.
    """
    from sollol_tui.core.ids import is_loopback

    if not redis_url:
        return Place(None, "not registered: there is no registry (redis_url is off)")
    redis_host = "" if redis_url.startswith("unix:") else urlsplit(redis_url).hostname or LOOPBACK
    is_redis_here = not redis_host or is_loopback(redis_host)
    if options.advertise:
        return _as_told(options, is_redis_here)
    if is_loopback(host) and not is_redis_here:
        note = f"not registered: {host} cannot be reached from elsewhere (give --host)"
        return Place(None, note)
    seen_as = address_towards("" if is_redis_here else redis_host) if host == WILDCARD else host
    if not seen_as or seen_as == WILDCARD:
        return Place(None, "not registered: this machine has no network (give --advertise)")
    return _named(f"{seen_as}:{options.port}")


def _as_told(options: WorkerOptions, is_redis_here: bool) -> Place:
    from sollol_tui.core.ids import is_loopback

    text = options.advertise.strip()
    if host_of(text) in (WILDCARD, "::"):
        raise ValueError(f"{text} is no address that others could connect to")
    if text.startswith("["):
        raise ValueError("RPC backends are reached over IPv4 only")
    address = parse_backend_address(text if port_of(text) else f"{text}:{options.port}")
    if is_loopback(host_of(address)) and not is_redis_here:
        raise ValueError(f"{address} means another machine to whoever reads the registry")
    return _named(address)


def _named(address: str) -> Place:
    from sollol_tui.core.ids import is_loopback

    note = f"registers as {address}"
    if is_loopback(host_of(address)):
        note += ", which only programs on this machine can reach"
    return Place(BackendAddress(address), note)
