"""The whole program in tmux, over the real cluster: what it shows is what the servers say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from .lab import Lab
from .screens import program
from .servers import Coordinator, OllamaNode, RpcBackend, free_port, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("engine"),
]

SMALL, LARGE = "smol:135m", "smol:241m"


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


def test_a_program_ends_with_its_terminal(ollama_lab: Lab, tmp_path: Path) -> None:
    """Also while it paints: every write fails then, and nobody is there to be told."""
    with program(ollama_lab, tmp_path, (120, 40), "--node", "127.0.0.9:1") as screen:
        screen.wait_for("Quit")
        screen.keys("6", "Escape", "m")
