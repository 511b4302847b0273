"""What is wrong here and in the cluster, and what to do: every check, always in the same order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sollol_tui.core.cluster_checks import (
    backend_checks,
    coordinator_checks,
    node_checks,
    registry_check,
)
from sollol_tui.core.findings import Check, Findings, Level
from sollol_tui.core.machine_checks import (
    model_checks,
    port_checks,
    program_checks,
    settings_checks,
    terminal_check,
)

__all__ = ["Check", "Findings", "Level", "all_checks", "checks_json"]


def all_checks(found: Findings) -> tuple[Check, ...]:
    """Every check, what is on this machine first."""
    return (
        *settings_checks(found),
        terminal_check(found.terminal, found.ascii),
        *program_checks(found),
        *model_checks(found),
        *port_checks(found),
        *coordinator_checks(found.snapshot, found.ports),
        *backend_checks(found),
        *node_checks(found),
        registry_check(found.snapshot, found.registry_is_configured),
    )


def checks_json(checks: Sequence[Check], at_s: float) -> dict[str, object]:
    """What `check --json` prints (see the README)."""
    levels = Counter(check.level for check in checks)
    listed = [
        {
            "check": check.name,
            "level": check.level.value,
            "subject": check.subject,
            "says": check.says,
            "evidence": list(check.evidence),
            "next": check.next or None,
        }
        for check in checks
    ]
    counts = {level.value: levels[level] for level in Level}
    return {"schema": 1, "at": round(at_s, 3), **counts, "checks": listed}
