"""The engine: everything that goes on over time, started and stopped in order.

Importing this module loads no network library: `running()` does, off the loop's thread, so that
a screen can paint its first frame meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sollol_tui.core.asks import AskEvent, AskRequest, RouteDecision, Said
from sollol_tui.core.events import ModeChosen, NodeDrained, TargetsFound
from sollol_tui.core.ids import (
    CoordinatorUrl,
    NodeUrl,
    parse_backend_address,
    parse_node_url,
)
from sollol_tui.core.plain import without_password
from sollol_tui.core.reports import FoundBackend, FoundCoordinator, FoundNode
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorStatus,
    HealthRules,
    Mode,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.engine.chats import Chats
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.own_coordinators import OwnCoordinators
from sollol_tui.engine.parallel import ask_parallel
from sollol_tui.engine.role import Role
from sollol_tui.engine.store import Store
from sollol_tui.io.files import whole_path
from sollol_tui.io.kept import Kept, read_kept, write_kept

if TYPE_CHECKING:
    from sollol_tui.core.statistics import Stats
    from sollol_tui.engine.here import Here
    from sollol_tui.engine.runtime import Runtime

HAND = "hand"
FIRST_LOOK_SLACK_S = 1.0


class Engine(OwnCoordinators):
    """What screens and headless verbs hold. Belongs to one event loop.

    Args:
        settings: resolved settings.
        state_dir: where what must survive a restart is kept (mode, hand-added targets); None
            keeps nothing.
        clock: seconds since the epoch.
        supervises: whether it may look after a coordinator, also one of an earlier run, and talk
            in the registry. A program that only looks must not: its end would stop that one.
        only: the one place where it looks after a coordinator; None: all that are ours.
        data_dir: where chats and the record of requests are kept; None keeps none.
    """

    def __init__(
        self,
        settings: Settings,
        state_dir: Path | None = None,
        clock: Callable[[], float] = time.time,
        *,
        supervises: bool = True,
        only: CoordinatorUrl | None = None,
        data_dir: Path | None = None,
    ) -> None:
        self.settings = settings
        looks_after = supervises and not settings.read_only
        self._role = Role(state_dir, data_dir, looks_after, only, talks=supervises)
        self._kept = read_kept(state_dir) if state_dir is not None else Kept()
        self._mode_is_chosen = settings.mode is not None or self._kept.mode is not None
        self.ledger = Ledger()
        self.store = Store(_first_snapshot(settings, self._kept), clock)
        self.store.listeners.append(self._after_first_look)
        self.chats = Chats(data_dir, self._warn) if data_dir is not None else None
        self._runtime: Runtime | None = None
        self._started = asyncio.Event()
        self._looked = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Store]:
        """Start discovery and one poll task per target; stop them all on leaving."""
        module = await asyncio.to_thread(importlib.import_module, "sollol_tui.engine.runtime")
        self._tell_targets()
        async with module.opened(self.settings, self.store, self.ledger, self._role) as runtime:
            self._runtime = runtime
            self._started.set()
            try:
                yield self.store
            finally:
                self._runtime = None
                self._started.clear()
                if self.chats is not None:
                    await self.chats.aclose()

    async def look_once(self) -> ClusterSnapshot:
        """Look at everything once, within the time limits, and return what was seen."""
        async with self.running():
            return await self.first_look()

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        """Route a question and stream its answer; closing the iterator stops it.

        Asked before the first look has ended, it waits for that look.
        """
        await self.first_look()
        request = request._replace(model=whole_path(request.model))
        for stage in (self.runtime.bring_up, self.runtime.requests.ask):
            async with aclosing(stage(request)) as events:
                async for event in events:
                    yield event

    def ask_parallel(self, request: AskRequest, parts: int = 0) -> AsyncGenerator[Said, None]:
        """Have an answer written in parts by several at once (see `engine.parallel`)."""
        return ask_parallel(self.ask, request, parts, self.store.now_s)

    async def sees(self, model: str) -> bool | None:
        """Whether a model takes pictures somewhere, as its servers say; None: none of them did."""
        from sollol_tui.engine.vision import sees

        await self.first_look()
        return await sees(model, self.store.snapshot, self.runtime.looks.server, self.runtime.http)

    def choose_mode(self, mode: Mode, pinned: str = "") -> None:
        """Switch the mode for the next request, and keep it for the next run."""
        self._mode_is_chosen = True
        self.store.apply(ModeChosen(mode, pinned))
        self._keep(self._kept._replace(mode=mode, pinned=pinned))

    @property
    def here(self) -> Here:
        """What this machine has: models, logs, backends started from here."""
        return self.runtime.here

    def refresh(self, target: str | None = None) -> None:
        """Look again now: at one target (URL or address), or at everything."""
        if self._runtime is not None:
            self._runtime.pollers.wake(target)

    def pause(self, paused: bool) -> None:
        """Hold the polling (requests go on), or go on with it."""
        if self._runtime is not None:
            self._runtime.pollers.pause(paused)

    def add_node(self, text: str) -> str:
        """Add an Ollama node by hand. Returns its URL; raises `ValueError` with a sentence."""
        url = parse_node_url(text)
        self._keep(self._kept._replace(nodes=tuple(dict.fromkeys((*self._kept.nodes, url)))))
        self._tell_hand()
        return url

    def add_backend(self, text: str) -> str:
        """Add an RPC backend by hand. Returns its address; raises `ValueError` with a sentence."""
        address = parse_backend_address(text)
        backends = tuple(dict.fromkeys((*self._kept.backends, address)))
        self._keep(self._kept._replace(backends=backends))
        self._tell_hand()
        return address

    def remove(self, target: str) -> bool:
        """Forget a target that was added by hand; False when it comes from elsewhere."""
        if target not in {*self._kept.nodes, *self._kept.backends}:
            return False
        nodes = tuple(url for url in self._kept.nodes if url != target)
        backends = tuple(a for a in self._kept.backends if a != target)
        self._keep(self._kept._replace(nodes=nodes, backends=backends))
        self._tell_hand()
        return True

    def drain(self, url: str, drained: bool = True) -> None:
        """Give a node no new requests, also in later runs; those that run there finish.

        `drained=False` takes it back. Raises `ValueError` when no such node is known.
        """
        if self.store.snapshot.node(url) is None:
            raise ValueError(f"{url} is no node that is known")
        self.store.apply(NodeDrained(NodeUrl(url), drained))
        self._keep(self._kept._replace(drained=self.store.snapshot.drained))

    def stats(self, now_s: float, window_s: float = 900.0) -> Stats:
        """Figures of our requests by path, target, backend and model, of this run and earlier ones.

        `window_s` is how far back its `recent` figures go. Cheap while they do not change.
        """
        return self.ledger.stats(now_s, window_s)

    def weigh(self, model: str) -> RouteDecision:
        """Where the next question to a model would go, with every target's score; asks nothing."""
        from sollol_tui.engine.weighing import weigh

        return weigh(AskRequest(model, ()), self.settings, self.store, self.ledger)

    def keep_theme(self, theme: str) -> None:
        """Remember the colours that were chosen last."""
        self._keep(self._kept._replace(theme=theme))

    def keep_model(self, model: str) -> None:
        """Remember the model that was chosen last."""
        self._keep(self._kept._replace(model=model))

    @property
    def last_model(self) -> str:
        """The model to begin with: as set, else as chosen last; empty when neither."""
        return self.settings.model or self._kept.model

    @property
    def last_theme(self) -> str:
        """The colours to begin with: as set, else as chosen last; empty when neither."""
        return self.settings.theme or self._kept.theme

    def _tell_targets(self) -> None:
        for found in _named_in(self.settings):
            self.store.apply(found)
        self._tell_hand()

    def _tell_hand(self) -> None:
        nodes = tuple(FoundNode(parse_node_url(url), HAND) for url in self._kept.nodes)
        backends = tuple(FoundBackend(parse_backend_address(a), HAND) for a in self._kept.backends)
        self.store.apply(TargetsFound(HAND, nodes, backends))

    async def first_look(self) -> ClusterSnapshot:
        """What is known when everything has been looked at once, within the time limits."""
        await self._started.wait()
        limit_s = 2 * self.settings.timeout_s + FIRST_LOOK_SLACK_S
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._looked.wait()
        return self.store.snapshot

    def _after_first_look(self, _: ClusterSnapshot, after: ClusterSnapshot) -> None:
        if not after.looked or self._looked.is_set():
            return
        self._looked.set()
        serves = any(c.status is CoordinatorStatus.READY for c in after.coordinators)
        starts = self._role.supervises and any(c.start for c in self.settings.coordinators)
        if (serves or starts) and not self._mode_is_chosen:
            self.store.apply(ModeChosen(Mode.BOTH))

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        state_dir = self._role.state_dir
        if state_dir is None:
            return
        try:
            write_kept(state_dir, kept)
        except OSError as error:
            self._warn(f"cannot keep this for the next run: {error.strerror} · {state_dir}")

    def _warn(self, text: str) -> None:
        self.store.log("warn", "app", "", text)


def _named_in(settings: Settings) -> Iterator[TargetsFound]:
    """What the settings name, source by source."""
    nodes = [FoundNode(n.url, n.source, n.name, weight=n.weight) for n in settings.nodes]
    backends = [FoundBackend(b.address, b.source) for b in settings.backends]
    coordinators = [FoundCoordinator(c.url, c.source, c.name) for c in settings.coordinators]
    sources = [f.source for f in nodes] + [f.source for f in backends]
    sources += [f.source for f in coordinators]
    for source in dict.fromkeys(sources):
        yield TargetsFound(
            source,
            tuple(n for n in nodes if n.source == source),
            tuple(b for b in backends if b.source == source),
            tuple(c for c in coordinators if c.source == source),
        )


def _first_snapshot(settings: Settings, kept: Kept) -> ClusterSnapshot:
    rules = HealthRules(
        settings.poll_interval_s,
        settings.failures_to_down,
        settings.successes_to_up,
        settings.backoff_max_s,
        settings.first_token_limit_s,
        settings.token_gap_limit_s,
    )
    url = settings.redis_url
    registry = (
        RegistryState(without_password(url)) if url else RegistryState("", RegistryStatus.OFF)
    )
    places = _places(settings)
    several = places if len(settings.coordinators) > 1 else ()  # else it need not be told
    return ClusterSnapshot(
        mode=settings.mode or kept.mode or Mode.TASK,
        pinned=kept.pinned,
        registry=registry,
        rules=rules,
        drained=kept.drained,
        own_places=tuple(place.url for place in several),
        promised=tuple((a, place.url) for place in several for a in place.backends or ()),
        set_models=tuple(
            (place.url, place.model) for place in places if place.model and not settings.read_only
        ),
    )


def _places(settings: Settings) -> tuple[CoordinatorSetting, ...]:
    """Where coordinators of ours are set up."""
    if not settings.coordinators:
        return ()
    from sollol_tui.core.places import own_places  # late: the first screen does without

    return own_places(settings)
