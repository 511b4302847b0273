"""Comparing on the screen: every column has its own stream, its own end, and its own way on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from sollol_tui.core.asks import AskEvent, AskRequest, Delta, Failed, Finished, Routed, Usage
from sollol_tui.core.asks import RouteDecision as Decision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode
from sollol_tui.engine.chats import Chats
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.screens.compare import CompareScreen
from sollol_tui.ui.screens.compare_picker import ComparePicker
from tests.ui.clusters import FULL, LLAMA, QWEN, RIG, SPARK
from tests.ui.stand_in import StillEngine, shown, until, until_shown

Heard = asyncio.Queue[AskEvent | BaseException]


class ManyEngine(StillEngine):
    """Each model on each target says what it is told to, when it is told to."""

    def __init__(self) -> None:
        super().__init__(FULL)
        self.requests: list[AskRequest] = []
        self.closed = 0
        self._heard: dict[str, Heard] = {}

    def say(self, model: str, *events: AskEvent | BaseException, target: str = "") -> None:
        for event in events:
            self._queue(f"{model}@{target}").put_nowait(event)

    def finish(self, model: str, text: str, tps: float = 30.0, *, target: str = "") -> None:
        usage = Usage(3, 5, None, tps)
        self.say(model, Delta(text), Finished("complete", usage, 0.1, 0.5, 1), target=target)

    def _queue(self, key: str) -> Heard:
        return self._heard.setdefault(key, asyncio.Queue())

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        self.requests.append(request)
        url = request.target or RIG
        yield Routed(Decision("r1", request.model, Mode.TASK, url, "node", "gpu-rig", "it is", ()))
        try:
            while True:
                event = await self._queue(f"{request.model}@{request.target or ''}").get()
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self.closed += 1


@asynccontextmanager
async def comparing(
    line: str = f"{LLAMA.name} {QWEN.name}",
    size: tuple[int, int] = (120, 40),
    data_dir: Path | None = None,
) -> AsyncIterator[tuple[Pilot[None], ManyEngine, SollolApp]]:
    """The app after `/compare` with those targets."""
    engine = ManyEngine()
    if data_dir is not None:
        engine.chats = Chats(data_dir, lambda _: None)
    app = SollolApp(engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        app.run_line(f"compare {line}".strip())
        await until(pilot, lambda: isinstance(app.screen, CompareScreen | ComparePicker))
        yield pilot, engine, app
        if engine.chats is not None:
            await engine.chats.aclose()


async def ask(pilot: Pilot[None], text: str = "why?") -> None:
    screen = pilot.app.screen
    assert isinstance(screen, CompareScreen)
    await until(pilot, lambda: screen.focused is not None and screen.focused.id == "prompt")
    await pilot.press(*text, "enter")
    await until(pilot, lambda: screen.is_streaming)


async def test_all_are_asked_the_same_and_compared_when_all_have_ended() -> None:
    async with comparing() as (pilot, engine, app):
        await ask(pilot)
        await until_shown(pilot, "1 llama3.2:3b", "2 qwen3:8b", "2 of 2 writing", "via gpu-rig")
        engine.finish(LLAMA.name, "Because.", 30.0)
        await until_shown(pilot, "Because.", "1 of 2 writing", "✓ answered")
        assert "TTFT  0.10 s" not in shown(app)
        engine.finish(QWEN.name, "Therefore.", 60.0)
        await until_shown(pilot, "Therefore.", "TTFT  0.10 s", "60.0 tok/s", "1 question asked")
        await ask(pilot, "more?")
        assert [m.content for m in engine.requests[-1].messages] == ["why?", "Therefore.", "more?"]
        assert len({r.conversation for r in engine.requests}) == 2


async def test_one_that_dies_and_one_with_a_bug_disturb_nobody() -> None:
    names = f"{LLAMA.name} {QWEN.name} gemma3:27b"
    async with comparing(names) as (pilot, engine, app):
        await ask(pilot)
        engine.say(LLAMA.name, Delta("Bec"), Failed(Fault(FaultKind.CUT), RIG, 3, 1))
        engine.say(QWEN.name, ZeroDivisionError("a bug"))
        await until_shown(pilot, "▲ incomplete", "✗ no answer", "1 of 3 writing")
        engine.finish("gemma3:27b", "I am well.")
        await until_shown(pilot, "I am well.", "3 gemma3:27b", "1 question asked")
        assert isinstance(app.screen, CompareScreen)
        await ask(pilot, "again?")
        assert len(engine.requests) == 6


async def test_escape_stops_all_and_the_next_one_leaves() -> None:
    async with comparing() as (pilot, engine, app):
        await ask(pilot)
        engine.say(LLAMA.name, Delta("Half an ans"))
        await until_shown(pilot, "Half an ans")
        await pilot.press("escape")
        await until_shown(pilot, "■ stopped")
        await until(pilot, lambda: engine.closed == 2)
        assert isinstance(app.screen, CompareScreen)
        assert "Half an ans" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_a_question_while_they_write_waits_until_all_have_ended() -> None:
    async with comparing() as (pilot, engine, _app):
        await ask(pilot)
        for text in ("next?", "last?"):
            await pilot.press(*text, "enter")
        await until_shown(pilot, "2 of 2 writing · 2 questions wait")
        engine.finish(LLAMA.name, "Because.")
        await until_shown(pilot, "1 of 2 writing")
        assert len(engine.requests) == 2, "each column has every question at the same time"
        engine.finish(QWEN.name, "Therefore.")
        await until_shown(pilot, "2 of 2 writing · 1 question waits", "▌ next?")
        await until(pilot, lambda: len(engine.requests) == 4)
        assert [r.messages[-1].content for r in engine.requests[2:]] == ["next?", "next?"]
        await pilot.press("n", "o", "escape")
        await until_shown(pilot, "■ stopped", "▌ last?", "▌ no")
        await until(pilot, lambda: engine.closed == 4)
        assert len(engine.requests) == 4, "what was stopped does not go on by itself"


async def test_the_same_model_on_two_nodes_asks_only_them() -> None:
    async with comparing("llama3.2:3b gpu-rig spark") as (pilot, engine, _app):
        await until_shown(pilot, "Only gpu-rig is asked.", "Only spark is asked.")
        await ask(pilot)
        assert [(r.target, r.mode) for r in engine.requests] == [
            (RIG, Mode.TASK),
            (SPARK, Mode.TASK),
        ]


async def test_tab_goes_through_the_columns_and_z_shows_one_alone() -> None:
    async with comparing() as (pilot, engine, app):
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        await ask(pilot)
        engine.finish(LLAMA.name, "Because.")
        engine.finish(QWEN.name, "Therefore.")
        await until_shown(pilot, "1 question asked")
        await pilot.press("tab", "tab")
        await until(pilot, lambda: screen.columns.current == 1)
        await pilot.press("y")
        await until_shown(pilot, "Copied the answer.")
        assert app.clipboard == "Therefore."
        await pilot.press("z")
        await until(pilot, lambda: "Because." not in shown(app))
        await pilot.press("z")
        await until_shown(pilot, "Because.", "Therefore.")
        await pilot.press("tab")
        await until(pilot, lambda: screen.focused is not None and screen.focused.id == "prompt")


async def test_it_survives_a_terminal_of_any_size() -> None:
    names = f"{LLAMA.name} {QWEN.name} gemma3:27b"
    async with comparing(names) as (pilot, engine, _app):
        await ask(pilot)
        for size in ((20, 5), (9, 3), (300, 80), (81, 40), (80, 24)):
            await pilot.resize_terminal(*size)
            await pilot.press("tab")
        engine.finish(LLAMA.name, "Because.")
        await until_shown(pilot, "2 of 3 writing")


async def test_tabs_and_keys_can_be_clicked() -> None:
    names = f"{LLAMA.name} {QWEN.name} gemma3:27b"
    async with comparing(names, size=(80, 24)) as (pilot, engine, app):
        screen = app.screen
        assert isinstance(screen, CompareScreen)
        await ask(pilot)
        await pilot.click("#compare-head", offset=(24, 0))
        await until_shown(pilot, "─ 2 qwen3:8b")
        keys = shown(app).splitlines()[-1]
        await pilot.click("#keys", offset=(keys.index("Esc") + 1, 0))
        await until_shown(pilot, "■ stopped")
        await until(pilot, lambda: engine.closed == 3)


async def test_where_columns_would_be_narrow_one_is_shown_at_a_time() -> None:
    names = f"{LLAMA.name} {QWEN.name} gemma3:27b"
    async with comparing(names, size=(80, 24)) as (pilot, engine, app):
        await ask(pilot)
        engine.finish(LLAMA.name, "Because.")
        engine.finish(QWEN.name, "Therefore.")
        await until_shown(pilot, "1 llama3.2:3b ✓", "2 qwen3:8b ✓", "3 gemma3:27b ●", "Because.")
        assert "Therefore." not in shown(app)
        await pilot.press("tab", "tab")
        await until_shown(pilot, "Therefore.")
        assert "Because." not in shown(app)
        await pilot.resize_terminal(120, 40)
        await until_shown(pilot, "Because.", "Therefore.")
        assert all(len(line) <= 120 for line in shown(app).splitlines())


async def test_a_message_key_of_the_chat_does_nothing_to_the_chat_from_here() -> None:
    async with comparing() as (pilot, engine, app):
        await ask(pilot)
        engine.finish(LLAMA.name, "Because.")
        engine.finish(QWEN.name, "Therefore.")
        await until_shown(pilot, "1 question asked")
        await pilot.press("tab", "d", "r", "e", "m", "2")
        await pilot.pause()
        assert isinstance(app.screen, CompareScreen)
        assert len(engine.requests) == 2


async def test_one_column_goes_on_in_the_chat_and_is_kept(tmp_path: Path) -> None:
    async with comparing("llama3.2:3b gpu-rig spark", data_dir=tmp_path) as (pilot, engine, app):
        await ask(pilot)
        engine.finish(LLAMA.name, "Because.", target=RIG)
        engine.finish(LLAMA.name, "Therefore.", target=SPARK)
        await until_shown(pilot, "1 question asked")
        await pilot.press("tab", "tab", "ctrl+g")
        await until(pilot, lambda: app.screen is app.dashboard)
        await until_shown(pilot, "Therefore.", "The chat goes on with llama3.2:3b on spark.")
        chat = app.dashboard.bring_chat()
        assert (chat.model_in_use, chat.target) == (LLAMA.name, SPARK)
        assert engine.chats is not None
        (kept,) = await engine.chats.find("Therefore")
        opened = await engine.chats.open(kept.id)
        assert opened is not None
        assert [m.content for m in opened.messages] == ["why?", "Therefore."]
        chat.submit("and?")
        await until(pilot, lambda: len(engine.requests) == 3)
        assert (engine.requests[-1].target, len(engine.requests[-1].messages)) == (SPARK, 3)


async def test_the_last_comparison_comes_back_apart_from_the_chat_it_went_on_in() -> None:
    async with comparing() as (pilot, engine, app):
        await ask(pilot)
        engine.finish(LLAMA.name, "Because.")
        engine.finish(QWEN.name, "Therefore.")
        await until_shown(pilot, "1 question asked")
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.screen is app.dashboard)
        app.run_line("compare last")
        await until_shown(pilot, "COMPARE", "Because.", "Therefore.", "1 question asked")
        await ask(pilot, "more?")
        assert len(app.dashboard.bring_chat().session.turns) == 1
        assert [len(r.messages) for r in engine.requests[2:]] == [3, 3]


async def test_without_a_last_one_that_is_refused() -> None:
    async with comparing() as (pilot, _engine, app):
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        app.run_line("compare last")
        await until_shown(pilot, "Nothing was compared yet")


async def test_whom_to_compare_is_marked_in_a_list() -> None:
    async with comparing("") as (pilot, _engine, app):
        await until_shown(pilot, "Who answers the same question?", "best of 3 places", "0 marked")
        await pilot.press("enter")
        await until_shown(pilot, "Mark 2 to 4 with Space.")
        await pilot.press(*"qwen", "space", "down", "down", "space")
        await until_shown(pilot, "2 marked: qwen3:8b, qwen3:8b on spark", "[x] qwen3:8b")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, CompareScreen))
        await until_shown(pilot, "1 qwen3:8b", "2 qwen3:8b on spark")


async def test_no_more_than_four_are_marked() -> None:
    async with comparing("") as (pilot, _engine, _app):
        await until_shown(pilot, "0 marked")
        for _ in range(5):
            await pilot.press("space", "down")
        await until_shown(pilot, "At most 4 are compared")
        await pilot.press("up", "up", "space")
        await until_shown(pilot, "3 marked")


async def test_a_command_in_the_prompt_begins_another_comparison_or_is_refused() -> None:
    async with comparing() as (pilot, _engine, app):
        await until(pilot, lambda: app.focused is not None and app.focused.id == "prompt")
        await pilot.press(*"/nodes", "enter")
        await until_shown(pilot, "Commands are given in the chat", "▌ /nodes")
        screen = app.screen
        await pilot.press("ctrl+u", *"/compare llama3.2:3b spark gpu-rig", "enter")
        await until_shown(pilot, "1 llama3.2:3b on spark")
        assert app.screen is not screen
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
