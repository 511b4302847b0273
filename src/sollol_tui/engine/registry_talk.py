"""Our part in what SOLLOL programs tell each other over Redis: speaking, and listening."""

from __future__ import annotations

import asyncio
import os
import socket

from sollol_tui.core.registry_events import Origin
from sollol_tui.core.registry_metadata import redis_is_here
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, RegistryStatus
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.listener import Listener
from sollol_tui.engine.publisher import Publisher
from sollol_tui.engine.store import Store


class RegistryTalk:
    """Listens, and speaks where the settings allow it, while the registry answers.

    Args:
        settings: with the URL of a Redis.
    """

    def __init__(self, settings: Settings, store: Store, ledger: Ledger) -> None:
        self.origin = new_origin()
        self._store = store
        self._listener = Listener(settings.redis_url, self.origin.instance_id, store)
        self.publisher: Publisher | None = None
        if settings.publish and not settings.read_only:
            self.publisher = Publisher(
                settings.redis_url,
                self.origin,
                store,
                ledger,
                loopback_is_here=redis_is_here(settings.redis_url),
            )

    def start(self, group: asyncio.TaskGroup) -> None:
        """Follow the registry's state from now on."""
        for part in self._parts():
            part.start(group)
        self._store.listeners.append(self._follow)

    async def aclose(self) -> None:
        """Say goodbye, within a bound."""
        self._store.listeners.remove(self._follow)
        for part in self._parts():
            await part.aclose()

    def _parts(self) -> list[Listener | Publisher]:
        return [self._listener, self.publisher] if self.publisher else [self._listener]

    def _follow(self, before: ClusterSnapshot, after: ClusterSnapshot) -> None:
        was, now = _is_up(before), _is_up(after)
        if was is not now:
            for part in self._parts():
                part.registry_is(now)


def new_origin() -> Origin:
    """A name for this start of the program, as SOLLOL makes them."""
    host, pid = socket.gethostname(), os.getpid()
    return Origin(f"{host}_{pid}_{os.urandom(4).hex()}", host, pid)


def _is_up(snapshot: ClusterSnapshot) -> bool:
    return snapshot.registry is not None and snapshot.registry.status is RegistryStatus.UP
