"""Hears what SOLLOL programs publish: their channels, and the stream of routing events.

Both connections wait in the kernel: hearing nothing costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from redis import exceptions as redis_errors
from redis.asyncio import Redis

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.foreign_events import CHANNELS
from sollol_tui.core.registry_events import EVENTS_STREAM
from sollol_tui.io.redis_link import RedisLink

DAY_S = 86_400.0  # no connection is kept longer
BLOCK_MS = 30_000
READ_ENTRIES = 100


class Heard(NamedTuple):
    """One message, from a channel or the stream."""

    channel: str
    content: bytes


class RegistryListener:
    """Belongs to one event loop. Goes on in the stream where the last connection ended.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as usual.
    """

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)
        self._last_entry = ""

    async def listen(self, hear: Callable[[Heard], None]) -> Fault:
        """Call `hear` with each message until the connection ends, and return why it did."""

        async def both(client: Redis) -> None:
            tail = asyncio.create_task(self._tail(client, hear))
            try:
                await _attend(client, hear)
            finally:
                tail.cancel()
                await asyncio.wait({tail})

        ended = await self._link.use(both, DAY_S)
        return ended or Fault(FaultKind.CUT, "the subscription ended")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._link.aclose()

    async def _tail(self, client: Redis, hear: Callable[[Heard], None]) -> None:
        """Read the stream as it grows. Where it cannot be read, the channels have to do."""
        try:
            if not self._last_entry:
                self._last_entry = await _newest(client)
            while True:
                await self._read(client, hear)
        except (redis_errors.RedisError, OSError):
            return  # when the server is gone the channels say so

    async def _read(self, client: Redis, hear: Callable[[Heard], None]) -> None:
        after = {EVENTS_STREAM: self._last_entry}
        found: Any = await client.xread(after, count=READ_ENTRIES, block=BLOCK_MS)  # type: ignore[arg-type]
        for _, entries in found or ():
            for number, fields in entries:
                self._last_entry = number.decode()
                content = fields.get(b"event")
                if content is not None:
                    hear(Heard(EVENTS_STREAM, content))


async def _attend(client: Redis, hear: Callable[[Heard], None]) -> None:
    async with client.pubsub() as pubsub:
        await pubsub.subscribe(*CHANNELS)
        async for message in pubsub.listen():
            if message["type"] == "message":
                hear(Heard(message["channel"].decode(), message["data"]))


async def _newest(client: Redis) -> str:
    """The stream's last entry: what was said before us is not news."""
    newest: Any = await client.xrevrange(EVENTS_STREAM, count=1)
    return newest[0][0].decode() if newest else "0-0"
