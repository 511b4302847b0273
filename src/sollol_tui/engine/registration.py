"""What the registry is told of one backend: kept alive by heartbeats, taken back at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import psutil

from sollol_tui.core.faults import Fault
from sollol_tui.core.worker import RegistryChanged, WorkerEvent, WorkerOrder
from sollol_tui.core.worker_entry import WorkerDevice, registry_entry

if TYPE_CHECKING:
    from sollol_tui.io.registry_write import Registrar

REMOVE_WITHIN_S = 1.0


class Registration:
    """Knows what is to be told, and whether the registry knows it. `tell` hears every change.

    Without a registry, or an address that others can reach, nobody is told anything.
    """

    def __init__(
        self, order: WorkerOrder, tell: Callable[[WorkerEvent], None], clock: Callable[[], float]
    ) -> None:
        self.protocol: str | None = None
        self.devices: tuple[WorkerDevice, ...] | None = None
        self._address = order.advertised or order.address
        self._tell = tell
        self._clock = clock
        self._registrar = _registrar(order)
        self._is_written = False  # perhaps: the registry may hold the entry
        self._told: tuple[bool, Fault | None] | None = None

    def learn(self, protocol: str | None, devices: tuple[WorkerDevice, ...]) -> bool:
        """Take what a probe found; whether it is news."""
        is_news = (protocol, devices) != (self.protocol, self.devices)
        self.protocol, self.devices = protocol, devices
        return is_news

    async def write(self, in_use: bool) -> None:
        """One heartbeat. A registry that does not answer is told once, and tried each time."""
        if self._registrar is None:
            return
        entry = registry_entry(
            self.devices,
            psutil.virtual_memory().total,
            protocol=self.protocol,
            in_use=in_use,
            heartbeat_s=self._clock(),
        )
        self._is_written = True
        fault = await self._registrar.register(self._address, entry)
        self._note(fault is None, fault)

    async def remove(self) -> None:
        """Take the entry back, if it was ever written."""
        if self._registrar is None or not self._is_written:
            return
        self._is_written = False
        self._note(False, await self._registrar.remove(self._address, REMOVE_WITHIN_S))

    async def aclose(self) -> None:
        """Close the connection."""
        if self._registrar is not None:
            await self._registrar.aclose()

    def _note(self, registered: bool, fault: Fault | None) -> None:
        if self._told != (registered, fault):
            self._told = registered, fault
            self._tell(RegistryChanged(self._clock(), self._address, registered, fault))


def _registrar(order: WorkerOrder) -> Registrar | None:
    if not order.redis_url or order.advertised is None:
        return None
    from sollol_tui.io.registry_write import Registrar

    return Registrar(order.redis_url)
