"""What looks at a coordinator's backends, after it has ended, add to what its log says."""

from __future__ import annotations

from collections.abc import Mapping

from sollol_tui.core.diagnose import Context
from sollol_tui.core.faults import FaultKind
from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.reports import BackendReport
from sollol_tui.core.state import BackendStatus

_BLAMES_A_BACKEND = {
    Cause.BACKEND_LOST,
    Cause.BACKEND_REFUSED,
    Cause.BACKEND_BUSY,
    Cause.BACKEND_UNREACHABLE,
    Cause.BACKEND_INCOMPATIBLE,
    Cause.COORDINATOR_HUNG,
}


def is_worth_a_look(problem: Problem) -> bool:
    """Whether its backends can tell more: llama-server names none when one of them dies."""
    return problem.cause in _BLAMES_A_BACKEND


def with_reports(context: Context, reports: Mapping[BackendAddress, BackendReport]) -> Context:
    """The context with what the backends answered when nobody held them any more.

    One that takes connections and says nothing serves somebody else or is stopped; one that nobody
    can connect to is away; one that refuses has ended.
    """
    refused = [a for a, r in reports.items() if r.status is BackendStatus.DOWN]
    silent = [a for a, r in reports.items() if r.status is BackendStatus.UNKNOWN]
    held = [a for a in silent if _accepts(reports[a])]
    away = [a for a in silent if a not in held]
    return context._replace(
        lost=tuple(refused or away),
        held=tuple(held),
        silent=tuple(away),
        protocols=tuple((a, r.protocol) for a, r in reports.items() if r.protocol),
    )


def _accepts(report: BackendReport) -> bool:
    return report.fault is not None and report.fault.kind is FaultKind.TIMEOUT


def silent_words(reports: Mapping[BackendAddress, BackendReport]) -> tuple[str, ...]:
    """A line of evidence for each backend that does not answer."""
    return tuple(f"{a} does not answer: {r.fault}" for a, r in reports.items() if _mute(r))


def _mute(report: BackendReport) -> bool:
    return report.status in {BackendStatus.DOWN, BackendStatus.UNKNOWN}
