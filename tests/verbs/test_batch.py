"""`batch`: a file in, a file out, and a run that can be stopped and goes on where it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from sollol_tui.core.asks import AskEvent, AskRequest, Delta, Failed, Finished, Routed, Usage
from sollol_tui.core.asks import RouteDecision as Decision
from sollol_tui.core.batch_progress import BatchProgress
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, Mode, NodeModel, NodeState, NodeStatus
from sollol_tui.engine import batch as engine_batch
from sollol_tui.engine.store import Store
from sollol_tui.verbs.arguments import UsageError, parse
from sollol_tui.verbs.batch import BatchCall, batch
from sollol_tui.verbs.batch_bar import Bar
from sollol_tui.verbs.batch_options import BatchOptions
from tests import fakes
from tests.verbs.fakes import FakeEngine, Terminal, heard, voice

NODE = NodeState(
    parse_node_url("gpu1"),
    "gpu1",
    ("config",),
    NodeStatus.UP,
    models=(NodeModel("m:1"),),
    seen_at_s=1.0,
)
SNAPSHOT = ClusterSnapshot(nodes=(NODE, NODE._replace(url=parse_node_url("gpu2"), name="gpu2")))
DECISION = Decision("r1.1", "m:1", Mode.TASK, NODE.url, "node", "gpu1", "", ())


class PoolEngine(FakeEngine):
    """Answers a question with `answer(prompt)`: a text, a fault, or never (None)."""

    def __init__(self, answer: Callable[[str], str | Fault | None]) -> None:
        super().__init__(SNAPSHOT)
        self.store = Store(SNAPSHOT, lambda: 0.0)
        self._answer = answer

    async def first_look(self) -> ClusterSnapshot:
        return self.snapshot

    def refresh(self) -> None:
        """There is nothing to look at."""

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        self.asked.append(request)
        said = self._answer(request.messages[0].content)
        yield Routed(DECISION)
        if said is None:
            await asyncio.Event().wait()
            return
        if isinstance(said, Fault):
            yield Failed(said, NODE.url, 0, 1)
            return
        yield Delta(said)
        yield Finished("complete", Usage(3, 5, None, 30.0), 0.1, 0.5, 1)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(engine_batch, "RESTS_S", (0.001,))
    write_prompts(tmp_path, ["one", "two", "three"])
    return tmp_path


def write_prompts(place: Path, ids: list[str], extra: str = "") -> None:
    lines = [json.dumps({"id": i, "prompt": f"What is {i}?"}) for i in ids]
    (place / "prompts.jsonl").write_text("\n".join(lines) + "\n" + extra)


def shout(prompt: str) -> str:
    return prompt.upper()


class Ran:
    """A run of the verb over a stand-in engine: how it ended and what was said and written."""

    def __init__(
        self,
        place: Path,
        answer: Callable[[str], str | Fault | None] = shout,
        *,
        as_json: bool = False,
        model: str = "m:1",
        **options: Any,
    ) -> None:
        self.engine = PoolEngine(answer)
        spoken = voice()
        named = BatchOptions(place / "prompts.jsonl", place / "results.jsonl", **options)
        call = BatchCall(named, Settings(model=model), place / "state", as_json)
        self.code = batch(lambda: self.engine, call, spoken)
        self.out, self.err = heard(spoken)
        self.results = read_results(place)


def read_results(place: Path) -> list[dict[str, Any]]:
    path = place / "results.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def ids(results: list[dict[str, Any]]) -> list[str]:
    return sorted(result["id"] for result in results)


def test_every_prompt_gets_a_line_with_its_answer(place: Path) -> None:
    ran = Ran(place)
    assert ran.code == 0
    assert ids(ran.results) == ["one", "three", "two"]
    one = next(r for r in ran.results if r["id"] == "one")
    assert (one["text"], one["outcome"], one["tries"]) == ("WHAT IS ONE?", "complete", 1)
    assert (one["target"], one["model"]) == ("http://gpu1:11434", "m:1")
    assert "3 prompts; 2 at a time" in ran.err
    assert "3 of 3 whole" in ran.err
    assert ran.out == ""
    assert ran.engine.stays is False


def test_what_has_a_result_is_not_asked_again(place: Path) -> None:
    Ran(place)
    write_prompts(place, ["one", "four", "two"])
    ran = Ran(place)
    assert ran.code == 0
    assert [r.messages[0].content for r in ran.engine.asked] == ["What is four?"]
    assert ids(ran.results) == ["four", "one", "three", "two"]
    again = Ran(place)
    assert (again.code, again.engine.asked) == (0, [])


def test_a_failure_is_a_line_too_and_can_be_asked_for_again(place: Path) -> None:
    def half(prompt: str) -> str | Fault:
        return Fault(FaultKind.SERVER, "HTTP 500") if "two" in prompt else prompt

    ran = Ran(place, half)
    assert ran.code == 3
    (failed,) = [r for r in ran.results if r["outcome"] == "server"]
    assert (failed["id"], failed["error"]) == ("two", "server error: HTTP 500")
    assert '"two": server error: HTTP 500' in ran.err
    assert Ran(place).code == 3, "it has a result: it is not asked again"
    healed = Ran(place, retry_failed=True)
    assert healed.code == 0
    assert [r.messages[0].content for r in healed.engine.asked] == ["What is two?"]
    assert ids(healed.results) == ["one", "three", "two"]


def test_bad_lines_are_named_and_the_others_asked(place: Path) -> None:
    write_prompts(place, ["one"], 'not json\n{"id": "x"}\n')
    ran = Ran(place)
    assert ran.code == 3
    assert "prompts.jsonl:2: it is no JSON" in ran.err
    assert "prompts.jsonl:3: its prompt is missing" in ran.err
    assert "2 bad lines" in ran.err
    assert ids(ran.results) == ["one"]


def test_when_nothing_answers_nothing_is_written_and_that_is_said(place: Path) -> None:
    ran = Ran(place, lambda _: Fault(FaultKind.REFUSED))
    assert ran.code == 1
    assert ran.results == []
    assert "nothing answers any more (connection refused)" in ran.err
    assert "3 not asked" in ran.err


def test_an_interrupt_keeps_what_is_done_and_the_next_run_goes_on(place: Path) -> None:
    def until_two(prompt: str) -> str | None:
        if "three" not in prompt:
            return prompt
        signal.raise_signal(signal.SIGINT)
        return None

    ran = Ran(place, until_two, parallel=1)
    assert ran.code == 130
    assert ids(ran.results) == ["one", "two"]
    assert "interrupted" in ran.err
    assert Ran(place).code == 0


def test_a_torn_line_is_repaired_and_its_prompt_asked_again(place: Path) -> None:
    Ran(place, parallel=1)
    path = place / "results.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    ran = Ran(place)
    assert (ran.code, len(ran.engine.asked)) == (0, 1)
    assert "was cut off and is taken away" in ran.err
    assert ids(ran.results) == ["one", "three", "two"]


def test_events_are_told_as_json(place: Path) -> None:
    events = [json.loads(line) for line in Ran(place, as_json=True, parallel=1).out.splitlines()]
    assert events[0] == {
        "event": "started",
        "total": 3,
        "done": 0,
        "bad": 0,
        "parallel": 1,
        "mode": "task",
    }
    assert events[1] == {
        "event": "result",
        "id": "one",
        "target": "http://gpu1:11434",
        "outcome": "complete",
        "tries": 1,
        "done": 1,
        "total": 3,
    }
    last = events[-1]
    assert last.pop("total_s") >= 0
    assert last == {
        "event": "finished",
        "interrupted": False,
        "new": 3,
        "whole": 3,
        "failed": 0,
        "left": 0,
        "bad": 0,
    }


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda p: (p / "prompts.jsonl").unlink(), "there is no such file"),
        (lambda p: (p / "prompts.jsonl").write_text("\n"), "holds no prompt"),
        (lambda p: (p / "results.jsonl").write_text("dear diary\n"), "name another file"),
        (lambda p: (p / "results.jsonl").mkdir(), "Is a directory"),
        (
            lambda p: (p / "results.jsonl").symlink_to(p / "prompts.jsonl"),
            "the file of the prompts",
        ),
    ],
)
def test_files_that_will_not_do_are_refused_before_anything_is_asked(
    place: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(place)
    spoken = voice()
    named = BatchOptions(place / "prompts.jsonl", place / "results.jsonl")
    call = BatchCall(named, Settings(model="m:1"), place / "state")
    assert batch(lambda: PoolEngine(shout), call, spoken) == 2
    assert sentence in heard(spoken)[1]


def test_without_a_model_every_line_is_a_bad_one(place: Path) -> None:
    ran = Ran(place, model="")
    assert ran.code == 2
    assert "names no model" in ran.err


# The command line


def test_the_flags_are_understood() -> None:
    found = parse(["batch", "in", "--out", "out", "--parallel", "8", "-m", "m:1", "--mode", "both"])
    assert found.batch == BatchOptions(Path("in"), Path("out"), 8, retry_failed=False)
    assert {s.key: s.value for s in found.flags} == {"model": "m:1", "mode": Mode.BOTH}


@pytest.mark.parametrize("wrong", [["in"], ["--out", "o"], ["in", "--out", "o", "--parallel", "0"]])
def test_wrong_flags_are_told(wrong: list[str]) -> None:
    with pytest.raises(UsageError):
        parse(["batch", *wrong])


# The bar


def test_the_bar_is_drawn_on_a_terminal_only_and_seldom() -> None:
    now_s = 0.0
    spoken = voice()._replace(err=Terminal(), ascii=True)
    progress = BatchProgress(total=4, settled=2, whole=2, new=1, running=2)
    bar = Bar(spoken, lambda: progress, clock=lambda: now_s)
    for _ in range(50):
        bar.draw()
    now_s = 30.0
    progress = progress._replace(settled=3, new=2, running=1, passed_s=30.0)
    bar.draw()
    bar.clear()
    drawn = heard(spoken)[1].split("\r\x1b[K")
    assert drawn == [
        "",
        "############............ 2/4 | 2 running",
        "##################...... 3/4 | 1 running | 1 failed | 4/min, 15 s left",
        "",
    ]
    silent = voice()
    Bar(silent, lambda: progress, lambda: 0.0).draw(at_once=True)
    assert heard(silent)[1] == ""


# The whole, over servers


@pytest.fixture
def nodes() -> Iterator[list[str]]:
    """The URLs of two nodes that write some words in a tenth of a second."""
    urls: Future[list[str]] = Future()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        pace = {"answer": "one two three four five six", "tokens_per_s": 60.0}
        async with fakes.node(**pace) as one, fakes.node(**pace) as two:
            urls.set_result([one.url, two.url])
            await over.wait()

    thread = Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    yield urls.result()
    loop.call_soon_threadsafe(over.set)
    thread.join()
    loop.close()


def command(nodes: list[str], place: Path, *more: str) -> list[str]:
    flags = [f"--node={url}" for url in nodes]
    files = [str(place / "prompts.jsonl"), "--out", str(place / "results.jsonl")]
    start = [sys.executable, "-m", "sollol_tui.cli", "batch", *flags, "--redis=off"]
    return [*start, "-m", "llama3.2:3b", *files, *more]


def test_a_batch_over_nodes_is_interrupted_and_goes_on_and_nothing_is_there_twice(
    nodes: list[str], tmp_path: Path
) -> None:
    wanted = [f"q{number}" for number in range(30)]
    write_prompts(tmp_path, wanted)
    first = subprocess.Popen(
        command(nodes, tmp_path, "--parallel", "2", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert first.stdout is not None
    assert json.loads(first.stdout.readline())["event"] == "started"
    assert json.loads(first.stdout.readline())["event"] == "result"
    first.send_signal(signal.SIGINT)
    out, err = first.communicate(timeout=30)
    assert first.returncode == 130, err
    assert json.loads(out.splitlines()[-1])["interrupted"] is True
    assert 1 <= len(read_results(tmp_path)) < 30
    second = subprocess.run(
        command(nodes, tmp_path, "--parallel", "8"),
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert second.returncode == 0, second.stderr
    assert second.stdout == ""
    results = read_results(tmp_path)
    assert ids(results) == sorted(wanted)
    assert {(r["outcome"], r["text"]) for r in results} == {
        ("complete", "one two three four five six")
    }
    assert {r["target"] for r in results} == set(nodes)


def test_the_readme_shows_events_and_results_in_their_shape(place: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.split("### `batch --json`")[1].split("```json\n")[1].split("```")[0]
    told = [json.loads(line) for line in section.splitlines()]
    ran = Ran(place, as_json=True, parallel=1)
    events = [json.loads(line) for line in ran.out.splitlines()]
    assert [list(e) for e in told] == [list(events[n]) for n in (0, 1, -1)]
    example = readme.split("$ cat results.jsonl\n")[1].splitlines()[0]
    assert list(json.loads(example)) == list(ran.results[0])
