"""What a run of a coordinator leaves on disk, so that the next start finds it again: one record per
port, and a lock that says whether somebody looks after it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.io.files import locked, private_dir, write_secret
from sollol_tui.io.process import ProcessId, identify, is_same


class RunRecord(NamedTuple):
    """A coordinator that was started: its process, and what it was started with.

    It is written before the start, with 0 as the process' id, and again after it.
    """

    process: ProcessId
    url: str
    model: str
    model_path: str
    backends: tuple[str, ...]
    argv: tuple[str, ...]
    log: str
    api_key: str = ""
    order: Order | None = None  # what was asked for
    layer_kv_bytes: tuple[int, ...] = ()  # as planned
    token: str = ""  # in the process' environment: proves it, when its id was not yet written


def runs_dir(state_dir: Path) -> Path:
    """Where records, locks and logs of children lie."""
    return state_dir / "run"


def log_path(state_dir: Path, port: int) -> Path:
    """The log of the coordinator on that port."""
    return runs_dir(state_dir) / f"coordinator-{port}.log"


def pipe_path(state_dir: Path, port: int) -> Path:
    """The pipe through which the coordinator on that port hears commands."""
    return runs_dir(state_dir) / f"coordinator-{port}.in"


def write_run(state_dir: Path, port: int, record: RunRecord) -> None:
    """Keep the record. Only its owner may read it: it may hold a key."""
    write_secret(_record(state_dir, port), json.dumps(record._asdict()) + "\n")


def read_run(state_dir: Path, port: int) -> RunRecord | None:
    """The record of that port, None when there is none that can be read."""
    try:
        raw = json.loads(_record(state_dir, port).read_text(encoding="utf-8"))
        return _from_json(raw)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def live_runs(state_dir: Path) -> tuple[RunRecord, ...]:
    """The records of all coordinators that still run, whoever looks after them."""
    found = []
    for path in runs_dir(state_dir).glob("coordinator-*.json"):
        port = path.stem.removeprefix("coordinator-")
        record = read_run(state_dir, int(port)) if port.isdigit() else None
        if record is not None and is_same(record.process):
            found.append(record)
    return tuple(found)


def forget_run(state_dir: Path, port: int) -> None:
    """The run has ended."""
    for path in (_record(state_dir, port), pipe_path(state_dir, port)):
        with suppress(OSError):
            path.unlink()


@contextmanager
def looked_after(state_dir: Path, port: int) -> Iterator[bool]:
    """Hold the right to look after that port's coordinator; false when another program has it."""
    path = _lock(state_dir, port)
    with ExitStack() as stack:
        try:
            private_dir(runs_dir(state_dir))
            held = stack.enter_context(locked(path, wait=False))
        except OSError:
            held = False
        if not held:
            stack.close()
        if held:
            stack.callback(_sign, path, None)
            _sign(path, identify(os.getpid()))
        yield held


def keeper(state_dir: Path, port: int) -> ProcessId | None:
    """The program that looks after that port's coordinator now."""
    try:
        found = _identity(json.loads(_lock(state_dir, port).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if is_same(found) else None


def _sign(lock: Path, who: ProcessId | None) -> None:
    """Write into a lock's file who holds it: the lock itself does not tell."""
    with suppress(OSError):
        lock.write_text(json.dumps(who) if who is not None else "", encoding="utf-8")


class RunNote(NamedTuple):
    """Where the life of a coordinator stands; for the other programs on this machine."""

    at_s: float
    phase: Phase
    retry_at_s: float | None = None
    problem: Problem | None = None  # the last one, also when it is over
    problem_at_s: float | None = None


def write_note(state_dir: Path, port: int, note: RunNote) -> None:
    """Replace the note. Not forced onto the disk: after a power cut nothing runs any more."""
    path = _note(state_dir, port)
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(note._asdict()) + "\n", encoding="utf-8")
    os.replace(beside, path)


def read_note(state_dir: Path, port: int) -> RunNote | None:
    """The note on that port, None when there is none that can be read."""
    try:
        raw = json.loads(_note(state_dir, port).read_text(encoding="utf-8"))
        problem = raw["problem"]
        if problem is not None:
            cause, subject, evidence, *words = problem
            problem = Problem(Cause(cause), subject, tuple(map(str, evidence)), *map(str, words))
        times = (raw[name] for name in ("at_s", "retry_at_s", "problem_at_s"))
        at_s, retry_at_s, problem_at_s = (None if t is None else float(t) for t in times)
        return RunNote(at_s or 0.0, Phase(raw["phase"]), retry_at_s, problem, problem_at_s)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _record(state_dir: Path, port: int) -> Path:
    return runs_dir(state_dir) / f"coordinator-{port}.json"


def _note(state_dir: Path, port: int) -> Path:
    return runs_dir(state_dir) / f"coordinator-{port}.note.json"


def _lock(state_dir: Path, port: int) -> Path:
    return runs_dir(state_dir) / f"coordinator-{port}.lock"


def _identity(raw: Any) -> ProcessId:
    pid, started_at_s, name = raw
    return ProcessId(int(pid), float(started_at_s), str(name))


def _from_json(raw: dict[str, Any]) -> RunRecord:
    return RunRecord(
        process=_identity(raw["process"]),
        url=str(raw["url"]),
        model=str(raw["model"]),
        model_path=str(raw["model_path"]),
        backends=tuple(map(str, raw["backends"])),
        argv=tuple(map(str, raw["argv"])),
        log=str(raw["log"]),
        api_key=str(raw.get("api_key", "")),
        order=_order(raw.get("order")),
        layer_kv_bytes=tuple(map(int, raw.get("layer_kv_bytes", ()))),
        token=str(raw.get("token", "")),
    )


def _order(raw: Any) -> Order | None:
    """The order of a record; None for one of another version of this program."""
    try:
        order = Order(*raw)
        backends = order.backends
        return order._replace(
            backends=None if backends is None else tuple(map(BackendAddress, backends)),
            tensor_split=tuple(map(float, order.tensor_split)),
            extra=tuple(map(str, order.extra)),
        )
    except (TypeError, ValueError):
        return None
