"""The places of our coordinators on this host: for each its settings, its run, its supervisor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from sollol_tui.core.holding import runs
from sollol_tui.core.orders import Order
from sollol_tui.core.places import own_places, place_for, placed
from sollol_tui.core.settings import CoordinatorSetting, Headers, Settings
from sollol_tui.core.shard_map import shard_map
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState
from sollol_tui.engine.found_run import FoundRun, log_facts
from sollol_tui.engine.role import Role
from sollol_tui.engine.supervisor import Supervisor
from sollol_tui.io.files import whole_path


class Place:
    """One of them. `supervisor` is None where this program only looks."""

    def __init__(
        self, setting: CoordinatorSetting, found: FoundRun | None, supervisor: Supervisor | None
    ) -> None:
        self.setting = setting
        self.url = setting.url
        self.found = found
        self.supervisor = supervisor

    @property
    def is_running(self) -> bool:
        """Whether a coordinator that this program looks after runs there."""
        return self.supervisor is not None and self.supervisor.process.is_running

    @property
    def pid(self) -> int | None:
        """The process of ours there, also of a run that another program looks after."""
        if self.supervisor is not None:
            running = self.supervisor.process.running
            return None if running is None else running.pid
        record = self.found.record() if self.found is not None else None
        return None if record is None else record.process.pid

    def is_free(self, snapshot: ClusterSnapshot) -> bool:
        """Whether nothing runs there, as far as is known, and nothing is being started."""
        state = snapshot.coordinator(self.url)
        is_kept_up = self.supervisor is not None and self.supervisor.busy
        return not is_kept_up and (state is None or not runs(state))

    def own_state(self, snapshot: ClusterSnapshot) -> CoordinatorState | None:
        """The coordinator of ours there, with the devices that its log listed; None without one.

        Blocks while the disk is read: call it in a thread.
        """
        state = snapshot.coordinator(self.url)
        if self.is_running or state is None:
            return state
        record = self.found.record() if self.found is not None else None
        if record is None:
            return None
        facts = log_facts(Path(record.log))
        return state._replace(shards=shard_map(facts, facts.layers or len(record.layer_kv_bytes)))

    @property
    def headers(self) -> Headers:
        """What a client of ours has to send along."""
        ours = self.supervisor.process.headers if self.supervisor is not None else ()
        return ours or (self.found.headers() if self.found is not None else ())


class Places:
    """All of them, the usual one first. `make_supervisor` None: this program only looks."""

    def __init__(
        self,
        settings: Settings,
        role: Role,
        make_supervisor: Callable[[CoordinatorSetting], Supervisor] | None,
    ) -> None:
        self._by_url: dict[str, Place] = {}
        for setting in own_places(settings):
            if role.only is not None and setting.url != role.only:
                continue
            place = setting._replace(model=whole_path(setting.model))
            found = FoundRun(role.state_dir, place.url) if role.state_dir is not None else None
            supervisor = make_supervisor(place) if make_supervisor is not None else None
            self._by_url[place.url] = Place(place, found, supervisor)

    def __iter__(self) -> Iterator[Place]:
        return iter(self._by_url.values())

    @property
    def main(self) -> Place:
        """The usual one."""
        return next(iter(self))

    @property
    def supervisors(self) -> tuple[Supervisor, ...]:
        """Of all of them; none where this program only looks."""
        return tuple(p.supervisor for p in self if p.supervisor is not None)

    def get(self, url: str) -> Place | None:
        """The one at that URL."""
        return self._by_url.get(url)

    def at(self, url: str | None, model: str = "") -> Place:
        """The one at that URL; without one that which is set to run the model, else the first that
        is set to run no other.

        Raises `ValueError` when none of ours is there.
        """
        if url is None and model:
            wanted = place_for([p.setting for p in self], model)
            free = (p for p in self if not p.setting.model)
            return next(free, self.main) if wanted is None else self._by_url[wanted.url]
        if url is None:
            return self.main
        place = self.get(url)
        if place is None:
            known = ", ".join(self._by_url)
            raise ValueError(f"no coordinator is run by this program at {url}, only at {known}")
        return place

    def order(self, order: Order, url: str | None) -> tuple[Place, Order]:
        """The place that is meant, and the order for it."""
        place = self.at(url, order.model)
        return place, placed(order, place.setting)
