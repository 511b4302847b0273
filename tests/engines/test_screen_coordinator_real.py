"""A coordinator from the keyboard, over real servers: started, lost, hung, flooded, left, found."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from threading import Event
from typing import NamedTuple

import pytest

from sollol_tui.io import runs

from .lab import Lab, library_path
from .places import PATIENCE_S, servers_on
from .screens import POLL_S, Screen, program
from .servers import OllamaNode, RpcBackend, free_port, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),  # two cores may be busy with other things
    pytest.mark.xdist_group("engine"),
]

HOSTS = ("127.0.0.2", "127.0.0.3")
SMALL, LARGE, HUGE = "smol:135m", "smol:241m", "smol:600m"
NARROW, USUAL, WIDE = (80, 24), (120, 40), (200, 60)
LONG = "Tell a very long story in ten chapters."
MIB = 2**20
FLOOD_MIB = 100


class Scene(NamedTuple):
    """Two free backends, a store with three models, and the program's home and variables."""

    lab: Lab
    backends: tuple[RpcBackend, ...]
    store: Path
    home: Path
    port: int  # of the coordinator
    env: Mapping[str, str]

    def screen(
        self, size: tuple[int, int], *flags: str, **env: str
    ) -> AbstractContextManager[Screen]:
        """The program in a terminal of that size."""
        more = {f"SOLLOL_TUI_{name}": value for name, value in env.items()}
        return program(self.lab, self.home, size, *flags, env={**self.env, **more})

    @property
    def pids(self) -> list[int]:
        """The llama-servers on the coordinator's port."""
        return [p.pid for p in servers_on(self.port)]


def until(holds: Callable[[], bool]) -> None:
    """Wait until it holds."""
    for _ in range(int(PATIENCE_S / POLL_S)):
        if holds():
            return
        Event().wait(POLL_S)
    raise AssertionError("it never came to that")


@pytest.fixture
def scene(lab: Lab, tmp_path: Path) -> Iterator[Scene]:
    models = {SMALL: lab.model_small, LARGE: lab.model_large, HUGE: lab.model_huge}
    store, home = make_store(tmp_path / "store", models), tmp_path / "person"
    home.mkdir()
    port, own = free_port(*HOSTS), free_port("127.0.0.1")
    with ExitStack() as stack:
        backends = tuple(stack.enter_context(RpcBackend(lab, host, port)) for host in HOSTS)
        env = {
            **library_path(lab.lib_dir),
            "LLAMA_ARG_THREADS": "1",
            "XDG_STATE_HOME": str(home / "state"),
            "SOLLOL_TUI_LLAMA_SERVER": str(lab.llama_server),
            "SOLLOL_TUI_OLLAMA_MODELS": str(store),
            "SOLLOL_TUI_BACKENDS": ",".join(b.address for b in backends),
            "SOLLOL_TUI_COORDINATORS": f"127.0.0.1:{own}",
            "SOLLOL_TUI_CONTEXT_TOKENS": "2048",
            "SOLLOL_TUI_THRESHOLD_PARAMETERS": "200e6",
        }
        yield Scene(lab, backends, store, home, own, env)
        for left in servers_on(own):
            left.kill()


def start(screen: Screen, model: str) -> str:
    """Start a coordinator for that model by command, plan first; the screen when it is ready."""
    screen.command(f"coordinator start {model}")
    screen.wait_for("It fits.", "Enter starts", "--rpc")
    screen.keys("Enter")
    return screen.wait_for("● ready", "LAYERS")


# Started, left, found again


def test_from_the_menu_to_a_split_model_that_stays_and_is_found_again(scene: Scene) -> None:
    """With `a`: another model is chosen, its plan is seen, it starts, and outlives the program."""
    with scene.screen(USUAL, "--mode", "both") as screen:
        screen.wait_for("rpc 2/2", "a starts one")
        screen.keys("1", "a")
        screen.wait_for("Start one with a model to choose")
        screen.keys("Down", "Enter")
        screen.wait_for("Which model", SMALL, LARGE, HUGE)
        screen.type("241")
        screen.wait_for("It fits.", f"--alias {LARGE}", "-m ")
        assert not scene.pids, "nothing runs before somebody said so"
        screen.keys("Enter")
        shown = screen.wait_for("● ready", "RPC0", "RPC1", "0–30", "31–59 +out", "started by us")
        assert LARGE in shown
        (pid,) = scene.pids
        screen.keys("6")
        screen.type(f"/model {LARGE}")
        screen.type("Say hello in five words.")
        screen.wait_for("via coordinator 127.0.0.1", "TTFT")
        screen.keys("C-q")
        screen.wait_for("It stays running", "It is stopped")
        screen.keys("Enter")
        screen.wait_for("exit code 0")
    assert scene.pids == [pid]
    with scene.screen(NARROW, "--mode", "both") as screen:
        screen.wait_for(f"coord ● {LARGE}", "rpc 2/2")
        screen.keys("1")
        screen.wait_for("● ready", "RPC0", "RPC1", "started by us", f"PID {pid}")
        screen.keys("C-q")
        screen.wait_for("It is stopped")
        screen.keys("Down", "Enter")
        screen.wait_for("exit code 0")
    assert scene.pids == []


def test_one_that_a_killed_program_left_is_found_and_another_model_takes_its_place(
    scene: Scene,
) -> None:
    with scene.screen(WIDE) as screen:
        screen.wait_for("rpc 2/2")
        start(screen, SMALL)
        (pid,) = scene.pids
        screen.process.kill()
        screen.wait_for("exit code 137")
    assert scene.pids == [pid]
    with scene.screen(WIDE) as screen:
        screen.wait_for("● ready", SMALL, "RPC1", f"PID {pid}")
        screen.command(f"coordinator switch {LARGE}")
        screen.wait_for("It fits.", f"Enter stops {SMALL}, which runs now")
        screen.keys("Enter")
        screen.wait_for("● ready", f"coord ● {LARGE}")
        assert len(scene.pids) == 1
        assert scene.pids != [pid]


def test_a_start_is_cancelled_by_escape_and_leaves_nothing(scene: Scene) -> None:
    with scene.screen(NARROW) as screen:
        screen.wait_for("rpc 2/2")
        screen.keys("1")
        screen.command(f"coordinator start {HUGE}")
        screen.wait_for("It fits.")
        screen.keys("Enter")
        screen.wait_for("of 6", "Esc cancels", "so far")
        screen.keys("Escape")
        screen.wait_for("nothing listens there", "The start is cancelled.", "rpc 2/2 ○")
        until(lambda: not scene.pids)


def test_entering_a_mode_starts_what_is_named_and_fits_without_a_question(scene: Scene) -> None:
    with scene.screen(USUAL, "--mode", "task", MODEL_PATH=str(scene.lab.model_large)) as screen:
        screen.wait_for("rpc 2/2")
        screen.keys("m")
        screen.wait_for("How are requests spread?")
        screen.keys("Down")
        screen.wait_for("Enter starts llama-server, which loads")
        screen.keys("Enter")
        screen.wait_for(" MODEL ", "● ready", "RPC0", "RPC1", "started by us")
        assert len(scene.pids) == 1


def test_a_backend_of_this_machine_is_started_used_and_ends_with_the_program(
    scene: Scene,
) -> None:
    rpc_server = str(scene.lab.rpc_server)
    with scene.screen(USUAL, RPC_SERVER=rpc_server, BACKENDS="", ON_QUIT="stop") as screen:
        screen.wait_for("a starts one")
        screen.keys("1", "a")
        screen.wait_for("Start an RPC backend on this machine")
        screen.keys("Down", "Down", "Down", "Enter")
        screen.wait_for("rpc 1/1", "An RPC backend serves at 127.0.0.1:")
        started = screen.process.children(recursive=True)
        assert [p.name() for p in started] == ["ggml-rpc-server"]
        start(screen, SMALL)
        screen.wait_for("0–29 +out", "attached")
        screen.keys("C-q")
        screen.wait_for("exit code 0")
        assert not any(p.is_running() for p in started)
        assert scene.pids == []


# Lost and hung under an answer


def asks(screen: Screen) -> None:
    """A question for the coordinator whose answer is long, and is being written."""
    screen.keys("6")
    screen.type(f"/model {LARGE}")
    screen.type(LONG)
    screen.wait_for("via coordinator", "tok ·", "Esc stops")


def test_a_backend_that_dies_in_the_middle_of_an_answer(ollama_lab: Lab, scene: Scene) -> None:
    """A node that has the model writes on; the coordinator comes back on what is left."""
    with (
        OllamaNode(ollama_lab, scene.store, "127.0.0.5") as node,
        scene.screen(USUAL, "--node", node.url, "--mode", "model") as screen,
    ):
        screen.wait_for("rpc 2/2", "nodes 1/1")
        start(screen, LARGE)
        (pid,) = scene.pids
        asks(screen)
        scene.backends[0].kill()
        screen.wait_for(f"{LARGE} → {node.address}")
        screen.wait_for("● ready", "0–59 +out", "rpc 1/2", "✗ down")
        assert pid not in scene.pids
        screen.escape("Esc stops")
        screen.escape("Enter Send")
        screen.keys("4", "z")
        screen.wait_for(f"The RPC backend {scene.backends[0].address} was lost.")
        scene.backends[0].start()
        screen.keys("z", "1", "r")
        screen.wait_for("more RPC backends are free: a plans again")


@pytest.mark.parametrize("who", ["backend", "coordinator"])
def test_what_hangs_is_shown_and_gone_round_and_comes_back_when_it_goes_on(
    ollama_lab: Lab, scene: Scene, who: str
) -> None:
    limits = {"TOKEN_GAP_LIMIT_S": "4", "TIMEOUT_S": "1", "POLL_INTERVAL_S": "1"}
    with (
        OllamaNode(ollama_lab, scene.store, "127.0.0.5") as node,
        scene.screen(USUAL, "--node", node.url, "--mode", "model", **limits) as screen,
    ):
        screen.wait_for("rpc 2/2", "nodes 1/1")
        start(screen, LARGE)
        (pid,) = scene.pids
        asks(screen)
        stopped = scene.backends[0].pid if who == "backend" else pid
        os.kill(stopped, signal.SIGSTOP)
        try:
            screen.wait_for("▲ stalled", "trouble", "a restarts it")
            screen.wait_for(f"{LARGE} → {node.address}")
        finally:
            os.kill(stopped, signal.SIGCONT)
        screen.keys("Escape")
        screen.wait_for("● ready", f"coord ● {LARGE}")
        assert scene.pids == [pid]
        assert all(b.running for b in scene.backends)


def test_by_choice_what_hangs_is_started_anew(scene: Scene) -> None:
    limits = {"TOKEN_GAP_LIMIT_S": "4", "TIMEOUT_S": "1", "POLL_INTERVAL_S": "1"}
    with scene.screen(WIDE, "--mode", "model", RESTART_HUNG="yes", **limits) as screen:
        screen.wait_for("rpc 2/2")
        start(screen, LARGE)
        (pid,) = scene.pids
        asks(screen)
        os.kill(pid, signal.SIGSTOP)
        until(lambda: scene.pids not in ([], [pid]))
        screen.wait_for("● ready", f"coord ● {LARGE}")
        screen.wait_for("writes on")
        assert pid not in scene.pids


# A flood


FLOODING = f"""\
#!{sys.executable} -SE
import os, sys
from time import sleep
if "--host" in sys.argv and os.path.exists(GO):
    line = b'{{"type": "log", "time": 398372, "level": "info", "msg": "words nobody needs at all"}}'
    piece = (line + b"\\n") * (2**20 // len(line))
    written = 0
    while written < {FLOOD_MIB} * 2**20 or os.path.exists(GO):
        written += os.write(2, piece)
        sleep(0.01 * (written > {FLOOD_MIB} * 2**20))
    with open(GO + ".done", "w") as done:
        done.write(str(written))
os.execv(SERVER, [SERVER, *sys.argv[1:]])
"""


def test_a_flood_of_its_log_while_it_starts_stops_neither_it_nor_the_screen(
    scene: Scene, tmp_path: Path
) -> None:
    """A server that prints 100 MiB and more at once, then is llama-server; keys answer meanwhile,
    the program grows by less than 10 MiB, and the disk is not filled."""
    flooding, go = tmp_path / "llama-server", tmp_path / "go"
    names = f"GO, SERVER = {str(go)!r}, {str(scene.lab.llama_server)!r}\n"
    flooding.write_text(FLOODING.replace("import os, sys\n", f"import os, sys\n{names}"))
    flooding.chmod(0o755)
    with scene.screen(USUAL, LLAMA_SERVER=str(flooding)) as screen:
        screen.wait_for("rpc 2/2")
        start(screen, SMALL)  # all that is loaded once is loaded then
        screen.keys("1", "l")
        screen.wait_for("Coordinator log", "llama_server")
        screen.escape("Coordinator log")
        before = screen.process.memory_info().rss
        go.touch()
        screen.command(f"coordinator start {SMALL}")
        screen.wait_for("It fits.")
        screen.keys("Enter")
        screen.wait_for("Esc cancels")
        screen.keys("l")
        screen.wait_for("Coordinator log", "left out", "words nobody needs")
        screen.escape("Coordinator log")
        screen.keys("m")
        screen.wait_for("How are requests spread?")
        screen.escape("How are requests spread?")
        grown = screen.process.memory_info().rss - before
        go.unlink()
        screen.wait_for("● ready", "RPC1", within_s=PATIENCE_S)
        grown = max(grown, screen.process.memory_info().rss - before)
        written = int(go.with_name("go.done").read_text())
        assert written >= FLOOD_MIB * MIB
        log = runs.log_path(scene.home / "state" / "sollol-tui", scene.port)
        print(f"flood of {written / MIB:.0f} MiB: grown by {grown / MIB:.1f} MiB, ", end="")
        print(f"log of {log.stat().st_size / MIB:.0f} MiB")
        assert grown < 10 * MIB
        assert log.stat().st_size < min(written, 130 * MIB)
        screen.keys("l")
        screen.wait_for("Coordinator log", "listening on")
