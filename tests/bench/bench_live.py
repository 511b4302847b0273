"""The whole program on a terminal: idle with ten servers, and while an answer streams.

`python -m tests.bench live [--short]`. Idle: CPU, bytes to the terminal and memory, beside a bare
Textual app in the same run. Streaming: CPU per token at 100 tokens a second, panes beside it, in
fifths of an answer of 20 000 characters (the short run reads the first part of it).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sollol_tui.core.settings import Settings
from sollol_tui.verbs.demo import start_cluster
from tests.bench.bench_start import BARE, BARE_FRAME, FRAME, PROGRAM, PROMPT, ROOT, configured
from tests.bench.ptyrun import PYTHON, Terminal, load_average

MORE_BACKENDS = 3
TARGETS = 10
IDLE_S, SHORT_IDLE_S = 20.0, 8.0
STREAM_S, SHORT_STREAM_S = 48.0, 12.0
FIFTHS = 5
TOKENS_PER_S = 100.0
LONG_NODE = (PYTHON, "-m", "tests.bench.long_node")


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


def opened(home: str, command: list[str]) -> Terminal:
    env = {"HOME": home, "PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    return Terminal(command, env=env, cwd=home)


def idle(name: str, terminal: Terminal, seconds: float) -> None:
    """Let it settle, then count."""
    terminal.read_for(3.0)
    cpu_s, written = terminal.cpu_s(), terminal.read_for(seconds)
    used = (terminal.cpu_s() - cpu_s) / seconds
    print(
        f"{name:<13} idle: {used:.2%} of a core, {written / seconds:.0f} B/s, "
        f"RSS {terminal.rss_mib():.0f} MiB"
    )


def measure_idle(settings: Settings, addresses: list[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as home:
        true = configured(settings, home)
        file = Path(home) / ".config" / "sollol-tui" / "config.toml"
        more = "".join(f', "{a}"' for a in addresses)
        text = file.read_text(encoding="utf-8").replace('"]', f'"{more}]', 1)
        file.write_text(text, encoding="utf-8")
        with opened(home, BARE) as bare:
            bare.wait_for(*BARE_FRAME)
            idle("bare Textual", bare, seconds)
        with opened(home, PROGRAM) as program:
            program.wait_for(*FRAME, *PROMPT, true[0], f"rpc {TARGETS - 4}/{TARGETS - 4}")
            idle("sollol-tui", program, seconds)
    print(f"{'':<13} aims: ≤ 0.6 %, ≤ 50 B/s, ≤ 60 MiB, with {TARGETS} targets")


def measure_stream(url: str, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as home:
        flags = ["--node", url, "--redis", "off", "--mode", "task"]
        with opened(home, [*PROGRAM, *flags]) as program:
            program.wait_for(*FRAME, *PROMPT, "nodes 1/")
            program.send(b"6")
            program.read_for(0.5)
            program.send(b"Tell me about rivers.\r")
            program.wait_for("Where rivers go")
            print("streaming     ms CPU per token, by fifths:", *_fifths(program, seconds))
    print(f"{'':<13} aim: ≤ 0.6, the last fifth ≤ 1.3 × the first")


def _fifths(program: Terminal, seconds: float) -> list[str]:
    part_s, shown = seconds / FIFTHS, []
    for _ in range(FIFTHS):
        before, begun_s = program.cpu_s(), program.elapsed_s()
        program.read_for(part_s)
        tokens = (program.elapsed_s() - begun_s) * TOKENS_PER_S
        shown.append(f"{(program.cpu_s() - before) * 1000 / tokens:.2f}")
    return shown


def main() -> int:
    short = "--short" in sys.argv
    before = load_average()
    cluster = start_cluster()
    kind = (PYTHON, "-m", "sollol_tui.demo", "ggml-rpc-server", "--port", "0")
    try:
        with ExitStack() as stack:
            more = [stack.enter_context(server(*kind)) for _ in range(MORE_BACKENDS)]
            measure_idle(cluster.settings, more, SHORT_IDLE_S if short else IDLE_S)
    finally:
        cluster.close()
    with server(*LONG_NODE) as url:
        measure_stream(url, SHORT_STREAM_S if short else STREAM_S)
    print(f"load {before:.1f} → {load_average():.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
