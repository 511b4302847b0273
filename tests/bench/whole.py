"""The whole program with ten servers, and one more whose answers go on for minutes."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sollol_tui.core.ids import NodeUrl
from sollol_tui.core.settings import NodeSetting, Settings
from sollol_tui.verbs.demo import start_cluster
from tests.bench.bench_start import FRAME, PROGRAM, PROMPT, ROOT, configured
from tests.bench.long_node import MODEL
from tests.bench.ptyrun import PYTHON, Terminal

MORE_BACKENDS = 3
TARGETS = 10
_BACKEND = (PYTHON, "-m", "sollol_tui.demo", "ggml-rpc-server", "--port", "0")
_LONG_NODE = (PYTHON, "-m", "tests.bench.long_node")
_QUESTION = b"Tell me about rivers.\r"
_ANSWER = "Where rivers go"


@contextmanager
def server(*command: str) -> Iterator[str]:
    """A server of the demo in a process of its own: its URL or address."""
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, cwd=ROOT
    ) as child:
        assert child.stdout is not None
        said = json.loads(child.stdout.readline())
        try:
            yield str(said.get("url") or said.get("address"))
        finally:
            child.kill()


class Ten:
    """Ten servers: three nodes, a coordinator and six backends, two of them held by it."""

    def __init__(self, settings: Settings, more_backends: list[str]) -> None:
        self._settings = settings
        self._more_backends = more_backends

    @contextmanager
    def home(self, long_node: str = "") -> Iterator[tuple[str, tuple[str, ...]]]:
        """A home whose configuration names them; and what the strip says when all were seen."""
        settings = self._settings
        if long_node:
            own = NodeSetting(NodeUrl(long_node), "rivers")
            settings = settings._replace(nodes=(*settings.nodes, own))
        with tempfile.TemporaryDirectory() as home:
            nodes, _ = configured(settings, home)
            file = Path(home) / ".config" / "sollol-tui" / "config.toml"
            more = "".join(f', "{address}"' for address in self._more_backends)
            text = file.read_text(encoding="utf-8").replace('"]', f'"{more}]', 1)
            file.write_text(f'model = "{MODEL}"\n{text}' if long_node else text, encoding="utf-8")
            backends = len(settings.backends) + len(self._more_backends)
            yield home, (*FRAME, *PROMPT, nodes, f"rpc {backends}/{backends}")

    @contextmanager
    def answering(self) -> Iterator[Terminal]:
        """The program, whose chat has the focus and is being answered at 100 tokens a second."""
        with (
            server(*_LONG_NODE) as url,
            self.home(url) as (home, true),
            opened(home, PROGRAM) as program,
        ):
            program.wait_for(*true)
            program.send(b"6")
            program.read_for(1.0)
            program.send(_QUESTION)
            program.wait_for(_ANSWER)
            yield program


@contextmanager
def ten_servers() -> Iterator[Ten]:
    """Start them, and end them."""
    cluster = start_cluster()
    try:
        with ExitStack() as stack:
            more = [stack.enter_context(server(*_BACKEND)) for _ in range(MORE_BACKENDS)]
            yield Ten(cluster.settings, more)
    finally:
        cluster.close()


def opened(home: str, command: list[str]) -> Terminal:
    """A program on a terminal, at home there."""
    env = {"HOME": home, "PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    return Terminal(command, env=env, cwd=home)
