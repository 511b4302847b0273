"""What we tell the Redis that SOLLOL programs use: events as they happen, and who we are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from redis import exceptions as redis_errors
from redis.asyncio import Redis

from sollol_tui.core import wire
from sollol_tui.core.faults import Fault
from sollol_tui.core.registry_events import EVENTS_STREAM, STREAM_ENTRIES, Message, Origin
from sollol_tui.core.registry_metadata import Metadata, OurPart, renewed, withdrawn
from sollol_tui.core.registry_shapes import METADATA_KEY
from sollol_tui.io.redis_link import RedisLink

MAX_METADATA_BYTES = 1 << 20
_TRIES = 3  # others write the same key; each of them wants a moment only

Change = Callable[[Metadata | None, float], Metadata | None]


class RegistryPublisher:
    """Belongs to one event loop; keeps one connection between uses.

    A connection that was lost is replaced at the next call. Passwords are in no fault.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as usual.
    """

    def __init__(self, url: str) -> None:
        self._link = RedisLink(url)

    async def send(self, messages: Sequence[Message], within_s: float = 1.0) -> Fault | None:
        """Publish messages, in one go. The fault, if any: then some may have been published."""

        async def publish(client: Redis) -> None:
            async with client.pipeline(transaction=False) as pipeline:
                for message in messages:
                    pipeline.publish(message.channel, message.content)
                    if message.kept:
                        entry = {"event": message.content}
                        pipeline.xadd(EVENTS_STREAM, entry, maxlen=STREAM_ENTRIES)  # type: ignore[arg-type]
                await pipeline.execute()

        return await self._link.use(publish, within_s)

    async def renew(self, origin: Origin, part: OurPart, within_s: float = 2.0) -> Fault | None:
        """Write our part of the router's metadata again; what others wrote there stays."""
        return await self._change(
            lambda found, now_s: renewed(found, origin, part, now_s), within_s
        )

    async def withdraw(self, instance_id: str, within_s: float = 1.0) -> Fault | None:
        """Take our part of the router's metadata back."""

        def without(found: Metadata | None, now_s: float) -> Metadata | None:
            return None if found is None else withdrawn(found, instance_id, now_s)

        return await self._change(without, within_s)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._link.aclose()

    async def _change(self, change: Change, within_s: float) -> Fault | None:
        async def write(client: Redis) -> None:
            for _ in range(_TRIES):
                try:
                    await _changed(client, change)
                except redis_errors.WatchError:
                    continue  # somebody wrote between our reading and our writing
                return

        return await self._link.use(write, within_s)


async def _changed(client: Redis, change: Change) -> None:
    """Read the key, change it, write it, all or nothing."""
    async with client.pipeline(transaction=True) as pipeline:
        await pipeline.watch(METADATA_KEY)
        if await pipeline.strlen(METADATA_KEY) > MAX_METADATA_BYTES:
            return
        raw = await pipeline.get(METADATA_KEY)
        ttl_s: int = await pipeline.ttl(METADATA_KEY)
        seconds, microseconds = await pipeline.time()
        found = _read(raw, ttl_s)
        if raw is not None and found is None:
            return  # nothing that SOLLOL wrote: it is left alone
        after = change(found, seconds + microseconds / 1e6)
        pipeline.multi()  # type: ignore[no-untyped-call]
        if after is None:
            pipeline.delete(METADATA_KEY)
        else:
            pipeline.set(METADATA_KEY, json.dumps(after.document), ex=after.ttl_s)
        await pipeline.execute()


def _read(raw: Any, ttl_s: int) -> Metadata | None:
    document = wire.parse_json(raw) if isinstance(raw, bytes) else None
    if not isinstance(document, dict):
        return None
    return Metadata(document, ttl_s if ttl_s >= 0 else None)
