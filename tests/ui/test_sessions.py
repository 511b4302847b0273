"""Chats are kept as they go: listed, searched, opened with their decisions, renamed, exported."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatOptions,
    Delta,
    Failed,
    Finished,
    Routed,
    Seam,
    Thinking,
    Usage,
)
from sollol_tui.core.chats import KeptMessage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.engine.chats import Chats
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.chat.panel import ChatPanel
from sollol_tui.ui.chat_options import described, with_option
from sollol_tui.ui.refused import Refused
from tests.ui.clusters import DECISION, FULL, LLAMA
from tests.ui.stand_in import StillEngine, shown, until, until_shown

OTHER = DECISION._replace(id="r1.2", target="http://10.0.0.8:11434", name="spark")
ANSWER: list[AskEvent] = [
    Routed(DECISION),
    Thinking("let me see"),
    Delta("Because it "),
    Routed(OTHER),
    Seam("", "", 11),
    Delta("is so."),
    Finished("complete", Usage(31, 212, 400.0, 33.1), 0.21, 6.4, 2),
]


class KeepingEngine(StillEngine):
    """Keeps chats in a directory, and answers as it is told."""

    def __init__(self, folder: Path) -> None:
        super().__init__(FULL)
        self.chats = Chats(folder, lambda text: self.store.log("warn", "app", "", text))
        self.requests = list[AskRequest]()
        self.answer = list(ANSWER)

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        self.requests.append(request)
        for event in self.answer:
            yield event
        await asyncio.Event().wait()


@asynccontextmanager
async def running(engine: StillEngine) -> AsyncIterator[tuple[SollolApp, Pilot[None], ChatPanel]]:
    app = SollolApp(engine)
    async with app.run_test(size=(140, 50), notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        await pilot.press("6")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "prompt")
        chat = app.dashboard.panes.chat
        assert chat is not None
        chat.model = LLAMA.name
        yield app, pilot, chat
    if engine.chats is not None:
        await engine.chats.aclose()


async def ask(pilot: Pilot[None], chat: ChatPanel, text: str) -> None:
    before = len(chat.session.turns)
    chat.submit(text)
    await until(pilot, lambda: len(chat.session.turns) > before and not chat.is_streaming)


async def messages(engine: KeepingEngine, chat: ChatPanel) -> tuple[KeptMessage, ...]:
    assert engine.chats is not None
    found = await engine.chats.open(chat.session.conversation)
    return found.messages if found else ()


async def test_a_chat_is_kept_and_opened_in_another_run_as_it_was(tmp_path: Path) -> None:
    async with running(KeepingEngine(tmp_path)) as (app, pilot, chat):
        app.run_line("set temperature 0.2")
        app.run_line("system Be short.")
        await ask(pilot, chat, "Why is it so?")
        await until_shown(pilot, "212 tok")
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        assert not chat.session.turns  # a new chat, the old one a key away
        await pilot.press("ctrl+r")
        await until_shown(pilot, "Why is it so?", "Enter opens")
        await pilot.press("enter")
        await until_shown(
            pilot, "Why is it so?", "Because it", "spark writes on", "is so.", "212 tok", "2 tries",
            "thought for", "then spark",
        )  # fmt: skip
        assert chat.options.temperature == 0.2
        assert chat.session.system == "Be short."
        assert "system prompt · temperature 0.2" in shown(app)
        await ask(pilot, chat, "And then?")
        told = [message.content for message in engine.requests[-1].messages]
        assert told == ["Be short.", "Why is it so?", "Because it is so.", "And then?"]
        assert engine.requests[-1].options == ChatOptions(temperature=0.2)
        kept = await messages(engine, chat)
        assert [m.role for m in kept] == ["user", "assistant"] * 2


async def test_enter_on_a_reopened_answer_shows_its_own_decision(tmp_path: Path) -> None:
    async with running(KeepingEngine(tmp_path)) as (_, pilot, chat):
        await ask(pilot, chat, "Why?")
    engine = KeepingEngine(tmp_path)  # its store never heard of that decision
    async with running(engine) as (app, pilot, chat):
        app.run_line("sessions")
        await until_shown(pilot, "Enter opens", "Why?")
        await pilot.press("enter")
        await until_shown(pilot, "is so.")
        chat.transcript.focus()
        await pilot.press("enter")
        await until_shown(pilot, "Routing decision", OTHER.reason)


async def test_a_stopped_and_a_failed_answer_are_kept_as_such(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        engine.answer = [Routed(DECISION), Delta("Half")]
        chat.submit("Stop me")
        await until_shown(pilot, "Half")
        chat.stop()
        engine.answer = [Routed(DECISION), Failed(Fault(FaultKind.REFUSED, "x"), "", 0)]
        await ask(pilot, chat, "Fail")
        kept = await messages(engine, chat)
        assert [m.outcome for m in kept] == ["", "stopped", "", "failed"]
        app.run_line("new")
        app.run_line("sessions")
        await until_shown(pilot, "Enter opens", "Stop me")
        await pilot.press("enter")
        await until_shown(pilot, "stopped", "no answer: gpu-rig: connection refused", "Half")


async def test_quitting_keeps_what_had_come_of_an_answer(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        engine.answer = [Routed(DECISION), Delta("Half")]
        chat.submit("Stop me")
        await until_shown(pilot, "Half")
    assert [m.content for m in await messages(engine, chat)] == ["Stop me", "Half"]
    assert engine.chats is not None
    await engine.chats.aclose()


async def test_the_list_is_searched_renamed_and_deleted(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await ask(pilot, chat, "About zebras")
        app.run_line("new")
        await ask(pilot, chat, "About lions")
        app.run_line("sessions")
        await until_shown(pilot, "About zebras", "About lions", "Enter opens")
        await pilot.press(*"zeb")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 1)
        await pilot.press("f2")
        await until_shown(pilot, "The chat's title.")
        await pilot.press(*"!", "enter")
        await until_shown(pilot, "About zebras! ", "Enter opens")
        await pilot.press("down", "ctrl+d")
        await until_shown(pilot, "Delete “About zebras!”?")
        await pilot.press("enter")  # Cancel has the cursor
        await until_shown(pilot, "Enter opens", "About zebras! ")
        await pilot.press("down", "ctrl+d", "down", "enter")
        await until_shown(pilot, "Enter opens", "Deleted “About zebras!”.")
        assert engine.chats is not None
        assert [found.title for found in await engine.chats.find()] == ["About lions"]


async def test_an_export_says_where_it_lies_and_why_it_does_not(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path / "data")
    async with running(engine) as (app, pilot, chat):
        app.run_line("export")
        await until_shown(pilot, "nothing was asked in this chat yet")
        await pilot.press("escape")
        await ask(pilot, chat, "Why?")
        path = tmp_path / "mine.json"
        app.run_line(f"export {path}")
        await until_shown(pilot, "Written to")
        assert json.loads(path.read_text(encoding="utf-8"))["messages"][1]["content"]
        app.run_line(f"export md {path}")
        await until_shown(pilot, "Not written: File exists")
        app.run_line(f"export md {tmp_path}")
        await until(pilot, lambda: any(tmp_path.glob("why-*.md")))


async def test_without_a_place_chats_work_and_the_list_says_so() -> None:
    engine = StillEngine(FULL)
    engine.answer = list(ANSWER)
    async with running(engine) as (app, pilot, chat):
        await ask(pilot, chat, "Why?")
        app.run_line("sessions")
        await until_shown(pilot, "Chats are not kept in this run.")


async def test_a_new_chat_has_nothing_set_and_a_context_warns_once(tmp_path: Path) -> None:
    async with running(KeepingEngine(tmp_path)) as (app, pilot, chat):
        app.run_line("set context 8k")
        await until_shown(pilot, "context 8192, from the next question on.", "loads it anew")
        assert chat.options == ChatOptions(context_tokens=8192)
        app.run_line("system Be short.")
        await until_shown(pilot, "System prompt, from the next question on: Be short.")
        app.run_line("system")
        await until_shown(pilot, "No system prompt")
        assert not chat.session.system
        app.run_line("new")
        assert chat.options == ChatOptions()


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("temperature 0.2", ChatOptions(temperature=0.2)),
        ("context 8192", ChatOptions(context_tokens=8192)),
        ("keep-alive 10m", ChatOptions(keep_alive="10m")),
        ("keep-alive 1h30m", ChatOptions(keep_alive="1h30m")),
        ("keep-alive 90", ChatOptions(keep_alive="90s")),
        ("keep-alive forever", ChatOptions(keep_alive="-1s")),
        ("think off", ChatOptions(think=False)),
        ("max-tokens 100", ChatOptions(max_tokens=100)),
    ],
)
def test_an_option_is_read_and_taken_back_by_auto(text: str, options: ChatOptions) -> None:
    found = with_option(ChatOptions(), text)
    assert found == options
    assert len(described(found)) == 1
    assert with_option(found, f"{text.split(maxsplit=1)[0]} auto") == ChatOptions()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("temperature hot", "A temperature is a number from 0 to 2, not “hot”."),
        ("temperature 3", "A temperature is a number from 0 to 2, not “3”."),
        ("context 12", "A context is a number of tokens from 256, not “12”."),
        ("keep-alive long", "How long is “long”? Say 30s, 10m, 2h, or forever."),
        ("think maybe", "Thinking is on, off or auto, not “maybe”."),
        ("colour red", "“colour” cannot be set: mode, temperature, context, keep-alive, think"),
    ],
)
def test_what_cannot_be_set_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        with_option(ChatOptions(), text)
    assert str(refusal.value).startswith(sentence)
