"""A parallel answer in the chat: asked for by a command, offered, or always."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sollol_tui.core.asks import AskRequest, Delta, PartMoved, PartPlanned, Said
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.chat.panel import ChatPanel
from sollol_tui.ui.chat.session import ChatSession
from tests.ui.chat_host import Answers, Host, until, until_shown
from tests.ui.clusters import FULL
from tests.ui.stand_in import StillEngine
from tests.ui.test_app_chat import answering_engine, running
from tests.ui.test_chat_panel import DONE, MODELS


class Parallel:
    """A chat whose cluster can write in parts, and what was asked of it that way."""

    def __init__(self) -> None:
        self.answers = Answers()
        self.parts = list[int]()
        self.panel = ChatPanel(self.answers.ask, conversation="c1")
        self.panel.models = MODELS
        self.panel.conversation.ask_parallel = self.ask_parallel
        self.host = Host(self.panel)

    async def ask_parallel(self, request: AskRequest, parts: int) -> AsyncIterator[Said]:
        self.parts.append(parts)
        yield PartPlanned(("For", "Against"))
        yield PartMoved(0, "writing", "gpu-rig", 43)
        yield Delta("## For")
        async for event in self.answers.ask(request):
            yield event


def test_the_state_line_tells_who_writes_which_part() -> None:
    session = ChatSession()
    session.begin("why?", "m", 0.0)
    session.apply(PartPlanned(("For", "Against")), 0.0)
    session.apply(PartMoved(0, "done", "gpu-rig", 43), 1.0)
    assert session.state(4.0) == "1 gpu-rig 43 tok done · 2 waiting · 4.0 s"


async def test_the_next_question_is_written_in_parts_and_the_one_after_is_not() -> None:
    chat = Parallel()
    async with chat.host.run_test(size=(80, 24)) as pilot:
        chat.panel.conversation.next_parts = 2
        chat.panel.submit("why?")
        await until_shown(pilot, "1 gpu-rig 43 tok · 2 waiting", "For")
        chat.answers.say(DONE)
        await until(pilot, lambda: not chat.panel.is_streaming)
        chat.panel.submit("and?")
        await until(pilot, lambda: len(chat.answers.requests) == 2)
        assert chat.parts == [2]


async def test_it_is_offered_in_one_sentence_and_the_answer_goes_on() -> None:
    chat = Parallel()
    chat.panel.conversation.wish = lambda _: ("offer", 3)
    async with chat.host.run_test(size=(80, 24)) as pilot:
        chat.panel.submit("why?")
        await until_shown(pilot, "/parallel answers it on 3 nodes at once")
        assert chat.panel.is_streaming
        assert chat.parts == []


async def test_always_needs_no_command() -> None:
    chat = Parallel()
    chat.panel.conversation.wish = lambda _: ("run", 2)
    async with chat.host.run_test(size=(80, 24)) as pilot:
        chat.panel.submit("why?")
        await until(pilot, lambda: chat.parts == [0])


async def test_stopping_closes_all_parts() -> None:
    chat = Parallel()
    chat.panel.conversation.next_parts = 0
    async with chat.host.run_test(size=(80, 24)) as pilot:
        chat.panel.submit("why?")
        await until_shown(pilot, "For")
        chat.panel.stop()
        await until(pilot, lambda: not chat.panel.is_streaming)


async def test_the_command_asks_its_question_in_so_many_parts() -> None:
    app = SollolApp(answering_engine())
    async with running(app) as pilot:
        await pilot.press(*"/parallel 2 why?", "enter")
        await until(pilot, lambda: app.dashboard.is_answering)
        chat = app.dashboard.panes.chat
        assert chat is not None
        await until(pilot, lambda: bool(chat.session.turns[-1].writers))
        assert chat.session.turns[-1].prompt == "why?"
        assert len(chat.session.turns[-1].writers) == 2


async def test_the_command_alone_asks_the_running_question_anew() -> None:
    app = SollolApp(answering_engine())
    async with running(app, answering=True) as pilot:
        chat = app.dashboard.panes.chat
        assert chat is not None
        await pilot.press(*"/parallel", "enter")
        await until(pilot, lambda: bool(chat.session.turns[-1].writers))
        assert [turn.prompt for turn in chat.session.turns] == ["why?"]


async def test_a_wrong_number_of_parts_is_refused() -> None:
    app = SollolApp(StillEngine(FULL))
    async with running(app) as pilot:
        await pilot.press(*"/parallel 9 why?", "enter")
        await until_shown(pilot, "2 to 5 parts, not 9")
