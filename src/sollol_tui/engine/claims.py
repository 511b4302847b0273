"""Which coordinator of ours may take which RPC backend: one serves a single client at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.problems import Problem
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.settings import CoordinatorSetting
from sollol_tui.core.state import BackendState
from sollol_tui.engine.planning import Planner

Claimed = Mapping[BackendAddress, CoordinatorUrl]


class Claims:
    """Shared by all places of an engine. What is taken is written down before anybody else plans.

    What the settings give to a place is promised to it for good; only who names it gets it.
    """

    def __init__(self, planner: Planner, places: Sequence[CoordinatorSetting]) -> None:
        self.planner = planner
        self.planning = asyncio.Lock()
        self._set = {a: place.url for place in places for a in place.backends or ()}
        self._taken: dict[CoordinatorUrl, tuple[BackendAddress, ...]] = {}

    def take(self, url: CoordinatorUrl, backends: Sequence[BackendAddress]) -> None:
        """These, and only these, are that coordinator's from now on."""
        self._taken[url] = tuple(backends)

    def of_others(self, url: CoordinatorUrl, order: Order) -> Claimed:
        """What another place holds or was promised, and which one."""
        held = {a: other for other, taken in self._taken.items() for a in taken}
        promised = self._set if order.backends is None else {}
        return {a: other for a, other in {**promised, **held}.items() if other != url}


class PlacePlanner:
    """Plans for one place. What a plan that can be started takes is its own until `release`."""

    def __init__(self, claims: Claims, url: CoordinatorUrl) -> None:
        self._claims = claims
        self._url = url

    async def plan(self, order: Order, known: Callable[[], Sequence[BackendState]]) -> Planned:
        """See `Planner.plan`; what is known is asked when it is this one's turn."""
        async with self._claims.planning:
            taken = self._claims.of_others(self._url, order)
            planned = await self._claims.planner.plan(order, known(), taken=taken)
            if planned.plan is not None and planned.startable:
                self._claims.take(self._url, planned.plan.backends)
            return planned

    async def probe(
        self, backends: Sequence[BackendAddress]
    ) -> dict[BackendAddress, BackendReport]:
        """What backends of its own say, now that nobody holds them."""
        return await self._claims.planner.probe(backends, ())

    def objection(self, model: str) -> Problem | None:
        """See `Planner.objection`."""
        return self._claims.planner.objection(model)

    def take(self, backends: Sequence[BackendAddress]) -> None:
        """A coordinator that was found holds these."""
        self._claims.take(self._url, backends)

    def release(self) -> None:
        """It wants none any more."""
        self._claims.take(self._url, ())
