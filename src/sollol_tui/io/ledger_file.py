"""The record of requests on disk: one SQLite file, one row for each try at a target.

Write-ahead logging lets several programs use it at once. Every call is made in one thread of its
own; nothing of it ever stands between a question and its answer.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from sys import intern
from typing import Any, Literal, NamedTuple, cast

from sollol_tui.core.asks import RouteDecision
from sollol_tui.core.decision_json import decision_json
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import Mode
from sollol_tui.io.sqlite_file import Answer, SqliteFile, writable

FILE_NAME = "ledger.sqlite"
SCHEMA = 1
MAX_ROWS = 50_000
MAX_BYTES = 64 << 20
PRUNE_EVERY = 500  # rows

_CREATE = """
CREATE TABLE requests (
    number INTEGER PRIMARY KEY,
    run TEXT NOT NULL,          -- one start of the program
    request TEXT NOT NULL,      -- within the run; the same for all tries
    tries INTEGER NOT NULL,     -- which try this is; 0: nothing could take it
    at REAL NOT NULL,           -- when it ended, seconds since the epoch
    model TEXT NOT NULL,
    mode TEXT NOT NULL,
    decision TEXT NOT NULL,     -- JSON: the candidates with their scores, and why
    target TEXT NOT NULL,
    kind TEXT,                  -- node, coordinator, or nothing
    backends TEXT NOT NULL,     -- JSON: RPC backends that the coordinator held
    queue_s REAL,
    load_s REAL,
    ttft_s REAL,
    prefill_tps REAL,
    decode_tps REAL,
    prompt_tokens INTEGER,
    tokens INTEGER NOT NULL,
    outcome TEXT NOT NULL,      -- complete, length, or the kind of the failure
    evidence TEXT,              -- of a failure
    total_s REAL NOT NULL,
    UNIQUE (run, request, tries)
)
"""
_COLUMNS = (
    "run, request, tries, at, model, mode, target, kind, backends, queue_s, load_s, ttft_s,"
    " prefill_tps, decode_tps, prompt_tokens, tokens, outcome, evidence, total_s"
)
_MARKS = ", ".join("?" * (len(_COLUMNS.split(",")) + 1))
# Both are made of the constants above.
_INSERT = f"INSERT OR IGNORE INTO requests ({_COLUMNS}, decision) VALUES ({_MARKS})"  # noqa: S608
_RECENT = f"SELECT {_COLUMNS} FROM requests ORDER BY number DESC LIMIT ?"  # noqa: S608
_TOO_OLD = "DELETE FROM requests WHERE number <= (SELECT max(number) FROM requests) - ?"
_OLDEST_FIFTH = (
    "DELETE FROM requests WHERE number < (SELECT min(number) + (max(number) - min(number) + 5) / 5"
    " FROM requests)"
)


Row = tuple[Sample, RouteDecision]


class Written(NamedTuple):
    """Whether rows were kept, and a sentence about what went wrong, or empty."""

    kept: bool
    problem: str = ""


class Recalled(NamedTuple):
    """What was read, oldest first, and a sentence about what went wrong, or empty."""

    samples: tuple[Sample, ...]
    problem: str = ""


class LedgerFile:
    """Belongs to one event loop; opened at the first use.

    Args:
        directory: where the file lies; made when it is missing.
        run: a name for this start of the program that no other start has.
    """

    def __init__(self, directory: Path, run: str) -> None:
        self._database = _Database(directory / FILE_NAME, run)
        self._thread = ThreadPoolExecutor(1, "ledger")

    async def recent(self, most: int) -> Recalled:
        """The last samples that were kept."""
        samples, problem = await self._call(lambda: self._database.recent(most))
        return Recalled(samples or (), problem)

    async def write(self, rows: Sequence[Row]) -> Written:
        """Keep the rows."""
        kept, problem = await self._call(lambda: self._database.write(rows))
        return Written(bool(kept), problem)

    async def aclose(self) -> None:
        """Close the file; what was written is there."""
        await self._call(self._database.close)
        self._thread.shutdown(wait=False)

    async def _call(self, work: Callable[[], Answer]) -> tuple[Answer | None, str]:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._database.sound, work)


class _Database(SqliteFile):
    """The file itself. Used in one thread only."""

    def __init__(self, path: Path, run: str) -> None:
        super().__init__(path, "the record of requests", SCHEMA)
        self._run = run
        self._unpruned = 0

    def upgrade(self, connection: sqlite3.Connection, schema: int) -> None:
        connection.execute(_CREATE)

    def made_ready(self, connection: sqlite3.Connection) -> None:
        self._prune(connection)

    def recent(self, most: int) -> tuple[Sample, ...]:
        with closing(self.connection().execute(_RECENT, (most,))) as cursor:
            found = [_sample(row) for row in cursor]
        return tuple(sample for sample in reversed(found) if sample is not None)

    def write(self, rows: Iterable[Row]) -> bool:
        values = [_values(self._run, sample, decision) for sample, decision in rows]
        connection = self.connection()
        with connection:
            connection.executemany(_INSERT, values)
        self._unpruned += len(values)
        if self._unpruned >= PRUNE_EVERY:
            self._prune(connection)
        return True

    def _prune(self, connection: sqlite3.Connection) -> None:
        self._unpruned = 0
        with connection:
            connection.execute(_TOO_OLD, (MAX_ROWS,))
        while _used_bytes(connection) > MAX_BYTES:
            with connection:
                connection.execute(_OLDEST_FIFTH)


def _used_bytes(connection: sqlite3.Connection) -> int:
    sizes = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    ]
    pages, free, page_bytes = map(int, sizes)
    return (pages - free) * page_bytes


def _values(run: str, sample: Sample, decision: RouteDecision) -> tuple[object, ...]:
    evidence = sample.fault.detail if sample.fault is not None else None
    values = (
        run,
        sample.request,
        sample.tries,
        sample.at_s,
        sample.model,
        sample.mode.value,
        sample.target,
        sample.kind,
        json.dumps(sample.backends),
        sample.queue_s,
        sample.load_s,
        sample.ttft_s,
        sample.prefill_tps,
        sample.decode_tps,
        sample.prompt_tokens,
        sample.tokens,
        sample.outcome,
        evidence,
        sample.total_s,
        decision_json(decision),
    )
    return tuple(writable(value) if isinstance(value, str) else value for value in values)


def _sample(row: Sequence[Any]) -> Sample | None:
    """The sample of a row; None when somebody else wrote what we would not."""
    (run, request, tries, at_s, model, mode, target, kind, backends) = row[:9]
    (queue_s, load_s, ttft_s, prefill_tps, decode_tps) = row[9:14]
    (prompt_tokens, tokens, outcome, evidence, total_s) = row[14:]
    try:
        return Sample(
            at_s=float(at_s),
            model=intern(model),  # thousands of samples, a handful of names
            mode=Mode(mode),
            kind=cast("Literal['node', 'coordinator'] | None", kind),
            target=intern(target),
            tries=tries,
            ttft_s=ttft_s,
            total_s=float(total_s),
            decode_tps=decode_tps,
            prefill_tps=prefill_tps,
            tokens=int(tokens),
            fault=_fault(outcome, evidence),
            request=f"{run}/{request}",
            outcome=outcome,
            prompt_tokens=prompt_tokens,
            load_s=load_s,
            queue_s=queue_s,
            backends=tuple(map(str, json.loads(backends))),
        )
    except (ValueError, TypeError):
        return None


def _fault(outcome: str, evidence: str | None) -> Fault | None:
    known = outcome in set(FaultKind)
    return Fault(FaultKind(outcome), evidence or "") if known else None
