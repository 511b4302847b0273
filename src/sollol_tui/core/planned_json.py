"""A plan, or why there is none, as `coordinator plan --json` prints it (see the README)."""

from __future__ import annotations

from sollol_tui.core.orders import Planned
from sollol_tui.core.plan_values import plan_json
from sollol_tui.core.problems import problem_json

_NO_PLAN: dict[str, object] = {
    "schema": 1,
    "model": None,
    "gguf": None,
    "model_bytes": None,
    "layers": None,
    "context_tokens": None,
    "devices": [],
    "fits": False,
    "argv": [],
    "problems": [],
    "notes": [],
}


def planned_json(planned: Planned) -> dict[str, object]:
    """The plan with every problem that was found; without a plan its fields are null or empty."""
    made = plan_json(planned.plan) if planned.plan is not None else _NO_PLAN
    problems = [problem_json(problem) for problem in planned.problems]
    return {**made, "startable": planned.startable, "problems": problems}
