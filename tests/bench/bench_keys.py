"""From a key to what it shows, while an answer streams beside live panes.

`python -m tests.bench keys [--short]`. The whole program with ten servers on a terminal of 120x40,
an answer of 100 tokens a second in its chat. Letters go into the prompt under the answer; ↓ and ↑
move the cursor of the list of nodes beside it. The time is from the key to the bytes that show it.
The baseline in the same run is a bare Textual app with one prompt and nothing else going on.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from statistics import median, quantiles

from tests.bench.bench_start import ROOT
from tests.bench.ptyrun import ESCAPES, PYTHON, Terminal, load_average
from tests.bench.whole import opened, ten_servers

KEYS, SHORT_KEYS = 120, 40
LIMIT_S = 5.0
LETTERS = "QZXJKVW"  # letters that no other text here has in such a row
LONGEST = 20
BARE = [PYTHON, str(ROOT / "tests" / "bench" / "bare_prompt.py")]
NODES = ("attic", "gpu-rig", "rivers")  # the first rows of the list

# Types the key of that number; what it will show, and the key itself.
Key = Callable[[int], tuple[bytes, str]]


def measured(terminal: Terminal, count: int, key: Key) -> list[float]:
    """Milliseconds from each of so many keys to what it shows; they fall at random times."""
    dice, times = random.Random(1), list[float]()
    for number in range(count):
        pressed, shows = key(number)
        times.append(_time_of(terminal, pressed, shows))
        end = time.perf_counter() + dice.uniform(0.05, 0.15)
        while (left_s := end - time.perf_counter()) > 0:
            terminal.read(left_s)
    return times


def _time_of(terminal: Terminal, pressed: bytes, shows: str) -> float:
    seen, begun_s = b"", time.perf_counter()
    terminal.send(pressed)
    while time.perf_counter() - begun_s < LIMIT_S:
        seen += terminal.read(0.2)
        if shows.encode() in ESCAPES.sub(b"", seen):
            return 1000 * (time.perf_counter() - begun_s)
    raise TimeoutError(f"{pressed!r} never showed {shows!r}")


def letters(terminal: Terminal) -> Key:
    """Writes at the end of the prompt, which is emptied when it is long."""
    dice, written = random.Random(2), ""

    def key(_: int) -> tuple[bytes, str]:
        nonlocal written
        if len(written) == LONGEST:
            terminal.send(b"\x15")
            terminal.read_for(0.2)
            written = ""
        written += dice.choice(LETTERS)
        return written[-1].encode(), written[-3:]

    return key


def up_and_down(number: int) -> tuple[bytes, str]:
    """Moves the cursor down and up the list of nodes: the row that gets it is painted."""
    steps = len(NODES) - 1
    at = number % (2 * steps)
    if at < steps:
        return b"\x1b[B", NODES[at + 1]
    return b"\x1b[A", NODES[2 * steps - at - 1]


def show(name: str, times: list[float], base: list[float] | None = None) -> None:
    p50, p95 = median(times), quantiles(times, n=20)[-1]
    beside = ""
    if base is not None:
        more = p50 - median(base), p95 - quantiles(base, n=20)[-1]
        beside = f"; {more[0]:+.1f} and {more[1]:+.1f} beside the bare one"
    print(
        f"{name:<16} p50 {p50:4.1f} ms  p95 {p95:4.1f}  max {max(times):4.1f}"
        f"  ({len(times)} keys{beside})",
        flush=True,
    )


def main() -> int:
    count = SHORT_KEYS if "--short" in sys.argv else KEYS
    before = load_average()
    with ten_servers() as ten, ten.home() as (home, _):
        with opened(home, BARE) as bare:
            bare.wait_for("READY-MARK", "Quit")
            base = measured(bare, count, letters(bare))
        with ten.answering() as program:
            program.read_for(3.0)  # the answer has grown past the screen
            typed = measured(program, count, letters(program))
            program.send(b"\x15\x1b[1;3A")  # out of the prompt
            program.read_for(0.5)
            program.send(b"2\x1b[H")
            program.read_for(0.5)
            moved = measured(program, count, up_and_down)
    show("bare Textual", base)
    show("prompt", typed, base)
    show("list beside it", moved, base)
    print(f"{'':<16} aim: p95 ≤ 30 ms · load {before:.1f} → {load_average():.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
