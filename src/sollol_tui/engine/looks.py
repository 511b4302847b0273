"""One look at each kind of target: ask the world, apply what came to the store."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from sollol_tui.core.events import (
    BackendLooked,
    CoordinatorLooked,
    HostLooked,
    NodeLooked,
    ProcessesSeen,
    RegistryLooked,
    TargetsFound,
)
from sollol_tui.core.faults import Fault
from sollol_tui.core.holding import may_probe
from sollol_tui.core.ids import (
    BackendAddress,
    CoordinatorUrl,
    NodeUrl,
    host_of,
    parse_coordinator_url,
    port_of,
)
from sollol_tui.core.plain import without_password
from sollol_tui.core.reports import FoundCoordinator, ServerProcess
from sollol_tui.core.settings import Headers, Settings
from sollol_tui.engine.store import Store
from sollol_tui.io import llamacpp, ollama
from sollol_tui.io.host_look import host_answers
from sollol_tui.io.http import Http, Server
from sollol_tui.io.rpc import Prober

if TYPE_CHECKING:
    from sollol_tui.io.registry import Registry


class Looks:
    """Looks at targets within the settings' deadline. Never raises for what a server does."""

    def __init__(self, settings: Settings, store: Store, http: Http) -> None:
        self.settings = settings
        self.store = store
        self.http = http
        self.processes_known = asyncio.Event()  # until then nobody knows who holds which backend
        self.prober = Prober()
        self._registry: Registry | None = None
        self.own_instance = ""  # our own name in the registry
        self.ours: Callable[[], frozenset[int]] = frozenset  # pids of coordinators we started
        self.extra_headers: Callable[[str], Headers] = lambda _: ()  # keys of those we started
        self._servers: dict[str, Server] = {
            **{n.url: Server(n.url, n.headers, n.ca_file) for n in settings.nodes},
            **{c.url: Server(c.url, c.headers, c.ca_file) for c in settings.coordinators},
        }
        self._here: frozenset[str] | None = None

    def server(self, url: str) -> Server:
        """How to reach a node or coordinator: its URL with the headers that the settings give."""
        server = self._servers.get(url) or Server(url)
        extra = self.extra_headers(url)
        return server._replace(headers=(*server.headers, *extra)) if extra else server

    async def node(self, url: NodeUrl) -> None:
        """Look at an Ollama node."""
        result = await ollama.look(self.http, self.server(url), self.settings.timeout_s)
        self.store.apply(NodeLooked(url, self.store.now_s(), result))

    async def coordinator(self, url: CoordinatorUrl) -> None:
        """Look at a llama-server."""
        result = await llamacpp.look(self.http, self.server(url), self.settings.timeout_s)
        self.store.apply(CoordinatorLooked(url, self.store.now_s(), result))

    async def backend(self, address: BackendAddress) -> None:
        """Probe an RPC backend, unless a coordinator holds it: then only its host is looked at."""
        await self.processes_known.wait()
        if not may_probe(self.store.snapshot, address):
            answers = await host_answers(host_of(address), self.settings.timeout_s)
            if answers is not None:
                self.store.apply(HostLooked(address, self.store.now_s(), answers))
            return
        report = await self.prober.probe(address, connect_within_s=self.settings.timeout_s)
        self.store.apply(BackendLooked(address, self.store.now_s(), report))

    async def registry(self) -> None:
        """Read the registry; what it lists replaces what it listed before."""
        url = self.settings.redis_url
        if not url:
            return
        registry = await self._opened_registry(url)
        result = await registry.look(self.settings.timeout_s)
        now_s = self.store.now_s()
        if not isinstance(result, Fault):
            self.store.apply(TargetsFound("redis", result.nodes, result.backends))
        self.store.apply(RegistryLooked(without_password(url), now_s, result))

    async def processes(self) -> None:
        """Read this host's process table: whose coordinators are, and which backends they hold."""
        from sollol_tui.io import host

        if self._here is None:
            self._here = await asyncio.to_thread(host.this_host_addresses)
        ports = frozenset(port for url in self._local_urls() if (port := port_of(url)))
        began_s = self.store.now_s()
        processes = await asyncio.to_thread(host.server_processes, ports)
        if self.settings.look_at_localhost:
            self._tell_found(processes)
        local = tuple((url, _process_of(url, processes)) for url in self._local_urls())
        self.store.apply(ProcessesSeen(began_s, local, self.ours()))
        self.processes_known.set()

    async def aclose(self) -> None:
        """Close what the looks hold open."""
        if self._registry is not None:
            await self._registry.aclose()

    def _tell_found(self, processes: tuple[ServerProcess, ...]) -> None:
        found = tuple(
            FoundCoordinator(parse_coordinator_url(_authority(p)), "process")
            for p in processes
            if p.backends
        )
        self.store.apply(TargetsFound("process", coordinators=found))

    def _local_urls(self) -> list[CoordinatorUrl]:
        from sollol_tui.io.host import is_this_host

        here = self._here or frozenset()
        urls = [c.url for c in self.store.snapshot.coordinators]
        return [url for url in urls if is_this_host(host_of(url), here)]

    async def _opened_registry(self, url: str) -> Registry:
        if self._registry is None:
            # 60 ms of import, on another thread: the screen goes on meanwhile
            module = await asyncio.to_thread(importlib.import_module, "sollol_tui.io.registry")
            self._registry = module.Registry(url, self.own_instance)
        return self._registry


def _authority(process: ServerProcess) -> str:
    host = f"[{process.host}]" if ":" in process.host else process.host
    return f"{host}:{process.port}"


def _process_of(url: CoordinatorUrl, processes: tuple[ServerProcess, ...]) -> ServerProcess | None:
    return next((p for p in processes if p.port == port_of(url)), None)
