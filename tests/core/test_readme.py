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
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.settings_doc import settings_table
from sollol_tui.core.settings_old import OLD_VARIABLES
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

from .test_status_json import BACKEND, COORDINATOR, NODE

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
    "words", [Mode, NodeStatus, BackendStatus, CoordinatorStatus, Owner, RegistryStatus, FaultKind]
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


def test_every_exit_code_is_told() -> None:
    codes = re.findall(r"^\| (\d+) \|", README, flags=re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "70", "74", "130", "141"]
