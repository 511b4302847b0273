"""One connection to a Redis: opened when needed, replaced when lost, every failure a value."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from redis import exceptions as redis_errors
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.plain import HIDDEN, plain_line, without_password
from sollol_tui.core.wire import one_line

_CLOSE_WITHIN_S = 0.5

Answer = TypeVar("Answer")


class RedisLink:
    """Belongs to one event loop; keeps one connection between uses.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as usual.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Redis | None = None

    async def use(
        self, ask: Callable[[Redis], Awaitable[Answer]], within_s: float
    ) -> Answer | Fault:
        """What was asked for, or why it did not come within the time.

        A connection that was lost is replaced at the next use. Passwords are in no fault.
        """
        try:
            client = self._opened()
        except (ValueError, TypeError, redis_errors.RedisError):
            return Fault(
                FaultKind.BAD_REQUEST, f"{without_password(self._url)} is no URL of a Redis"
            )
        try:
            async with asyncio.timeout(within_s):
                return await ask(client)
        except TimeoutError:
            return Fault(FaultKind.TIMEOUT, f"no answer within {within_s:g} s")
        except (redis_errors.RedisError, OSError) as error:
            return self._fault(error)

    async def aclose(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_WITHIN_S):
                await client.aclose()
        except (TimeoutError, OSError, redis_errors.RedisError):
            return  # it is gone anyway

    def _opened(self) -> Redis:
        if self._client is None:
            client = Redis.from_url(
                self._url,
                protocol=2,  # HELLO is unknown to Redis before 6
                retry=Retry(NoBackoff(), 0),  # no retries here: the next use is one
                socket_timeout=None,  # `use` has one deadline for all
                socket_connect_timeout=None,
            )
            # Options that do not exist show here, not at the first command.
            client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
            self._client = client
        return self._client

    def _fault(self, error: BaseException) -> Fault:
        kind, detail = _meaning(error)
        for secret in _secrets(self._url):
            detail = detail.replace(secret, HIDDEN)
        return Fault(kind, one_line(plain_line(detail)))


_DENIALS = ("NOAUTH", "WRONGPASS", "NOPERM", "DENIED", "ERR invalid password", "ERR AUTH")
_REFUSED_TEXT = f"[Errno {errno.ECONNREFUSED}]"


def _meaning(error: BaseException) -> tuple[FaultKind, str]:
    """The kind and the evidence of an exception of redis-py, which wraps those of the system."""
    said = str(error)
    if isinstance(error, redis_errors.AuthenticationError | redis_errors.NoPermissionError):
        return FaultKind.UNAUTHORIZED, said
    if said.startswith(_DENIALS):
        return FaultKind.UNAUTHORIZED, said
    if isinstance(error, redis_errors.BusyLoadingError):
        return FaultKind.SERVER, "Redis is still loading its data"
    if isinstance(error, redis_errors.InvalidResponse):
        return FaultKind.PROTOCOL, "no Redis answers there"
    if isinstance(error, redis_errors.ResponseError):
        return FaultKind.SERVER, said
    for cause in _causes(error):
        if isinstance(cause, OSError):
            return _meaning_of_os_error(cause)
    return FaultKind.CUT, "the connection was closed"


def _meaning_of_os_error(error: OSError) -> tuple[FaultKind, str]:
    if isinstance(error, socket.gaierror):
        return FaultKind.NAME, error.strerror or ""
    if isinstance(error, ssl.SSLError):
        return FaultKind.TLS, getattr(error, "verify_message", "") or error.reason or ""
    if isinstance(error, FileNotFoundError):
        return FaultKind.REFUSED, "there is no such socket"
    # asyncio joins the errors of several addresses into one without a number
    if isinstance(error, ConnectionRefusedError) or _REFUSED_TEXT in str(error):
        return FaultKind.REFUSED, ""
    if isinstance(error, ConnectionError):
        return FaultKind.CUT, error.strerror or "the connection was closed"
    return FaultKind.UNREACHABLE, error.strerror or str(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or cause.__context__


def _secrets(url: str) -> Iterable[str]:
    password = urlsplit(url).password or ""
    return {secret for secret in (password, unquote(password)) if secret}
