"""The whole program on a terminal with ten servers: idle, and while an answer streams.

`python -m tests.bench live [--short]`. Idle: CPU, bytes to the terminal and memory, beside a bare
Textual app in the same run. Streaming: CPU per token at 100 tokens a second, all panes beside it,
in fifths of an answer of 20 000 characters (the short run reads the first part of it), and the
part of it that the panes alone take.
"""

from __future__ import annotations

import sys

from tests.bench.bench_start import BARE, BARE_FRAME, PROGRAM
from tests.bench.ptyrun import Terminal, load_average
from tests.bench.whole import TARGETS, Ten, opened, ten_servers

IDLE_S, SHORT_IDLE_S = 20.0, 8.0
STREAM_S, SHORT_STREAM_S = 48.0, 12.0
FIFTHS = 5
TOKENS_PER_S = 100.0


def idle(name: str, terminal: Terminal, seconds: float) -> float:
    """Let it settle, then count: the part of a core that it takes."""
    terminal.read_for(3.0)
    cpu_s, written = terminal.cpu_s(), terminal.read_for(seconds)
    used = (terminal.cpu_s() - cpu_s) / seconds
    print(
        f"{name:<13} idle: {used:.2%} of a core, {written / seconds:.0f} B/s, "
        f"RSS {terminal.rss_mib():.0f} MiB",
        flush=True,
    )
    return used


def measure_idle(ten: Ten, seconds: float) -> float:
    with ten.home() as (home, true):
        with opened(home, BARE) as bare:
            bare.wait_for(*BARE_FRAME)
            idle("bare Textual", bare, seconds)
        with opened(home, PROGRAM) as program:
            program.wait_for(*true)
            used = idle("sollol-tui", program, seconds)
    print(f"{'':<13} aims: ≤ 0.6 %, ≤ 50 B/s, ≤ 60 MiB, with {TARGETS} targets")
    return used


def measure_stream(ten: Ten, seconds: float, idle_used: float) -> None:
    with ten.answering() as program:
        parts = _fifths(program, seconds)
    shown = " ".join(f"{part:.2f}" for part in parts)
    mean, grown = sum(parts) / FIFTHS, parts[-1] / parts[0]
    print(f"streaming     {mean:.2f} ms CPU per token, by fifths {shown}, last/first {grown:.2f}")
    panes_ms = idle_used * 1000 / TOKENS_PER_S
    print(f"{'':<13} aims: ≤ 0.6, last/first ≤ 1.3; idle as above it would be {panes_ms:.2f}")


def _fifths(program: Terminal, seconds: float) -> list[float]:
    """Milliseconds of CPU per token, in each fifth of the time."""
    parts = list[float]()
    for _ in range(FIFTHS):
        before, begun_s = program.cpu_s(), program.elapsed_s()
        program.read_for(seconds / FIFTHS)
        tokens = (program.elapsed_s() - begun_s) * TOKENS_PER_S
        parts.append((program.cpu_s() - before) * 1000 / tokens)
    return parts


def main() -> int:
    short = "--short" in sys.argv
    before = load_average()
    with ten_servers() as ten:
        used = measure_idle(ten, SHORT_IDLE_S if short else IDLE_S)
        measure_stream(ten, SHORT_STREAM_S if short else STREAM_S, used)
    print(f"load {before:.1f} → {load_average():.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
