"""What requests taught: kept on disk, brought back at the start, told as figures."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from sollol_tui.core.asks import Delta, Finished
from sollol_tui.core.decision_json import read_decision
from sollol_tui.core.records import FORGET_S
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import Mode
from sollol_tui.core.statistics import Statistics
from sollol_tui.demo.faults import Faults
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.ledger import Ledger, Sample
from sollol_tui.io.ledger_file import FILE_NAME, LedgerFile, Row, Written
from tests import fakes
from tests.engine.support import preferring, settings_for, until
from tests.engine.test_requests import MODEL, asked, question, those

NOW_S = 10_000.0
TARGET = "http://gpu1:11434"
KEY = (TARGET, MODEL)


def sample(age_s: float, **changes: object) -> Sample:
    known = Sample(
        NOW_S - age_s, MODEL, Mode.TASK, "node", TARGET, 1, 0.5, 2.0, 40.0, None, 50, request="r"
    )
    return known._replace(**changes)  # type: ignore[arg-type]


def recalled(*earlier: Sample) -> Ledger:
    ledger = Ledger()
    ledger.recall(earlier, Statistics(earlier, NOW_S), NOW_S)
    return ledger


@asynccontextmanager
async def recording(settings: Settings, place: Path) -> AsyncIterator[Engine]:
    engine = Engine(settings, data_dir=place)
    async with engine.running():
        await until(engine, lambda s: s.looked)
        yield engine


def rows(place: Path, columns: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(place / FILE_NAME)) as connection:
        return connection.execute(f"SELECT {columns} FROM requests ORDER BY number").fetchall()


async def test_every_request_is_in_the_record_with_its_decision(tmp_path: Path) -> None:
    async with (
        fakes.node(answer="Rivers run.") as node,
        recording(settings_for((node.url,)), tmp_path) as engine,
    ):
        await asked(engine)
        await asked(engine, question("unheard-of:1b"))
        decision = next(
            engine.store.decision(e.decision_id)
            for e in engine.store.entries_after(0)
            if e.decision_id
        )
    found = rows(tmp_path, "request, tries, target, kind, outcome, decision")
    assert [row[:5] for row in found] == [
        ("r1", 1, node.url, "node", "complete"),
        ("r2", 0, "", None, "not_found"),
    ]
    assert read_decision(str(found[0][5])) == decision


async def test_every_try_is_a_row_and_a_stopped_answer_says_so(tmp_path: Path) -> None:
    async with (
        fakes.node(faults=Faults(cut_after=0)) as bad,
        fakes.node(answer="one two three", tokens_per_s=200) as good,
        recording(preferring(bad.url, settings_for((bad.url, good.url))), tmp_path) as engine,
    ):
        await asked(engine)
        request = question(target=good.url)
        stream = engine.ask(request)
        async for event in stream:
            if isinstance(event, Delta):
                break
        await stream.aclose()
    found = rows(tmp_path, "request, tries, target, outcome")
    assert ("cut", 1) in {(row[3], row[1]) for row in found}
    assert ("complete", 2) in {(row[3], row[1]) for row in found}
    assert found[-1][3] == "stopped"
    assert len({row[:2] for row in found}) == len(found)


async def test_the_next_run_counts_on_and_knows_how_fast_who_is(tmp_path: Path) -> None:
    async with fakes.node(tokens_per_s=300) as node:
        settings = settings_for((node.url,))
        async with recording(settings, tmp_path) as engine:
            await asked(engine)
            before = engine.ledger.records
        async with recording(settings, tmp_path) as engine:
            await until_recalled(engine)
            assert engine.ledger.records == before
            assert not engine.ledger.samples, "these are of this run"
            await asked(engine)
            figures = engine.stats(engine.store.now_s()).all.recent
            assert (figures.requests, figures.succeeded) == (2, 2)
            assert figures.ttft_s.p95 is not None


async def until_recalled(engine: Engine) -> None:
    async with asyncio.timeout(10):
        while not engine.stats(engine.store.now_s()).all.overall.requests:
            await asyncio.to_thread(lambda: None)


async def test_a_record_that_cannot_be_written_is_said_once_and_answers_come_all_the_same(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").write_text("in the way")
    async with (
        fakes.node() as node,
        recording(settings_for((node.url,)), tmp_path / "file" / "data") as engine,
    ):
        for _ in range(3):
            assert those(await asked(engine), Finished)
        await until(engine, lambda _: bool(complaints(engine)))
    assert len(complaints(engine)) == 1


def complaints(engine: Engine) -> list[str]:
    entries = engine.store.entries_after(0)
    return [e.text for e in entries if "record of requests" in e.text]


async def test_a_row_is_written_once_and_not_held_any_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    write = LedgerFile.write

    async def counted(file: LedgerFile, rows: Sequence[Row]) -> Written:
        result = await write(file, rows)
        sizes.append(len(rows))
        return result

    monkeypatch.setattr(LedgerFile, "write", counted)
    async with fakes.node() as node, recording(settings_for((node.url,)), tmp_path) as engine:
        await until_written(engine, sizes, 1)
        await until_written(engine, sizes, 2)
    assert sizes == [1, 1]


async def until_written(engine: Engine, sizes: list[int], count: int) -> None:
    await asked(engine)
    async with asyncio.timeout(10):
        while len(sizes) < count:
            await asyncio.to_thread(lambda: None)


async def test_the_answer_does_not_wait_for_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another program holds the file, requests end as ever, and are written later."""
    async with fakes.node() as node:
        settings = settings_for((node.url,))
        async with recording(settings, tmp_path) as engine:
            await asked(engine)
        with closing(sqlite3.connect(tmp_path / FILE_NAME)) as other:
            async with recording(settings, tmp_path) as engine:
                await until_recalled(engine)
                other.execute("BEGIN IMMEDIATE")
                async with asyncio.timeout(2):
                    assert those(await asked(engine), Finished)
                other.rollback()
    assert len(rows(tmp_path, "number")) == 2


# Records and figures


def test_fresh_samples_of_earlier_runs_teach_as_those_of_this_one() -> None:
    record = recalled(sample(20, ttft_s=1.0), sample(10, ttft_s=2.0)).records[KEY]
    assert record.ttft_s == pytest.approx(1.3)
    assert (record.answers, record.measured_at_s) == (2, NOW_S - 10)


def test_what_is_not_fresh_is_forgotten_but_for_how_long_the_model_loads() -> None:
    old = sample(FORGET_S + 1, load_s=30.0)
    record = recalled(old, sample(FORGET_S + 1, load_s=0.01)).records[KEY]
    assert (record.ttft_s, record.decode_tps, record.answers) == (None, None, 0)
    assert record.load_s == 30.0
    failed = recalled(sample(FORGET_S + 1, fault=fault("server")))
    assert failed.records[KEY].failed_at_s is None


def fault(kind: str) -> object:
    from sollol_tui.core.faults import Fault, FaultKind

    return Fault(FaultKind(kind))


def test_failures_that_are_not_the_targets_teach_nothing() -> None:
    for kind in (
        "bad_request",
        "not_found",
        "stopped",
        "saturated",
        "rate_limited",
        "loading",
    ):
        assert recalled(sample(1, fault=fault(kind))).records == {}
    assert recalled(sample(1, fault=fault("cut"))).records[KEY].failures == 1
    assert recalled(sample(1, kind=None, target="", fault=fault("cut"))).records == {}


def test_what_ended_before_the_record_was_read_is_kept() -> None:
    ledger = Ledger()
    decision = read_decision(
        '{"id":"r1.1","model":"m:1","mode":"task","target":"t","kind":"node","name":"t",'
        '"reason":"","candidates":[]}'
    )
    assert decision is not None
    ledger.add(sample(1, request="new"), decision)
    ledger.recall([sample(5)], Statistics([sample(5)], NOW_S), NOW_S)
    assert ledger.records[KEY].answers == 2
    assert ledger.stats(NOW_S, 900).all.overall.requests == 2


def test_an_engine_without_requests_has_figures_of_nothing() -> None:
    engine = Engine(settings_for())
    assert engine.stats(0.0).all.recent.requests == 0


def test_the_rate_of_a_few_tokens_teaches_nothing_about_speed() -> None:
    few = recalled(sample(2, tokens=3, decode_tps=900.0)).records[KEY]
    assert (few.answers, few.ttft_s, few.decode_tps) == (1, 0.5, None)
    both = recalled(sample(2, decode_tps=40.0), sample(1, tokens=3, decode_tps=900.0)).records[KEY]
    assert both.decode_tps == 40.0
