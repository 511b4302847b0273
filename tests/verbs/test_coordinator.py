"""`sollol-tui coordinator`: plan, run, status, stop."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sollol_tui.core.coordinator_json import Life
from sollol_tui.core.events import CoordinatorStepped, TargetsFound
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.phases import Phase
from sollol_tui.core.plain import cell_width
from sollol_tui.core.plan_values import CoordinatorPlan, DevicePlan
from sollol_tui.core.planned_json import planned_json
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import FoundCoordinator
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.settings_merge import Resolved
from sollol_tui.core.shard_map import Shard, ShardMap
from sollol_tui.core.shell_words import command_lines
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.store import Store
from sollol_tui.io import process, runs
from sollol_tui.io.runs import RunRecord
from sollol_tui.verbs.coordinator import CoordinatorCall, coordinator
from sollol_tui.verbs.coordinator_options import CoordinatorOptions
from sollol_tui.verbs.coordinator_plan import show_plan
from sollol_tui.verbs.coordinator_run import run
from sollol_tui.verbs.coordinator_status import only_coordinators, show_status
from sollol_tui.verbs.coordinator_stop import stop
from sollol_tui.verbs.voice import Voice

from .fakes import FakeEngine, heard, voice

URL = CoordinatorUrl("http://127.0.0.1:18080")
A, B = BackendAddress("192.168.100.101:50052"), BackendAddress("10.0.0.3:50999")
GIB = 2**30
ARGV = ("/opt/my llama/llama-server", "--rpc", f"{A},{B}", "-m", "/m.gguf", "--no-ui", "-c", "8192")
PLAN = CoordinatorPlan(
    "llama3.3:70b",
    "/m.gguf",
    40 * GIB,
    80,
    8192,
    1,
    (
        DevicePlan(
            "RPC0", A, tuple(range(41)), False, 20 * GIB, GIB, GIB, 24 * GIB, 23 * GIB, True
        ),
        DevicePlan("RPC1", B, tuple(range(41, 80)), True, 20 * GIB, GIB, GIB, None, None, True),
    ),
    DevicePlan("host", "", (), False, GIB, 0, GIB, 64 * GIB, 60 * GIB, True),
    True,
    (),
    ("all memory counts as free on 10.0.0.3:50999: a CPU backend cannot tell",),
    ARGV,
    81,
    (A, B),
)
GONE = Problem(Cause.BACKEND_REFUSED, "10.0.0.4:50052", ("connection refused",), "Start it.")
LOST = Problem(Cause.BACKEND_LOST, A, ("its connection broke",), "Bring it back.")
OPTIONS = CoordinatorOptions("plan", "llama3.3:70b")


# plan


class Planning(FakeEngine):
    """An engine that makes one plan."""

    def __init__(self, planned: Planned) -> None:
        super().__init__()
        self.planned = planned
        self.orders: list[Order] = []

    async def plan_coordinator(self, order: Order) -> Planned:
        assert self.runs
        self.orders.append(order)
        return self.planned


def planned(
    made: Planned, spoken: Voice | None = None, *, as_json: bool = False
) -> tuple[int, str, Planning]:
    spoken, engine = spoken or voice(), Planning(made)
    code = show_plan(lambda: engine, OPTIONS, spoken, as_json=as_json)
    return code, heard(spoken)[0], engine


def test_a_plan_is_drawn_within_eighty_columns() -> None:
    code, out, engine = planned(Planned(PLAN, (GONE,), blocked=False))
    assert code == 0
    assert engine.orders == [Order("llama3.3:70b")]
    assert out == (
        "llama3.3:70b · 40.0 GiB · 80 layers · 8192 tokens of context\n"
        "  /m.gguf\n"
        "\n"
        "DEVICE  WHERE            LAYERS    WEIGHTS   CONTEXT  COMPUTE  FREE      FITS\n"
        "RPC0    192.168.100.101  41        20.0 GiB  1.0 GiB  1.0 GiB  23.0 GiB  yes\n"
        "RPC1    10.0.0.3:50999   39 + out  20.0 GiB  1.0 GiB  1.0 GiB  –         yes\n"
        "host    this machine     0         1.0 GiB   0 B      1.0 GiB  60.0 GiB  yes\n"
        "\n"
        "It fits.\n"
        "note: all memory counts as free on 10.0.0.3:50999: a CPU backend cannot tell\n"
        "\n"
        "The command:\n"
        "  '/opt/my llama/llama-server' --rpc 192.168.100.101:50052,10.0.0.3:50999 \\\n"
        "    -m /m.gguf --no-ui -c 8192\n"
        "\n"
        "The RPC backend 10.0.0.4:50052 refused the connection.\n"
        "  connection refused\n"
        "  Start it.\n"
    )


@pytest.mark.parametrize(
    ("made", "code", "words"),
    [
        (Planned(PLAN, (), blocked=False), 0, "It fits."),
        (Planned(PLAN, (GONE,), blocked=True), 1, "It fits, and cannot be started as it is."),
        (Planned(PLAN._replace(fits=False), (), blocked=False), 1, "It does not fit."),
        (Planned(None, (GONE,), blocked=True), 1, "There is no plan."),
    ],
)
def test_the_exit_code_says_whether_it_can_be_started(made: Planned, code: int, words: str) -> None:
    assert planned(made)[0] == code
    assert words in planned(made)[1].splitlines()
    said = json.loads(planned(made, as_json=True)[1])
    assert said == planned_json(made)
    assert said["startable"] is (code == 0)


def test_the_command_can_be_pasted_into_a_shell() -> None:
    *lines, last = command_lines(ARGV, 40)
    assert all(line.endswith(" \\") for line in lines)
    joined = " ".join([*(line.removesuffix("\\") for line in lines), last])
    assert tuple(shlex.split(joined)) == ARGV


def test_names_from_outside_cannot_command_the_terminal() -> None:
    bad = "\x1b[2J\x9b"
    device = PLAN.devices[0]._replace(name=bad)
    plan = PLAN._replace(model=bad, path=bad, devices=(device,), argv=(bad, bad), notes=(bad,))
    problem = Problem(Cause.UNKNOWN, bad, (bad,), bad)
    out = planned(Planned(plan, (problem,), blocked=False))[1]
    assert "\x1b" not in out
    assert "\x9b" not in out


def test_on_a_narrow_terminal_nothing_that_can_be_broken_sticks_out() -> None:
    plan = PLAN._replace(notes=("a word " * 30,), path="/m")
    out = planned(Planned(plan, (GONE._replace(next="do this " * 30),), False), voice(60))[1]
    lines = [line for line in out.splitlines() if "--rpc" not in line and "  yes" not in line]
    assert max(map(cell_width, lines[2:])) <= 78


# run


class Running(FakeEngine):
    """An engine whose coordinator goes the way that a test says."""

    coordinator_url = URL

    def __init__(self, *phases: CoordinatorStepped, found: CoordinatorState | None = None) -> None:
        super().__init__()
        self.now_s = 100.0
        self.store = Store(ClusterSnapshot(), lambda: self.now_s)
        self.phases = phases
        self.found = found
        self.found_coordinator = found is not None
        self.orders: list[Order] = []
        self.then: Callable[[], None] | None = None  # when the last phase was told
        self.stopped = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Store]:  # type: ignore[override]
        async with super().running():
            self.store.apply(TargetsFound("x", coordinators=(FoundCoordinator(URL, "x"),)))
            yield self.store

    async def first_look(self) -> ClusterSnapshot:
        found = () if self.found is None else (self.found,)
        return ClusterSnapshot(coordinators=found)

    async def start_coordinator(self, order: Order) -> None:
        self.orders.append(order)

    async def until_given_up(self) -> None:
        for phase in self.phases:
            self.now_s = phase.at_s
            self.store.apply(phase)
        if self.then is not None:
            self.then()
            await asyncio.Event().wait()

    async def stop_coordinator(self) -> None:
        self.stopped = True
        self.store.apply(CoordinatorStepped(URL, 109.0, Phase.STOPPED))


def step(phase: Phase, at_s: float = 100.0, **more: object) -> CoordinatorStepped:
    return CoordinatorStepped(URL, at_s, phase, **more)  # type: ignore[arg-type]


def signalled(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


WISH = CoordinatorOptions("run", "llama3.3:70b")


def ran(
    engine: Running,
    options: CoordinatorOptions = WISH,
    spoken: Voice | None = None,
    *,
    as_json: bool = True,
) -> tuple[int, str]:
    spoken = spoken or voice()
    code = run(lambda: engine, options, spoken, as_json=as_json)
    return code, heard(spoken)[0] if isinstance(spoken.out, io.StringIO) else ""


def events(out: str) -> list[str]:
    said = map(json.loads, out.splitlines())
    return [e["phase"] if e["event"] == "phase" else e["cause"] for e in said]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_in_order_and_is_no_failure(number: int) -> None:
    engine = Running(step(Phase.PROBING), step(Phase.READY, pid=7))
    engine.then = signalled(number)
    code, out = ran(engine)
    assert code == 0
    assert events(out) == ["probing", "ready", "stopped"]
    assert engine.stopped
    assert engine.stays is False
    assert engine.orders == [Order("llama3.3:70b")]


def test_what_is_given_up_is_exit_code_1_and_says_why() -> None:
    failed = step(Phase.FAILED, problems=(GONE,))
    code, out = ran(Running(step(Phase.PROBING), failed))
    assert code == 1
    assert events(out) == ["probing", "backend_refused", "failed"]


def test_a_loss_is_told_before_the_next_try() -> None:
    engine = Running(
        step(Phase.READY, pid=7),
        step(Phase.STOPPING, pid=7, problems=(LOST,)),
        step(Phase.FAILED, problems=(LOST,), retry_at_s=100.0),
        step(Phase.PROBING),
        step(Phase.READY, pid=8),
    )
    engine.then = signalled(signal.SIGTERM)
    code, out = ran(engine)
    assert code == 0
    assert events(out) == [
        "ready", "backend_lost", "stopping", "failed", "probing", "ready", "stopped",
    ]  # fmt: skip


FOUND = CoordinatorState(
    URL, status=CoordinatorStatus.READY, model="llama3.3:70b", model_path="/models/m.gguf"
)


@pytest.mark.parametrize(
    ("options", "starts"),
    [
        (WISH, False),
        (WISH._replace(model=""), False),
        (WISH._replace(model="LLAMA3.3:70b"), False),
        (WISH._replace(model="/models/m.gguf"), False),
        (WISH._replace(model="other"), True),
        (WISH._replace(model="/elsewhere/other.gguf"), True),
        (WISH._replace(context_tokens=4096), True),
        (WISH._replace(backends=()), True),
    ],
)
def test_one_that_an_earlier_run_left_goes_on_when_it_is_what_is_asked_for(
    options: CoordinatorOptions, starts: bool
) -> None:
    engine = Running(found=FOUND)
    engine.then = signalled(signal.SIGTERM)
    assert ran(engine, options)[0] == 0
    assert bool(engine.orders) is starts


def test_for_people_there_is_a_line_for_each_step_and_few_while_it_loads() -> None:
    host = Shard("host", "", (), False, GIB, 0, GIB)
    shards = ShardMap((Shard("RPC0", A, (0, 1), True, GIB, GIB, GIB),), host, 2, exact=True)
    loading = [step(Phase.LOADING, 102.0, pid=7, progress=n / 100) for n in range(100)]
    engine = Running(
        step(Phase.PROBING),
        step(Phase.STARTING, 101.0, plan=PLAN._replace(argv=("llama-server", "-m", "/m.gguf"))),
        step(Phase.CONNECTING, 101.0, pid=7),
        *loading,
        step(Phase.READY, 112.0, pid=7, shards=shards),
        step(Phase.STOPPING, 113.0, pid=7, problems=(LOST,)),
        step(Phase.QUARANTINED, 113.0, problems=(LOST,), retry_at_s=413.0),
    )
    engine.then = signalled(signal.SIGTERM)
    _, out = ran(engine, as_json=False)
    lines = [line[10:] for line in out.splitlines()]
    assert lines[:4] == [
        "looks for the model and asks the backends",
        f"starts llama3.3:70b over {A}, {B}",
        "    llama-server -m /m.gguf",
        "process 7 connects to its backends",
    ]
    assert lines[4:7] == ["loads the model: 0%", "loads the model: 10%", "loads the model: 20%"]
    assert lines[14:] == [
        f"ready at {URL} after 12 s",
        "  DEVICE  WHERE            LAYERS   WEIGHTS  CONTEXT  COMPUTE",
        "  RPC0    192.168.100.101  2 + out  1.0 GiB  1.0 GiB  1.0 GiB",
        "  host    this machine     0        1.0 GiB  0 B      1.0 GiB",
        f"The RPC backend {A} was lost.",
        "  its connection broke",
        "  Bring it back.",
        "stops process 7",
        "failed too often: starts again in 5 min",
        "stopped",
    ]


class Full(io.StringIO):
    """A stream whose disk is full from the second line on."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(28, "No space left on device")
        return super().write(text)


@pytest.mark.parametrize("as_json", [True, False])
def test_output_that_cannot_be_written_stops_the_coordinator_too(as_json: bool) -> None:
    engine = Running(step(Phase.PROBING), step(Phase.READY, pid=7))
    engine.then = lambda: None
    with pytest.raises(OSError, match="No space"):
        ran(engine, spoken=Voice(Full(), io.StringIO()), as_json=as_json)
    assert engine.stopped


def test_a_bug_in_what_keeps_it_up_is_not_silent() -> None:
    class Broken(Running):
        async def until_given_up(self) -> None:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        ran(Broken())


# status

READY = CoordinatorState(
    URL,
    "",
    ("localhost",),
    CoordinatorStatus.READY,
    model="llama3.3:70b",
    context_tokens=8192,
    slots_total=1,
    slots_busy=0,
)


def shown(
    states: Sequence[CoordinatorState], life: Life, *, as_json: bool = False
) -> tuple[int, str]:
    spoken = voice()
    engine = FakeEngine(ClusterSnapshot(coordinators=tuple(states)))
    code = show_status(
        lambda: engine, lambda _: life, URL, spoken, as_json=as_json, clock=lambda: 200.0
    )
    return code, heard(spoken)[0]


def test_status_tells_phase_keeper_shards_and_the_last_problem() -> None:
    host = Shard("host", "", None, False, GIB, 0, None)
    life = Life(URL, Phase.READY, None, None, 42, ShardMap((), host, 2, exact=False), LOST, 140.0)
    code, out = shown([READY], life)
    assert code == 0
    assert out == (
        "COORDINATOR      STATUS  MODEL         SLOTS  CONTEXT  SOURCE\n"
        "127.0.0.1:18080  ready   llama3.3:70b  0/1    8192     localhost\n"
        "\n"
        "http://127.0.0.1:18080: ready, kept up by sollol-tui (process 42)\n"
        "\n"
        "DEVICE  WHERE         LAYERS  WEIGHTS  CONTEXT  COMPUTE\n"
        "host    this machine  –       1.0 GiB  0 B      –\n"
        "\n"
        "The last problem, 1 min ago:\n"
        f"  The RPC backend {A} was lost.\n"
        "    its connection broke\n"
        "    Bring it back.\n"
    )


def test_all_of_ours_have_a_life() -> None:
    other = READY._replace(url=CoordinatorUrl("http://127.0.0.1:18081"))
    lives = (Life(URL, Phase.STOPPED), Life(other.url, Phase.LOADING, 0.5, keeper_pid=7))
    engine = FakeEngine(ClusterSnapshot(coordinators=(READY, other)))
    for as_json in (False, True):
        spoken = voice()
        show_status(
            lambda: engine,
            lambda _: lives[0],
            URL,
            spoken,
            as_json=as_json,
            others=lambda _: lives[1:],
        )
        out = heard(spoken)[0]
        if as_json:
            told = json.loads(out)["coordinators"]
            assert [c["phase"] for c in told] == ["stopped", "loading"]
            assert told[1]["kept_up_by"] == 7
        else:
            assert "\nhttp://127.0.0.1:18080: stopped\n" in out
            assert "\nhttp://127.0.0.1:18081: loading 50%, kept up by sollol-tui" in out


def test_status_of_one_that_rests_says_when_it_starts_again() -> None:
    life = Life(URL, Phase.QUARANTINED, retry_at_s=260.0, keeper_pid=42)
    code, out = shown([READY._replace(status=CoordinatorStatus.STOPPED)], life)
    assert code == 1
    words = "quarantined, starts again in 1 min, kept up by sollol-tui (process 42)"
    assert words in " ".join(out.split())


def test_only_ours_has_a_life_in_the_json() -> None:
    other = READY._replace(url=CoordinatorUrl("http://10.0.0.9:18080"))
    life = Life(URL, Phase.LOADING, 0.5, problem=LOST, problem_at_s=140.0)
    code, out = shown([READY._replace(status=CoordinatorStatus.LOADING), other], life, as_json=True)
    assert code == 0
    ours, theirs = json.loads(out)["coordinators"]
    assert (ours["phase"], ours["progress"], ours["problem"]["at"]) == ("loading", 0.5, 140.0)
    assert (theirs["phase"], theirs["shards"], theirs["problem"]) == (None, None, None)


def test_status_looks_at_coordinators_and_at_our_place_only() -> None:
    remote = CoordinatorSetting(CoordinatorUrl("http://10.0.0.9:18080"))
    settings = only_coordinators(Settings(coordinators=(remote,)), URL)
    assert [c.url for c in settings.coordinators] == [remote.url, URL]
    assert (settings.nodes, settings.backends, settings.redis_url) == ((), (), "")
    assert only_coordinators(settings, URL) == settings


# stop

SLEEPS = "import signal; signal.pause()"


def stopped(url: CoordinatorUrl, state_dir: Path) -> tuple[int, str, str]:
    spoken = voice()
    code = stop(url, state_dir, spoken)
    return code, *heard(spoken)


@pytest.fixture
def port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@pytest.fixture
def url(port: int) -> CoordinatorUrl:
    return CoordinatorUrl(f"http://127.0.0.1:{port}")


@pytest.fixture
def left(tmp_path: Path, port: int, url: CoordinatorUrl) -> Iterator[subprocess.Popen[bytes]]:
    """A process with a record, as an earlier run leaves it."""
    with subprocess.Popen([sys.executable, "-c", SLEEPS], start_new_session=True) as child:
        identity = process.identify(child.pid)
        assert identity is not None
        record = RunRecord(identity, url, "m:latest", "/m", (), (), str(tmp_path / "log"))
        runs.write_run(tmp_path, port, record)
        yield child
        child.kill()


def test_stop_ends_what_an_earlier_run_left_and_forgets_it(
    left: subprocess.Popen[bytes], tmp_path: Path, port: int, url: CoordinatorUrl
) -> None:
    code, out, err = stopped(url, tmp_path)
    assert (code, err) == (0, "")
    assert out == f"stopped m:latest at {url} (process {left.pid})\n"
    assert left.wait() == -signal.SIGTERM
    assert runs.read_run(tmp_path, port) is None
    assert runs.keeper(tmp_path, port) is None


def test_stop_where_nothing_runs_is_no_failure(tmp_path: Path, url: CoordinatorUrl) -> None:
    assert stopped(url, tmp_path) == (0, f"nothing runs at {url}\n", "")


def test_stop_leaves_a_strangers_program_alone_and_says_whose_it_is(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        code, out, err = stopped(CoordinatorUrl(f"http://127.0.0.1:{port}"), tmp_path)
    assert (code, out) == (1, "")
    assert f"port {port} belongs to " in err
    assert f"process {os.getpid()}" in err
    assert "left alone" in err


def test_stop_believes_no_process_id_that_is_somebody_elses_by_now(
    left: subprocess.Popen[bytes], tmp_path: Path, port: int, url: CoordinatorUrl
) -> None:
    record = runs.read_run(tmp_path, port)
    assert record is not None
    other = record.process._replace(started_at_s=1.0)
    runs.write_run(tmp_path, port, record._replace(process=other))
    code, _, _ = stopped(url, tmp_path)
    assert code == 0
    assert left.poll() is None


def test_stop_does_not_fight_with_the_program_that_keeps_it_up(
    left: subprocess.Popen[bytes], tmp_path: Path, port: int, url: CoordinatorUrl
) -> None:
    with runs.looked_after(tmp_path, port):
        code, out, err = stopped(url, tmp_path)
    assert (code, out) == (1, "")
    assert f"another sollol-tui: stop that (process {os.getpid()})" in err
    assert left.poll() is None


# all


def test_of_several_that_are_set_up_run_says_which_one_it_keeps_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: CoordinatorUrl
) -> None:
    began: list[str] = []

    def note(make: Callable[[], Engine], *_: object, **__: object) -> int:
        began.append(make().settings.coordinators[0].url)
        return 0

    monkeypatch.setattr("sollol_tui.verbs.coordinator_run.run", note)
    first = CoordinatorSetting(url, model="big:70b", start=True)
    second = first._replace(url=CoordinatorUrl("http://127.0.0.1:2"), model="other:32b")
    for places, model, told in (
        ((first, second), "", f"this is the coordinator at {url}; --coordinator URL runs another"),
        ((first, second), "other:32b", ""),
        ((first,), "", ""),
        ((first._replace(source="flag"), second), "", ""),
    ):
        spoken = voice()
        resolved = Resolved(Settings(coordinators=places), ())
        call = CoordinatorCall(CoordinatorOptions("run", model), resolved, tmp_path)
        assert coordinator(call, spoken) == 0
        assert (told in heard(spoken)[1]) if told else heard(spoken)[1] == ""
    assert len(began) == 4


@pytest.mark.parametrize("what", ["run", "stop"])
def test_read_only_starts_and_stops_nothing(what: str, tmp_path: Path) -> None:
    settings = Settings(read_only=True)
    options = CoordinatorOptions(what)  # type: ignore[arg-type]
    call = CoordinatorCall(options, Resolved(settings, ()), tmp_path)
    spoken = voice()
    assert coordinator(call, spoken) == 2
    assert heard(spoken)[1] == (
        "sollol-tui coordinator: read_only is set: nothing is started or stopped\n"
    )
