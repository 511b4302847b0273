"""The chat panel: asks, shows, stops, queues, fails in the open."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from sollol_tui.core.asks import (
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Notice,
    Routed,
    Seam,
    Thinking,
    Usage,
    Waiting,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat.models import ModelChoice, Place
from sollol_tui.ui.chat.panel import ChatPanel
from sollol_tui.ui.messages import CommandGiven, CopyAsked, Told
from tests.ui.chat_host import (
    RIG,
    SPARK,
    Answers,
    Host,
    decision,
    shown,
    until,
    until_shown,
)

MODELS = (
    ModelChoice("llama3.2:3b", (Place(RIG, "gpu-rig", is_loaded=True),), 3.2e9),
    ModelChoice("qwen3:8b", (Place(SPARK, "spark"),), 8.2e9),
)
ROUTED = Routed(decision(1, "gpu-rig", RIG, "shortest queue (0 vs 1)"))
DONE = Finished("complete", Usage(31, 212, 400.0, 33.1), 0.21, 6.4, 1)
REFUSED = Failed(Fault(FaultKind.REFUSED, "10.0.0.5:11434"), RIG, 0, 1)


class Chat:
    """A panel on a host over a cluster that says what it is told to."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.now_s = 0.0
        self.panel = ChatPanel(self.answers.ask, conversation="c1", clock=lambda: self.now_s)
        self.panel.models = MODELS
        self.host = Host(self.panel)

    def told(self, kind: type[object]) -> list[object]:
        return [message for message in self.host.told if isinstance(message, kind)]

    @property
    def asked(self) -> list[str]:
        return [request.messages[-1].content for request in self.answers.requests]

    async def ask(self, pilot: Pilot[None], text: str) -> None:
        """Write a question and send it."""
        self.panel.focus_prompt()
        self.panel.prompt.write(text)
        await pilot.press("enter")


@pytest.fixture
def chat() -> Chat:
    return Chat()


async def test_a_question_is_asked_and_its_answer_shown(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "Ask something.", "llama3.2:3b", "gpu-rig", "loaded")
        await chat.ask(pilot, "why **blue**?")
        chat.answers.say(ROUTED, Delta("# Light\n\n"), Delta("It *scatters*."), DONE)
        await until_shown(
            pilot,
            "▌ why **blue**?",
            "llama3.2:3b via gpu-rig · shortest queue (0 vs 1)",
            "Light",
            "It scatters.",
            "212 tok · 33.1 tok/s · TTFT 0.21 s · 6.4 s",
        )
        (request,) = chat.answers.requests
        assert request.messages == (ChatMessage("user", "why **blue**?"),)
        assert (request.model, request.conversation) == ("llama3.2:3b", "c1")
        await until(pilot, lambda: chat.answers.closed == 1)
        assert not chat.panel.is_streaming
        assert chat.told(ChatPanel.Submitted)


async def test_the_next_question_knows_what_was_said(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        chat.panel.mode, chat.panel.target = Mode.TASK, SPARK
        chat.panel.model = "qwen3:8b"
        await chat.ask(pilot, "one?")
        chat.answers.say(ROUTED, Delta("One."), DONE)
        await until(pilot, lambda: chat.answers.closed == 1)
        await chat.ask(pilot, "two?")
        await until(pilot, lambda: len(chat.answers.requests) == 2)
        request = chat.answers.requests[1]
        assert [message.content for message in request.messages] == ["one?", "One.", "two?"]
        assert (request.mode, request.target, request.model) == (Mode.TASK, SPARK, "qwen3:8b")


async def test_a_chat_goes_on_with_the_model_it_began_with_while_that_can_be_asked(
    chat: Chat,
) -> None:
    """Also when nobody chose it, and another one would be the first choice by now."""
    first, second = MODELS
    loaded = second._replace(name="a:1b", places=(Place(SPARK, "spark", is_loaded=True),))
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "one?")
        chat.answers.say(ROUTED, Delta("One."), DONE)
        await until(pilot, lambda: chat.answers.closed == 1)
        chat.panel.models = (loaded, first)
        assert chat.panel.model_in_use == first.name
        chat.panel.models = (loaded, first._replace(problem="gpu-rig is down"))
        assert chat.panel.model_in_use == loaded.name


async def test_escape_stops_closes_the_stream_and_keeps_the_text(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "tell")
        chat.answers.say(ROUTED, Delta("half an answer"))
        await until_shown(pilot, "half an answer", "Esc stops")
        await pilot.press("escape")
        await until_shown(pilot, "half an answer", "■ stopped")
        await until(pilot, lambda: chat.answers.closed == 1)
        assert not chat.panel.is_streaming
        assert chat.told(ChatPanel.StopRequested)
        assert chat.panel.session.turns[0].answer == "half an answer"


async def test_a_failure_before_any_text_gives_the_question_back(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "hello?")
        chat.answers.say(ROUTED, Notice("gpu-rig: busy. Trying the next one."), REFUSED)
        await until_shown(
            pilot,
            "▲ gpu-rig: busy. Trying the next one.",
            "✗ no answer: gpu-rig: connection refused: 10.0.0.5:11434",
            "start the server",
        )
        await until(pilot, lambda: chat.panel.prompt.text == "hello?")


async def test_a_failure_after_text_keeps_it_and_says_incomplete(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "hello?")
        chat.answers.say(ROUTED, Delta("half an "), Failed(Fault(FaultKind.CUT), RIG, 8))
        await until_shown(pilot, "half an", "▲ incomplete: gpu-rig: answer broke off")
        assert chat.panel.prompt.text == ""


async def test_a_stream_without_its_end_is_a_failure(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "hello?")
        chat.answers.say(ROUTED, Delta("half"), None)
        await until_shown(pilot, "▲ incomplete: gpu-rig: answer broke off")


async def test_a_bug_is_shown_and_the_chat_goes_on(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "hello?")
        chat.answers.say(ROUTED, ZeroDivisionError("[/x]"))
        await until_shown(
            pilot, "✗ no answer", "a bug of this program", "ZeroDivisionError('[/x]')"
        )
        (crashed,) = chat.told(ChatPanel.Crashed)
        assert isinstance(crashed, ChatPanel.Crashed)
        assert isinstance(crashed.error, ZeroDivisionError)
        chat.panel.prompt.write("")
        await chat.ask(pilot, "again?")
        chat.answers.say(ROUTED, Delta("fine"), DONE)
        await until_shown(pilot, "fine")


async def test_an_answer_that_moved_shows_where(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "tell")
        spark = Routed(decision(2, "spark", SPARK, "has it"))
        chat.answers.say(
            ROUTED, Delta("one two "), spark, Seam(RIG, SPARK, 8), Delta("three"), DONE
        )
        await until_shown(pilot, "one two three", "╌╌ spark writes on ╌╌", "via gpu-rig then spark")
        assert chat.panel.session.turns[0].answer == "one two three"


async def test_thinking_is_shown_and_folds(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "tell")
        chat.answers.say(ROUTED, Thinking("let me see"))
        await until_shown(pilot, "▾ thinking", "let me see")
        chat.now_s = 3.0
        await until_shown(pilot, "● thinking · 1 tok")
        chat.answers.say(Delta("So."), DONE)
        await until_shown(pilot, "▸ thought for 3 s", "So.")
        assert "let me see" not in "\n".join(shown(chat.host))


async def test_what_it_waits_for_and_its_speed_are_said_while_it_runs(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "tell")
        await until_shown(pilot, "● choosing who answers")
        chat.answers.say(ROUTED, Waiting(0, 2.0, loading=True))
        await until(pilot, lambda: chat.panel.session.turns[0].waiting is not None)
        chat.now_s = 1.0
        await until_shown(pilot, "● loading llama3.2:3b on gpu-rig… 3 s")
        chat.answers.say(Delta("alpha", 10))
        await until_shown(pilot, "alpha")
        chat.now_s = 2.0
        chat.answers.say(Delta(" beta", 20))
        await until_shown(pilot, "alpha beta")
        chat.now_s = 2.7
        await until_shown(pilot, "● 30 tok · 29.0 tok/s · 2 s")


async def test_questions_asked_meanwhile_wait_in_sight_and_are_asked_in_turn(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "first")
        for text in ("second", "third", "fourth", "fifth"):
            await chat.ask(pilot, text)
        await until_shown(pilot, "next  second", "next  third", "next  fourth  +1 more")
        assert chat.asked == ["first"]
        for number in range(4):
            chat.answers.say(ROUTED, Delta(f"answer {number}"), DONE)
            await until(pilot, lambda n=number: len(chat.asked) == n + 2)  # type: ignore[misc]
        assert chat.asked == ["first", "second", "third", "fourth", "fifth"]
        chat.answers.say(ROUTED, Delta("end"), DONE)
        await until(pilot, lambda: not chat.panel.is_streaming)
        assert "next" not in "\n".join(shown(chat.host))


async def test_after_a_stop_waiting_questions_are_held_until_enter(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "first")
        await chat.ask(pilot, "second")
        await pilot.press("escape")
        await until_shown(pilot, "held  second", "1 question is held")
        assert chat.asked == ["first"]
        await pilot.press("enter")
        await until(pilot, lambda: chat.asked == ["first", "second"])
        await chat.ask(pilot, "third")
        await pilot.press("escape")
        await until_shown(pilot, "held  third")
        await pilot.press("escape")
        await until(pilot, lambda: "held" not in "\n".join(shown(chat.host)))
        assert not chat.panel.queue


async def test_without_a_model_the_question_stays_and_one_is_asked_for(chat: Chat) -> None:
    chat.panel.models = ()
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "no model yet")
        await chat.ask(pilot, "hello?")
        await until(pilot, lambda: bool(chat.told(ChatPanel.ModelWanted)))
        assert chat.panel.prompt.text == "hello?"
        assert chat.asked == []
        chat.panel.models = MODELS
        await until_shown(pilot, "llama3.2:3b")
        await pilot.press("enter")
        await until(pilot, lambda: chat.asked == ["hello?"])


async def test_a_reader_is_told_of_new_lines_and_taken_to_them(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 16)) as pilot:
        await chat.ask(pilot, "tell")
        chat.answers.say(ROUTED, Delta("\n\n".join(f"line {n}" for n in range(60))))
        await until_shown(pilot, "line 59")
        await pilot.press("pageup", "pageup")
        await until(pilot, lambda: not chat.panel.transcript.follows)
        chat.answers.say(Delta("\n\nmore 1\n\nmore 2\n"))
        await until(pilot, lambda: chat.panel.transcript.unseen > 0)
        chat.now_s += 1
        await until_shown(pilot, "↓ 4 new lines · End")
        await pilot.press("end")
        await until_shown(pilot, "more 2")
        chat.now_s += 1
        await until(pilot, lambda: "new lines" not in "\n".join(shown(chat.host)))


async def test_commands_are_given_without_their_sign(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "/mode both")
        await until(pilot, lambda: bool(chat.told(CommandGiven)))
        (given,) = chat.told(CommandGiven)
        assert isinstance(given, CommandGiven)
        assert given.line == "mode both"
        assert chat.asked == []


async def test_answers_and_their_code_are_copied_and_their_decision_asked_for(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "code")
        text = "Do:\n\n```py\none()\n```\n\nor\n\n```\ntwo()\x1b[2J\n```\n"
        chat.answers.say(ROUTED, Delta(text), DONE)
        await until_shown(pilot, "two()")
        chat.panel.transcript.focus()
        await pilot.press("y", "Y", "Y", "Y", "enter")
        await until(pilot, lambda: bool(chat.told(ChatPanel.DecisionWanted)))
        copied = [(m.text, m.what) for m in chat.told(CopyAsked) if isinstance(m, CopyAsked)]
        assert copied == [
            (text.replace("\x1b", ""), "the answer"),
            ("one()\n", "code block 1 of 2"),
            ("two()[2J\n", "code block 2 of 2"),
            ("one()\n", "code block 1 of 2"),
        ]
        (wanted,) = chat.told(ChatPanel.DecisionWanted)
        assert isinstance(wanted, ChatPanel.DecisionWanted)
        assert wanted.decision_id == "r1.1"


async def test_an_answer_without_code_says_so(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "tell")
        chat.answers.say(ROUTED, Delta("no code"), DONE)
        await until_shown(pilot, "no code")
        chat.panel.transcript.focus()
        await pilot.press("Y")
        await until(pilot, lambda: bool(chat.told(Told)))


async def test_a_new_chat_forgets_and_stops(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "first")
        chat.answers.say(ROUTED, Delta("text"))
        await until_shown(pilot, "text")
        await chat.ask(pilot, "waits")
        chat.panel.new_chat()
        await until(pilot, lambda: chat.answers.closed == 1)
        await until_shown(pilot, "Ask something.")
        await chat.ask(pilot, "second")
        await until(pilot, lambda: chat.asked == ["first", "second"])
        assert len(chat.answers.requests[1].messages) == 1


async def test_foreign_text_is_harmless_everywhere(chat: Chat) -> None:
    evil = "x\x1b[2J\x9b\u202e\0[/bold] \ud800"
    choice = ModelChoice(evil, (Place(RIG, evil),), 1e9, None, evil)
    chat.panel.models = (choice,)
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, f"{evil}\n{evil}")
        await chat.ask(pilot, evil)
        evil_route = decision(1, evil, RIG, evil)._replace(model=evil)
        chat.answers.say(Routed(evil_route), Thinking(evil), Notice(evil), Delta(evil))
        chat.answers.say(Failed(Fault(FaultKind.SERVER, evil), RIG, 9))
        await until_shown(pilot, "▲ incomplete", "held")
        for line in shown(chat.host):
            assert line.isprintable(), repr(line)
            assert "\u202e" not in line


async def test_at_rest_nothing_runs_and_nothing_is_painted(chat: Chat) -> None:
    async with chat.host.run_test(size=(80, 24)) as pilot:
        await chat.ask(pilot, "tell")
        chat.answers.say(ROUTED, Delta("text"), DONE)
        await until_shown(pilot, "212 tok")
        await until(pilot, lambda: not chat.panel.is_streaming)
        assert chat.panel._timer is not None
        assert not chat.panel._timer._active.is_set()
        assert chat.panel.prompt.cursor_blink is False
