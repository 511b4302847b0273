"""What `sollol-tui coordinator run` says to people: a line for every step, few while it loads."""

from __future__ import annotations

from collections.abc import Iterator

from sollol_tui.core import units
from sollol_tui.core.phases import Phase
from sollol_tui.core.run_events import PhaseSeen, ProblemSeen, RunEvent
from sollol_tui.core.shell_words import command_lines
from sollol_tui.core.state import CoordinatorState
from sollol_tui.verbs.plan_words import shard_lines
from sollol_tui.verbs.problem_lines import INDENT, Line, problem_lines
from sollol_tui.verbs.voice import Colour, Voice

STEP = 0.1  # of loading that is worth a line

_COLOURS: dict[Phase, Colour] = {
    Phase.READY: "good",
    Phase.STALLED: "bad",
    Phase.FAILED: "warn",
    Phase.QUARANTINED: "warn",
}


class RunWords:
    """Turns events into lines; remembers what was said and when it began."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._said: tuple[Phase, float] | None = None
        self._began_at_s: float | None = None

    def lines(self, event: RunEvent) -> Iterator[Line]:
        """The lines of one event, each with its colour; none for what is not worth one."""
        if isinstance(event, ProblemSeen):
            yield from problem_lines(event.problem)
        elif self._is_news(event):
            yield self._sentence(event), _COLOURS.get(event.phase)
            yield from ((f"{INDENT}{line}", None) for line in self._more(event))

    def _is_news(self, event: PhaseSeen) -> bool:
        progress = event.state.progress or 0.0
        phase, said = self._said or (None, 0.0)
        if phase is event.phase and progress < said + STEP:
            return False
        self._said = event.phase, progress
        if event.phase is Phase.PROBING:
            self._began_at_s = event.at_s
        return True

    def _sentence(self, event: PhaseSeen) -> str:
        state = event.state
        match event.phase:
            case Phase.PROBING:
                return "looks for the model and asks the backends"
            case Phase.STARTING:
                return _starting(state)
            case Phase.CONNECTING:
                return f"process {state.pid} connects to its backends"
            case Phase.LOADING:
                return f"loads the model{_percent(state)}"
            case Phase.WARMING:
                return "warms up"
            case Phase.READY:
                return f"ready at {state.url}{self._after(event.at_s)}"
            case Phase.STALLED:
                return "hangs"
            case Phase.STOPPING:
                return f"stops process {state.pid}"
            case Phase.STOPPED:
                return "stopped"
        return _again(event)

    def _after(self, at_s: float) -> str:
        began_at_s, self._began_at_s = self._began_at_s, None
        return "" if began_at_s is None else f" after {units.duration(at_s - began_at_s)}"

    def _more(self, event: PhaseSeen) -> Iterator[str]:
        state, width = event.state, self._voice.width_cells - len(INDENT)
        if event.phase is Phase.STARTING and state.plan is not None:
            yield from command_lines(state.plan.argv, width)
        elif event.phase is Phase.READY and state.shards is not None:
            yield from shard_lines(state.shards, self._voice._replace(width_cells=width))


def _starting(state: CoordinatorState) -> str:
    backends = state.plan.backends if state.plan is not None else ()
    over = f" over {', '.join(backends)}" if backends else " on this machine alone"
    return f"starts {state.model or 'the model'}{over}"


def _percent(state: CoordinatorState) -> str:
    return "" if state.progress is None else f": {state.progress:.0%}"


def _again(event: PhaseSeen) -> str:
    """When it is tried again, after a failure."""
    retry_at_s = event.state.retry_at_s
    if retry_at_s is None:
        return "given up"
    often = "failed too often: " if event.phase is Phase.QUARANTINED else ""
    wait_s = retry_at_s - event.at_s
    return f"{often}starts again " + (f"in {units.duration(wait_s)}" if wait_s > 0 else "now")
