"""How far a batch is: one line on the terminal, drawn over itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from sollol_tui.core import units
from sollol_tui.core.batch_progress import BatchProgress
from sollol_tui.core.plain import cut
from sollol_tui.verbs.voice import Voice

DRAW_EVERY_S = 0.2
_BAR_CELLS = 24
_CLEAR = "\r\x1b[K"


class Bar:
    """Draws on stderr when that is a terminal, else nothing.

    Args:
        progress: how it stands.
        clock: seconds, steady.
    """

    def __init__(
        self,
        voice: Voice,
        progress: Callable[[], BatchProgress],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._voice = voice
        self._progress = progress
        self._clock = clock
        self._drawn_s = float("-inf")
        self._is_drawn = False
        self._draws = voice.err.isatty()

    def draw(self, *, at_once: bool = False) -> None:
        """Show how it stands, at most five times a second."""
        now_s = self._clock()
        if self._draws and (at_once or now_s - self._drawn_s >= DRAW_EVERY_S):
            self._drawn_s, self._is_drawn = now_s, True
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._voice.err.write(f"{_CLEAR}{cut(self._line(self._progress()), width)}")
            self._voice.err.flush()

    def clear(self) -> None:
        """Make room for a sentence."""
        if self._is_drawn:
            self._is_drawn = False
            self._voice.err.write(_CLEAR)
            self._voice.err.flush()

    def _line(self, now: BatchProgress) -> str:
        full, empty = ("#", ".") if self._voice.ascii else ("█", "░")
        cells = int(now.share * _BAR_CELLS)
        parts = [
            f"{full * cells}{empty * (_BAR_CELLS - cells)} {now.settled}/{now.total}",
            f"{now.running} running",
            f"{now.failed} failed" if now.failed else "",
            _left(now),
        ]
        separator = " | " if self._voice.ascii else " · "
        return separator.join(part for part in parts if part)


def _left(now: BatchProgress) -> str:
    if now.per_minute is None:
        return ""
    return f"{now.per_minute:.3g}/min, {units.duration(now.left_s)} left"
