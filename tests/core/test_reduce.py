"""Facts in, snapshots out."""

from __future__ import annotations

from sollol_tui.core.coordinators import rates
from sollol_tui.core.devices import Device
from sollol_tui.core.events import (
    BackendLooked,
    CoordinatorLooked,
    Event,
    ModeChosen,
    NodeLooked,
    ProcessesSeen,
    RegistryLooked,
    RequestClaimed,
    RequestEnded,
    RequestMoved,
    TargetsFound,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.holding import may_probe
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.reduce import reduce
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
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorStatus,
    LoadedModel,
    Mode,
    NodeModel,
    NodeStatus,
    Owner,
    RegistryStatus,
    ServerCounters,
    Slot,
)
from sollol_tui.core.telling import tell

NODE = NodeUrl("http://10.0.0.1:11434")
COORDINATOR = CoordinatorUrl("http://127.0.0.1:18080")
ONE, TWO = BackendAddress("10.0.0.1:50052"), BackendAddress("10.0.0.2:50052")
REFUSED = Fault(FaultKind.REFUSED)
MODELS = (NodeModel("llama3:8b", 5_000_000_000, 8e9),)


def folded(*events: Event, start: ClusterSnapshot | None = None) -> ClusterSnapshot:
    snapshot = start or ClusterSnapshot()
    for event in events:
        snapshot = reduce(snapshot, event)
    return snapshot


def found() -> ClusterSnapshot:
    return folded(
        TargetsFound(
            "config",
            (FoundNode(NODE, "config"),),
            (FoundBackend(ONE, "config"), FoundBackend(TWO, "config")),
            (FoundCoordinator(COORDINATOR, "config"),),
        )
    )


def process(**changes: object) -> ServerProcess:
    held = ServerProcess(7, 50.0, 18080, "127.0.0.1", "/m.gguf", "big", (ONE, TWO), (ONE, TWO), ())
    return held._replace(**changes)  # type: ignore[arg-type]


def serving() -> ClusterSnapshot:
    report = CoordinatorReport(False, 1.0, model="big", slots=(Slot(0, False),), slots_total=1)
    return folded(
        CoordinatorLooked(COORDINATOR, 1.0, report),
        ProcessesSeen(1.0, ((COORDINATOR, process()),)),
        start=found(),
    )


def test_sources_are_merged_and_a_target_goes_with_its_last_source() -> None:
    snapshot = folded(TargetsFound("redis", (FoundNode(NODE, "redis", "rig"),)), start=found())
    assert snapshot.nodes[0].sources == ("config", "redis")
    assert snapshot.nodes[0].name == "rig"
    snapshot = folded(TargetsFound("redis"), start=snapshot)
    assert snapshot.nodes[0].sources == ("config",)
    assert folded(TargetsFound("config"), start=snapshot).nodes == ()


def test_the_weight_of_the_settings_outlives_what_others_say() -> None:
    heavy = TargetsFound("config", (FoundNode(NODE, "config", weight=2.5),))
    snapshot = folded(heavy, TargetsFound("redis", (FoundNode(NODE, "redis"),)))
    assert snapshot.nodes[0].weight == 2.5


def test_a_target_in_use_stays_when_nobody_names_it() -> None:
    busy = folded(RequestClaimed("r1", NODE, "m", 0.0), start=found())
    assert folded(TargetsFound("config"), start=busy).nodes[0].url == NODE


def test_saying_the_same_again_changes_nothing_and_keeps_identity() -> None:
    snapshot = found()
    event = TargetsFound("config", (FoundNode(NODE, "config"),))
    again = folded(event, event, start=snapshot)
    assert again.nodes is snapshot.nodes


def test_a_good_look_fills_the_node_and_keeps_the_loaded_models_when_ps_was_silent() -> None:
    loaded = (LoadedModel("llama3:8b", 1, 1, 4096, 9.0),)
    snapshot = folded(NodeLooked(NODE, 5.0, NodeReport("0.32", MODELS, loaded, 2.5)), start=found())
    node = snapshot.nodes[0]
    assert (node.status, node.version, node.seen_at_s) == (NodeStatus.UP, "0.32", 5.0)
    after = folded(NodeLooked(NODE, 6.0, NodeReport("0.32", MODELS, None, 2.5)), start=snapshot)
    assert after.nodes[0].loaded == loaded
    assert after.nodes[0].models is node.models


def test_a_refused_port_is_down_at_the_first_look() -> None:
    snapshot = folded(NodeLooked(NODE, 5.0, REFUSED), start=found())
    assert (snapshot.nodes[0].status, snapshot.nodes[0].fault) == (NodeStatus.DOWN, REFUSED)
    assert snapshot.nodes[0].seen_at_s is None


def test_a_look_at_a_target_that_is_gone_changes_nothing() -> None:
    other = NodeUrl("http://gone:1")
    snapshot = found()
    assert folded(NodeLooked(other, 5.0, REFUSED), start=snapshot).nodes is snapshot.nodes


def test_backends_of_a_running_coordinator_are_attached_and_never_probed() -> None:
    snapshot = serving()
    assert {b.status for b in snapshot.backends} == {BackendStatus.ATTACHED}
    assert snapshot.coordinators[0].owner is Owner.ADOPTED
    assert not may_probe(snapshot, ONE)


def test_a_coordinator_that_was_not_looked_at_yet_holds_its_backends_when_its_process_runs() -> (
    None
):
    snapshot = folded(ProcessesSeen(1.0, ((COORDINATOR, process()),)), start=found())
    assert snapshot.coordinators[0].status is CoordinatorStatus.UNKNOWN
    assert {b.status for b in snapshot.backends} == {BackendStatus.ATTACHED}
    assert not may_probe(snapshot, ONE)


def test_a_backend_that_only_the_coordinator_names_is_listed() -> None:
    third = BackendAddress("10.0.0.3:50052")
    held = process(backends=(ONE, TWO, third))
    snapshot = folded(ProcessesSeen(2.0, ((COORDINATOR, held),)), start=serving())
    assert snapshot.backend(third) is not None


def test_a_late_probe_result_does_not_overrule_the_coordinator() -> None:
    down = BackendReport(BackendStatus.DOWN, fault=REFUSED)
    snapshot = folded(BackendLooked(ONE, 2.0, down), start=serving())
    assert snapshot.backends[0].status is BackendStatus.ATTACHED


def test_a_broken_connection_is_a_lost_backend_at_once_and_may_be_probed() -> None:
    lost = process(attached=(TWO,), lost=(ONE,))
    snapshot = folded(ProcessesSeen(2.0, ((COORDINATOR, lost),)), start=serving())
    assert [b.status for b in snapshot.backends] == [BackendStatus.DOWN, BackendStatus.ATTACHED]
    assert may_probe(snapshot, ONE)
    back = folded(
        BackendLooked(ONE, 3.0, BackendReport(BackendStatus.IDLE, "7.0.0", (Device(2, 1),))),
        ProcessesSeen(4.0, ((COORDINATOR, lost),)),
        start=snapshot,
    )
    assert back.backends[0].status is BackendStatus.IDLE, "it came back, free"


def test_a_coordinator_whose_process_ends_is_stopped_at_once_and_frees_its_backends() -> None:
    snapshot = folded(ProcessesSeen(9.0, ((COORDINATOR, None),)), start=serving())
    coordinator = snapshot.coordinators[0]
    assert (coordinator.status, coordinator.pid) == (CoordinatorStatus.STOPPED, None)
    assert {b.status for b in snapshot.backends} == {BackendStatus.UNKNOWN}
    assert may_probe(snapshot, ONE)


def test_a_sleeping_coordinator_has_let_go_of_its_backends() -> None:
    asleep = CoordinatorReport(False, 1.0, sleeping=True)
    snapshot = folded(CoordinatorLooked(COORDINATOR, 2.0, asleep), start=serving())
    assert may_probe(snapshot, ONE)
    assert snapshot.backends[0].attached_to is None


def busy(decoded: int) -> CoordinatorReport:
    return CoordinatorReport(False, 1.0, model="big", slots=(Slot(0, True, 4096, 9, decoded),))


def test_a_busy_coordinator_that_moves_no_token_stalls_and_recovers_with_the_next_token() -> None:
    looks = [CoordinatorLooked(COORDINATOR, t, busy(5)) for t in (10.0, 40.0, 69.0)]
    snapshot = folded(*looks, start=serving())
    assert snapshot.coordinators[0].status is CoordinatorStatus.READY
    snapshot = folded(CoordinatorLooked(COORDINATOR, 71.0, busy(5)), start=snapshot)
    assert snapshot.coordinators[0].status is CoordinatorStatus.STALLED
    assert "no token for 61 s" in str(snapshot.coordinators[0].fault)
    snapshot = folded(CoordinatorLooked(COORDINATOR, 72.0, busy(6)), start=snapshot)
    assert snapshot.coordinators[0].status is CoordinatorStatus.READY


def test_a_coordinator_that_moved_no_token_of_a_request_stalls_until_it_moves_one() -> None:
    """Its next look says ok all the same: no status flickers."""
    claim = RequestClaimed("r1", "big", COORDINATOR, 1.0)
    still = RequestEnded("r1", COORDINATOR, 12.0, 3, Fault(FaultKind.STALLED, "nothing for 60 s"))
    looks = [CoordinatorLooked(COORDINATOR, t, busy(5)) for t in (10.0, 11.0)]
    snapshot = folded(claim, *looks, still, start=serving())
    for at_s in (12.1, 13.0):
        snapshot = folded(CoordinatorLooked(COORDINATOR, at_s, busy(5)), start=snapshot)
        assert snapshot.coordinators[0].status is CoordinatorStatus.STALLED
        assert "nothing for 60 s" in str(snapshot.coordinators[0].fault)
    moved = folded(CoordinatorLooked(COORDINATOR, 14.0, busy(6)), start=snapshot)
    idle = CoordinatorReport(False, 1.0, model="big", slots=(Slot(0, False, 4096, 9, 5),))
    rests = folded(CoordinatorLooked(COORDINATOR, 14.0, idle), start=snapshot)
    for after in (moved, rests):
        assert after.coordinators[0].status is CoordinatorStatus.READY
        assert after.coordinators[0].fault is None


def test_stopping_an_answer_of_a_stalled_node_does_not_call_it_sound() -> None:
    stalled = RequestEnded("r1", NODE, 5.0, 3, Fault(FaultKind.STALLED))
    claims = [RequestClaimed(name, "llama3:8b", NODE, 1.0) for name in ("r1", "r2", "r3")]
    start = folded(
        TargetsFound("config", (FoundNode(NODE, "config"),)),
        NodeLooked(NODE, 1.0, NodeReport("1", MODELS, (), 1.0)),
        *claims,
    )
    stopped = RequestEnded("r2", NODE, 6.0, 3, Fault(FaultKind.STOPPED))
    snapshot = folded(stalled, stopped, start=start)
    assert snapshot.nodes[0].status is NodeStatus.STALLED
    whole = folded(RequestEnded("r3", NODE, 7.0, 3, None), start=snapshot)
    assert whole.nodes[0].status is NodeStatus.UP


def test_a_long_prompt_has_the_longer_limit() -> None:
    looks = [CoordinatorLooked(COORDINATOR, t, busy(0)) for t in (10.0, 300.0)]
    snapshot = folded(*looks, start=serving())
    assert snapshot.coordinators[0].status is CoordinatorStatus.READY
    snapshot = folded(CoordinatorLooked(COORDINATOR, 311.0, busy(0)), start=snapshot)
    assert snapshot.coordinators[0].status is CoordinatorStatus.STALLED


def test_a_coordinator_elsewhere_is_remote() -> None:
    snapshot = folded(ProcessesSeen(1.0, ()), start=found())
    assert snapshot.coordinators[0].owner is Owner.REMOTE


def test_a_free_backend_of_another_protocol_is_incompatible_with_the_coordinators() -> None:
    idle = BackendReport(BackendStatus.IDLE, "7.0.0")
    free = BackendAddress("10.0.0.9:50052")
    snapshot = folded(
        BackendLooked(ONE, 0.5, idle),
        TargetsFound("redis", backends=(FoundBackend(free, "redis"),)),
        start=found(),
    )
    report = CoordinatorReport(False, 1.0, model="big")
    snapshot = folded(
        CoordinatorLooked(COORDINATOR, 1.0, report),
        ProcessesSeen(1.0, ((COORDINATOR, process()),)),
        BackendLooked(free, 2.0, idle._replace(protocol="5.1.0")),
        start=snapshot,
    )
    state = snapshot.backend(free)
    assert state is not None
    assert state.status is BackendStatus.INCOMPATIBLE
    assert "5.1.0" in str(state.fault)
    assert "7.0.0" in str(state.fault)


def test_rates_come_from_the_counters_and_are_unknown_when_nothing_moved() -> None:
    old = ServerCounters(100, 1.0, 50, 2.0, 0, 0)
    assert rates(old, old) == (None, None)
    assert rates(None, old) == (None, None)
    new = ServerCounters(160, 2.0, 90, 4.0, 0, 0)
    assert rates(old, new) == (60.0, 20.0)
    assert rates(new, old) == (None, None), "counters that fell are a restart"


def test_requests_are_counted_at_their_target_and_return_to_zero() -> None:
    snapshot = folded(RequestClaimed("r1", NODE, "m", 1.0), start=found())
    assert snapshot.nodes[0].in_flight == 1
    snapshot = folded(RequestMoved("r1", 2.0, 3), start=snapshot)
    assert snapshot.requests[0].first_token_at_s == 2.0
    ended = RequestEnded("r1", NODE, 3.0, 4)
    snapshot = folded(ended, ended, start=snapshot)
    assert snapshot.nodes[0].in_flight == 0
    assert snapshot.requests == ()
    assert snapshot.totals == (1, 0, 4)


def test_a_stopped_request_is_no_error_and_a_failed_one_is() -> None:
    stopped = Fault(FaultKind.STOPPED)
    snapshot = folded(
        RequestClaimed("r1", NODE, "m", 1.0),
        RequestEnded("r1", NODE, 2.0, 0, stopped),
        RequestClaimed("r2", NODE, "m", 1.0),
        RequestEnded("r2", NODE, 2.0, 0, REFUSED),
        start=found(),
    )
    assert snapshot.totals.errors == 1
    assert snapshot.nodes[0].status is NodeStatus.DOWN


def test_the_registry_being_down_concerns_nothing_else() -> None:
    snapshot = folded(RegistryLooked("redis://x", 1.0, REFUSED), start=found())
    assert snapshot.registry is not None
    assert snapshot.registry.status is RegistryStatus.DOWN
    assert snapshot.nodes is found().nodes or snapshot.nodes == found().nodes
    up = folded(RegistryLooked("redis://x", 2.0, RegistryReport((), (), 1.0)), start=snapshot)
    assert up.registry is not None
    assert up.registry.status is RegistryStatus.UP


def test_people_are_told_changes_once_and_nothing_of_what_stayed() -> None:
    before = found()
    event = NodeLooked(NODE, 5.0, NodeReport("0.32", MODELS, (), 2.5))
    up = reduce(before, event)
    assert [t.text for t in tell(before, up, event)] == ["10.0.0.1 is up · Ollama 0.32 · 1 models"]
    again = NodeLooked(NODE, 6.0, NodeReport("0.32", MODELS, (), 3.5))
    assert tell(up, reduce(up, again), again) == []
    mode = ModeChosen(Mode.BOTH)
    assert [t.area for t in tell(up, reduce(up, mode), mode)] == ["mode"]


def test_a_coordinator_that_never_was_there_is_no_news() -> None:
    before = found()
    event = CoordinatorLooked(COORDINATOR, 1.0, REFUSED)
    assert tell(before, reduce(before, event), event) == []
