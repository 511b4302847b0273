"""What an engine does with its own coordinators; where none is named, the usual one is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.state import ClusterSnapshot

if TYPE_CHECKING:
    from sollol_tui.core.orders import Order, Planned
    from sollol_tui.engine.places import Place
    from sollol_tui.engine.runtime import Runtime
    from sollol_tui.engine.supervisor import Supervisor
    from sollol_tui.io.log_file import LogFile


class OwnCoordinators:
    """A part of the engine. Everything but looking raises `ValueError` with a sentence where this
    program only looks, and for a URL where no coordinator of ours can be."""

    _runtime: Runtime | None

    async def first_look(self) -> ClusterSnapshot:
        """What is known when everything has been looked at once."""
        raise NotImplementedError

    @property
    def runtime(self) -> Runtime:
        """What exists only while the engine runs. Raises `RuntimeError` when it does not."""
        if self._runtime is None:
            raise RuntimeError("the engine does not run")
        return self._runtime

    async def plan_coordinator(self, order: Order, url: str | None = None) -> Planned:
        """What starting a coordinator would do, at that URL or where its model is run; starts
        nothing."""
        snapshot = await self.first_look()
        place, order = self.runtime.places.order(order, url)
        return await self.runtime.plan(place, order, snapshot)

    async def start_coordinator(self, order: Order, url: str | None = None) -> None:
        """Start a coordinator of ours, in the place of one that runs there, and keep it up."""
        await self.first_look()
        place, order = self.runtime.places.order(order, url)
        await _supervisor(place).start(order)

    async def start_wanted(self) -> None:
        """Start those that the settings want to run, where none does."""
        from sollol_tui.core.orders import Order
        from sollol_tui.core.places import placed

        snapshot = await self.first_look()
        for place in self.runtime.places:
            if place.setting.start and place.is_free(snapshot):
                await _supervisor(place).start(placed(Order(), place.setting), anew=False)

    async def stop_coordinator(self, url: str | None = None) -> None:
        """Stop the coordinator of ours there, also while it starts."""
        await self._supervisor(url).stop()

    async def stop_coordinators(self) -> None:
        """Stop all of ours."""
        for place in self.runtime.places:
            if place.is_running:
                await _supervisor(place).stop()

    def retry_coordinator(self, url: str | None = None) -> None:
        """Do not wait any longer for the next try."""
        self._supervisor(url).try_now()

    async def until_given_up(self, url: str | None = None) -> None:
        """Wait until the coordinator of ours there is kept up no longer."""
        await self._supervisor(url).until_given_up()

    def coordinator_log(self, url: str | None = None) -> LogFile | None:
        """The log of the coordinator of ours there, while it runs and after it ended."""
        if self._runtime is None:
            return None
        supervisor = self._runtime.places.at(url).supervisor
        return supervisor.process.log if supervisor is not None else None

    @property
    def coordinator_url(self) -> CoordinatorUrl:
        """Where the usual coordinator of ours listens."""
        return self.runtime.places.main.url

    @property
    def coordinator_urls(self) -> tuple[CoordinatorUrl, ...]:
        """Where coordinators of ours can listen, the usual one first."""
        return tuple(place.url for place in self.runtime.places)

    def place_of(self, model: str) -> CoordinatorUrl:
        """Where a coordinator of ours would run that model."""
        return self.runtime.places.at(None, model).url

    @property
    def owns_coordinator(self) -> bool:
        """Whether a coordinator of ours runs."""
        return self._runtime is not None and any(p.is_running for p in self._runtime.places)

    @property
    def found_coordinator(self) -> bool:
        """Whether one of an earlier run was taken over, and has not been replaced since."""
        supervisors = self._runtime.places.supervisors if self._runtime is not None else ()
        return any(s.was_found for s in supervisors)

    def leave_coordinator(self, stays: bool, found_stay: bool | None = None) -> None:
        """Decide what becomes of the coordinators of ours when the engine stops.

        `found_stay`: of those that were found running; None: as the others.
        """
        self.runtime.leaves_coordinators = stays
        self.runtime.leaves_found = stays if found_stay is None else found_stay

    def _supervisor(self, url: str | None) -> Supervisor:
        return _supervisor(self.runtime.places.at(url))


def _supervisor(place: Place) -> Supervisor:
    if place.supervisor is None:
        raise ValueError("nothing is started or stopped here: this program only looks")
    return place.supervisor
