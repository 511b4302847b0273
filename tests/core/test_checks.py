"""What `check` says: for each thing that can be wrong its level, what shows it, what to do."""

from __future__ import annotations

import pytest

from sollol_tui.core.checks import Check, Findings, Level, all_checks, checks_json
from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.findings import (
    FilesSeen,
    ModelSeen,
    PortSeen,
    ProgramSeen,
    SettingsSeen,
    StoreSeen,
    TerminalSeen,
)
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.orders import Planned
from sollol_tui.core.plan_values import CoordinatorPlan, DevicePlan
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
    RegistryState,
    RegistryStatus,
)

NO_BINARY = Problem(Cause.NO_BINARY, "llama-server", ("looked in PATH",), "Build it.")
NO_MODEL = Problem(Cause.MODEL_NOT_FOUND, "x:latest", ("not in /store",), "Pull it.")
IDLE = BackendState(
    BackendAddress("a:50052"), ("config",), BackendStatus.IDLE, "7.0.0", (Device(2**34, 2**34),)
)
NODE = NodeState(
    NodeUrl("http://gpu:11434"),
    "gpu",
    ("config",),
    NodeStatus.UP,
    "0.30.1",
    (NodeModel("llama3:8b"),),
    latency_ms=3.0,
)
COORDINATOR = CoordinatorState(
    CoordinatorUrl("http://10.0.0.9:18080"),
    sources=("config",),
    status=CoordinatorStatus.READY,
    model="llama3:70b",
)
REDIS = RegistryState("redis://127.0.0.1:6379", RegistryStatus.UP)
HOST = DevicePlan("host", "", (), False, 1, 0, 1, None, None, True)
PLAN = CoordinatorPlan("m", "/m", 1, 2, 512, 1, (), HOST, True, (), (), ("a",), 3, ())

WELL = Findings(
    llama_server=ProgramSeen("/bin/llama-server", "1.0"),
    rpc_server=ProgramSeen("/bin/ggml-rpc-server"),
    stores=(StoreSeen("/store", 2),),
    looked_in=("/store",),
    model=ModelSeen("llama3:70b", "/store/blob", 2**35, 80),
    asked_model="",
    planned=Planned(PLAN, (), blocked=False),
    ports=(PortSeen("127.0.0.1:18080", free=True),),
    snapshot=ClusterSnapshot(nodes=(NODE,), backends=(IDLE,), registry=REDIS),
    registry_is_configured=False,
    settings=SettingsSeen("/config.toml", is_there=True),
    state_dir="/state",
    state_dir_problem="",
    sollol=FilesSeen(),
    terminal=TerminalSeen("xterm-256color", "C.UTF-8"),
)


def the(name: str, found: Findings) -> Check:
    """The one check of that name."""
    (one,) = [check for check in all_checks(found) if check.name == name]
    return one


def seeing(found: Findings = WELL, **changes: object) -> Findings:
    """The findings with other things in the snapshot."""
    return found._replace(snapshot=found.snapshot._replace(**changes))  # type: ignore[arg-type]


def test_where_all_is_well_nothing_is_to_be_done() -> None:
    checks = all_checks(WELL)
    assert {check.level for check in checks} == {Level.OK}
    assert not any(check.next for check in checks)
    assert [check.name for check in checks] == [
        "settings", "state_dir", "sollol_files", "terminal", "llama_server", "rpc_server",
        "model_store", "model", "fit", "port", "backend", "node", "registry",
    ]  # fmt: skip


def test_everything_that_is_not_well_says_what_to_do() -> None:
    bad = WELL._replace(
        llama_server=NO_BINARY,
        rpc_server=NO_BINARY,
        stores=(StoreSeen("/store", None, "Permission denied", "Join the group."),),
        model=NO_MODEL,
        asked_model="x",
        ports=(PortSeen("127.0.0.1:18080", free=False, holder="python, process 3"),),
        registry_is_configured=True,
        settings=SettingsSeen("/config.toml", is_there=True, error="nodes: wants a list"),
        state_dir_problem="Read-only file system",
        sollol=FilesSeen(("/a",), ("/a: line 1: no address",)),
        terminal=TerminalSeen("dumb", "C"),
    )
    bad = seeing(
        bad,
        nodes=(NODE._replace(status=NodeStatus.DOWN),),
        backends=(IDLE._replace(status=BackendStatus.DOWN),),
        registry=REDIS._replace(status=RegistryStatus.DOWN),
        coordinators=(COORDINATOR._replace(status=CoordinatorStatus.STALLED),),
    )
    checks = all_checks(bad)
    assert [check.name for check in checks if check.level is Level.OK] == []
    assert [check.name for check in checks if not check.next] == []


# Is it serious?


def test_a_missing_llama_server_is_serious_only_where_a_coordinator_has_to_be_started() -> None:
    alone = seeing(WELL._replace(llama_server=NO_BINARY, model=NO_MODEL), backends=())
    assert the("llama_server", alone).level is Level.WARN
    assert the("llama_server", alone._replace(asked_model="x")).level is Level.FAIL
    assert the("llama_server", seeing(alone, mode=Mode.BOTH)).level is Level.FAIL
    assert the("llama_server", seeing(alone, backends=(IDLE,))).level is Level.FAIL
    served = seeing(alone, mode=Mode.MODEL, coordinators=(COORDINATOR,))
    assert the("llama_server", served).level is Level.WARN


def test_a_model_that_was_asked_for_must_be_there_and_no_other() -> None:
    missing = WELL._replace(model=NO_MODEL)
    assert the("model", missing).level is Level.WARN
    asked = the("model", missing._replace(asked_model="x"))
    assert (asked.level, asked.next) == (Level.FAIL, "Pull it.")
    assert asked.says == "The model x:latest is not on this machine."


def test_a_model_that_does_not_fit_says_where_and_what_would_help() -> None:
    small = Problem(Cause.OUT_OF_MEMORY, "a:50052", ("RPC0 needs 9 GiB",), "Add a backend.")
    planned = Planned(PLAN._replace(fits=False), (small,), blocked=False)
    found = the("fit", WELL._replace(planned=planned, asked_model="m"))
    assert found.level is Level.FAIL
    assert found.evidence == ("a:50052: RPC0 needs 9 GiB",)
    assert found.next == "Add a backend."


@pytest.mark.parametrize(
    ("port", "level", "says"),
    [
        (PortSeen("p", True), Level.OK, "free"),
        (PortSeen("p", False, "process 7", is_ours=True, keeper_pid=6), Level.OK, "process 6"),
        (PortSeen("p", False, "llama-server, process 7", is_llama=True), Level.OK, "as it is"),
        (PortSeen("p", False, "python, process 3"), Level.FAIL, "python, process 3"),
        (PortSeen("p", False), Level.FAIL, "another user's program"),
    ],
)
def test_the_port_is_free_or_somebodys(port: PortSeen, level: Level, says: str) -> None:
    found = the("port", WELL._replace(ports=(port,)))
    assert found.level is level
    assert says in found.says


def test_each_place_of_ours_has_its_port_and_only_the_usual_one_is_needed() -> None:
    taken = PortSeen("127.0.0.1:18081", False, "python, process 3")
    needed = WELL._replace(asked_model="m")
    for ports, levels in (
        ((taken, *WELL.ports), [Level.FAIL, Level.OK]),
        ((*WELL.ports, taken), [Level.OK, Level.WARN]),
    ):
        checks = [c for c in all_checks(needed._replace(ports=ports)) if c.name == "port"]
        assert [c.level for c in checks] == levels
        assert [c.subject for c in checks] == [p.address for p in ports]


def test_the_models_that_coordinators_are_set_to_run_are_asked_for() -> None:
    other = ModelSeen("qwen3:32b", "/store/other", 2**34, 64)
    set_up = WELL._replace(set_models=(NO_MODEL, other))
    checks = [c for c in all_checks(set_up) if c.name == "model"]
    assert [c.level for c in checks] == [Level.FAIL, Level.OK]
    assert checks[1].says == "16.0 GiB, 64 layers, as set for a coordinator"
    asked = [c for c in all_checks(set_up._replace(asked_model="x")) if c.name == "model"]
    assert [c.subject for c in asked] == [NO_MODEL.subject, "qwen3:32b", "llama3:70b"]


# Backends


@pytest.mark.parametrize(
    ("backend", "level", "says"),
    [
        (IDLE, Level.OK, "free, 16.0 GiB"),
        (
            IDLE._replace(status=BackendStatus.ATTACHED, attached_to=COORDINATOR.url),
            Level.OK,
            "serves http://10.0.0.9:18080",
        ),
        (
            IDLE._replace(status=BackendStatus.DOWN, fault=Fault(FaultKind.REFUSED)),
            Level.FAIL,
            "refuses connections",
        ),
        (
            IDLE._replace(status=BackendStatus.UNKNOWN, fault=Fault(FaultKind.TIMEOUT, "busy")),
            Level.WARN,
            "takes connections and does not answer",
        ),
        (
            IDLE._replace(status=BackendStatus.UNKNOWN, fault=Fault(FaultKind.UNREACHABLE)),
            Level.FAIL,
            "cannot be reached",
        ),
        (
            IDLE._replace(
                status=BackendStatus.INCOMPATIBLE,
                protocol="2.0.0",
                fault=Fault(FaultKind.PROTOCOL, "too old"),
            ),
            Level.FAIL,
            "speaks another protocol version",
        ),
    ],
)
def test_each_state_of_a_backend_has_its_words(
    backend: BackendState, level: Level, says: str
) -> None:
    found = the("backend", seeing(backends=(backend,)))
    assert (found.level, found.says) == (level, says)
    assert bool(found.next) is (level is not Level.OK)


def test_a_backend_of_another_version_is_told_with_both_versions() -> None:
    others = (IDLE, IDLE._replace(address=BackendAddress("b:50052")))
    old = IDLE._replace(address=BackendAddress("c:50052"), protocol="5.0.0")
    found = [c for c in all_checks(seeing(backends=(*others, old))) if c.name == "backend"]
    assert [check.level for check in found] == [Level.OK, Level.OK, Level.FAIL]
    assert found[2].evidence == ("it speaks RPC 5.0.0, the others RPC 7.0.0",)


def test_the_version_of_a_held_backend_counts_for_the_others() -> None:
    held = IDLE._replace(status=BackendStatus.ATTACHED, attached_to=COORDINATOR.url)
    newer = [IDLE._replace(address=BackendAddress(f"{name}:1"), protocol="8.0.0") for name in "bcd"]
    found = [c for c in all_checks(seeing(backends=(held, *newer))) if c.name == "backend"]
    assert [check.level for check in found] == [Level.OK, *[Level.FAIL] * 3]
    speaks = the("llama_server", seeing(backends=(held,)))
    assert speaks.evidence == ("speaks RPC 7.0.0, as the backends that are held",)


# Coordinators and nodes


@pytest.mark.parametrize(
    ("state", "level"),
    [
        (COORDINATOR, Level.OK),
        (COORDINATOR._replace(status=CoordinatorStatus.LOADING), Level.OK),
        (COORDINATOR._replace(status=CoordinatorStatus.STOPPED), Level.FAIL),
        (COORDINATOR._replace(status=CoordinatorStatus.STALLED), Level.FAIL),
        (COORDINATOR._replace(fault=Fault(FaultKind.UNAUTHORIZED)), Level.FAIL),
        (COORDINATOR._replace(lost_backends=(IDLE.address,)), Level.FAIL),
    ],
)
def test_each_state_of_a_coordinator_has_its_level(state: CoordinatorState, level: Level) -> None:
    assert the("coordinator", seeing(coordinators=(state,))).level is level


def test_a_coordinator_that_waits_to_be_started_here_is_no_failure() -> None:
    ours = COORDINATOR._replace(
        url=CoordinatorUrl("http://127.0.0.1:18080"), status=CoordinatorStatus.STOPPED
    )
    names = [check.name for check in all_checks(seeing(coordinators=(ours,)))]
    assert "coordinator" not in names
    assert "port" in names


def test_a_second_one_of_ours_that_does_not_run_is_no_failure_either() -> None:
    """What the settings name is expected to run, what is run from here is not."""
    ports = (*WELL.ports, PortSeen("127.0.0.1:18081", free=True))
    second = COORDINATOR._replace(
        url=CoordinatorUrl("http://127.0.0.1:18081"),
        status=CoordinatorStatus.STOPPED,
        sources=("config",),
    )
    for found, named in ((WELL._replace(ports=ports), False), (WELL, True)):
        names = [check.name for check in all_checks(seeing(found, coordinators=(second,)))]
        assert ("coordinator" in names) is named


def test_one_on_our_port_that_does_not_answer_is_a_failure() -> None:
    silent = COORDINATOR._replace(
        url=CoordinatorUrl("http://127.0.0.1:18080"),
        status=CoordinatorStatus.UNKNOWN,
        fault=Fault(FaultKind.TIMEOUT),
    )
    taken = WELL._replace(ports=(PortSeen("127.0.0.1:18080", free=False, is_ours=True),))
    found = the("coordinator", seeing(taken, coordinators=(silent,)))
    assert (found.level, found.says) == (Level.FAIL, "does not answer")


@pytest.mark.parametrize(
    ("node", "level", "says"),
    [
        (NODE, Level.OK, "1 models"),
        (NODE._replace(models=()), Level.WARN, "has no model"),
        (NODE._replace(status=NodeStatus.DOWN), Level.FAIL, "does not answer"),
        (NODE._replace(status=NodeStatus.UNAUTHORIZED), Level.FAIL, "asks for a key"),
        (NODE._replace(status=NodeStatus.STALLED), Level.FAIL, "answers, and moves no token"),
        (NODE._replace(status=NodeStatus.SATURATED), Level.WARN, "its queue is full"),
    ],
)
def test_each_state_of_a_node_has_its_words(node: NodeState, level: Level, says: str) -> None:
    found = the("node", seeing(nodes=(node,)))
    assert (found.level, found.says) == (level, says)


def test_a_node_that_answers_and_cannot_run_a_model_fails() -> None:
    found = the("node", WELL._replace(without_runner={NODE.url: ("no llama-server in /lib",)}))
    assert found.level is Level.FAIL
    assert found.says == "answers, and cannot run a model: it has no llama-server"


def test_a_node_that_nobody_named_and_is_not_there_is_left_out() -> None:
    unasked = NODE._replace(sources=("localhost",), status=NodeStatus.DOWN)
    found = the("node", seeing(nodes=(unasked,)))
    assert (found.level, found.says) == (Level.WARN, "no Ollama node is known")
    names = [c.name for c in all_checks(seeing(nodes=(unasked,), coordinators=(COORDINATOR,)))]
    assert "node" not in names


# Registry, settings, terminal


@pytest.mark.parametrize(
    ("registry", "configured", "level"),
    [
        (REDIS, True, Level.OK),
        (None, False, Level.OK),
        (RegistryState("", RegistryStatus.OFF), False, Level.OK),
        (REDIS._replace(status=RegistryStatus.DOWN), False, Level.WARN),
        (REDIS._replace(status=RegistryStatus.DOWN), True, Level.FAIL),
        (
            REDIS._replace(status=RegistryStatus.DOWN, fault=Fault(FaultKind.UNAUTHORIZED)),
            False,
            Level.FAIL,
        ),
    ],
)
def test_a_registry_must_answer_when_somebody_named_it(
    registry: RegistryState | None, configured: bool, level: Level
) -> None:
    found = seeing(WELL._replace(registry_is_configured=configured), registry=registry)
    assert the("registry", found).level is level


def test_passwords_are_in_no_check() -> None:
    secret = REDIS._replace(url="redis://:hunter2@r:6379", status=RegistryStatus.DOWN)
    assert "hunter2" not in str(all_checks(seeing(registry=secret)))


@pytest.mark.parametrize(
    ("terminal", "ascii_only", "level", "advice"),
    [
        (TerminalSeen("xterm", "C.UTF-8"), False, Level.OK, ""),
        (TerminalSeen("xterm", "POSIX"), False, Level.WARN, "--ascii"),
        (TerminalSeen("xterm", ""), True, Level.OK, ""),
        (TerminalSeen("", "C.UTF-8"), False, Level.WARN, "TERM"),
        (TerminalSeen("tmux", "C.UTF-8", True, True, 500), False, Level.WARN, "escape-time"),
        (TerminalSeen("tmux", "C.UTF-8", True, True, 10), False, Level.OK, ""),
    ],
)
def test_the_terminal_must_be_one_that_draws(
    terminal: TerminalSeen, ascii_only: bool, level: Level, advice: str
) -> None:
    found = the("terminal", WELL._replace(terminal=terminal, ascii=ascii_only))
    assert found.level is level
    assert advice in found.next


def test_tmux_that_takes_no_copies_is_noted() -> None:
    tmux = TerminalSeen("tmux", "C.UTF-8", True, True, 10, "external")
    assert any("set-clipboard on" in x for x in the("terminal", WELL._replace(terminal=tmux))[4])


def test_the_json_counts_the_levels() -> None:
    checks = (Check("node", Level.OK, "a", "x"), Check("node", Level.FAIL, "b", "y", ("z",), "n"))
    said = checks_json(checks, 1.23456)
    assert (said["ok"], said["warn"], said["fail"], said["at"]) == (1, 0, 1, 1.235)
    assert said["checks"] == [
        {
            "check": "node",
            "level": "ok",
            "subject": "a",
            "says": "x",
            "evidence": [],
            "next": None,
        },
        {
            "check": "node",
            "level": "fail",
            "subject": "b",
            "says": "y",
            "evidence": ["z"],
            "next": "n",
        },
    ]
