"""Facts about the cluster, in the past tense: the only way the snapshot changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from sollol_tui.core.faults import Fault
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.reports import (
    BackendReport,
    CoordinatorReport,
    FoundBackend,
    FoundCoordinator,
    FoundNode,
    NodeReport,
    RegistryReport,
    ServerProcess,
)
from sollol_tui.core.state import Mode

if TYPE_CHECKING:  # what the first screen does not need stays unloaded
    from sollol_tui.core.phases import Phase
    from sollol_tui.core.plan_values import CoordinatorPlan
    from sollol_tui.core.problems import Problem
    from sollol_tui.core.shard_map import ShardMap


class TargetsFound(NamedTuple):
    """One source of knowledge said which targets there are; it replaces what it said before."""

    source: str
    nodes: tuple[FoundNode, ...] = ()
    backends: tuple[FoundBackend, ...] = ()
    coordinators: tuple[FoundCoordinator, ...] = ()


class NodeLooked(NamedTuple):
    url: NodeUrl
    at_s: float
    result: NodeReport | Fault


class CoordinatorLooked(NamedTuple):
    url: CoordinatorUrl
    at_s: float
    result: CoordinatorReport | Fault


class CoordinatorStepped(NamedTuple):
    """The supervisor moved a coordinator of ours. `None` leaves what was known of the run."""

    url: CoordinatorUrl
    at_s: float
    phase: Phase
    pid: int | None = None
    progress: float | None = None  # of loading, 0 to 1
    expected_s: float | None = None  # how long loading took the last time
    problems: tuple[Problem, ...] = ()
    retry_at_s: float | None = None
    plan: CoordinatorPlan | None = None
    shards: ShardMap | None = None
    backends: tuple[BackendAddress, ...] = ()  # that it holds, when no plan tells


class ProcessesSeen(NamedTuple):
    """Which coordinators belong to this host, and the process of each, if one runs.

    `at_s` is when the reading began. `ours` are the pids that this program started.
    """

    at_s: float
    local: tuple[tuple[CoordinatorUrl, ServerProcess | None], ...]
    ours: frozenset[int] = frozenset()


class BackendLooked(NamedTuple):
    address: BackendAddress
    at_s: float
    report: BackendReport


class HostLooked(NamedTuple):
    """The host of a backend that may not be asked itself was looked at, at another port."""

    address: BackendAddress
    at_s: float
    answered: bool


class RegistryLooked(NamedTuple):
    url: str
    at_s: float
    result: RegistryReport | Fault


class FirstLookEnded(NamedTuple):
    """Every target known at the start has been looked at once."""


class ModeChosen(NamedTuple):
    mode: Mode
    pinned: str = ""


class NodeDrained(NamedTuple):
    url: NodeUrl
    drained: bool


class RequestClaimed(NamedTuple):
    id: str
    target: str
    model: str
    at_s: float


class RequestMoved(NamedTuple):
    """Tokens came. Told at most a few times a second per request, not per token."""

    id: str
    at_s: float
    tokens: int


class RequestEnded(NamedTuple):
    """`fault` is None for a whole answer and for one the person stopped."""

    id: str
    target: str
    at_s: float
    tokens: int
    fault: Fault | None = None


Event: TypeAlias = (
    TargetsFound
    | NodeLooked
    | CoordinatorLooked
    | CoordinatorStepped
    | ProcessesSeen
    | BackendLooked
    | HostLooked
    | RegistryLooked
    | FirstLookEnded
    | ModeChosen
    | NodeDrained
    | RequestClaimed
    | RequestMoved
    | RequestEnded
)
