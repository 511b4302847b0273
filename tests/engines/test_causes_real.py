"""Every cause why a coordinator does not serve, provoked for real: its sentence, its evidence."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sollol_tui.core.ids import BackendAddress, parse_backend_address
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine import launch
from sollol_tui.engine.coordinator_process import CoordinatorProcess
from tests import fakes
from tests.core.make_gguf import gguf, llama_fields, llama_tensors
from tests.engine.lives import Life

from .lab import Lab, library_path
from .places import HOSTS, HUGE, LARGE, SMALL, Place, life, served
from .servers import HELLO, Coordinator, RpcBackend, free_port

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),  # two cores may be busy with other things
    pytest.mark.xdist_group("engine"),
]


@pytest.fixture(autouse=True)
def _one_thread_each(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**library_path(lab.lib_dir), "LLAMA_ARG_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def all_backends(lab: Lab) -> Iterator[list[RpcBackend]]:
    port = free_port(*HOSTS)
    with ExitStack() as stack:
        yield [stack.enter_context(RpcBackend(lab, host, port)) for host in HOSTS]


@pytest.fixture
def backends(all_backends: list[RpcBackend]) -> list[RpcBackend]:
    for backend in all_backends:
        if not backend.running or not backend.answers():
            backend.start()
    return all_backends


@pytest.fixture
def place(lab: Lab, tmp_path: Path) -> Iterator[Place]:
    made = Place(lab, tmp_path)
    yield made
    assert not made.servers()


async def failed(lived: Life, order: Order) -> Problem:
    """Start it; the first problem that is told."""
    await lived.engine.start_coordinator(order)
    state = await lived.until(lambda s: bool(s.problems))
    return state.problems[0]


def at_start(lived: Life, change: Callable[[], None], phase: Phase = Phase.STARTING) -> None:
    """Do that between the plan and the process: what was true is so no longer."""
    left = [change]

    def note(_: ClusterSnapshot, after: ClusterSnapshot) -> None:
        state = after.coordinator(lived.url)
        if state is not None and state.phase == phase and left:
            left.pop()()

    lived.engine.store.listeners.append(note)


def told(problem: Problem, cause: Cause, sentence: str, *evidence: str) -> None:
    """The problem says this, and shows it by lines that hold these words."""
    assert problem.cause is cause, problem
    assert problem.sentence == sentence
    for words in evidence:
        assert any(words in line for line in problem.evidence), (words, problem.evidence)
    assert problem.next.endswith((".", "`")), "and what to do"


# The program


async def test_no_binary(place: Place, tmp_path: Path) -> None:
    async with life(place, (), llama_server=str(tmp_path / "no" / "llama-server")) as lived:
        problem = await failed(lived, Order(SMALL))
    path = tmp_path / "no" / "llama-server"
    told(
        problem,
        Cause.NO_BINARY,
        f"{path} is not installed here, or does not run.",
        "in the settings names it",
        "there is no such program",
    )


async def test_no_binary_a_library_is_missing(
    lab: Lab, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program was copied without what lies beside it."""
    alone = shutil.copy(lab.llama_server, tmp_path / "llama-server")
    monkeypatch.delenv("LD_LIBRARY_PATH")
    async with life(place, (), llama_server=str(alone)) as lived:
        problem = await failed(lived, Order(SMALL))
    told(
        problem,
        Cause.NO_BINARY,
        f"{alone} is not installed here, or does not run.",
        "error while loading shared libraries",
    )


async def test_no_rpc_support(lab: Lab, place: Place, tmp_path: Path) -> None:
    """Played by a program whose help is that of a build without RPC."""
    program = tmp_path / "llama-server"
    program.write_text(f"#!/bin/sh\n{lab.llama_server} --help | grep -v -e --rpc\n")
    program.chmod(0o755)
    async with life(place, (), llama_server=str(program)) as lived:
        problem = await failed(lived, Order(SMALL))
    sentence = f"{program} was built without RPC."
    told(problem, Cause.NO_RPC_SUPPORT, sentence, "its --help knows no --rpc")


@pytest.mark.parametrize("seen", ["before", "by llama-server"])
async def test_port_taken(place: Place, monkeypatch: pytest.MonkeyPatch, seen: str) -> None:
    if seen == "by llama-server":
        monkeypatch.setattr(CoordinatorProcess, "port_problem", lambda _: None)
    with socket.create_server(("127.0.0.1", place.port)):
        async with life(place, (), timeout_s=0.5) as lived:
            problem = await failed(lived, Order(SMALL))
    if seen == "before":
        sentence = f"port {place.port} is used by another program."
        told(problem, Cause.PORT_TAKEN, sentence, f"process {os.getpid()}")
    else:
        sentence = f"127.0.0.1:{place.port} is used by another program."
        told(problem, Cause.PORT_TAKEN, sentence, "couldn't bind HTTP server socket")


# The model


async def test_model_not_found(place: Place) -> None:
    async with life(place, ()) as lived:
        problem = await failed(lived, Order("four:latest"))
    assert problem.cause is Cause.MODEL_NOT_FOUND
    assert problem.sentence.startswith("The model four")


async def test_model_not_found_by_llama_server(place: Place, tmp_path: Path) -> None:
    model = Path(shutil.copy(place.lab.model_small, tmp_path / "model.gguf"))
    async with life(place, ()) as lived:
        at_start(lived, model.unlink)
        problem = await failed(lived, Order(str(model)))
    sentence = f"The model {model} is not on this machine."
    told(problem, Cause.MODEL_NOT_FOUND, sentence, "No such file or directory")


async def test_model_unreadable(place: Place, tmp_path: Path) -> None:
    model = Path(shutil.copy(place.lab.model_small, tmp_path / "model.gguf"))
    os.chmod(model, 0)
    async with life(place, ()) as lived:
        await lived.engine.plan_coordinator(Order(SMALL))  # the program was looked at
        with as_one_who_may_not_read_all():
            planned = await lived.engine.plan_coordinator(Order(str(model)))
    problem = next(p for p in planned.problems if p.cause is Cause.MODEL_UNREADABLE)
    told(problem, Cause.MODEL_UNREADABLE, f"{model} cannot be read.", "Permission denied")


@contextmanager
def as_one_who_may_not_read_all() -> Iterator[None]:
    """Nothing is unreadable for root: then as nobody in particular."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def cut(model: Path) -> None:
    os.truncate(model, model.stat().st_size // 2)


def overwrite(model: Path) -> None:
    model.write_bytes(b"GGUX" + model.read_bytes()[4:])


@pytest.mark.parametrize(
    ("change", "words"),
    [(cut, "not within the file bounds"), (overwrite, "invalid magic characters")],
)
@pytest.mark.parametrize("late", [False, True], ids=["before", "by llama-server"])
async def test_model_corrupt(
    place: Place, tmp_path: Path, change: Callable[[Path], None], words: str, late: bool
) -> None:
    model = Path(shutil.copy(place.lab.model_small, tmp_path / "model.gguf"))
    async with life(place, ()) as lived:
        if late:
            at_start(lived, lambda: change(model))
        else:
            change(model)
        problem = await failed(lived, Order(str(model)))
    assert problem.cause is Cause.MODEL_CORRUPT
    assert problem.sentence.endswith(" is damaged or incomplete.")
    assert "model" in problem.sentence
    if late:
        assert any(words in line for line in problem.evidence), problem.evidence


async def test_model_refused(place: Place, tmp_path: Path) -> None:
    """An architecture that this llama.cpp has never heard of."""
    model = tmp_path / "model.gguf"
    fields = {
        key.replace("llama.", "novel."): value
        for key, value in llama_fields(general__architecture="novel").items()
    }
    model.write_bytes(gguf(fields, llama_tensors()))
    async with life(place, ()) as lived:
        problem = await failed(lived, Order(str(model)))
    sentence = "llama.cpp cannot run model."
    told(problem, Cause.MODEL_REFUSED, sentence, "unknown model architecture: 'novel'")


# Backends


def named(*backends: RpcBackend | str) -> tuple[BackendAddress, ...]:
    return tuple(parse_backend_address(b if isinstance(b, str) else b.address) for b in backends)


async def test_backend_refused(place: Place, backends: list[RpcBackend]) -> None:
    dead = f"127.0.0.5:{free_port('127.0.0.5')}"
    async with life(place, backends[:1]) as lived:
        problem = await failed(lived, Order(SMALL, named(backends[0], dead)))
    sentence = f"The RPC backend {dead} refused the connection."
    told(problem, Cause.BACKEND_REFUSED, sentence, "connection refused")


async def test_backend_refused_by_the_time_it_is_needed(
    place: Place, backends: list[RpcBackend]
) -> None:
    dead, other = backends[:2]
    async with life(place, (dead, other)) as lived:

        def die() -> None:
            dead.kill()
            dead.wait_exit()

        at_start(lived, die)
        problem = await failed(lived, Order(SMALL))
        sentence = f"The RPC backend {dead.address} refused the connection."
        told(problem, Cause.BACKEND_REFUSED, sentence, f"Failed to connect to {dead.address}")
        assert (await lived.until_ready()).backends == (other.address,)


async def test_backend_busy_with_another_coordinator(
    lab: Lab, place: Place, backends: list[RpcBackend]
) -> None:
    with Coordinator(lab, lab.model_small, backends[:1]):
        async with life(place, backends[:1]) as lived:
            problem = await failed(lived, Order(SMALL, named(backends[0])))
    sentence = f"The RPC backend {backends[0].address} is held by another coordinator."
    told(problem, Cause.BACKEND_BUSY, sentence)
    assert any(w in problem.evidence[0] for w in ("held by", "busy with a client"))


async def test_backend_busy_by_the_time_it_is_needed(
    place: Place, backends: list[RpcBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody was faster: llama-server waits for it without a word."""
    monkeypatch.setattr(launch, "CONNECT_DEADLINE_S", 3.0)
    taken, other = backends[:2]
    with ExitStack() as stack:
        async with life(place, (taken, other), timeout_s=2.0) as lived:

            def take() -> None:
                stack.enter_context(client_of(taken))

            at_start(lived, take)
            problem = await failed(lived, Order(SMALL))
            sentence = f"The RPC backend {taken.address} is held by another coordinator."
            words = "llama-server has printed nothing"
            told(problem, Cause.BACKEND_BUSY, sentence, words)
            assert (await lived.until_ready()).backends == (other.address,)
    assert taken.running


@contextmanager
def client_of(backend: RpcBackend) -> Iterator[socket.socket]:
    """Somebody whom that backend serves, and who has nothing to ask."""
    with socket.create_connection((backend.host, backend.port)) as client:
        client.sendall(HELLO)
        client.recv(64)
        yield client


async def test_backend_unreachable(place: Place, backends: list[RpcBackend]) -> None:
    port = free_port("127.0.0.5")
    with black_hole("127.0.0.5", port):
        async with life(place, backends[:1]) as lived:
            problem = await failed(lived, Order(SMALL, named(f"127.0.0.5:{port}")))
    sentence = f"The RPC backend 127.0.0.5:{port} does not answer."
    told(problem, Cause.BACKEND_UNREACHABLE, sentence, "connection not accepted in time")


async def test_backend_unreachable_by_the_time_it_is_needed(
    place: Place, backends: list[RpcBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama-server would try for more than two minutes."""
    monkeypatch.setattr(launch, "CONNECT_DEADLINE_S", 3.0)
    gone, other = backends[:2]
    with ExitStack() as stack:

        def vanish() -> None:
            gone.kill()
            gone.wait_exit()
            stack.enter_context(black_hole(gone.host, gone.port))

        async with life(place, (gone, other), timeout_s=2.0) as lived:
            at_start(lived, vanish)
            problem = await failed(lived, Order(SMALL))
            sentence = f"The RPC backend {gone.address} does not answer."
            told(problem, Cause.BACKEND_UNREACHABLE, sentence, "llama-server has printed nothing")
            assert (await lived.until_ready()).backends == (other.address,)


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """A port that answers nothing: a full accept queue."""
    with ExitStack() as stack:
        stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((host, port))
        yield


async def test_backend_incompatible(place: Place, backends: list[RpcBackend]) -> None:
    """A build some months older, among two of today."""
    async with fakes.backend(version=(5, 0, 0)) as old, life(place, backends[:2]) as lived:
        names = named(*backends[:2], old.address)
        problem = await failed(lived, Order(SMALL, names))
    sentence = f"The RPC backend {old.address} speaks another protocol version."
    words = "it speaks RPC 5.0.0", "the coordinator speaks RPC 7.0.0"
    told(problem, Cause.BACKEND_INCOMPATIBLE, sentence, *words)


@pytest.mark.parametrize("version", [(5, 0, 0), (7, 1, 0), (3, 6, 0)])
async def test_backend_incompatible_with_llama_server_itself(
    place: Place, version: tuple[int, int, int]
) -> None:
    """The only one there is: nobody but llama-server knows which version it speaks itself."""
    async with fakes.backend(version=version) as other, life(place, (other.address,)) as lived:
        problem = await failed(lived, Order(SMALL, named(other.address)))
    sentence = f"The RPC backend {other.address} speaks another protocol version."
    told(problem, Cause.BACKEND_INCOMPATIBLE, sentence)
    assert any(".".join(map(str, version)) in line for line in problem.evidence)


async def test_out_of_memory_by_the_plan(place: Place, backends: list[RpcBackend]) -> None:
    async with life(place, backends[:2]) as lived:
        planned = await lived.engine.plan_coordinator(Order(HUGE, context_tokens=2048))
        assert planned.startable
        lots = 2**31
        problem = await failed(lived, Order(str(long_model(place)), context_tokens=lots))
    assert problem.cause is Cause.OUT_OF_MEMORY
    assert problem.sentence.startswith("There is not enough memory on 127.0.0.2")
    assert "needs" in problem.evidence[0]
    assert "free" in problem.evidence[1]
    assert problem.next.startswith("Set context_tokens to ")


def long_model(place: Place) -> Path:
    """A model that was made for an endless context."""
    path = place.store / "long.gguf"
    fields = llama_fields(llama__context_length=2**31)
    path.write_bytes(gguf(fields, llama_tensors()))
    return path


class SmallBackend(RpcBackend):
    """A backend that may not have much memory, whatever it tells of its machine."""

    def command(self) -> Sequence[str | Path]:
        """Under a limit of its address space."""
        return ["prlimit", "--as=400000000", *super().command()]


@pytest.mark.skipif(not shutil.which("prlimit"), reason="needs prlimit")
async def test_out_of_memory_of_a_backend(lab: Lab, place: Place) -> None:
    with SmallBackend(lab, "127.0.0.6") as small:
        async with life(place, (small,)) as lived:
            problem = await failed(lived, Order(HUGE))
        assert small.running, "it refuses and lives on"
    sentence = f"There is not enough memory on {small.address}."
    told(problem, Cause.OUT_OF_MEMORY, sentence, f"failed to allocate RPC0[{small.address}]")


async def test_backend_lost(place: Place, backends: list[RpcBackend]) -> None:
    lost, other = backends[:2]
    async with life(place, (lost, other)) as lived:
        first = await served(lived, Order(LARGE))
        lost.kill()
        state = await lived.until(lambda s: bool(s.problems))
        sentence = f"The RPC backend {lost.address} was lost."
        told(state.problems[0], Cause.BACKEND_LOST, sentence, "its connection to the coordinator")
        await lived.until_ready(besides=first.pid)


# The coordinator itself


async def test_coordinator_hung(
    place: Place, backends: list[RpcBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that is stopped while the model is sent to it: loading never ends."""
    monkeypatch.setattr("sollol_tui.core.lifecycle.LOAD_DEADLINE_S", 5.0)
    async with life(place, backends[:2], timeout_s=2.0) as lived:
        at_start(lived, lambda: backends[0].kill(signal.SIGSTOP), Phase.LOADING)
        try:
            problem = await failed(lived, Order(HUGE))
        finally:
            backends[0].kill(signal.SIGCONT)
        await lived.engine.stop_coordinator()
    sentence = f"The coordinator 127.0.0.1:{place.port} hangs."
    silent = f"no answer from {backends[0].address}"
    told(problem, Cause.COORDINATOR_HUNG, sentence, "no progress after", silent)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_coordinator_crashed(place: Place, how: signal.Signals) -> None:
    async with life(place, ()) as lived:
        first = await served(lived, Order(SMALL))
        os.kill(first.pid or 0, how)
        state = await lived.until(lambda s: bool(s.problems))
        sentence = f"The coordinator 127.0.0.1:{place.port} crashed."
        words = f"ended by signal {how.value} "
        told(state.problems[0], Cause.COORDINATOR_CRASHED, sentence, words)


async def test_unknown_when_somebody_else_stopped_it(place: Place) -> None:
    async with life(place, ()) as lived:
        first = await served(lived, Order(SMALL))
        os.kill(first.pid or 0, signal.SIGTERM)
        state = await lived.until(lambda s: bool(s.problems))
        sentence = f"The coordinator 127.0.0.1:{place.port} listens no more."
        told(state.problems[0], Cause.UNKNOWN, sentence, "its port is closed")
        await lived.until_ready(besides=first.pid)
