"""What the README says of settings, statuses and JSON is what the program does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sollol_tui.core.ask_json import ask_json
from sollol_tui.core.asks import (
    AskEvent,
    Delta,
    Failed,
    Finished,
    Notice,
    Routed,
    RouteDecision,
    Seam,
    Thinking,
    Usage,
    Waiting,
)
from sollol_tui.core.checks import Check, Level, checks_json
from sollol_tui.core.coordinator_json import Life, coordinators_json
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.orders import Planned
from sollol_tui.core.phases import Phase
from sollol_tui.core.plan_values import CoordinatorPlan, DevicePlan
from sollol_tui.core.planned_json import planned_json
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.run_events import PhaseSeen, ProblemSeen, RunEvent, run_event_json
from sollol_tui.core.settings_doc import settings_table
from sollol_tui.core.settings_old import OLD_VARIABLES
from sollol_tui.core.shard_map import Shard, ShardMap
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorStatus,
    Mode,
    NodeStatus,
    Owner,
    RegistryStatus,
)
from sollol_tui.core.status_json import status_json
from sollol_tui.verbs.check import TITLES

from .test_status_json import BACKEND, COORDINATOR, NODE

HOST = DevicePlan("host", "", (), False, 1, 0, 1, None, None, True)
PLAN = CoordinatorPlan("m", "/m", 1, 2, 3, 1, (), HOST, True, (), ("n",), ("a",), 3, ())
SHARDS = ShardMap((), Shard("host", "", (0, 1), True, 1, 1, 1), 2, exact=True)
PROBLEM = Problem(Cause.BACKEND_REFUSED, "a:1", ("connection refused",), "Start it.")
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def shape(value: object) -> object:
    """The keys of a JSON value, all the way down."""
    if isinstance(value, dict):
        return {key: shape(part) for key, part in value.items()}
    return [shape(part) for part in value[:1]] if isinstance(value, list) else None


def example(heading: str) -> str:
    """The first block of JSON under a heading."""
    section = README.split(f"### `{heading}`")[1]
    return section.split("```json\n")[1].split("```")[0]


def test_the_table_of_settings_is_the_one_that_is_made() -> None:
    assert f"\n{settings_table()}\n" in README


@pytest.mark.parametrize("variable", OLD_VARIABLES)
def test_every_old_variable_is_named(variable: str) -> None:
    assert f"`{variable}`" in README


@pytest.mark.parametrize(
    "words",
    [
        Mode,
        NodeStatus,
        BackendStatus,
        CoordinatorStatus,
        Owner,
        RegistryStatus,
        FaultKind,
        Phase,
        Cause,
        Level,
    ],
)
def test_every_word_of_the_json_is_named(words: type[Mode]) -> None:
    json_part = README.split("## The JSON")[1]
    assert [word for word in words if f"`{word.value}`" not in json_part] == []


def test_the_status_example_has_the_shape_of_what_is_printed() -> None:
    snapshot = ClusterSnapshot(nodes=(NODE,), coordinators=(COORDINATOR,), backends=(BACKEND,))
    assert shape(json.loads(example("status --json"))) == shape(status_json(snapshot, 1.0))


def test_the_chat_example_has_every_event_in_its_shape() -> None:
    told = [json.loads(line) for line in example("chat --json").splitlines()]
    decision = RouteDecision("r", "m", Mode.TASK, "a", "node", "a", "", ())
    events: list[AskEvent] = [
        Routed(decision),
        Waiting(0, 1.0, False),
        Thinking(""),
        Delta(""),
        Notice(""),
        Seam("a", "b", 1),
        Finished("complete", Usage(), None, 1.0, 1),
        Failed(Fault(FaultKind.REFUSED), None, 0),
    ]
    assert [list(line) for line in told] == [list(ask_json(event)) for event in events]


def test_the_plan_example_has_the_shape_of_what_is_printed() -> None:
    told = shape(json.loads(example("coordinator plan --json")))
    planned = Planned(PLAN, (PROBLEM,), blocked=False)
    assert told == shape(planned_json(planned))
    none = planned_json(Planned(None, (PROBLEM,), blocked=True))
    assert isinstance(told, dict)
    assert list(none) == list(told)


def test_the_run_example_has_every_event_in_its_shape() -> None:
    told = [json.loads(line) for line in example("coordinator run --json").splitlines()]
    events: list[RunEvent] = [
        PhaseSeen(1.0, Phase.LOADING, COORDINATOR),
        ProblemSeen(1.0, PROBLEM),
    ]
    assert [list(line) for line in told] == [list(run_event_json(event)) for event in events]


def test_the_coordinator_status_example_has_the_shape_of_what_is_printed() -> None:
    snapshot = ClusterSnapshot(coordinators=(COORDINATOR,))
    life = Life(COORDINATOR.url, Phase.READY, shards=SHARDS, problem=PROBLEM, problem_at_s=1.0)
    told = shape(json.loads(example("coordinator status --json")))
    assert told == shape(coordinators_json(snapshot, (life,), 1.0))


def test_the_check_example_has_the_shape_of_what_is_printed() -> None:
    one = Check("backend", Level.FAIL, "a:1", "refuses connections", ("x",), "y")
    assert shape(json.loads(example("check --json"))) == shape(checks_json((one,), 1.0))


def test_every_check_is_named() -> None:
    assert [
        name for name in TITLES if f"`{name}`" not in README.split("### `check --json`")[1]
    ] == []


def test_every_exit_code_is_told() -> None:
    codes = re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "70", "74", "130", "141"]
