"""What a streamed answer costs: CPU per token in fifths of the answer, and keys meanwhile.

`python -m tests.bench transcript [--short]`. The program runs on a real terminal, 120x40, with a
transcript above a prompt. Tokens of four characters come at 100 a second. `bare` is the same
program that counts the tokens and shows nothing: the cost of the harness. Keys are typed into the
prompt while the answer grows; the time is from the key to its letter in what is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from textual import work
from textual.app import App, ComposeResult
from textual.widgets import TextArea

from sollol_tui.ui.theme import DEFAULT_THEME, THEMES, semantic_colours, stylesheets
from sollol_tui.ui.widgets.transcript import Transcript
from tests.bench.ptyrun import ESCAPES, PYTHON, Terminal, load_average
from tests.ui.corpus import CORPORA, pieces

TOKENS_PER_S = 100
LENGTH, SHORT_LENGTH = 20_000, 3_000
KEYS, SHORT_KEYS = 60, 20
BEGIN_S = 1.0  # the first frames are no part of what is measured
ROOT = Path(__file__).parents[2]


class Answering(App[None]):
    """A transcript and a prompt; one answer streams in. Its figures are written to `out`."""

    CSS_PATH = stylesheets()
    CSS = "TextArea { height: 6; }"

    def __init__(self, kind: str, length: int, is_shown: bool, out: Path | None) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DEFAULT_THEME
        self._text = CORPORA[kind](length)
        self._is_shown = is_shown
        self._out = out
        self._frames = 0

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def compose(self) -> ComposeResult:
        yield Transcript()
        prompt = TextArea()
        prompt.cursor_blink = False
        yield prompt

    def on_mount(self) -> None:
        self.query_one(TextArea).focus()
        self.set_timer(BEGIN_S, self.answer)

    def post_display_hook(self) -> None:
        self._frames += 1

    @work
    async def answer(self) -> None:
        transcript = self.query_one(Transcript)
        while True:  # for keys: answers one after the other, until the terminal is closed
            transcript.clear()
            transcript.add_message("user", (), "Tell me about routing.").finish()
            figures = await self._stream(transcript)
            if self._out is not None:
                self._out.write_text(json.dumps(figures))
                self.exit()
                return

    async def _stream(self, transcript: Transcript) -> dict[str, Any]:
        handle = transcript.add_message("assistant", (("llama3.2:3b", "model"),))
        lags = list[float]()
        watch = asyncio.create_task(_watch_lag(lags))
        tokens = list(pieces(self._text, 4))  # random lengths, four characters on average
        marks, frames = [time.process_time()], self._frames
        start = time.perf_counter()
        for count, token in enumerate(tokens, start=1):
            await _until(start + count / TOKENS_PER_S)
            if self._is_shown:
                handle.append(token)
            if count % (len(tokens) // 5) == 0:
                marks.append(time.process_time())
        handle.finish()
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        each = len(tokens) // 5
        return {
            "fifths_ms": [1000 * (b - a) / each for a, b in pairwise(marks[:6])],
            "frames": self._frames - frames,
            "lag_p95_ms": 1000 * quantiles(lags, n=20)[-1],
            "is_kept": not self._is_shown or handle.source == self._text,
        }


async def _until(at: float) -> None:
    if (left_s := at - time.perf_counter()) > 0:
        await asyncio.sleep(left_s)


async def _watch_lag(lags: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.02)
        lags.append(time.perf_counter() - before - 0.02)


def _child(kind: str, length: int, *, is_shown: bool, out: str) -> Terminal:
    command = [PYTHON, "-m", "tests.bench.bench_transcript", "app", kind, str(length)]
    return Terminal(
        [*command, "shown" if is_shown else "bare", out],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        cwd=ROOT,
    )


def _cpu(kind: str, length: int, *, is_shown: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        with _child(kind, length, is_shown=is_shown, out=str(out)) as terminal:
            terminal.wait_exit(length / 4 / TOKENS_PER_S * 2 + 30)
            figures: dict[str, Any] = json.loads(out.read_text())
        figures["kib"] = len(terminal.output) / 1024
        return figures


def _keys(kind: str, count: int) -> list[float]:
    """Milliseconds from a key to its letter on the terminal."""
    dice, times, typed = random.Random(1), list[float](), ""
    with _child(kind, LENGTH, is_shown=True, out="") as terminal:
        terminal.read_for(BEGIN_S + 9)  # the answer has grown past the screen
        for _ in range(count):
            if len(typed) == 20:
                terminal.send(b"\x15")  # empty the prompt
                typed = ""
                terminal.read_for(0.3)
            typed += dice.choice("QZXJKVW")
            if (time_ms := _typed(terminal, typed)) is not None and len(typed) > 2:
                times.append(time_ms)
            end = time.perf_counter() + dice.uniform(0.05, 0.15)
            while (left_s := end - time.perf_counter()) > 0:
                terminal.read(left_s)  # not until a frame: the keys must fall anywhere
    return times


def _typed(terminal: Terminal, typed: str) -> float | None:
    seen, start = b"", time.perf_counter()
    terminal.send(typed[-1].encode())
    while time.perf_counter() - start < 5:
        seen += terminal.read(0.2)
        if typed[-12:].encode() in ESCAPES.sub(b"", seen):
            return 1000 * (time.perf_counter() - start)
    return None


def main() -> None:
    is_short = "--short" in sys.argv
    length, keys = (SHORT_LENGTH, SHORT_KEYS) if is_short else (LENGTH, KEYS)
    print(f"{length} characters at {TOKENS_PER_S} tokens/s, 120x40; ms of CPU per token, in fifths")
    bare = _cpu("mixed", length, is_shown=False)
    _print("bare", bare)
    for kind in CORPORA:
        figures = _cpu(kind, length, is_shown=True)
        assert figures["is_kept"]
        _print(kind, figures)
    for kind in CORPORA:
        times = _keys(kind, keys)
        print(
            f"{kind:10} key to paint p50 {median(times):5.1f} ms"
            f"  p95 {quantiles(times, n=20)[-1]:5.1f}  max {max(times):5.1f}"
            f"  n {len(times)}  load {load_average():.1f}",
            flush=True,
        )


def _print(name: str, figures: dict[str, Any]) -> None:
    fifths = figures["fifths_ms"]
    print(
        f"{name:10} {sum(fifths) / len(fifths):5.2f}   {' '.join(f'{x:.2f}' for x in fifths)}"
        f"   last/first {fifths[-1] / fifths[0]:.2f}  frames {figures['frames']}"
        f"  loop lag p95 {figures['lag_p95_ms']:.1f} ms  {figures['kib']:.0f} KiB"
        f"  load {load_average():.1f}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["app"]:
        _, _, of_kind, of_length, shown, to = sys.argv
        Answering(of_kind, int(of_length), shown == "shown", Path(to) if to else None).run()
    else:
        main()
