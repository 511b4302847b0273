"""The record of requests: what was written is there again, whatever happened to the file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sollol_tui.core.asks import Candidate, RouteDecision
from sollol_tui.core.decision_json import read_decision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.samples import Sample
from sollol_tui.core.state import Mode
from sollol_tui.io import ledger_file
from sollol_tui.io.ledger_file import FILE_NAME, LedgerFile, Recalled, Written

DECISION = RouteDecision(
    "r1.1",
    "llama3.2:3b",
    Mode.BOTH,
    "http://gpu1:11434",
    "node",
    "gpu1",
    "the only node",
    (Candidate("http://gpu1:11434", "node", "gpu1", -10.5, (("wait", -0.5), ("answer", -10.0))),),
)
ANSWER = Sample(
    at_s=1790000000.25,
    model="llama3.2:3b",
    mode=Mode.BOTH,
    kind="node",
    target="http://gpu1:11434",
    tries=1,
    ttft_s=0.21,
    total_s=9.6,
    decode_tps=34.2,
    prefill_tps=480.0,
    tokens=320,
    request="r1",
    outcome="length",
    prompt_tokens=12,
    load_s=0.1,
    queue_s=0.02,
    backends=("10.0.0.2:50052",),
)
FAILURE = ANSWER._replace(
    kind="coordinator",
    target="http://10.0.0.9:18080",
    request="r2",
    ttft_s=None,
    decode_tps=None,
    fault=Fault(FaultKind.CUT, "peer closed the connection"),
    outcome="cut",
)
NOBODY = ANSWER._replace(
    kind=None,
    target="",
    tries=0,
    request="r3",
    fault=Fault(FaultKind.NOT_FOUND, "nothing can take it"),
    outcome="not_found",
)


async def written(place: Path, *samples: Sample, run: str = "one") -> Written:
    file = LedgerFile(place, run)
    result = await file.write([(sample, DECISION) for sample in samples])
    await file.aclose()
    return result


async def recalled(place: Path, most: int = 100) -> Recalled:
    file = LedgerFile(place, "two")
    found = await file.recent(most)
    await file.aclose()
    return found


def rows(place: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(place / FILE_NAME)) as connection:
        return connection.execute(question).fetchall()


async def test_what_one_run_wrote_the_next_one_reads_in_order(tmp_path: Path) -> None:
    assert await written(tmp_path / "data", ANSWER, FAILURE, NOBODY) == Written(True)
    found = await recalled(tmp_path / "data")
    expected = [s._replace(request=f"one/{s.request}") for s in (ANSWER, FAILURE, NOBODY)]
    assert found == Recalled(tuple(expected))


async def test_the_last_ones_are_asked_for(tmp_path: Path) -> None:
    await written(tmp_path, ANSWER, FAILURE, NOBODY)
    found = await recalled(tmp_path, most=2)
    assert [sample.request for sample in found.samples] == ["one/r2", "one/r3"]


async def test_a_decision_can_be_read_back_whole(tmp_path: Path) -> None:
    await written(tmp_path, ANSWER)
    ((text,),) = rows(tmp_path, "SELECT decision FROM requests")
    assert read_decision(str(text)) == DECISION


async def test_a_row_that_is_written_twice_is_there_once(tmp_path: Path) -> None:
    await written(tmp_path, ANSWER)
    await written(tmp_path, ANSWER, ANSWER._replace(tries=2))
    await written(tmp_path, ANSWER, run="another")
    assert rows(tmp_path, "SELECT count(*) FROM requests") == [(3,)]


async def test_nothing_is_read_where_nothing_was_written(tmp_path: Path) -> None:
    assert await recalled(tmp_path / "new") == Recalled(())


async def test_a_file_that_is_no_record_is_set_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 1000)
    found = await recalled(tmp_path)
    assert found.samples == ()
    assert "the file was broken, a new one begins" in found.problem
    assert (tmp_path / "ledger.broken").read_bytes().startswith(b"no database")
    assert await written(tmp_path, ANSWER) == Written(True)
    assert len((await recalled(tmp_path)).samples) == 1


async def test_a_page_that_breaks_later_costs_the_old_rows_and_not_the_new_one(
    tmp_path: Path,
) -> None:
    many = [ANSWER._replace(request=f"r{number}") for number in range(200)]
    await written(tmp_path, *many)
    path = tmp_path / FILE_NAME
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    result = await written(tmp_path, FAILURE, run="later")
    assert result.kept
    assert "broken" in result.problem
    assert [s.request for s in (await recalled(tmp_path)).samples] == ["later/r2"]


async def test_a_record_of_a_newer_program_is_left_alone(tmp_path: Path) -> None:
    await written(tmp_path, ANSWER)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("PRAGMA user_version = 99")
    result = await written(tmp_path, FAILURE)
    assert not result.kept
    assert "a newer version of this program" in result.problem
    assert rows(tmp_path, "SELECT count(*) FROM requests") == [(1,)]


async def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    result = await written(tmp_path / "file" / "data", ANSWER)
    assert not result.kept
    assert "cannot be used" in result.problem


async def test_the_oldest_rows_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_file, "MAX_ROWS", 10)
    monkeypatch.setattr(ledger_file, "PRUNE_EVERY", 5)
    file = LedgerFile(tmp_path, "one")
    for number in range(30):
        await file.write([(ANSWER._replace(request=f"r{number}"), DECISION)])
    await file.aclose()
    kept = [s.request for s in (await recalled(tmp_path)).samples]
    assert kept == [f"one/r{number}" for number in range(20, 30)]


async def test_the_oldest_rows_go_when_they_are_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_file, "MAX_BYTES", 256 << 10)
    monkeypatch.setattr(ledger_file, "PRUNE_EVERY", 50)
    large = DECISION._replace(reason="because " * 500)
    file = LedgerFile(tmp_path, "one")
    for number in range(200):
        await file.write([(ANSWER._replace(request=f"r{number}"), large)])
    await file.aclose()
    kept = [s.request for s in (await recalled(tmp_path, 500)).samples]
    assert kept[-1] == "one/r199"
    assert 10 < len(kept) < 100
    assert (tmp_path / FILE_NAME).stat().st_size < 1 << 20


WRITER = """
import asyncio, sys
from pathlib import Path
from sollol_tui.io.ledger_file import LedgerFile
from tests.io.test_ledger_file import ANSWER, DECISION

async def write():
    file = LedgerFile(Path(sys.argv[1]), sys.argv[2])
    for number in range(100):
        result = await file.write([(ANSWER._replace(request=f"r{number}"), DECISION)])
        assert result == (True, ""), result
    await file.aclose()

asyncio.run(write())
"""


def test_two_programs_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    both = [
        subprocess.Popen([*command, run], cwd=root, env={"PYTHONPATH": f"{root / 'src'}:{root}"})
        for run in ("one", "two")
    ]
    assert [writer.wait(30) for writer in both] == [0, 0]
    assert rows(tmp_path, "SELECT run, count(*) FROM requests GROUP BY run") == [
        ("one", 100),
        ("two", 100),
    ]


async def test_foreign_text_that_cannot_be_written_is_written_anyhow(tmp_path: Path) -> None:
    odd = ANSWER._replace(
        model="a\ud800b", fault=Fault(FaultKind.SERVER, "\udfff"), outcome="server"
    )
    assert (await written(tmp_path, odd)).kept
    (found,) = (await recalled(tmp_path)).samples
    assert found.model == "a?b"
