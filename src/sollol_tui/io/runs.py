"""What a run of a coordinator leaves on disk, so that the next start finds it again: one record per
port, and a lock that says whether somebody looks after it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.io.files import locked, private_dir, write_secret
from sollol_tui.io.process import ProcessId


class RunRecord(NamedTuple):
    """A coordinator that was started: its process, and what it was started with."""

    process: ProcessId
    url: str
    model: str
    model_path: str
    backends: tuple[str, ...]
    argv: tuple[str, ...]
    log: str
    api_key: str = ""


def runs_dir(state_dir: Path) -> Path:
    """Where records, locks and logs of children lie."""
    return state_dir / "run"


def log_path(state_dir: Path, port: int) -> Path:
    """The log of the coordinator on that port."""
    return runs_dir(state_dir) / f"coordinator-{port}.log"


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


def forget_run(state_dir: Path, port: int) -> None:
    """The run has ended."""
    with suppress(OSError):
        _record(state_dir, port).unlink()


@contextmanager
def looked_after(state_dir: Path, port: int) -> Iterator[bool]:
    """Hold the right to look after that port's coordinator; false when another program has it."""
    with ExitStack() as stack:
        try:
            private_dir(runs_dir(state_dir))
            path = runs_dir(state_dir) / f"coordinator-{port}.lock"
            held = stack.enter_context(locked(path, wait=False))
        except OSError:
            held = False
        yield held


def _record(state_dir: Path, port: int) -> Path:
    return runs_dir(state_dir) / f"coordinator-{port}.json"


def _from_json(raw: dict[str, Any]) -> RunRecord:
    pid, started_at_s, name = raw["process"]
    return RunRecord(
        process=ProcessId(int(pid), float(started_at_s), str(name)),
        url=str(raw["url"]),
        model=str(raw["model"]),
        model_path=str(raw["model_path"]),
        backends=tuple(map(str, raw["backends"])),
        argv=tuple(map(str, raw["argv"])),
        log=str(raw["log"]),
        api_key=str(raw.get("api_key", "")),
    )
