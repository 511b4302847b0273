"""What a streamed answer costs: CPU per token in fifths of the answer, and keys meanwhile.

`python -m tests.bench transcript [--short]`. The program runs on a real terminal, 120x40. Tokens
of four characters come at 100 a second. `bare` counts them and shows nothing: the cost of the
harness. The kinds of answers are written into a transcript above a prompt; `panel` is the whole
chat panel, with a mixed answer that comes as events. Keys are typed into the prompt while an
answer grows; the time is from the key to its letter in what is written. The short run leaves out
the keys and all kinds but one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from textual import work
from textual.app import App, ComposeResult

from sollol_tui.core.asks import AskEvent, AskRequest, Delta, Finished, Usage
from sollol_tui.ui.chat.panel import ChatPanel
from sollol_tui.ui.theme import DEFAULT_THEME, THEMES, semantic_colours, stylesheets
from sollol_tui.ui.widgets.prompt import Prompt
from sollol_tui.ui.widgets.transcript import Transcript
from tests.bench.ptyrun import ESCAPES, PYTHON, Terminal, load_average
from tests.ui.corpus import CORPORA, pieces

TOKENS_PER_S = 100
LENGTH, SHORT_LENGTH = 20_000, 3_000
KEYS = 60
BEGIN_S = 1.0  # the first frames are no part of what is measured
ROOT = Path(__file__).parents[2]

Figures = dict[str, Any]


class Answering(App[None]):
    """A transcript and a prompt; answers stream in one after the other.

    With `out` there is one answer, whose figures are written there.
    """

    CSS_PATH = stylesheets()

    def __init__(self, what: str, length: int, out: Path | None) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = DEFAULT_THEME
        self._what = what
        self._text = CORPORA["mixed" if what in ("bare", "panel") else what](length)
        self._out = out
        self._frames = 0

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def compose(self) -> ComposeResult:
        if self._what == "panel":
            yield ChatPanel(self._ask, wanted_model="llama3.2:3b")
        else:
            yield from (Transcript(), Prompt())

    def on_mount(self) -> None:
        self.query_one(Prompt).focus()
        self.set_timer(BEGIN_S, self.answer)

    def post_display_hook(self) -> None:
        self._frames += 1

    @work
    async def answer(self) -> None:
        if self._what == "panel":
            self.query_one(ChatPanel).submit("Tell me about routing.")
            return
        transcript = self.query_one(Transcript)
        while True:
            transcript.clear()
            transcript.add_message("user", (), "Tell me about routing.").finish()
            handle = transcript.add_message("assistant", (("llama3.2:3b", "model"),))
            is_shown = self._what != "bare"
            write: Callable[[str], object] = handle.append if is_shown else len
            stream = self._tokens()
            async for token in stream:
                write(token)
            handle.finish()
            assert not is_shown or handle.source == self._text

    async def _ask(self, _request: AskRequest) -> AsyncIterator[AskEvent]:
        async for token in self._tokens():
            yield Delta(token)
        yield Finished("complete", Usage(), None, 0.0, 1)

    async def _tokens(self) -> AsyncIterator[str]:
        """The tokens when they are due; at the end the figures are written."""
        lags = list[float]()
        watch = asyncio.create_task(_watch_lag(lags))
        tokens = list(pieces(self._text, 4))  # random lengths
        marks, frames, start = [time.process_time()], self._frames, time.perf_counter()
        for count, token in enumerate(tokens, start=1):
            if (left_s := start + count / TOKENS_PER_S - time.perf_counter()) > 0:
                await asyncio.sleep(left_s)
            yield token
            if count % (len(tokens) // 5) == 0:
                marks.append(time.process_time())
        watch.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        if self._out is not None:
            each = len(tokens) // 5
            figures = {
                "fifths_ms": [1000 * (b - a) / each for a, b in pairwise(marks[:6])],
                "frames": self._frames - frames,
                "lag_p95_ms": 1000 * quantiles(lags, n=20)[-1],
            }
            self._out.write_text(json.dumps(figures))
            self.exit()


async def _watch_lag(lags: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(0.02)
        lags.append(time.perf_counter() - before - 0.02)


def _child(what: str, length: int, out: str) -> Terminal:
    return Terminal(
        [PYTHON, "-m", "tests.bench.bench_transcript", "app", what, str(length), out],
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        cwd=ROOT,
    )


def _cpu(what: str, length: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        with _child(what, length, str(out)) as terminal:
            terminal.wait_exit(length / 4 / TOKENS_PER_S * 2 + 30)
            figures: Figures = json.loads(out.read_text())
        figures["kib"] = len(terminal.output) / 1024
        return figures


def _keys(what: str, count: int) -> list[float]:
    """Milliseconds from a key to its letter on the terminal."""
    dice, times, typed = random.Random(1), list[float](), ""
    with _child(what, LENGTH, "") as terminal:
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


def _print_cpu(what: str, figures: Figures) -> None:
    fifths = figures["fifths_ms"]
    print(
        f"{what:10} {sum(fifths) / len(fifths):5.2f}   {' '.join(f'{x:.2f}' for x in fifths)}"
        f"   last/first {fifths[-1] / fifths[0]:.2f}  frames {figures['frames']}"
        f"  loop lag p95 {figures['lag_p95_ms']:.1f} ms  {figures['kib']:.0f} KiB"
        f"  load {load_average():.1f}",
        flush=True,
    )


def _print_keys(what: str, times: list[float]) -> None:
    print(
        f"{what:10} key to paint p50 {median(times):5.1f} ms"
        f"  p95 {quantiles(times, n=20)[-1]:5.1f}  max {max(times):5.1f}"
        f"  n {len(times)}  load {load_average():.1f}",
        flush=True,
    )


def main() -> None:
    is_short = "--short" in sys.argv
    length = SHORT_LENGTH if is_short else LENGTH
    print(f"{length} characters at {TOKENS_PER_S} tokens/s, 120x40; ms of CPU per token, in fifths")
    kinds = ("mixed",) if is_short else tuple(CORPORA)
    for what in ("bare", *kinds, "panel"):
        _print_cpu(what, _cpu(what, length))
    print("aims: ≤ 0.6 in the whole program (see `live`), last/first ≤ 1.3")
    for what in () if is_short else (*kinds, "panel"):  # beside live panes: see `keys`
        _print_keys(what, _keys(what, KEYS))


if __name__ == "__main__":
    if sys.argv[1:2] == ["app"]:
        _, _, of_what, of_length, to = sys.argv
        Answering(of_what, int(of_length), Path(to) if to else None).run()
    else:
        main()
