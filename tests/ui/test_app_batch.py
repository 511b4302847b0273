"""A batch on the screen: begun by a command, closed and opened again while it goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from sollol_tui.core.asks import AskEvent, AskRequest, Delta, Failed, Finished, Routed, Usage
from sollol_tui.core.batch_lines import BadLine, Prompt
from sollol_tui.core.batch_progress import BatchProgress
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.engine.batch_run import Failure
from sollol_tui.io.batch_files import ResultsFile
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.panes.batch import BatchView, batch_hint, batch_lines
from sollol_tui.ui.text import line_width, plain
from tests.ui.clusters import DECISION, FULL
from tests.ui.stand_in import StillEngine, shown, until, until_shown

FOUR = ["a", "b", "c", "d"]


class AnsweringEngine(StillEngine):
    """Answers each prompt when there is a place in `room`; those of `wrong` fail."""

    def __init__(self, room: int) -> None:
        super().__init__(FULL)
        self.room = asyncio.Semaphore(room)
        self.asked: list[str] = []
        self.wrong: set[str] = set()

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        prompt = request.messages[0].content
        self.asked.append(prompt)
        yield Routed(DECISION)
        await self.room.acquire()
        if prompt in self.wrong:
            yield Failed(Fault(FaultKind.BAD_REQUEST, "[b]no[/x]"), DECISION.target, 0, 1)
            return
        yield Delta(prompt.upper())
        yield Finished("complete", Usage(3, 5, None, 30.0), 0.1, 0.5, 1)

    def make_room(self, places: int) -> None:
        for _ in range(places):
            self.room.release()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with prompts, in which the program was started."""
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"id": i, "prompt": i}) for i in FOUR]
    (tmp_path / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


@asynccontextmanager
async def running(
    place: Path, room: int = 0, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Pilot[None], AnsweringEngine, SollolApp]]:
    engine = AnsweringEngine(room)
    app = SollolApp(engine, place / "state")
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        yield pilot, engine, app


async def give(pilot: Pilot[None], line: str) -> None:
    await pilot.press(":")
    await pilot.press(*line, "enter")


def results(place: Path) -> list[str]:
    text = (place / "prompts.results.jsonl").read_text()
    return sorted(json.loads(line)["id"] for line in text.splitlines())


async def test_a_batch_goes_on_while_its_screen_is_closed_and_ends_with_a_sentence(
    place: Path,
) -> None:
    async with running(place, room=1) as (pilot, engine, app):
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "● running   1 of 4", "gpu-rig", "Esc closes, it goes on")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await until_shown(pilot, "batch 1/4")
        engine.make_room(1)
        await give(pilot, "batch")
        await until_shown(pilot, "● running   2 of 4")
        engine.make_room(2)
        await until_shown(pilot, "✓ done   4 of 4", "The batch is done: 4 of 4 whole.")
        await pilot.press("escape")
        await until(pilot, lambda: "batch 4/4" not in shown(app))
    assert results(place) == FOUR


async def test_it_is_paused_stopped_and_gone_on_with_and_nothing_is_asked_twice(
    place: Path,
) -> None:
    async with running(place, room=1) as (pilot, engine, _app):
        await give(pilot, "batch prompts.jsonl prompts.results.jsonl")
        await until_shown(pilot, "1 of 4")
        await pilot.press("p")
        await until_shown(pilot, "○ paused", "p goes on")
        await pilot.press("p")
        await until_shown(pilot, "● running")
        await pilot.press("s")
        await until_shown(pilot, "■ stopped   1 of 4", "r goes on")
        assert results(place) == ["a"]
        engine.asked.clear()
        engine.make_room(9)
        await pilot.press("r")
        await until_shown(pilot, "✓ done   4 of 4")
        assert sorted(engine.asked) == ["b", "c", "d"]
    assert results(place) == FOUR


async def test_what_failed_is_named_by_its_line_and_asked_again(place: Path) -> None:
    async with running(place, room=9) as (pilot, engine, app):
        engine.wrong = {"c"}
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "3 whole · 1 failed", "line 3", "[b]no[/x]", "f asks the failed")
        engine.wrong = set()
        await pilot.press("f")
        await until_shown(pilot, "answers   4 whole   ")
        assert "f asks" not in shown(app)


async def test_a_file_that_will_not_do_is_handed_back_with_the_reason(
    place: Path,
) -> None:
    async with running(place) as (pilot, engine, _app):
        await give(pilot, "batch none.jsonl")
        await until_shown(
            pilot, "No batch was begun: none.jsonl: there is no such file", ":batch none.jsonl"
        )
        await pilot.press("escape")
        (place / "prompts.results.jsonl").write_text("dear diary\n")
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "name another file")
        await pilot.press("escape")
        (place / "notes.txt").write_text("dear diary\n")
        await give(pilot, "batch notes.txt")
        await until_shown(pilot, "holds no prompt that can be asked. Line 1")
        assert not engine.asked


async def test_results_that_cannot_be_written_end_it_and_say_so(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: ResultsFile, _line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ResultsFile, "append", full)
    async with running(place, room=9) as (pilot, _engine, app):
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "✗ the results cannot be written", "No space left", "r goes on")
        assert not app.batching.is_going


async def test_a_second_one_is_refused_while_one_goes_on(place: Path) -> None:
    async with running(place) as (pilot, _engine, app):
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "0 of 4")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "A batch is going on, 0 of 4 done: /batch shows it.")


async def test_quitting_asks_first_and_what_is_done_stays(place: Path) -> None:
    async with running(place, room=1) as (pilot, _engine, app):
        await give(pilot, "batch prompts.jsonl")
        await until_shown(pilot, "1 of 4")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await pilot.press("q")
        await until_shown(pilot, "A batch is going on, 1 of 4 done", "goes on from there")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.batching.is_going
        await pilot.press("q", "down", "enter")
        await until(pilot, lambda: app.return_code == 0)
    assert results(place) == ["a"]
    with ResultsFile(place / "prompts.results.jsonl", place / "state"):
        """The lock is free again."""


async def test_without_a_file_the_command_line_asks_for_one(place: Path) -> None:
    async with running(place) as (pilot, _engine, _app):
        await give(pilot, "batch")
        await until_shown(pilot, ":batch ", "A file of prompts is wanted")


# Its lines


def test_of_very_many_failures_some_are_shown_and_the_rest_counted() -> None:
    bad = [BadLine(number, "it is no JSON") for number in range(1, 301)]
    lines = batch_lines(BatchView(BatchProgress(4, 0, 0, bad=300), "out", bad=bad), 60)
    assert plain(lines[-1]).strip() == "… and 100 more"
    assert "300 bad lines" in "\n".join(map(plain, lines))


def test_the_lines_fit_whatever_they_say_and_foreign_text_is_harmless() -> None:
    view = BatchView(
        BatchProgress(40, 12, 10, 12, 3, 60.0, bad=1),
        "/home/" + "x" * 100,
        3,
        [("gpu-rig", 9), ("a" * 50, 3)],
        [BadLine(41, "it is no JSON")],
        [Failure(Prompt("\x1b[31m", "?", "m", 7), "server error\nHTTP 500")],
    )
    lines = batch_lines(view, 60)
    text = "\n".join(map(plain, lines))
    assert "● running   12 of 40" in text
    assert "10 whole · 2 failed · 3 being written · 25 to go · 1 bad line" in text
    assert "12 a minute · 3 at a time · 2 min 20 s left" in text
    assert "\x1b" not in text
    bars = [line for line in lines if "█" in plain(line)]
    assert max(map(line_width, bars)) <= 60
    assert text.index("line 7") < text.index("line 41")


@pytest.mark.parametrize(
    ("progress", "hint"),
    [
        (BatchProgress(4, 1, 1, state="running"), "p pauses"),
        (BatchProgress(4, 1, 1, state="paused"), "p goes on"),
        (BatchProgress(4, 1, 1, state="stopped"), "r goes on"),
        (BatchProgress(4, 4, 3, state="done"), "f asks the failed again"),
        (BatchProgress(4, 4, 4, state="done"), "y copies the path"),
    ],
)
def test_only_what_can_be_done_is_offered(progress: BatchProgress, hint: str) -> None:
    assert batch_hint(progress).startswith(hint)
