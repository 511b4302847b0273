"""How far a batch is: one line on the terminal, drawn over itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from sollol_tui.core import units
from sollol_tui.core.plain import cut
from sollol_tui.verbs.voice import Voice

DRAW_EVERY_S = 0.2
_BAR_CELLS = 24
_CLEAR = "\r\x1b[K"


class Bar:
    """Draws on stderr when that is a terminal, else nothing.

    Args:
        total: prompts in all.
        done: of them, those that were settled before.
        clock: seconds, steady.
    """

    def __init__(self, voice: Voice, total: int, done: int, clock: Callable[[], float]) -> None:
        self._voice = voice
        self._total = total
        self._done = self._done_before = done
        self._failed = 0
        self._clock = clock
        self._began_s = clock()
        self._drawn_s = float("-inf")
        self._is_drawn = False
        self._draws = voice.err.isatty()

    def settled(self, failed: bool, running: int) -> None:
        """One prompt more was settled; so many run now."""
        self._done += 1
        self._failed += failed
        self.draw(running)

    def draw(self, running: int, *, at_once: bool = False) -> None:
        """Show how it stands, at most five times a second."""
        now_s = self._clock()
        if self._draws and (at_once or now_s - self._drawn_s >= DRAW_EVERY_S):
            self._drawn_s, self._is_drawn = now_s, True
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._voice.err.write(f"{_CLEAR}{cut(self._line(running, now_s), width)}")
            self._voice.err.flush()

    def clear(self) -> None:
        """Make room for a sentence."""
        if self._is_drawn:
            self._is_drawn = False
            self._voice.err.write(_CLEAR)
            self._voice.err.flush()

    def _line(self, running: int, now_s: float) -> str:
        share = self._done / self._total if self._total else 1.0
        full, empty = ("#", ".") if self._voice.ascii else ("█", "░")
        cells = int(share * _BAR_CELLS)
        parts = [
            f"{full * cells}{empty * (_BAR_CELLS - cells)} {self._done}/{self._total}",
            f"{running} running",
            f"{self._failed} failed" if self._failed else "",
            self._left(now_s - self._began_s),
        ]
        separator = " | " if self._voice.ascii else " · "
        return separator.join(part for part in parts if part)

    def _left(self, passed_s: float) -> str:
        settled = self._done - self._done_before
        if not settled or passed_s <= 0:
            return ""
        per_minute = settled / passed_s * 60
        left_s = (self._total - self._done) / settled * passed_s
        return f"{per_minute:.3g}/min, {units.duration(left_s)} left"
