"""`sollol-tui chat`: the answer on stdout, the rest on stderr, an honest exit code."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
from collections.abc import AsyncGenerator, Sequence

import pytest

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    Candidate,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Notice,
    Progress,
    Routed,
    RouteDecision,
    Seam,
    Thinking,
    Usage,
    Waiting,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import CoordinatorUrl, NodeUrl
from sollol_tui.core.route_words import NOBODY_HAS_IT
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import (
    ClusterSnapshot,
    CoordinatorState,
    Mode,
    NodeModel,
    NodeState,
)
from sollol_tui.verbs.chat import NEXT, chat, read_prompt, with_target
from sollol_tui.verbs.voice import Voice

from .fakes import FakeEngine, Terminal, heard, voice

A, B = "http://a:11434", "http://b:11434"
ROUTED = Routed(RouteDecision("r1.1", "m", Mode.TASK, A, "node", "a", "least busy", ()))
DONE = Finished("complete", Usage(5, 42, None, 34.2), 0.21, 3.9, 1)
SETTINGS = Settings(model="m:latest", mode=Mode.TASK)


def ask(
    events: Sequence[AskEvent | BaseException],
    spoken: Voice | None = None,
    *,
    as_json: bool = False,
) -> tuple[int, str, str]:
    spoken = spoken or voice()
    engine = FakeEngine(events=events)
    code = chat(lambda: engine, SETTINGS, "why?", spoken, as_json=as_json)
    return code, *heard(spoken)


def test_a_whole_answer_goes_to_stdout_and_all_else_to_stderr() -> None:
    events: list[AskEvent] = [
        ROUTED,
        Waiting(0, 1.0, True),
        Delta("Because "),
        Delta("light\nscatters."),
        DONE,
    ]
    code, out, err = ask(events)
    assert code == 0
    assert out == "Because light\nscatters.\n"
    assert err == (
        "→ a (http://a:11434): least busy\n"
        "waiting: the model is loaded first\n"
        "42 tokens · 34.2 tok/s · first after 210 ms · 3.9 s\n"
    )


def test_what_is_asked_is_what_was_given() -> None:
    engine = FakeEngine(events=[DONE])
    chat(lambda: engine, SETTINGS, "why?", voice(), target=B)
    (request,) = engine.asked
    assert request.model == "m:latest"
    assert request.messages == (ChatMessage("user", "why?"),)
    assert (request.mode, request.target) == (Mode.TASK, B)


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([Delta("x"), DONE], 0),
        ([Delta("x"), DONE._replace(outcome="length")], 3),
        ([Delta("x"), DONE._replace(outcome="stopped")], 3),
        ([Delta("x"), Failed(Fault(FaultKind.CUT), A, 1)], 3),
        ([Failed(Fault(FaultKind.REFUSED), A, 0)], 1),
        ([DONE], 1),  # an empty answer is none
        ([Thinking("hm"), DONE], 1),
        ([Delta("x")], 3),  # an end that is none
        ([], 1),
        ([Delta("x"), KeyboardInterrupt()], 130),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_the_exit_code_says_how_it_ended(
    events: Sequence[AskEvent | BaseException], code: int, as_json: bool
) -> None:
    assert ask(events, as_json=as_json)[0] == code


def test_stdout_is_the_answer_alone_when_it_is_a_file() -> None:
    events: list[AskEvent] = [
        ROUTED,
        Delta("one "),
        Notice("a is gone"),
        Seam(A, B, 4),
        Delta("two"),
        DONE,
    ]
    _, out, err = ask(events)
    assert out == "one two\n"
    assert "a is gone\nfrom here on http://b:11434 writes, instead of http://a:11434\n" in err
    assert "\n\n" not in err


def test_on_a_terminal_a_notice_gets_a_line_of_its_own() -> None:
    _, out, err = ask(
        [Delta("one "), Notice("a is gone"), Delta("two\n"), DONE], voice(terminal=True)
    )
    assert out == "one two\n"
    assert err.startswith("\na is gone\n")


def test_the_answer_cannot_command_the_terminal_and_keeps_its_lines() -> None:
    _, out, _ = ask([Delta("a\x1b[2J\r\n\tb\x9b\u202e"), Delta("\x07c"), DONE])
    assert out == "a[2J\n\tbc\n"


def test_narration_cannot_command_the_terminal() -> None:
    hostile = Failed(Fault(FaultKind.SERVER, "x\x1b]0;y\x07\nz"), "http://\x1b", 0)
    _, _, err = ask([Notice("a\x1b[2J\nb"), hostile])
    assert err == "a[2J b\nsollol-tui: server error: x]0;y z at http://\n"


def test_waiting_is_said_once_per_reason() -> None:
    waits: list[AskEvent] = [
        Waiting(2, 1, False),
        Waiting(2, 2, False),
        Waiting(0, 3, False),
        Thinking("a"),
        Thinking("b"),
    ]
    _, _, err = ask([*waits, Delta("x"), DONE])
    assert err.splitlines()[:-1] == [
        "waiting: 2 before this one",
        "waiting for the first token",
        "the model thinks …",
    ]


def test_a_coordinator_that_comes_up_is_told_by_phase_and_now_and_then() -> None:
    coming = [
        Waiting(0, 0.0, True, phase="probing"),
        *(Waiting(0, 1.0 + n, True, Progress(n, 100), "loading") for n in range(0, 25, 3)),
        Waiting(0, 25.0, True, Progress(24, 100), "loading"),
        Waiting(0, 26.0, True, Progress(100, 100), "warming"),
    ]
    _, _, err = ask([*coming, ROUTED, Delta("x"), DONE])
    assert err.splitlines()[:6] == [
        "coordinator: probing (0.0 s)",
        "coordinator: loading 0 % (1.0 s)",
        "coordinator: loading 9 % (10 s)",
        "coordinator: loading 12 % (13 s)",
        "coordinator: loading 21 % (22 s)",
        "coordinator: warming (26 s)",
    ]


@pytest.mark.parametrize(
    ("events", "keep", "found", "stays"),
    [
        ([Delta("x"), DONE], False, False, False),
        ([Delta("x"), DONE], True, False, True),
        ([Failed(Fault(FaultKind.SERVER), A, 0)], True, False, True),
        ([Waiting(0, 1.0, True, phase="loading"), KeyboardInterrupt()], True, False, False),
        ([Delta("x"), KeyboardInterrupt()], True, False, True),
        ([KeyboardInterrupt()], False, True, True),
        ([Delta("x"), DONE], False, True, True),
    ],
)
def test_a_coordinator_stays_when_it_is_kept_or_was_there_before(
    events: Sequence[AskEvent | BaseException], keep: bool, found: bool, stays: bool
) -> None:
    engine = FakeEngine(events=events)
    engine.found_coordinator = found
    chat(lambda: engine, SETTINGS, "why?", voice(), keep=keep)
    assert engine.stays is stays


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_in_order_like_ctrl_c(number: int) -> None:
    class Asked(FakeEngine):
        async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
            yield Delta("abc")
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()

    engine, spoken = Asked(), voice()
    assert chat(lambda: engine, SETTINGS, "why?", spoken) == 130
    assert engine.stays is False
    assert not engine.runs
    assert heard(spoken) == ("abc\n", "sollol-tui: stopped (the answer is not whole)\n")


def test_when_nobody_can_answer_each_reason_is_said() -> None:
    candidates = (
        Candidate(A, "node", "a", None, (), "down"),
        Candidate(B, "node", "b", None, (), "has no such model"),
    )
    nobody = RouteDecision("r", "m", Mode.TASK, None, None, "", "no node has m", candidates)
    _, _, err = ask([Routed(nobody), Failed(Fault(FaultKind.NOT_FOUND), None, 0)])
    assert err == (
        "nobody can answer: no node has m; a: down; b: has no such model\nsollol-tui: not found\n"
    )


def test_a_model_that_nobody_has_is_said_with_what_to_do_next() -> None:
    _, _, err = ask([Failed(Fault(FaultKind.NOT_FOUND, NOBODY_HAS_IT), None, 0)])
    assert err == f"sollol-tui: {NOBODY_HAS_IT}; chat without -m lists the models\n"
    _, _, err = ask([Failed(Fault(FaultKind.REFUSED, "nothing can take it (a: down)"), None, 0)])
    assert err == "sollol-tui: nothing can take it (a: down)\n"


def test_json_is_one_event_a_line_and_the_deltas_joined_are_the_answer() -> None:
    code, out, err = ask([ROUTED, Delta("ü\x1b"), Seam(A, B, 2), Delta("b"), DONE], as_json=True)
    events = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert err == ""
    assert out.isascii()
    assert [event["event"] for event in events] == ["routed", "delta", "seam", "delta", "finished"]
    assert "".join(event.get("text", "") for event in events) == "ü\x1bb"


def test_json_of_an_interrupted_answer_ends_with_that() -> None:
    _, out, _ = ask([Delta("abc"), KeyboardInterrupt()], as_json=True)
    assert json.loads(out.splitlines()[-1]) == {
        "event": "failed",
        "cause": "stopped",
        "evidence": "",
        "kept_chars": 3,
    }


def test_a_closed_pipe_stops_the_answer_and_is_told_to_the_caller() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    engine = FakeEngine(events=[Delta("a"), Delta("b"), DONE])
    with pytest.raises(BrokenPipeError):
        chat(lambda: engine, SETTINGS, "why?", Voice(Closed(), io.StringIO()))
    assert not engine.runs


def test_a_bug_in_the_engine_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        ask([Delta("a"), ZeroDivisionError()])


def test_without_a_model_it_lists_what_there_is() -> None:
    snapshot = ClusterSnapshot(
        nodes=(
            NodeState(NodeUrl(A), "a", models=(NodeModel("qwen3:8b"), NodeModel("llama3.2:3b"))),
            NodeState(NodeUrl(B), "b", models=(NodeModel("qwen3:8b"),)),
        ),
        coordinators=(CoordinatorState(CoordinatorUrl("http://c:1"), "c", model="big\x1b"),),
    )
    spoken = voice()
    assert chat(lambda: FakeEngine(snapshot), Settings(), "why?", spoken) == 2
    out, err = heard(spoken)
    assert out == ""
    assert err.splitlines() == [
        "sollol-tui: no model was chosen: -m MODEL, or model in the settings. There are:",
        "  big  (c)",
        "  llama3.2:3b  (a)",
        "  qwen3:8b  (a, b)",
    ]


def test_without_any_model_nothing_can_come() -> None:
    spoken = voice()
    assert chat(FakeEngine, Settings(), "why?", spoken) == 1
    assert heard(spoken)[1] == f"sollol-tui: nothing that answers has a model; {NEXT}\n"


class Piped(io.TextIOWrapper):
    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="ascii")


@pytest.mark.parametrize(
    ("words", "stdin", "prompt"),
    [
        (["why", "blue?"], None, "why blue?"),
        (["why?"], Piped(b"not read"), "why?"),
        (["-"], Piped(b"from a pipe\n"), "from a pipe"),
        ([], Piped(b"\xef\xbb\xbfline \xc3\xbc\nnext \xff\r\n"), "line ü\nnext \ufffd"),
        ([], Piped(b" \n"), ""),
        ([], Terminal("typed"), ""),
        ([], None, ""),
        ([" "], None, ""),
        (["caf\udce9"], None, "caf?"),
    ],
)
def test_where_the_question_comes_from(
    words: list[str], stdin: io.TextIOWrapper | None, prompt: str
) -> None:
    assert read_prompt(words, stdin) == prompt


def test_the_node_that_shall_answer_is_looked_at_too() -> None:
    known = Settings(coordinators=(CoordinatorSetting(CoordinatorUrl("http://c:1")),))
    assert with_target(known, None) == known
    assert with_target(known, NodeUrl("http://c:1")) == known
    (node,) = with_target(known, NodeUrl(A)).nodes
    assert (node.url, node.source) == (A, "flag")


def test_a_load_is_told_with_how_long_it_took_the_last_time() -> None:
    waits = [Waiting(0, 1, True), Waiting(0, 2, True), Waiting(1, 2, True, last_load_s=40.2)]
    _, _, err = ask([*waits, Delta("x"), DONE])
    assert err.splitlines()[:-1] == [
        "waiting: the model is loaded first",
        "waiting: 1 before this one, the model is loaded first, 40 s the last time",
    ]
