"""What we write into the Redis that SOLLOL programs register in: entries that expire."""

from __future__ import annotations

import json
from collections.abc import Mapping

from redis.asyncio import Redis

from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.worker_entry import TTL_S, entry_key
from sollol_tui.io.redis_link import RedisLink


class Registrar:
    """Registers RPC backends. Belongs to one event loop; keeps one connection between uses.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as usual.
    """

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)

    async def register(
        self, address: BackendAddress, entry: Mapping[str, object], within_s: float = 2.0
    ) -> Fault | None:
        """Write the entry, or write it again: it lives for `TTL_S` from now. The fault, if any.

        A connection that was lost is replaced at the next call. Passwords are in no fault.
        """
        content = json.dumps(entry, allow_nan=False)

        async def write(client: Redis) -> None:
            await client.set(entry_key(address), content, ex=TTL_S)

        return await self._link.use(write, within_s)

    async def remove(self, address: BackendAddress, within_s: float = 2.0) -> Fault | None:
        """Delete the entry; one that has passed already is no fault."""

        async def delete(client: Redis) -> None:
            await client.delete(entry_key(address))

        return await self._link.use(delete, within_s)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._link.aclose()
