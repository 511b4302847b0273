"""A chat without a screen: events in, what to show out."""

from __future__ import annotations

import pytest

from sollol_tui.core.asks import (
    ChatMessage,
    ChatOptions,
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
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat.sentences import advice
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.updates import (
    FoldThought,
    ShowEnd,
    ShowHeader,
    ShowNotice,
    ShowSeam,
    ShowText,
    ShowThought,
    Update,
)
from sollol_tui.ui.text import Line, plain
from tests.ui.chat_host import RIG, SPARK, decision

DONE = Finished("complete", Usage(31, 212, 400.0, 33.1), 0.21, 6.4, 1)


def _begun(prompt: str = "why?") -> ChatSession:
    session = ChatSession("c1")
    session.begin(prompt, "llama3.2:3b", 0.0)
    return session


def _said(shows: tuple[Update, ...]) -> list[str]:
    """What is shown, as text."""
    said: list[str] = []
    for show in shows:
        match show:
            case ShowEnd(lines):
                said += [plain(line) for line in lines]
            case ShowHeader(line) | ShowNotice(line) | FoldThought(line):
                said.append(plain(line))
            case ShowText(text) | ShowThought(text) | ShowSeam(text):
                said.append(text)
    return said


def _end(session: ChatSession, event: Finished | Failed, now_s: float = 7.0) -> list[str]:
    return _said(session.apply(event, now_s))


def test_a_whole_answer_from_the_route_to_its_figures() -> None:
    session = _begun()
    routed = Routed(decision(1, "gpu-rig", RIG, "shortest queue (0 vs 1)"))
    assert _said(session.apply(routed, 0.1)) == [
        "llama3.2:3b via gpu-rig · shortest queue (0 vs 1)"
    ]
    assert session.apply(Delta("Because "), 0.3) == (ShowText("Because "),)
    assert session.apply(Delta("light."), 0.4) == (ShowText("light."),)
    assert _end(session, DONE) == ["212 tok · 33.1 tok/s · TTFT 0.21 s · 6.4 s · prompt 400 tok/s"]
    assert session.current is None
    assert session.turns[0].answer == "Because light."
    assert session.turns[0].outcome == "complete"


def test_a_target_without_a_name_is_called_by_its_host() -> None:
    nameless = decision(1, "", SPARK)._replace(kind="node")
    assert _said(_begun().apply(Routed(nameless), 0.1))[0].startswith("llama3.2:3b via 10.0.0.6 ·")


def test_another_route_before_the_first_token_replaces_the_first() -> None:
    session = _begun()
    session.apply(Routed(decision(1, "gpu-rig", RIG)), 0.1)
    assert _said(session.apply(Notice("gpu-rig: connection refused."), 0.2)) == [
        "▲ gpu-rig: connection refused."
    ]
    shows = session.apply(Routed(decision(2, "spark", SPARK, "the other one")), 0.2)
    assert _said(shows) == ["llama3.2:3b via spark · the other one"]
    assert session.turns[0].decision_id == "r2.1"


def test_a_target_that_writes_on_is_named_beside_the_first_and_at_the_seam() -> None:
    session = _begun()
    session.apply(Routed(decision(1, "gpu-rig", RIG)), 0.1)
    session.apply(Delta("one "), 0.2)
    shows = session.apply(Routed(decision(2, "spark", SPARK, "has it")), 0.3)
    assert _said(shows) == ["llama3.2:3b via gpu-rig then spark · has it"]
    assert session.apply(Seam(RIG, SPARK, 4), 0.3) == (ShowSeam("spark writes on"),)
    session.apply(Delta("two"), 0.4)
    assert session.turns[0].answer == "one two"


def test_what_is_thought_folds_when_the_answer_begins() -> None:
    session = _begun()
    assert session.apply(Thinking("hm "), 1.0) == (ShowThought("hm "),)
    session.apply(Thinking("well"), 3.0)
    assert _said(session.apply(Delta("So"), 4.2)) == ["thought for 3 s", "So"]
    assert _said(session.apply(Delta("!"), 4.3)) == ["!"]


@pytest.mark.parametrize(
    ("finished", "line"),
    [
        (
            DONE._replace(tries=2),
            "212 tok · 33.1 tok/s · TTFT 0.21 s · 6.4 s · 2 tries · prompt 400 tok/s",
        ),
        (DONE._replace(outcome="length"), "▲ the token limit cut it off · 212 tok"),
        (DONE._replace(outcome="stopped"), "■ stopped · 212 tok"),
        (DONE._replace(usage=Usage()), "3 tok · 2.0 tok/s · TTFT 1.00 s · 7.0 s"),
        (DONE._replace(usage=Usage(completion_tokens=0), ttft_s=None), "6.4 s"),
        (DONE._replace(ttft_s=75.0, total_s=130.0), "212 tok · 33.1 tok/s · TTFT 1 min 15 s"),
    ],
)
def test_the_line_under_an_answer_says_how_it_ended(finished: Finished, line: str) -> None:
    session = _begun()
    for n in range(3):
        session.apply(Delta("x"), 1.0 + n / 2)
    assert _end(session, finished)[0].startswith(line)


def test_a_stop_keeps_the_text_and_gives_the_figures_counted_here() -> None:
    session = _begun()
    for n in range(5):
        session.apply(Delta("x", tokens=2), 1.0 + n)
    assert _said(session.stop(6.0)) == ["■ stopped · 10 tok · 2.2 tok/s · TTFT 1.00 s · 6.0 s"]
    assert session.turns[0].outcome == "stopped"
    assert session.stop(7.0) == ()
    assert session.apply(Delta("late"), 7.0) == ()
    assert session.turns[0].answer == "xxxxx"


def test_a_stop_while_it_thinks_folds_the_thought() -> None:
    session = _begun()
    session.apply(Thinking("hm"), 1.0)
    assert _said(session.stop(3.0))[0] == "thought for 2 s"


def test_a_failure_without_text_says_what_happened_and_what_to_do() -> None:
    session = _begun()
    session.apply(Routed(decision(1, "gpu-rig", RIG)), 0.1)
    fault = Fault(FaultKind.REFUSED, "10.0.0.5:11434")
    lines = _end(session, Failed(fault, RIG, 0, 3))
    assert lines[0] == "✗ no answer: gpu-rig: connection refused: 10.0.0.5:11434 (3 tries)"
    assert "start the server" in lines[1]
    assert session.turns[0].outcome == "failed"


def test_a_failure_after_text_keeps_it_and_says_incomplete() -> None:
    session = _begun()
    session.apply(Delta("half an "), 1.0)
    lines = _end(session, Failed(Fault(FaultKind.CUT), None, 8))
    assert lines[0] == "▲ incomplete: answer broke off"
    assert session.turns[0].outcome == "incomplete"
    assert session.turns[0].answer == "half an "


def test_an_end_that_is_none_is_a_failure() -> None:
    session = _begun()
    assert _said(session.cut(Fault(FaultKind.CUT), 1.0))[0].startswith("✗ no answer")
    assert session.cut(Fault(FaultKind.CUT), 1.0) == ()


def test_a_stop_that_comes_as_a_fault_is_a_stop() -> None:
    session = _begun()
    session.apply(Delta("x"), 1.0)
    assert _end(session, Failed(Fault(FaultKind.STOPPED), RIG, 1))[0].startswith("■ stopped")


@pytest.mark.parametrize("kind", [k for k in FaultKind if k is not FaultKind.STOPPED])
def test_every_failure_has_an_advice(kind: FaultKind) -> None:
    assert len(advice(Fault(kind), has_text=False)) > 20


def test_foreign_text_around_an_answer_is_one_harmless_line() -> None:
    evil = "x\x1b[2J\n\u202ey [bold]z"
    session = ChatSession()
    lines: list[Line] = [session.begin("q", evil, 0.0)]
    routed = Routed(decision(1, evil, RIG, evil)._replace(model=evil))
    for event in (routed, Notice(evil), Delta("t"), Seam(RIG, SPARK, 1)):
        lines += [_line(show) for show in session.apply(event, 1.0)]
    ended = session.apply(Failed(Fault(FaultKind.SERVER, evil), RIG, 1), 2.0)[-1]
    assert isinstance(ended, ShowEnd)
    for line in (*lines, *ended.lines):
        assert plain(line).isprintable(), repr(plain(line))
    session.begin("q", evil, 3.0)
    session.apply(routed, 3.0)
    assert session.state(4.0).isprintable()


def _line(show: Update) -> Line:
    match show:
        case ShowHeader(line) | ShowNotice(line) | FoldThought(line):
            return line
        case ShowText(text) | ShowThought(text) | ShowSeam(text):
            return ((text, ""),)
        case ShowEnd(lines):
            return lines[0]
        case _:
            raise AssertionError(show)


# What is going on


@pytest.mark.parametrize(
    ("event", "state"),
    [
        (None, "choosing who answers… 2 s"),
        (Waiting(0, 3.0, loading=True), "loading llama3.2:3b on gpu-rig… 5 s"),
        (Waiting(2, 1.0, loading=False), "behind 2 requests on gpu-rig · 3 s"),
        (Waiting(1, 1.0, loading=True), "behind 1 request on gpu-rig · 3 s"),
        (
            Waiting(0, 1.0, False, Progress(512, 2048)),
            "gpu-rig reads the question: 512 of 2\u202f048 tokens · 3 s",
        ),
        (Waiting(0, 1.0, loading=False), "waiting for gpu-rig… 3 s"),
    ],
)
def test_what_an_answer_waits_for_is_said(event: Waiting | None, state: str) -> None:
    session = _begun()
    if event is not None:
        session.apply(Routed(decision(1, "gpu-rig", RIG)), 0.0)
        session.apply(event, 1.0)
    assert session.state(2.0 if event is None else 3.0) == state


def test_a_running_answer_says_its_speed_and_when_it_stands_still() -> None:
    session = _begun()
    session.apply(Routed(decision(1, "gpu-rig", RIG)), 0.0)
    assert session.state(0.5) == "asking gpu-rig… 0 s"
    for n in range(21):
        session.apply(Delta("x", tokens=2), 1.0 + n / 10)
    assert session.state(3.5) == "42 tok · 20.5 tok/s · 3 s"
    assert session.state(8.0) == "42 tok · 20.5 tok/s · 8 s · no token for 5 s"
    session.apply(Thinking("hm"), 8.0)
    assert session.state(8.0).startswith("thinking · 43 tok")
    session.stop(9.0)
    assert session.state(9.0) == ""


# Questions


def test_a_request_holds_what_was_said_before() -> None:
    session = _begun("one?")
    session.apply(Delta("One."), 1.0)
    session.apply(DONE, 2.0)
    session.begin("two?", "llama3.2:3b", 3.0)
    session.apply(Delta("Tw"), 4.0)
    session.stop(5.0)
    session.system = "Be brief."
    options = ChatOptions(temperature=0.2)
    request = session.to_request("three?", "qwen3", options, mode=Mode.TASK, target=RIG)
    assert request.messages == (
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "one?"),
        ChatMessage("assistant", "One."),
        ChatMessage("user", "two?"),
        ChatMessage("assistant", "Tw"),
        ChatMessage("user", "three?"),
    )
    assert (request.model, request.options, request.mode) == ("qwen3", options, Mode.TASK)
    assert (request.target, request.conversation) == (RIG, "c1")


def test_a_question_that_got_no_answer_is_not_told_again() -> None:
    session = _begun("lost?")
    session.apply(Failed(Fault(FaultKind.REFUSED), None, 0), 1.0)
    request = session.to_request("again?", "m")
    assert request.messages == (ChatMessage("user", "again?"),)


def test_a_decision_without_a_target_has_no_name() -> None:
    nobody = RouteDecision("r1.1", "m", Mode.TASK, None, None, "", "nobody has it", ())
    assert _said(_begun().apply(Routed(nobody), 0.1)) == ["m · nobody has it"]
