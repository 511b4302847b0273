"""Who holds which backend, which of them may have vanished, and which free ones could help."""

from __future__ import annotations

import pytest

from sollol_tui.core.devices import Device
from sollol_tui.core.events import (
    BackendLooked,
    CoordinatorStepped,
    Event,
    HostLooked,
    RegistryLooked,
    TargetsFound,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.holding import free_for, may_probe, vanished
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.phases import Phase
from sollol_tui.core.plan import CoordinatorPlan, DevicePlan
from sollol_tui.core.presence import HEARTBEAT_LIMIT_S
from sollol_tui.core.reduce import reduce
from sollol_tui.core.reports import (
    BackendReport,
    FoundBackend,
    FoundCoordinator,
    RegistryReport,
)
from sollol_tui.core.state import BackendState, BackendStatus, ClusterSnapshot, CoordinatorState
from sollol_tui.core.telling import tell
from sollol_tui.core.worker_entry import TTL_S

URL = CoordinatorUrl("http://127.0.0.1:18080")
ONE, TWO, THREE = (BackendAddress(f"10.0.0.{n}:50052") for n in (1, 2, 3))
FREE = BackendReport(BackendStatus.IDLE, "7.0.0", (Device(2**30, 2**30),), 1.0)
REDIS = "redis://10.0.0.9:6379"


def folded(start: ClusterSnapshot, *events: Event) -> ClusterSnapshot:
    for event in events:
        start = reduce(start, event)
    return start


def planned(
    *backends: BackendAddress, left_out: tuple[BackendAddress, ...] = ()
) -> CoordinatorPlan:
    home = DevicePlan("host", "", (), False, 0, 0, 0, None, None, True)
    return CoordinatorPlan(
        "smol:135m", "/m.gguf", 1, 30, 2048, 1, (), home, True, (), (), (), 31, backends, left_out
    )


def step(phase: Phase, at_s: float, plan: CoordinatorPlan | None = None) -> CoordinatorStepped:
    return CoordinatorStepped(URL, at_s, phase, 7, plan=plan)


def serving(plan: CoordinatorPlan) -> ClusterSnapshot:
    """A coordinator of ours over the plan's backends, among three that are known."""
    listed = tuple(FoundBackend(a, "config") for a in (ONE, TWO, THREE))
    return folded(
        ClusterSnapshot(),
        TargetsFound("config", (), listed, (FoundCoordinator(URL, "started"),)),
        step(Phase.CONNECTING, 1.0, plan),
        step(Phase.READY, 2.0),
    )


def seen(snapshot: ClusterSnapshot, address: BackendAddress) -> BackendState:
    state = snapshot.backend(address)
    assert state is not None
    return state


# Hosts that vanish without a word


def test_a_held_backend_whose_host_fell_silent_is_unknown_and_still_never_probed() -> None:
    snapshot = folded(serving(planned(ONE, TWO)), HostLooked(ONE, 3.0, True))
    snapshot = folded(snapshot, HostLooked(ONE, 8.0, False))
    assert seen(snapshot, ONE).status is BackendStatus.ATTACHED, "one look may be lost on the way"
    snapshot = folded(snapshot, HostLooked(ONE, 13.0, False))
    gone = seen(snapshot, ONE)
    assert (gone.status, gone.attached_to) == (BackendStatus.UNKNOWN, URL)
    assert gone.fault is not None
    assert gone.fault.kind is FaultKind.UNREACHABLE
    assert not may_probe(snapshot, ONE)
    assert vanished(snapshot, URL) == (gone,)
    snapshot = folded(snapshot, HostLooked(ONE, 18.0, True))
    assert seen(snapshot, ONE).status is BackendStatus.ATTACHED
    assert vanished(snapshot, URL) == ()


def test_a_host_that_never_answered_such_a_look_proves_nothing_by_its_silence() -> None:
    looks = [HostLooked(ONE, 3.0 + n, False) for n in range(9)]
    assert seen(folded(serving(planned(ONE)), *looks), ONE).status is BackendStatus.ATTACHED


def heard(at_s: float, *backends: FoundBackend) -> RegistryLooked:
    return RegistryLooked(REDIS, at_s, RegistryReport((), backends, 1.0))


BEATS = FoundBackend(ONE, "redis", 4.0, beats=True)


def test_a_held_backend_whose_workers_heartbeat_stopped_is_unknown() -> None:
    snapshot = folded(serving(planned(ONE)), heard(10.0, BEATS))
    assert seen(snapshot, ONE).heartbeat_at_s == 6.0
    snapshot = folded(snapshot, heard(6.0 + HEARTBEAT_LIMIT_S))
    assert seen(snapshot, ONE).status is BackendStatus.ATTACHED, "it may still come"
    snapshot = folded(snapshot, heard(7.0 + HEARTBEAT_LIMIT_S))
    assert seen(snapshot, ONE).status is BackendStatus.UNKNOWN
    snapshot = folded(snapshot, heard(50.0, BEATS))
    assert seen(snapshot, ONE).status is BackendStatus.ATTACHED


def test_without_a_registry_that_answers_nobody_knows_of_heartbeats() -> None:
    snapshot = folded(serving(planned(ONE)), heard(10.0, BEATS))
    down = RegistryLooked(REDIS, 100.0, Fault(FaultKind.REFUSED))
    assert seen(folded(snapshot, down), ONE).status is BackendStatus.ATTACHED


def test_an_entry_that_is_no_heartbeat_may_pass_without_any_doubt() -> None:
    """SOLLOL's own registrations expire after an hour, whatever the backend does."""
    once = FoundBackend(ONE, "redis", 4.0)
    snapshot = folded(serving(planned(ONE)), heard(10.0, once), heard(1000.0))
    assert seen(snapshot, ONE).status is BackendStatus.ATTACHED


def test_a_worker_that_fell_silent_on_a_host_that_answers_is_no_lost_backend() -> None:
    snapshot = folded(serving(planned(ONE)), heard(10.0, BEATS), HostLooked(ONE, 99.0, True))
    assert seen(folded(snapshot, heard(100.0)), ONE).status is BackendStatus.ATTACHED


def test_doubts_end_with_the_hold() -> None:
    silent = [HostLooked(ONE, 3.0, True), HostLooked(ONE, 4.0, False), HostLooked(ONE, 5.0, False)]
    snapshot = folded(serving(planned(ONE)), *silent, step(Phase.PROBING, 6.0))
    free = seen(snapshot, ONE)
    assert (free.status, free.attached_to, free.fault) == (BackendStatus.UNKNOWN, None, None)
    assert may_probe(snapshot, ONE)
    again = folded(snapshot, step(Phase.STARTING, 7.0, planned(ONE)))
    assert seen(again, ONE).status is BackendStatus.ATTACHED


def test_the_limit_is_that_of_the_workers_entries() -> None:
    assert HEARTBEAT_LIMIT_S == TTL_S


# Backends that come


def test_a_free_backend_that_the_running_plan_could_not_use_offers_a_new_plan() -> None:
    before = serving(planned(ONE, TWO))
    event = BackendLooked(THREE, 3.0, FREE)
    after = folded(before, event)
    assert [c.offers_replan for c in (*before.coordinators, *after.coordinators)] == [False, True]
    assert free_for(after, after.coordinators[0]) == (THREE,)
    lines = [t.text for t in tell(before, after, event)]
    assert f"{THREE} is free: start the coordinator again to spread the model there" in lines
    gone = folded(after, BackendLooked(THREE, 4.0, BackendReport(BackendStatus.DOWN)))
    assert not gone.coordinators[0].offers_replan


@pytest.mark.parametrize(
    "report",
    [
        BackendReport(BackendStatus.DOWN),
        BackendReport(BackendStatus.UNKNOWN),
        FREE._replace(protocol="6.0.0"),
    ],
)
def test_what_cannot_be_used_offers_nothing(report: BackendReport) -> None:
    known = folded(serving(planned()), BackendLooked(ONE, 3.0, FREE), BackendLooked(TWO, 3.0, FREE))
    held = folded(known, step(Phase.CONNECTING, 4.0, planned(ONE, TWO)), step(Phase.READY, 5.0))
    after = folded(held, BackendLooked(THREE, 6.0, report))
    assert not after.coordinators[0].offers_replan


def test_a_backend_that_was_left_out_when_it_was_free_is_not_offered_again() -> None:
    snapshot = folded(serving(planned(ONE, left_out=(THREE,))), BackendLooked(THREE, 3.0, FREE))
    assert not snapshot.coordinators[0].offers_replan


def test_of_several_coordinators_it_is_told_which_one_it_is() -> None:
    other = CoordinatorState(CoordinatorUrl("http://10.0.0.9:18080"))
    for others, words in (((), "coordinator is ready"), ((other,), "coordinator mine is ready")):
        before = folded(serving(planned(ONE)), step(Phase.STOPPING, 2.0))
        named = before.coordinators[0]._replace(name="mine")
        before = before._replace(coordinators=(named, *others))
        event = step(Phase.READY, 5.0)
        lines = [t.text for t in tell(before, folded(before, event), event)]
        assert any(line.startswith(words) for line in lines), lines


def test_a_backend_that_the_settings_promise_to_another_one_is_not_offered() -> None:
    before = serving(planned(ONE))
    url = before.coordinators[0].url
    for holder, offers in ((CoordinatorUrl("http://127.0.0.1:1"), False), (url, True)):
        snapshot = before._replace(promised=((THREE, holder),))
        after = folded(snapshot, BackendLooked(THREE, 3.0, FREE))
        assert after.coordinators[0].offers_replan is offers


def test_a_coordinator_that_does_not_serve_offers_nothing() -> None:
    ready = folded(serving(planned(ONE)), BackendLooked(THREE, 3.0, FREE))
    assert ready.coordinators[0].offers_replan
    assert not folded(ready, step(Phase.STOPPING, 4.0)).coordinators[0].offers_replan
