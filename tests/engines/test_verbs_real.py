"""The verbs as commands over real servers: plan, run, status, stop, chat, check."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from tests import fakes
from tests.core.make_gguf import gguf, llama_fields, llama_tensors

from .lab import Lab, library_path
from .servers import (
    Coordinator,
    FragileBackend,
    OllamaNode,
    RedisServer,
    RpcBackend,
    free_port,
    get_json,
    make_store,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("engine"),
]

HOSTS = ("127.0.0.2", "127.0.0.3")
SMALL, LARGE = "smol:135m", "smol:241m"
THRESHOLD = "200e6"
PATIENCE_S = 120.0
MIB = 2**20
Json = dict[str, Any]


class Cluster(NamedTuple):
    """Two free backends, a store with two models, and the environment of the commands."""

    lab: Lab
    backends: tuple[RpcBackend, ...]
    port: int  # of the coordinator
    env: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(
        self, *argv: str, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command, run to its end."""
        return subprocess.run(
            [sys.executable, "-m", "sollol_tui.cli", *argv],
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def json(self, *argv: str) -> Json:
        """What a command prints with --json."""
        found = self.call(*argv, "--json")
        assert found.returncode in (0, 1), found.stderr
        said: Json = json.loads(found.stdout)
        return said

    @contextmanager
    def running(
        self, *argv: str, env: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """A command that goes on; killed in the end with all that it left."""
        with subprocess.Popen(
            [sys.executable, "-m", "sollol_tui.cli", *argv],
            env={**self.env, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()
                for pid in self.servers():
                    os.kill(pid, signal.SIGKILL)

    def servers(self) -> list[int]:
        """The llama-servers on the coordinator's port."""
        found = []
        for process in psutil.process_iter(["pid", "cmdline", "status"]):
            words = process.info["cmdline"] or [""]
            is_ours = str(self.port) in words and words[0].endswith("llama-server")
            if is_ours and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(process.info["pid"])
        return found


@pytest.fixture
def cluster(lab: Lab, tmp_path: Path) -> Iterator[Cluster]:
    port, coordinator_port = free_port(*HOSTS), free_port("127.0.0.1")
    store = make_store(tmp_path / "store", {SMALL: lab.model_small, LARGE: lab.model_large})
    with ExitStack() as stack:
        backends = tuple(stack.enter_context(FragileBackend(lab, host, port)) for host in HOSTS)
        env = {
            **os.environ,
            **library_path(lab.lib_dir),
            "LLAMA_ARG_THREADS": "1",
            "SOLLOL_TUI_LLAMA_SERVER": str(lab.llama_server),
            "SOLLOL_TUI_RPC_SERVER": str(lab.rpc_server),
            "SOLLOL_TUI_OLLAMA_MODELS": str(store),
            "SOLLOL_TUI_BACKENDS": ",".join(b.address for b in backends),
            "SOLLOL_TUI_COORDINATORS": f"127.0.0.1:{coordinator_port}",
            "SOLLOL_TUI_CONTEXT_TOKENS": "2048",
            "SOLLOL_TUI_REDIS_URL": "off",
            "SOLLOL_TUI_LOOK_AT_LOCALHOST": "false",
            "SOLLOL_TUI_TIMEOUT_S": "5",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
        }
        yield Cluster(lab, backends, coordinator_port, env)
        deaths = [b.wait_exit() for b in backends if not b.running]
        assert -signal.SIGPIPE not in deaths, "we killed it"


class Events:
    """The lines of a run, as they come."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._lines = process.stdout
        self._process = process
        self.seen: list[Json] = []

    def until(self, word: str) -> Json:
        """The next event of that phase or cause."""
        for line in self._lines:
            self.seen.append(json.loads(line))
            if word in (self.seen[-1].get("phase"), self.seen[-1].get("cause")):
                return self.seen[-1]
        assert self._process.stderr is not None
        raise AssertionError(f"no {word}: {self.words} {self._process.stderr.read()}")

    def rest(self) -> list[Json]:
        """All that comes until the end."""
        self.seen += [json.loads(line) for line in self._lines]
        return self.seen

    @property
    def words(self) -> list[str]:
        return [str(e.get("phase") or e["cause"]) for e in self.seen]


def command_of(pid: int) -> list[str]:
    """Its command line, less how much memory was free when it was made."""
    return without_cache(psutil.Process(pid).cmdline())


def without_cache(argv: Sequence[str]) -> list[str]:
    words = list(argv)
    if "--cache-ram" in words:
        at = words.index("--cache-ram")
        del words[at : at + 2]
    return words


# coordinator plan and run


@pytest.mark.parametrize(
    "wishes",
    [
        (),
        ("--tensor-split", "3,1"),
        ("--gpu-layers", "20", "--context", "1024"),
        ("--backends", "none"),
    ],
    ids=["all", "3,1", "partial", "alone"],
)
def test_what_runs_is_what_was_planned_and_ends_with_the_verb(
    cluster: Cluster, wishes: tuple[str, ...]
) -> None:
    plan = cluster.json("coordinator", "plan", "-m", LARGE, *wishes)
    assert plan["startable"]
    assert cluster.servers() == [], "nothing was started"
    with cluster.running("coordinator", "run", "-m", LARGE, *wishes, "--json") as process:
        events = Events(process)
        ready = events.until("ready")
        assert ready["url"] == cluster.url
        assert cluster.servers() == [ready["pid"]]
        assert command_of(ready["pid"]) == without_cache(plan["argv"])
        (said,) = cluster.json("coordinator", "status")["coordinators"]
        assert (said["phase"], said["owner"], said["kept_up_by"]) == ("ready", "ours", process.pid)
        assert said["model"] == LARGE
        loads_as_planned(said["shards"]["devices"], plan["devices"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        events.rest()
    assert events.words[-2:] == ["stopping", "stopped"]
    assert cluster.servers() == []


def loads_as_planned(loaded: list[Json], planned: list[Json]) -> None:
    """The layers are equal, the bytes that the log tells in hundredths of a MiB too."""
    assert [d["address"] for d in loaded] == [d["address"] for d in planned]
    assert [d["layers"] for d in loaded] == [d["layers"] for d in planned]
    for one, other in zip(loaded, planned, strict=True):
        assert one["kv_bytes"] == pytest.approx(other["kv_bytes"], abs=0.01 * MIB)
        if one["address"]:
            weights = pytest.approx(other["weights_bytes"], abs=0.01 * MIB)
            assert one["weights_bytes"] == weights


def test_the_phases_come_in_their_order(cluster: Cluster) -> None:
    with cluster.running("coordinator", "run", "-m", SMALL, "--json") as process:
        events = Events(process)
        events.until("ready")
    words = list(dict.fromkeys(events.words))
    known = ["probing", "starting", "connecting", "loading", "warming", "ready"]
    assert words == [word for word in known if word in words]
    assert {"probing", "starting", "connecting", "ready"} <= set(words)


@pytest.mark.parametrize(
    ("case", "cause"),
    [
        ("no-model", "model_not_found"),
        ("garbage", "model_corrupt"),
        ("no-binary", "no_binary"),
        ("refused", "backend_refused"),
        ("busy", "backend_busy"),
        ("port", "port_taken"),
        ("silent", "backend_unreachable"),
    ],
)
def test_what_cannot_start_is_given_up_with_its_cause(
    cluster: Cluster, tmp_path: Path, case: str, cause: str
) -> None:
    argv, env = ["-m", SMALL], {}
    with ExitStack() as stack:
        if case == "no-model":
            argv = ["-m", "nope"]
        elif case == "garbage":
            (tmp_path / "x.gguf").write_bytes(b"no model at all")
            argv = ["-m", str(tmp_path / "x.gguf")]
        elif case == "no-binary":
            env = {"SOLLOL_TUI_LLAMA_SERVER": "/nonexistent/llama-server"}
        elif case == "refused":
            argv += ["--backends", f"127.0.0.2:{free_port('127.0.0.2')}"]
        elif case == "busy":
            held = cluster.backends[:1]
            stack.enter_context(Coordinator(cluster.lab, cluster.lab.model_small, held))
            argv += ["--backends", held[0].address]
        elif case == "port":
            taken = Coordinator(cluster.lab, cluster.lab.model_small, (), cluster.port)
            stack.enter_context(taken)
        elif case == "silent":
            argv += ["--backends", black_hole(stack)]
        with cluster.running("coordinator", "run", *argv, "--json", env=env) as process:
            events = Events(process)
            events.rest()
            assert process.wait(PATIENCE_S) == 1
        told = next(e for e in events.seen if e["event"] == "problem")
        assert told["cause"] == cause
        assert told["next"]
        assert told["evidence"]
        assert events.words[-1] == "failed"
        assert cluster.json("coordinator", "status")["coordinators"][0]["problem"]["cause"] == cause


def black_hole(stack: ExitStack) -> str:
    """An address that answers nothing at all: its queue of connections is full."""
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        queued = stack.enter_context(socket.socket())
        queued.setblocking(False)
        queued.connect_ex(listening.getsockname())
    return f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_lost_backend_is_told_and_the_others_carry_the_model(cluster: Cluster) -> None:
    with cluster.running("coordinator", "run", "-m", LARGE, "--json") as process:
        events = Events(process)
        first = events.until("ready")
        cluster.backends[1].kill()
        assert events.until("backend_lost")["subject"] == cluster.backends[1].address
        again = events.until("ready")
        assert again["pid"] != first["pid"]
        assert cluster.servers() == [again["pid"]]
        (said,) = cluster.json("coordinator", "status")["coordinators"]
        assert said["backends"] == [cluster.backends[0].address]
        assert said["problem"]["cause"] == "backend_lost"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 0
    assert cluster.servers() == []


def test_what_a_killed_run_leaves_is_taken_over_and_can_be_stopped(cluster: Cluster) -> None:
    with cluster.running("coordinator", "run", "-m", LARGE, "--json") as process:
        pid = Events(process).until("ready")["pid"]
        process.kill()
        process.wait()
        with cluster.running("coordinator", "run", "--json") as second:
            events = Events(second)
            assert events.until("ready")["pid"] == pid
            assert "loading" not in events.words
            refused = cluster.call("coordinator", "stop")
            assert refused.returncode == 1
            assert f"process {second.pid}" in refused.stderr
            second.kill()
            second.wait()
            stopped = cluster.call("coordinator", "stop")
            assert (stopped.returncode, stopped.stderr) == (0, "")
            assert f"process {pid}" in stopped.stdout
            assert cluster.servers() == []
    assert cluster.call("coordinator", "stop").returncode == 0


def test_a_strangers_coordinator_is_shown_and_never_stopped(cluster: Cluster) -> None:
    with Coordinator(cluster.lab, cluster.lab.model_small, (), cluster.port) as stranger:
        (said,) = cluster.json("coordinator", "status")["coordinators"]
        assert (said["status"], said["owner"], said["pid"]) == ("ready", "adopted", stranger.pid)
        assert (said["phase"], said["shards"]) == ("stopped", None)
        refused = cluster.call("coordinator", "stop")
        assert refused.returncode == 1
        assert f"llama-server, process {stranger.pid}" in refused.stderr
        assert stranger.running


def test_a_key_made_for_the_start_is_known_to_whoever_looks_and_asks(cluster: Cluster) -> None:
    key = {"SOLLOL_TUI_COORDINATOR_API_KEY": "random"}
    with cluster.running("coordinator", "run", "-m", LARGE, "--json", env=key) as process:
        pid = Events(process).until("ready")["pid"]
        assert not any("--api-key" in word for word in command_of(pid))
        (said,) = cluster.json("coordinator", "status")["coordinators"]
        assert (said["error"], said["slots"]) == (None, {"busy": 0, "total": 1})
        answer = cluster.call("chat", "-m", LARGE, "--mode", "model", "Say hello.")
        assert (answer.returncode, bool(answer.stdout.strip())) == (0, True), answer.stderr
        assert cluster.servers() == [pid]


# chat


def test_a_question_brings_up_a_coordinator_over_both_backends_and_stops_it(
    cluster: Cluster,
) -> None:
    found = cluster.call("chat", "-m", LARGE, "--mode", "model", "--json", "Say hello.")
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert found.returncode in (0, 3), found.stderr
    assert "".join(e["text"] for e in events if e["event"] == "delta")
    routed = next(e for e in events if e["event"] == "routed")
    assert (routed["kind"], routed["target"]) == ("coordinator", cluster.url)
    phases = [e["phase"] for e in events if e["event"] == "waiting" and e["phase"]]
    assert phases[0] == "probing"
    assert cluster.servers() == []
    assert all("Accepted client" in b.log_text() for b in cluster.backends)


def test_one_that_is_kept_goes_on_for_the_next_and_looking_does_not_stop_it(
    cluster: Cluster,
) -> None:
    ask = ("chat", "-m", LARGE, "--mode", "model", "Say hello.")
    kept = cluster.call(*ask, "--keep")
    try:
        assert kept.returncode in (0, 3), kept.stderr
        assert "coordinator: loading" in kept.stderr
        (pid,) = cluster.servers()
        assert cluster.call("status").returncode == 0
        (said,) = cluster.json("coordinator", "status")["coordinators"]
        assert (said["status"], said["owner"], said["pid"]) == ("ready", "ours", pid)
        again = cluster.call(*ask)
        assert again.returncode in (0, 3)
        assert "loading" not in again.stderr
        assert cluster.servers() == [pid], "found, used and left as it was"
    finally:
        cluster.call("coordinator", "stop")
    assert cluster.servers() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_question_that_is_interrupted_while_it_loads_leaves_nothing(
    cluster: Cluster, number: int
) -> None:
    ask = ("chat", "-m", LARGE, "--mode", "model", "--keep", "--json", "Say hello.")
    with cluster.running(*ask) as process:
        Events(process).until("connecting")
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 130
        assert cluster.servers() == []


def test_in_mode_both_the_large_model_goes_to_a_coordinator_and_the_small_to_a_node(
    cluster: Cluster, ollama_lab: Lab
) -> None:
    with OllamaNode(ollama_lab, Path(cluster.env["SOLLOL_TUI_OLLAMA_MODELS"])) as node:
        env = {"SOLLOL_TUI_NODES": node.url, "SOLLOL_TUI_THRESHOLD_PARAMETERS": THRESHOLD}
        kinds = {}
        for model in (SMALL, LARGE):
            argv = ("chat", "-m", model, "--mode", "both", "--json", "Say hello.")
            said = cluster.call(*argv, env=env).stdout
            events = [json.loads(line) for line in said.splitlines()]
            kinds[model] = [e["kind"] for e in events if e["event"] == "routed"]
            assert events[-1]["event"] == "finished"
    assert kinds == {SMALL: ["node"], LARGE: ["coordinator"]}


# check


def checks(said: Json, name: str) -> list[tuple[str, str]]:
    return [(c["subject"], c["level"]) for c in said["checks"] if c["check"] == name]


def test_check_finds_a_healthy_cluster_healthy(cluster: Cluster, ollama_lab: Lab) -> None:
    store = Path(cluster.env["SOLLOL_TUI_OLLAMA_MODELS"])
    with OllamaNode(ollama_lab, store) as node, RedisServer(ollama_lab) as redis:
        argv = ("--node", node.url, "--redis", redis.url, "-m", LARGE)
        said = cluster.json("check", *argv)
        assert (said["fail"], said["warn"]) == (0, 0), said["checks"]
        assert checks(said, "fit") == [(LARGE, "ok")]
        assert checks(said, "node") == [(node.url, "ok")]
        assert checks(said, "backend") == [(b.address, "ok") for b in cluster.backends]
        with cluster.running("coordinator", "run", "-m", LARGE, "--json") as process:
            Events(process).until("ready")
            said = cluster.json("check", *argv)
            assert (said["fail"], said["warn"]) == (0, 0), said["checks"]
            assert checks(said, "coordinator") == [(cluster.url, "ok")]
            assert checks(said, "backend") == [(b.address, "ok") for b in cluster.backends]
            assert get_json(f"{cluster.url}/health")["status"] == "ok"


def test_check_names_each_thing_that_is_broken(
    cluster: Cluster, ollama_lab: Lab, tmp_path: Path
) -> None:
    assert ollama_lab.ollama is not None
    bare = tmp_path / "bare" / "bin" / "ollama"
    bare.parent.mkdir(parents=True)
    shutil.copy(ollama_lab.ollama, bare)
    cluster.backends[1].kill()
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(ollama_lab))
        redis.ask("CONFIG SET requirepass hunter2")
        store = Path(cluster.env["SOLLOL_TUI_OLLAMA_MODELS"])
        node = stack.enter_context(OllamaNode(replace(ollama_lab, ollama=bare), store))
        holder = Coordinator(cluster.lab, cluster.lab.model_small, cluster.backends[:1])
        stack.enter_context(holder)
        found = cluster.call(
            *("check", "--json", "--node", node.url, "--redis", redis.url, "-m", "nope"),
            env={"SOLLOL_TUI_LLAMA_SERVER": "/nonexistent"},
        )
    said = json.loads(found.stdout)
    assert found.returncode == 1
    assert checks(said, "llama_server") == [("/nonexistent", "fail")]
    assert checks(said, "model") == [("nope:latest", "fail")]
    assert checks(said, "backend") == [
        (cluster.backends[0].address, "warn"),  # held by a coordinator that nobody named
        (cluster.backends[1].address, "fail"),
    ]
    assert checks(said, "node") == [(node.url, "fail")]
    assert checks(said, "registry") == [(redis.url, "fail")]
    assert "hunter2" not in found.stdout
    assert all(c["next"] for c in said["checks"] if c["level"] != "ok")


FAULTS: dict[str, tuple[str, str, str]] = {
    "no RPC in it": ("llama_server", "fail", "was built without RPC"),
    "model is garbage": ("model", "fail", "is damaged or incomplete"),
    "model does not fit": ("fit", "fail", "does not fit on 2 devices and this machine"),
    "port is another's": ("port", "fail", "taken by"),
    "port is another llama-server's": ("port", "ok", "somebody else started"),
    "backend drops packets": ("backend", "fail", "cannot be reached"),
    "backend is an old one": ("backend", "fail", "speaks another protocol version"),
    "coordinator is stopped": ("coordinator", "fail", "does not answer"),
    "node is not there": ("node", "fail", "does not answer"),
    "Redis is not there": ("registry", "fail", "does not answer"),
    "no terminal": ("terminal", "warn", "no terminal for a screen"),
    "state cannot be kept": ("state_dir", "fail", "cannot be written"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_check_tells_each_fault_its_fix_and_by_its_exit_code_whether_it_is_serious(
    cluster: Cluster, tmp_path: Path, fault: str
) -> None:
    with ExitStack() as stack:
        async with fakes.backend(version=(5, 0, 0)) as old:
            argv, env = broken(cluster, stack, tmp_path, old.address)[fault]()
            found = await asyncio.to_thread(cluster.call, "check", "--json", *argv, env=env)
    name, level, words = FAULTS[fault]
    told = [c for c in json.loads(found.stdout)["checks"] if c["check"] == name]
    assert any(c["level"] == level and words in c["says"] for c in told), told
    assert found.returncode == (level == "fail"), [
        c for c in json.loads(found.stdout)["checks"] if c["level"] == "fail"
    ]
    assert all(c["next"] for c in told if c["level"] != "ok")


Wishes = tuple[list[str], dict[str, str]]


def broken(
    cluster: Cluster, stack: ExitStack, tmp_path: Path, old: str
) -> dict[str, Callable[[], Wishes]]:
    """How each fault is brought about, and what the command is given then."""
    lab, backends = cluster.lab, cluster.env["SOLLOL_TUI_BACKENDS"]

    def program_without_rpc() -> Wishes:
        program = tmp_path / "llama-server"
        program.write_text(f"#!/bin/sh\n{lab.llama_server} --help | grep -v -e --rpc\n")
        program.chmod(0o755)
        return [], {"SOLLOL_TUI_LLAMA_SERVER": str(program)}

    def model(content: bytes, context_tokens: int = 2048) -> Wishes:
        path = tmp_path / "x.gguf"
        path.write_bytes(content)
        return ["-m", str(path)], {"SOLLOL_TUI_CONTEXT_TOKENS": str(context_tokens)}

    def port_taken() -> Wishes:
        stack.enter_context(socket.create_server(("127.0.0.1", cluster.port)))
        return [], {}

    def strangers() -> Wishes:
        stack.enter_context(Coordinator(lab, lab.model_small, (), cluster.port))
        return [], {}

    def stopped() -> Wishes:
        server = stack.enter_context(Coordinator(lab, lab.model_small, (), cluster.port))
        server.kill(signal.SIGSTOP)
        return [], {"SOLLOL_TUI_TIMEOUT_S": "1"}

    def no_state() -> Wishes:
        (tmp_path / "file").write_text("")
        return [], {"XDG_STATE_HOME": str(tmp_path / "file")}

    wide = llama_fields(llama__context_length=2**30, llama__attention__key_length=4096)
    vast = gguf(wide, llama_tensors())
    dead = free_port("127.0.0.9")
    return {
        "no RPC in it": program_without_rpc,
        "model is garbage": lambda: model(b"no model at all"),
        "model does not fit": lambda: model(vast, 10_000_000),
        "port is another's": port_taken,
        "port is another llama-server's": strangers,
        "backend drops packets": lambda: (
            [],
            {"SOLLOL_TUI_BACKENDS": black_hole(stack), "SOLLOL_TUI_TIMEOUT_S": "1"},
        ),
        "backend is an old one": lambda: ([], {"SOLLOL_TUI_BACKENDS": f"{backends},{old}"}),
        "coordinator is stopped": stopped,
        "node is not there": lambda: (["--node", f"http://127.0.0.9:{dead}"], {}),
        "Redis is not there": lambda: (["--redis", f"redis://127.0.0.9:{dead}"], {}),
        "no terminal": lambda: ([], {"TERM": "dumb"}),
        "state cannot be kept": no_state,
    }
