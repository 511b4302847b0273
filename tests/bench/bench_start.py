"""From the start of the program to its first frame, against a bare Textual app in the same run.

`python -m tests.bench start [--short]`. The programs take turns on a terminal of 120×40. A frame
is there when the text of the whole screen was written; the chat is an empty pane in it. All panes
are true when the status strip counts every server of a small cluster that is served from here.
CPU is that of all threads up to then. Ratios are medians of the ratios of neighbours: the
machine's own swings cancel out in them.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sollol_tui.core.settings import Settings
from sollol_tui.verbs.demo import start_cluster
from tests.bench.ptyrun import PYTHON, Terminal, load_average

ROOT = Path(__file__).parents[2]
ROUNDS = 11
SHORT_ROUNDS = 3

BARE = [PYTHON, str(Path(__file__).with_name("bare_app.py"))]
PROGRAM = [PYTHON, "-c", "import sys; from sollol_tui.cli import entry; sys.exit(entry())"]

BARE_FRAME = ("READY-MARK", "Quit")
FRAME = ("Coordinator", "Nodes", "RPC", "Chat", "Stats", "Events", "? Help", "^q Quit")
PROMPT = ("Ask the cluster",)


class Start(NamedTuple):
    """One start: seconds to the first frame (and CPU), to the prompt, to all panes being true."""

    frame_s: float
    frame_cpu_s: float
    prompt_s: float
    true_s: float
    rss_mib: float


def started(
    command: Sequence[str],
    home: str,
    frame: Sequence[str],
    prompt: Sequence[str] = (),
    then: Sequence[str] = (),
) -> Start:
    """Start a program, wait for its frame and for what must be true, and let it quit."""
    env = {"HOME": home, "PYTHONPATH": str(ROOT / "src"), "PATH": os.environ["PATH"]}
    with Terminal(command, env=env, cwd=home) as terminal:
        frame_s = terminal.wait_for(*frame)
        frame_cpu_s = terminal.cpu_s()
        prompt_s = terminal.wait_for(*prompt)
        true_s = terminal.wait_for(*then)
        terminal.read_for(0.4)
        rss_mib = terminal.rss_mib()
        terminal.send(b"\x11")
        terminal.wait_exit()
    return Start(frame_s, frame_cpu_s, prompt_s, true_s, rss_mib)


def configured(settings: Settings, home: str) -> tuple[str, ...]:
    """Write a configuration that names the cluster; returns what the strip says at the end."""
    nodes = [f'[[nodes]]\nurl = "{n.url}"\nname = "{n.name}"' for n in settings.nodes]
    coordinators = [f'[[coordinators]]\nurl = "{c.url}"' for c in settings.coordinators]
    addresses = ", ".join(f'"{backend.address}"' for backend in settings.backends)
    alone = 'redis_url = "off"\nlook_at_localhost = false\nread_sollol_files = false'
    folder = Path(home) / ".config" / "sollol-tui"
    folder.mkdir(parents=True)
    text = "\n".join([alone, f"backends = [{addresses}]", *nodes, *coordinators])
    (folder / "config.toml").write_text(f"{text}\n", encoding="utf-8")
    count, backends = len(settings.nodes), len(settings.backends)
    return f"nodes {count}/{count}", f"rpc {backends}/{backends}"


def spread(values: Sequence[float], digits: int = 0) -> str:
    middle = statistics.median(values)
    return f"{middle:.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def line(name: str, starts: Sequence[Start]) -> str:
    wall = spread([s.frame_s * 1000 for s in starts])
    cpu = spread([s.frame_cpu_s * 1000 for s in starts])
    rss = statistics.median(s.rss_mib for s in starts)
    return f"{name:<14} first frame {wall} ms, CPU {cpu} ms, RSS {rss:.0f} MiB"


def main() -> int:
    rounds = SHORT_ROUNDS if "--short" in sys.argv else ROUNDS
    bare, program = list[Start](), list[Start]()
    before = load_average()
    cluster = start_cluster()
    with tempfile.TemporaryDirectory() as home:
        true = configured(cluster.settings, home)
        started(PROGRAM, home, FRAME, PROMPT, true)  # the first one writes the byte code
        for _ in range(rounds):
            bare.append(started(BARE, home, BARE_FRAME))
            program.append(started(PROGRAM, home, FRAME, PROMPT, true))
    cluster.close()
    pairs = list(zip(program, bare, strict=True))
    wall = statistics.median(p.frame_s / b.frame_s for p, b in pairs)
    cpu = statistics.median(p.frame_cpu_s / b.frame_cpu_s for p, b in pairs)
    prompts = [(p.prompt_s - p.frame_s) * 1000 for p in program]
    later = [(p.true_s - p.frame_s) * 1000 for p in program]
    print(line("bare Textual", bare))
    print(line("sollol-tui", program))
    print(f"ratio          ×{wall:.2f} wall, ×{cpu:.2f} CPU (aim: ≤ 1.3)")
    print(f"chat to write  {spread(prompts)} ms after it")
    print(f"all panes true {spread(later)} ms after it (aim: ≤ 300)")
    print(f"load {before:.1f} → {load_average():.1f}, {rounds} rounds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
