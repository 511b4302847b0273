"""The whole program in tmux, over the real cluster: what it shows is what the servers say."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event

import pytest

from .lab import Lab
from .servers import Coordinator, OllamaNode, RpcBackend, free_port, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("engine"),
]

PATIENCE_S = 30.0
POLL_S = 0.05
SMALL, LARGE = "smol:135m", "smol:241m"
PROGRAM = (sys.executable, "-c", "import sys; from sollol_tui.cli import entry; sys.exit(entry())")


class Screen:
    """A terminal of tmux with one program in it."""

    def __init__(self, tmux: Path, name: str, size: tuple[int, int]) -> None:
        self._tmux = [str(tmux), "-L", name, "-f", "/dev/null"]
        self._size = size

    def start(self, command: str, env: Mapping[str, str]) -> None:
        columns, rows = map(str, self._size)
        words = [*self._tmux, "new-session", "-d", "-s", "t", "-x", columns, "-y", rows, command]
        subprocess.run([*words, ";", "set", "-g", "escape-time", "0"], check=True, env=env)

    def keys(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", "-t", "t", *keys], check=True)

    def text(self) -> str:
        shown = [*self._tmux, "capture-pane", "-p", "-t", "t"]
        return subprocess.run(shown, capture_output=True, text=True, check=True).stdout

    def wait_for(self, *texts: str) -> str:
        """The screen as soon as it shows all the texts; fails with what it shows instead."""
        shown = ""
        for _ in range(int(PATIENCE_S / POLL_S)):
            shown = self.text()
            if all(text in shown for text in texts):
                return shown
            Event().wait(POLL_S)
        missing = [text for text in texts if text not in shown]
        raise AssertionError(f"never shown: {missing}\n{shown}")

    def escape(self, text: str) -> None:
        """Escape, and wait until the text is gone: a key right behind it would be Alt and key."""
        self.keys("Escape")
        for _ in range(int(PATIENCE_S / POLL_S)):
            if text not in self.text():
                return
            Event().wait(POLL_S)
        raise AssertionError(f"still shown: {text}\n{self.text()}")

    def type(self, text: str) -> None:
        """Type a line, see that it stands there, and send it."""
        self.keys(text)
        self.wait_for(text)
        self.keys("Enter")

    def end(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)


@contextmanager
def program(lab: Lab, home: Path, size: tuple[int, int], *flags: str) -> Iterator[Screen]:
    """The program in a terminal of that size, with an empty home; its exit code is shown."""
    screen = Screen(lab.tmux, f"sollol-{os.getpid()}-{size[0]}", size)
    env = {**os.environ, "HOME": str(home), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    env["SOLLOL_TUI_LOOK_AT_LOCALHOST"] = "no"  # what else runs here is not of this test
    command = shlex.join([*PROGRAM, "--redis", "off", *flags])
    screen.start(f"{command}; echo exit code $?; cat", env)
    try:
        yield screen
    finally:
        screen.end()


@pytest.fixture(scope="module")
def flags(ollama_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The command line that names a real cluster: two nodes, a coordinator over two backends."""
    lab, places = ollama_lab, ("127.0.0.2", "127.0.0.3", "127.0.0.4")
    stores = tmp_path_factory.mktemp("stores")
    models = {SMALL: lab.model_small, LARGE: lab.model_large}
    store = make_store(stores / "both", models)
    port = free_port(*places)
    with ExitStack() as stack:
        one, two, free = (stack.enter_context(RpcBackend(lab, h, port)) for h in places)
        coordinator = stack.enter_context(
            Coordinator(lab, lab.model_large, [one, two], extra_args=["--alias", LARGE])
        )
        nodes = [stack.enter_context(OllamaNode(lab, store, f"127.0.0.{n}")) for n in (5, 6)]
        words = ["--coordinator", coordinator.url, "--backend", free.address]
        for node in nodes:
            words += ["--node", node.url]
        yield words


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=str)
def test_the_screen_is_true_and_answers_at_every_size(
    ollama_lab: Lab, flags: list[str], tmp_path: Path, size: tuple[int, int]
) -> None:
    """Strip, modes, chat, detail, help and a clean way out, by keyboard."""
    with program(ollama_lab, tmp_path, size, *flags) as screen:
        screen.wait_for("nodes 2/", "rpc 3/3", LARGE)
        screen.keys("3")
        screen.wait_for("attached", "idle")
        screen.keys("m")
        screen.wait_for("needs", "task", "model", "both", "off")
        screen.escape("needs")
        screen.keys(":")
        screen.type("mode task")
        screen.wait_for("TASK")
        screen.keys("6")
        screen.wait_for("Ask the cluster")
        screen.type(f"/model {SMALL}")
        screen.type("Say hello in five words.")
        screen.wait_for("tok/s", "TTFT")
        screen.escape("Enter Send")
        screen.keys("2")
        screen.wait_for("127.0.0.5")
        screen.keys("C-q")
        screen.wait_for("exit code 0")


def test_a_node_that_dies_is_shown_while_the_others_serve(ollama_lab: Lab, tmp_path: Path) -> None:
    """kill -9 of a node: its row says so with the reason, and a question is still answered."""
    store = make_store(tmp_path / "store", {SMALL: ollama_lab.model_small})
    with (
        OllamaNode(ollama_lab, store, "127.0.0.7") as one,
        OllamaNode(ollama_lab, store, "127.0.0.8") as two,
        program(ollama_lab, tmp_path, (120, 40), "--node", one.url, "--node", two.url) as screen,
    ):
        screen.wait_for("nodes 2/")
        one.kill_group()
        screen.keys("r")
        screen.wait_for("connection refused", "nodes 1/")
        screen.keys("6")
        screen.type(f"/model {SMALL}")
        screen.type("Say hello in five words.")
        screen.wait_for("tok/s", "TTFT")
        screen.keys("C-q")
        screen.wait_for("exit code 0")
