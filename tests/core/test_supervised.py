"""The coordinator of ours: the supervisor's word against what looks from outside bring."""

from __future__ import annotations

import pytest

from sollol_tui.core.events import (
    CoordinatorLooked,
    CoordinatorStepped,
    Event,
    HostLooked,
    ProcessesSeen,
    RequestClaimed,
    RequestEnded,
    TargetsFound,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reduce import reduce
from sollol_tui.core.reports import (
    CoordinatorReport,
    FoundBackend,
    FoundCoordinator,
    ServerProcess,
)
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Owner,
)
from sollol_tui.core.supervised import hang_problem

URL = CoordinatorUrl("http://127.0.0.1:18080")
ONE, TWO = BackendAddress("10.0.0.1:50052"), BackendAddress("10.0.0.2:50052")
TAKEN = Problem(Cause.PORT_TAKEN, "port 18080", ("llama-server, process 9",), "Stop it.")
LOST = Problem(Cause.BACKEND_LOST, ONE, (), "Bring it back.")
REFUSED = Fault(FaultKind.REFUSED)
SILENT = Fault(FaultKind.TIMEOUT)
ANSWER = CoordinatorReport(False, 100.0, model="theirs")
STRANGER = ServerProcess(9, 50.0, 18080, "127.0.0.1", "/t.gguf", "theirs", (TWO,), (TWO,), ())


def after(*events: Event, start: ClusterSnapshot | None = None) -> ClusterSnapshot:
    snapshot = start or ClusterSnapshot()
    for event in events:
        snapshot = reduce(snapshot, event)
    return snapshot


def listed() -> ClusterSnapshot:
    backends = (FoundBackend(ONE, "config"), FoundBackend(TWO, "config"))
    found = (FoundCoordinator(URL, "started"),)
    return after(TargetsFound("config", (), backends, found))


def step(phase: Phase, at_s: float, pid: int | None = None, **more: object) -> CoordinatorStepped:
    return CoordinatorStepped(URL, at_s, phase, pid)._replace(**more)  # type: ignore[arg-type]


def the(snapshot: ClusterSnapshot) -> CoordinatorState:
    return snapshot.coordinators[0]


def failed() -> ClusterSnapshot:
    return after(step(Phase.FAILED, 10.0, problems=(TAKEN,)), start=listed())


def ready() -> ClusterSnapshot:
    return after(step(Phase.READY, 10.0, 7, backends=(ONE, TWO)), start=listed())


def test_a_problem_is_shown_until_something_changes_however_often_nobody_answers() -> None:
    looks = [CoordinatorLooked(URL, 11.0 + n, REFUSED) for n in range(5)]
    state = the(after(*looks, ProcessesSeen(20.0, ((URL, None),)), start=failed()))
    assert (state.status, state.problems) == (CoordinatorStatus.FAILED, (TAKEN,))
    assert state.health.failures == 5


def test_another_server_on_the_port_is_shown_as_it_is_beside_the_problem() -> None:
    snapshot = after(CoordinatorLooked(URL, 12.0, ANSWER), start=failed())
    state = the(after(ProcessesSeen(13.0, ((URL, STRANGER),)), start=snapshot))
    assert (state.status, state.model) == (CoordinatorStatus.READY, "theirs")
    assert (state.owner, state.pid, state.supervised) == (Owner.ADOPTED, 9, False)
    assert state.problems == (TAKEN,)
    gone = after(CoordinatorLooked(URL, 14.0, REFUSED), start=after(start=snapshot))
    assert the(gone).status is CoordinatorStatus.READY, "not at the first look"


def test_an_answer_that_was_asked_for_before_the_end_revives_nobody() -> None:
    late = CoordinatorLooked(URL, 10.05, ANSWER)  # asked 0.1 s before it came
    assert the(after(late, start=failed())).status is CoordinatorStatus.FAILED


def test_a_process_table_that_was_read_before_the_last_step_changes_nothing() -> None:
    """Else a process that has ended would go on holding its backends."""
    dead = STRANGER._replace(pid=7, backends=(ONE,))
    snapshot = after(step(Phase.PROBING, 11.0), start=ready())
    snapshot = after(ProcessesSeen(10.9, ((URL, dead),), frozenset({7})), start=snapshot)
    assert the(snapshot).pid is None
    assert all(b.attached_to is None for b in snapshot.backends)


def test_the_server_behind_a_script_of_ours_is_ours() -> None:
    child = STRANGER._replace(pid=8, backends=(ONE, TWO), lost=(TWO,))
    snapshot = after(ProcessesSeen(11.0, ((URL, child),), frozenset({7})), start=ready())
    state = the(snapshot)
    assert (state.status, state.pid, state.owner) == (CoordinatorStatus.READY, 7, Owner.OURS)
    assert state.supervised
    assert [b.status for b in snapshot.backends] == [BackendStatus.ATTACHED, BackendStatus.DOWN]


def test_connections_that_close_while_it_starts_are_no_lost_backends() -> None:
    """It opens and closes a dozen to each backend before the one that lasts."""
    closing = STRANGER._replace(pid=7, backends=(ONE, TWO), lost=(TWO,))
    seen = ProcessesSeen(11.0, ((URL, closing),), frozenset({7}))
    for phase in (Phase.CONNECTING, Phase.LOADING):
        starting = after(step(phase, 10.0, 7, backends=(ONE, TWO)), start=listed())
        statuses = {b.status for b in after(seen, start=starting).backends}
        assert statuses == {BackendStatus.ATTACHED}


def test_while_it_starts_nothing_that_a_look_says_counts() -> None:
    for phase in (Phase.CONNECTING, Phase.LOADING):
        snapshot = after(step(phase, 10.0, 7), start=listed())
        looks = [CoordinatorLooked(URL, 11.0 + n, SILENT) for n in range(5)]
        status = the(snapshot).status
        assert the(after(*looks, start=snapshot)).status is status
        assert the(after(CoordinatorLooked(URL, 11.0, ANSWER), start=snapshot)).status is status


def test_one_that_serves_and_answers_nothing_any_more_hangs_until_it_answers() -> None:
    looks = [CoordinatorLooked(URL, 11.0 + n, SILENT) for n in range(3)]
    hung = after(*looks, start=ready())
    assert the(hung).status is CoordinatorStatus.STALLED
    assert the(hung).supervised
    with_slots = ANSWER._replace(slots=())
    assert the(after(CoordinatorLooked(URL, 20.0, with_slots), start=hung)).status is (
        CoordinatorStatus.READY
    )


def test_a_lost_backend_is_down_before_its_coordinator_has_ended() -> None:
    snapshot = after(step(Phase.STOPPING, 11.0, 7, problems=(LOST,)), start=ready())
    assert [b.status for b in snapshot.backends] == [BackendStatus.DOWN, BackendStatus.ATTACHED]


@pytest.mark.parametrize("kind", [FaultKind.REFUSED, FaultKind.CUT, FaultKind.LOADING])
def test_a_request_that_fails_there_does_not_end_it_nor_its_supervision(kind: FaultKind) -> None:
    asked = RequestClaimed("r1", URL, "m", 11.0), RequestEnded("r1", URL, 12.0, 3, Fault(kind))
    state = the(after(*asked, start=ready()))
    assert (state.status, state.supervised, state.pid) == (CoordinatorStatus.READY, True, 7)
    assert state.health.next_look_at_s == 12.0
    starting = after(step(Phase.STARTING, 11.0), start=ready())
    assert the(after(*asked, start=starting)).status is CoordinatorStatus.STARTING


def test_one_whose_port_is_closed_while_it_runs_is_ending_and_is_started_anew() -> None:
    looks = [CoordinatorLooked(URL, 11.0 + n, REFUSED) for n in range(3)]
    once = after(looks[0], start=ready())
    assert the(once).status is CoordinatorStatus.READY, "it may have ended: then that is told"
    ending = after(*looks, start=ready())
    assert the(ending).status is CoordinatorStatus.STALLED
    problem = hang_problem(ending, URL, False)
    assert problem is not None
    assert problem.cause is Cause.UNKNOWN
    assert problem.evidence[0].startswith("its port is closed and its process still runs")


def test_a_request_that_hangs_there_shows_it_as_stalled_while_it_serves() -> None:
    hung = Fault(FaultKind.STALLED)
    asked = RequestClaimed("r1", URL, "m", 11.0), RequestEnded("r1", URL, 12.0, 3, hung)
    assert the(after(*asked, start=ready())).status is CoordinatorStatus.STALLED
    loading = after(step(Phase.LOADING, 11.0, 8), start=ready())
    assert the(after(*asked, start=loading)).status is CoordinatorStatus.LOADING


def test_it_is_started_anew_when_it_stalls_by_choice_or_over_a_host_that_vanished() -> None:
    looks = [CoordinatorLooked(URL, 11.0 + n, SILENT) for n in range(3)]
    hung = after(*looks, start=ready())
    assert hang_problem(ready(), URL, True) is None
    assert hang_problem(hung, URL, False) is None
    chosen = hang_problem(hung, URL, True)
    assert chosen is not None
    assert chosen.cause is Cause.COORDINATOR_HUNG
    host = HostLooked(ONE, 12.0, True), HostLooked(ONE, 13.0, False), HostLooked(ONE, 14.0, False)
    gone = hang_problem(after(*host, start=hung), URL, False)
    assert gone is not None
    assert (gone.cause, gone.subject) == (Cause.BACKEND_LOST, ONE)
    assert gone.evidence[0].startswith(f"{ONE}: host not reachable")
    assert hang_problem(after(*host, start=ready()), URL, True) is None, "it moves: it is there"
