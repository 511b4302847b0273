"""The queue as it is seen from here: how many of our requests wait at a target, and how long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sollol_tui.core import units
from sollol_tui.core.state import RequestState
from sollol_tui.ui.text import Span

CELLS = 9
BRIEF_S = 2.0  # until then nobody calls it waiting: each answer takes a moment to begin
LONG_S = 30.0


class Queue(NamedTuple):
    """Requests that have no token yet. As a text it gets older: `2 · 14 s`, always as wide; `0`
    while even the oldest has only just come."""

    waiting: int
    oldest_at_s: float

    def __call__(self, now_s: float) -> Span:
        waited_s = now_s - self.oldest_at_s
        if waited_s < BRIEF_S:
            return ("0".rjust(CELLS), "muted")
        text = f"{self.waiting} · {self.age(now_s)}"
        is_short = len(text) <= CELLS
        style = "warn" if waited_s >= LONG_S else ""
        return ((text if is_short else text.replace(" · ", "·")).rjust(CELLS), style)

    def age(self, now_s: float) -> str:
        """For how long the oldest one waits."""
        return units.span(now_s - self.oldest_at_s)


def queues(requests: Iterable[RequestState]) -> Mapping[str, Queue]:
    """Who waits where, by URL; targets where nobody waits are left out."""
    found: dict[str, Queue] = {}
    for request in requests:
        if request.first_token_at_s is None:
            began_s = request.started_at_s
            known = found.get(request.target, Queue(0, began_s))
            found[request.target] = Queue(known.waiting + 1, min(known.oldest_at_s, began_s))
    return found
