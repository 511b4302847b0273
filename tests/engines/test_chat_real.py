"""`chat` and `batch` as commands over two real Ollama nodes: what they promise to scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .lab import Lab
from .servers import OllamaNode, free_port, get_json, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("engine"),
]

MODEL, WRITER = "smol:135m", "smol-writer:135m"
HOSTS = ("127.0.0.5", "127.0.0.6")
STORY = "Tell me a story about a river and a bridge."
PATIENCE_S = 120.0
CUT_AFTER_CHARS = 60
Json = dict[str, Any]

# The keys that every event has at least; readers skip what they do not know.
KEYS = {
    "routed": {"event", "target", "kind", "reason", "candidates"},
    "waiting": {"event", "position", "age_s", "loading", "progress", "phase"},
    "thinking": {"event", "text"},
    "delta": {"event", "text"},
    "notice": {"event", "text"},
    "seam": {"event", "from", "to", "at_chars"},
    "finished": {
        "event",
        "outcome",
        "prompt_tokens",
        "completion_tokens",
        "ttft_s",
        "prefill_tps",
        "decode_tps",
        "total_s",
        "tries",
    },
    "failed": {"event", "cause", "evidence", "kept_chars"},
}
CANDIDATE = {"target", "score", "parts", "rejected"}


class Place(NamedTuple):
    """Two nodes, and the environment of the commands."""

    nodes: tuple[OllamaNode, OllamaNode]
    env: Mapping[str, str]

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "sollol_tui.cli", *words]

    def call(
        self, *words: str, stdin: str | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.argv(*words),
            env={**self.env, **(env or {})},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            self.argv(*words),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def at(self, url: str) -> OllamaNode:
        return next(n for n in self.nodes if n.url == url)


@pytest.fixture
def place(ollama_lab: Lab, tmp_path: Path) -> Iterator[Place]:
    store = tmp_path / "store"  # a small model may go on for ever where nobody sets a limit
    for name, tokens in ((MODEL, 120), (WRITER, 400)):
        limits = {"temperature": 0, "seed": 1, "num_predict": tokens}
        make_store(store, {name: ollama_lab.model_small}, limits)
    home = tmp_path / "home-of-commands"
    home.mkdir()
    port = free_port(*HOSTS)
    with (
        OllamaNode(ollama_lab, store, HOSTS[0], port) as one,
        OllamaNode(ollama_lab, store, HOSTS[1], port) as two,
    ):
        env = {name: value for name, value in os.environ.items() if "SOLLOL" not in name}
        env |= {
            "HOME": str(home),
            "SOLLOL_TUI_NODES": f"{one.url},{two.url}",
            "SOLLOL_TUI_REDIS_URL": "off",
            "SOLLOL_TUI_LOOK_AT_LOCALHOST": "false",
            "SOLLOL_TUI_READ_SOLLOL_FILES": "false",
            "SOLLOL_TUI_TIMEOUT_S": "5",
            "SOLLOL_TUI_MODE": "task",
            "LANG": "C.UTF-8",
            "TERM": "xterm",
        }
        for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
            env.pop(name, None)
        yield Place((one, two), env)


def read(line: str) -> Json:
    """One event; fails when it lacks what is promised."""
    event: Json = json.loads(line)
    assert set(event) >= KEYS[event["event"]]
    for candidate in event.get("candidates", []):
        assert set(candidate) == CANDIDATE
        assert (candidate["score"] is None) != (candidate["rejected"] is None)
    return event


def those(events: list[Json], kind: str) -> list[Json]:
    return [e for e in events if e["event"] == kind]


def text(events: list[Json]) -> str:
    return "".join(e["text"] for e in those(events, "delta"))


def no_traceback(err: str) -> None:
    assert "Traceback" not in err
    assert "Exception" not in err


def test_stdout_is_the_answer_and_stderr_says_who_and_how_fast(place: Place) -> None:
    found = place.call("chat", "-m", MODEL, "Name one colour.")
    assert found.returncode == 0, found.stderr
    assert found.stdout.strip()
    assert found.stdout.endswith("\n")
    routed, *rest = found.stderr.splitlines()
    assert any(routed.startswith(f"→ {n.address} ({n.url}): ") for n in place.nodes)
    assert "tok/s" in rest[-1]
    assert not any(line in found.stdout for line in found.stderr.splitlines())


def test_json_has_the_promised_events_and_the_deltas_are_the_answer(place: Place) -> None:
    found = place.call("chat", "-m", MODEL, "--json", "Name one colour.")
    assert (found.returncode, found.stderr) == (0, "")
    events = [read(line) for line in found.stdout.splitlines()]
    assert events[0]["event"] == "routed"
    assert {c["target"] for c in events[0]["candidates"]} == {n.url for n in place.nodes}
    assert events[0]["kind"] == "node"
    assert text(events).strip()
    end = events[-1]
    assert (end["event"], end["outcome"], end["tries"]) == ("finished", "complete", 1)
    assert end["completion_tokens"] > 0
    assert end["prompt_tokens"] > 0
    assert end["decode_tps"] > 0
    assert 0 < end["ttft_s"] <= end["total_s"]


def test_a_question_from_stdin_and_a_node_that_is_named_here_only(place: Place) -> None:
    only = place.nodes[1]
    nowhere = {"SOLLOL_TUI_NODES": ""}
    for words in (("-",), ()):
        found = place.call(
            "chat",
            "-m",
            MODEL,
            "--node",
            only.url,
            "--json",
            *words,
            stdin="Name one colour.\n",
            env=nowhere,
        )
        events = [read(line) for line in found.stdout.splitlines()]
        assert found.returncode == 0, found.stderr
        assert [e["target"] for e in those(events, "routed")] == [only.url]
    found = place.call("chat", "-m", MODEL, "--node", only.url, "--json", "Name one colour.")
    (routed,) = those([read(line) for line in found.stdout.splitlines()], "routed")
    refused = {c["target"]: c["rejected"] for c in routed["candidates"]}
    assert refused == {place.nodes[0].url: "another target was asked for", only.url: None}


@pytest.mark.parametrize("both_killed", [False, True], ids=["goes on", "not whole"])
def test_a_killed_node_leaves_a_seam_or_an_answer_that_is_not_whole(
    place: Place, both_killed: bool
) -> None:
    if both_killed:
        place.nodes[1].close()
    with place.running("chat", "-m", WRITER, "--json", STORY) as process:
        assert process.stdout is not None
        events: list[Json] = []
        for line in process.stdout:
            events.append(read(line))
            if len(text(events)) < CUT_AFTER_CHARS:
                continue
            writer = place.at(those(events, "routed")[-1]["target"])
            if writer.running and not those(events, "notice"):
                writer.kill_group(signal.SIGKILL)
                writer.wait_exit()
        assert process.wait(PATIENCE_S) in ({3} if both_killed else {0, 3})
        if both_killed:
            assert [e["event"] for e in events[-2:]] == ["notice", "failed"]
            assert events[-1]["kept_chars"] == len(text(events)) >= CUT_AFTER_CHARS
            assert events[-1]["cause"] in {"cut", "server"}
            return
        assert events[-1]["event"] == "finished"
        assert events[-1]["tries"] == 2
        (seam,) = those(events, "seam")
        before = text(events[: events.index(seam)])
        assert seam["at_chars"] == len(before)
        assert {seam["from"], seam["to"]} == {n.url for n in place.nodes}
        assert [e["target"] for e in those(events, "routed")] == [seam["from"], seam["to"]]
        assert not text(events)[len(before) :].startswith(before[:20])
        assert len(those(events, "notice")) == 1


def test_a_cut_answer_as_text_keeps_what_came_and_says_so(place: Place) -> None:
    place.nodes[1].close()
    with place.running("chat", "-m", WRITER, STORY) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        begin = process.stdout.read(CUT_AFTER_CHARS)
        place.nodes[0].kill_group(signal.SIGKILL)
        out, err = process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE_S) == 3
    assert len(begin) == CUT_AFTER_CHARS
    assert out.endswith("\n")
    said = err.splitlines()
    assert said[-1].startswith("sollol-tui: answer broke off")
    assert said[-1].endswith("(the answer is not whole)")
    no_traceback(err)


def test_nothing_came_is_one_and_says_each_reason(place: Place) -> None:
    for node in place.nodes:
        node.close()
    found = place.call("chat", "-m", MODEL, "Name one colour.")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("sollol-tui: nothing can take it (")
    assert found.stderr.count("connection refused") == 2
    found = place.call("chat", "-m", MODEL, "--json", "Name one colour.")
    events = [read(line) for line in found.stdout.splitlines()]
    assert found.returncode == 1
    assert (events[-1]["event"], events[-1]["kept_chars"]) == ("failed", 0)
    assert events[-1]["cause"] == "refused"


def test_a_model_that_nobody_has_and_no_model_at_all(place: Place) -> None:
    found = place.call("chat", "-m", "unheard-of:1b", "Name one colour.")
    assert found.returncode == 1
    assert found.stderr == "sollol-tui: nobody has this model; chat without -m lists the models\n"
    found = place.call("chat", "Name one colour.")
    assert found.returncode == 2
    assert f"  {MODEL}  (" in found.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("chat", "-m", MODEL),
        ("chat", "-m", MODEL, "--mode", "fast", "hi"),
        ("chat", "-m", MODEL, "--node", "ftp://gpu1", "hi"),
        ("chat", "-m", MODEL, "--unheard-of", "hi"),
        ("batch",),
        ("batch", "missing.jsonl", "--out", "results.jsonl"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_two_and_one_sentence(place: Place, words: tuple[str, ...]) -> None:
    found = place.call(*words)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.startswith("sollol-tui: ")
    no_traceback(found.stderr)


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_ctrl_c_is_130_keeps_what_came_and_frees_the_node(place: Place, as_json: bool) -> None:
    words = ["--json"] if as_json else []
    with place.running("chat", "-m", WRITER, *words, STORY) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        begin = process.stdout.read(200)
        process.send_signal(signal.SIGINT)
        out, err = begin + process.stdout.read(), process.stderr.read()
        assert process.wait(PATIENCE_S) == 130
    no_traceback(err)
    if as_json:
        last = read(out.splitlines()[-1])
        assert (last["event"], last["cause"]) == ("failed", "stopped")
        assert last["kept_chars"] == len(text([read(line) for line in out.splitlines()]))
    else:
        assert err.splitlines()[-1] == "sollol-tui: stopped (the answer is not whole)"
    for node in place.nodes:  # a slot that is still taken would make it wait
        found = place.call("chat", "-m", MODEL, "--node", node.url, "Name one colour.")
        assert found.returncode in (0, 3), found.stderr


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["text", "json"])
def test_a_reader_that_has_enough_ends_it_quietly(place: Place, words: tuple[str, ...]) -> None:
    """`chat … | head -1`."""
    with place.running("chat", "-m", WRITER, *words, STORY) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
        assert process.wait(PATIENCE_S) == 141
    no_traceback(err)
    assert len(err.splitlines()) <= 3
    assert "Broken" not in err


def test_a_parallel_answer_is_whole_and_each_part_is_told(place: Place) -> None:
    question = "Write a long story in 2 chapters:\n1. The river\n2. The bridge"
    found = place.call("chat", "-m", MODEL, "--json", "--parallel", "2", question)
    assert found.returncode in (0, 3), found.stderr
    events = [json.loads(line) for line in found.stdout.splitlines()]
    assert events[0] == {"event": "parts", "titles": ["The river", "The bridge"]}
    assert text(events).startswith("## The river\n\n")
    assert text(events).count("\n\n## The bridge\n\n") == 1
    ended = {e["part"]: e["target"] for e in those(events, "part") if e["state"] == "done"}
    assert sorted(ended) == [0, 1]
    assert ended[0] != ended[1], "each on a node of its own"
    end = events[-1]
    assert end["event"] == "finished"
    assert end["tries"] == 2
    assert end["one_by_one_s"] > 0


def written(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_batch_over_both_nodes_is_killed_goes_on_and_nothing_is_there_twice(
    place: Place, tmp_path: Path
) -> None:
    prompts, results = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    ids = [f"p{n}" for n in range(12)]
    lines = [json.dumps({"id": i, "prompt": f"Say the number {i[1:]}."}) for i in ids]
    lines[3:3] = ["not json", '{"id": "p0", "prompt": "twice"}', '{"id": "empty", "prompt": ""}']
    prompts.write_text("\n".join(lines) + "\n")
    argv = ("batch", str(prompts), "--out", str(results), "-m", MODEL)
    with place.running(*argv, "--json") as process:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "result" and event["done"] >= 3:
                process.kill()  # as hard as can be
    before = written(results)
    assert len(before) >= 3
    place.nodes[0].kill_group(signal.SIGKILL)  # and one node is gone, too
    found = place.call(*argv)
    no_traceback(found.stderr)
    assert found.returncode == 3, "three lines are bad"
    for number, line in enumerate(prompts.read_text().splitlines(), 1):
        is_bad = line not in lines[:3] + lines[6:]
        assert (f"prompts.jsonl:{number}: " in found.stderr) == is_bad
    assert "\r" not in found.stderr, "a bar is for terminals"
    after = written(results)
    assert after[: len(before)] == before, "what was there stays as it was"
    assert sorted(r["id"] for r in after) == sorted(ids), "each once"
    assert all(r["outcome"] in {"complete", "length"} and r["text"] for r in after)
    assert {r["target"] for r in after} <= {n.url for n in place.nodes}
    again = place.call(*argv)
    assert written(results) == after
    assert "0 new results" in again.stderr
    assert " of 12 whole" in again.stderr
    assert "3 bad lines" in again.stderr


def test_both_nodes_work_at_a_batch(place: Place, tmp_path: Path) -> None:
    prompts, results = tmp_path / "prompts.jsonl", tmp_path / "results.jsonl"
    lines = [json.dumps({"id": n, "prompt": f"Say the number {n}."}) for n in range(10)]
    prompts.write_text("\n".join(lines))
    found = place.call("batch", str(prompts), "--out", str(results), "-m", MODEL)
    assert found.returncode in (0, 3), found.stderr
    assert len(written(results)) == 10
    targets = [r["target"] for r in written(results)]
    assert all(targets.count(n.url) >= 2 for n in place.nodes), targets
    assert get_json(place.nodes[0].url + "/api/version")
