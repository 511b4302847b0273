"""What `check` looked at, as values; and what it says of it: one line with its level for each thing
that can be wrong (S23)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from sollol_tui.core.orders import Planned
from sollol_tui.core.problems import Problem
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode
from sollol_tui.core.verdict import is_configured


class Level(StrEnum):
    """How bad it is. Only `fail` makes the exit code 1."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(NamedTuple):
    """One thing that was checked."""

    name: str  # which check; a word of the JSON promise
    level: Level
    subject: str  # a path, an address, a URL; may be empty
    says: str  # one line
    evidence: tuple[str, ...] = ()
    next: str = ""  # what to do; empty when nothing is to be done


class ProgramSeen(NamedTuple):
    """A program of llama.cpp that runs; `version` as it tells it, empty when it does not."""

    path: str
    version: str = ""


class StoreSeen(NamedTuple):
    """A place of Ollama's store that is there; `models` None: it cannot be read."""

    path: str
    models: int | None
    reason: str = ""
    advice: str = ""


class ModelSeen(NamedTuple):
    """A model that was found."""

    name: str
    path: str
    bytes: int
    layers: int


class PortSeen(NamedTuple):
    """The port of a coordinator of ours. `holder` are the words for who listens there."""

    address: str
    free: bool
    holder: str = ""
    is_ours: bool = False
    is_llama: bool = False
    keeper_pid: int | None = None


class SettingsSeen(NamedTuple):
    """How the settings came about. `error`: they could not be used, the defaults count.

    `source` is the configuration file, or with an error the file or variable that has it.
    """

    source: str
    is_there: bool
    notes: tuple[str, ...] = ()
    error: str = ""


class FilesSeen(NamedTuple):
    """The files of an existing SOLLOL."""

    read: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    wanted: bool = True


class TerminalSeen(NamedTuple):
    """What the environment tells of the terminal."""

    term: str
    locale: str
    truecolor: bool = False
    in_tmux: bool = False
    escape_time_ms: int | None = None  # tmux waits so long after Esc
    clipboard: str = ""  # tmux's set-clipboard


class Findings(NamedTuple):
    """Everything that was looked at."""

    llama_server: ProgramSeen | Problem
    rpc_server: ProgramSeen | Problem
    stores: tuple[StoreSeen, ...]
    looked_in: tuple[str, ...]  # all the places where a store may be
    model: ModelSeen | Problem
    asked_model: str  # empty: nobody named one
    planned: Planned | None
    ports: tuple[PortSeen, ...]  # of all places of ours, the usual one first
    snapshot: ClusterSnapshot
    registry_is_configured: bool
    settings: SettingsSeen
    state_dir: str
    state_dir_problem: str  # empty: it can be written
    sollol: FilesSeen
    terminal: TerminalSeen
    ascii: bool = False
    without_runner: Mapping[str, tuple[str, ...]] = {}  # nodes here that cannot run a model: why
    set_models: tuple[ModelSeen | Problem, ...] = ()  # that coordinators of ours are set to run


def needs_coordinator(found: Findings) -> bool:
    """Whether something waits for a coordinator that has to be started here."""
    snapshot = found.snapshot
    if any(c.status is CoordinatorStatus.READY for c in snapshot.coordinators):
        return False
    has_backends = any(is_configured(b.sources) for b in snapshot.backends)
    wants = snapshot.mode in {Mode.MODEL, Mode.BOTH}
    return bool(found.asked_model) or has_backends or wants


def problem_check(name: str, level: Level, problem: Problem, remark: str = "") -> Check:
    """A problem as a check."""
    says = f"{problem.sentence} ({remark})" if remark else problem.sentence
    return Check(name, level, problem.subject, says, problem.evidence, problem.next)
