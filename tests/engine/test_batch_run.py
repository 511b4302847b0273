"""A batch with its files: what has a result is not asked again, a pause begins nothing new, and
what cannot be written ends it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from sollol_tui.core.asks import AskEvent, AskRequest, Delta, Failed, Finished, Routed, Usage
from sollol_tui.core.asks import RouteDecision as Decision
from sollol_tui.core.batch_lines import Result
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.state import ClusterSnapshot, Mode, NodeModel, NodeState, NodeStatus
from sollol_tui.engine import batch as asking
from sollol_tui.engine.batch_run import BatchOrder, BatchRefused, BatchRun
from sollol_tui.engine.store import Store
from sollol_tui.io.batch_files import ResultsFile

RIG = NodeState(
    parse_node_url("rig"),
    "rig",
    ("config",),
    NodeStatus.UP,
    models=(NodeModel("m:1"),),
    seen_at_s=1.0,
)
SPARK = RIG._replace(url=parse_node_url("spark"), name="spark")


class Pool:
    """Answers with `answer(prompt)`: a text or a fault; a prompt of `held` waits for `go`."""

    def __init__(self, answer: Callable[[str], str | Fault] = str.upper) -> None:
        self.store = Store(ClusterSnapshot(nodes=(RIG, SPARK)), lambda: 0.0)
        self.asked: list[str] = []
        self.held: set[str] = set()
        self.go = asyncio.Event()
        self._answer = answer

    async def first_look(self) -> ClusterSnapshot:
        return self.store.snapshot

    def refresh(self) -> None:
        """There is nothing to look at."""

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        prompt = request.messages[0].content
        node = (RIG, SPARK)[len(self.asked) % 2]
        self.asked.append(prompt)
        yield Routed(Decision("r1", "m:1", Mode.TASK, node.url, "node", node.name, "", ()))
        if prompt in self.held:
            await self.go.wait()
        said = self._answer(prompt)
        if isinstance(said, Fault):
            yield Failed(said, node.url, 0, 1)
            return
        yield Delta(said)
        yield Finished("complete", Usage(3, 5, None, 30.0), 0.1, 0.5, 1)


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BatchOrder:
    """Four prompts, a to d, one at a time."""
    monkeypatch.setattr(asking, "RESTS_S", (0.001,))
    lines = [json.dumps({"id": i, "prompt": i}) for i in "abcd"]
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("\n".join([*lines, "no json"]) + "\n")
    return BatchOrder(prompts, tmp_path / "out.jsonl", "m:1", parallel=1)


def opened(order: BatchOrder) -> BatchRun:
    run = BatchRun(order, order.out.parent / "state", lambda: 0.0)
    run.open()
    return run


def written(order: BatchOrder) -> list[str]:
    return [json.loads(line)["id"] for line in order.out.read_text().splitlines()]


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():  # noqa: ASYNC110 - a run tells nobody of its state
            await asyncio.sleep(0)


async def test_a_run_counts_what_came_where_and_what_is_bad(order: BatchOrder) -> None:
    with closing(opened(order)) as run:
        await run.run(Pool())
        now = run.progress()
        assert (now.total, now.settled, now.whole, now.new, now.left) == (4, 4, 4, 4, 0)
        assert (now.state, now.bad, now.running) == ("done", 1, 0)
        assert run.spread == {RIG.url: 2, SPARK.url: 2}
        assert [b.line for b in run.bad] == [5]
    assert written(order) == list("abcd")


async def test_one_that_was_stopped_goes_on_where_it_was(order: BatchOrder) -> None:
    pool = Pool()
    pool.held = {"c"}
    with closing(opened(order)) as run:
        task = asyncio.create_task(run.run(pool))
        await until(lambda: pool.asked == ["a", "b", "c"])
        task.cancel()
        await asyncio.wait({task})
        assert (run.state, run.progress().left) == ("stopped", 2)
    with closing(opened(order)) as again:
        assert again.progress().settled == 2
        later = Pool()
        await again.run(later)
        assert later.asked == ["c", "d"]
    assert written(order) == list("abcd")


async def test_nothing_is_asked_when_everything_has_a_result(order: BatchOrder) -> None:
    with closing(opened(order)) as run:
        await run.run(Pool())
    with closing(opened(order)) as again:
        assert again.state == "done"
        pool = Pool()
        await again.run(pool)
        assert pool.asked == []


async def test_a_pause_lets_run_what_runs_and_begins_nothing(order: BatchOrder) -> None:
    pool = Pool()
    pool.held = {"b"}
    with closing(opened(order)) as run:
        task = asyncio.create_task(run.run(pool))
        await until(lambda: pool.asked == ["a", "b"])
        run.pause(True)
        pool.go.set()
        await until(lambda: run.progress().new == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (run.state, pool.asked) == ("paused", ["a", "b"])
        run.pause(False)
        await task
        assert (run.state, pool.asked) == ("done", ["a", "b", "c", "d"])


async def test_a_paused_one_can_be_stopped(order: BatchOrder) -> None:
    pool = Pool()
    with closing(opened(order)) as run:
        task = asyncio.create_task(run.run(pool, heard=lambda _: run.pause(True)))
        await until(lambda: run.state == "paused")
        task.cancel()
        await asyncio.wait({task})
        assert run.state == "stopped"
        assert run.progress().passed_s == 0.0


async def test_one_that_a_bug_ended_does_not_seem_to_run(order: BatchOrder) -> None:
    def bug(_: str) -> str:
        raise ZeroDivisionError

    with closing(opened(order)) as run:
        with pytest.raises(ZeroDivisionError):
            await run.run(Pool(bug))
        assert run.state == "stopped"


async def test_failures_are_named_by_their_line_and_can_be_asked_again(order: BatchOrder) -> None:
    def no_c(prompt: str) -> str | Fault:
        return Fault(FaultKind.BAD_REQUEST, "no c here") if prompt == "c" else prompt

    with closing(opened(order)) as run:
        await run.run(Pool(no_c))
        (failure,) = run.failures
        assert failure.prompt.line == 3
        assert "no c here" in failure.reason
        assert (run.progress().failed, run.progress().left) == (1, 0)
    with closing(opened(order._replace(retry_failed=True))) as again:
        pool = Pool()
        await again.run(pool)
        assert pool.asked == ["c"]
        assert again.progress().whole == 4


async def test_when_nothing_answers_it_gives_up_and_says_why(order: BatchOrder) -> None:
    with closing(opened(order)) as run:
        await run.run(Pool(lambda _: Fault(FaultKind.REFUSED)))
        assert run.state == "gave up"
        assert run.given_up is not None
        assert run.progress().left == 4


async def test_results_that_cannot_be_written_break_it_and_say_where(
    order: BatchOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: ResultsFile, _line: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ResultsFile, "append", full)
    with closing(opened(order)) as run:
        with pytest.raises(OSError, match="No space"):
            await run.run(Pool())
        assert run.state == "broken"
        assert run.problem == f"{order.out}: No space left on device"


async def test_results_that_the_disk_does_not_take_break_it_too(
    order: BatchOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_self: ResultsFile) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(ResultsFile, "sync", failing)
    with closing(opened(order)) as run:
        with pytest.raises(OSError, match="Input/output"):
            await run.run(Pool())
        assert run.state == "broken"


async def test_the_disk_takes_what_came_meanwhile_in_one_and_has_all_at_the_end(
    order: BatchOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    all_came = threading.Event()
    real, loop, pool = ResultsFile.sync, asyncio.get_running_loop(), Pool()
    pool.held = {"b"}

    def slow(self: ResultsFile) -> None:
        loop.call_soon_threadsafe(pool.go.set)
        assert all_came.wait(5)
        real(self)
        synced.append(order.out.read_bytes().count(b"\n"))

    monkeypatch.setattr(ResultsFile, "sync", slow)

    def note(_: Result) -> None:
        if run.progress().new == 4:
            all_came.set()

    with closing(opened(order)) as run:
        await run.run(pool, heard=note)
    assert synced == [4, 4]


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda o: o.prompts.unlink(), "there is no such file"),
        (lambda o: o.prompts.write_text("[]"), "holds no prompt that can be asked"),
        (lambda o: o.out.mkdir(), "Is a directory"),
        (lambda o: o.out.write_text("dear diary\n"), "name another file"),
        (lambda o: o.out.symlink_to(o.prompts), "the file of the prompts"),
    ],
)
def test_files_that_will_not_do_are_refused(
    order: BatchOrder, spoil: Callable[[BatchOrder], object], sentence: str
) -> None:
    spoil(order)
    with pytest.raises(BatchRefused, match=sentence):
        opened(order)


def test_two_at_the_same_file_are_refused(order: BatchOrder) -> None:
    with closing(opened(order)), pytest.raises(BatchRefused, match="another batch writes"):
        opened(order)


def test_a_prompt_of_a_bad_file_is_told_with_its_lines(order: BatchOrder) -> None:
    order.prompts.write_text("no json\n")
    run = BatchRun(order, order.out.parent / "state")
    with pytest.raises(BatchRefused):
        run.open()
    assert [b.line for b in run.bad] == [1]
