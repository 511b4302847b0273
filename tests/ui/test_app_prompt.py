"""Around the prompt, in the app: pictures, who answers this chat, its own mode, the menu."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from textual import events
from textual.pilot import Pilot

from sollol_tui.core.images import Image
from sollol_tui.core.state import Mode, NodeModel
from sollol_tui.io.blobs import ModelFile
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.chat.panel import ChatPanel
from sollol_tui.ui.chat.queue import Question
from tests.ui.clusters import COORDINATOR, FULL, LLAMA, RIG, SPARK
from tests.ui.stand_in import StillEngine, shown, until, until_shown
from tests.ui.test_sessions import KeepingEngine, ask, running

if TYPE_CHECKING:
    from sollol_tui.core.gguf import GgufHeader

SEEING = NodeModel("llava:7b", 5 << 30, 7e9, "Q4_K_M", "llama", 4096, ("completion", "vision"))
SIGHTED = FULL._replace(
    nodes=tuple(
        node._replace(models=(*node.models, SEEING)) if node.url == RIG else node
        for node in FULL.nodes
    )
)
CAT = Image("my cat.png", "png", 1 << 20, "aGVsbG8=")
DOG = Image("dog.jpg", "jpeg", 2048, "d29v")


def _seeing(folder: Path) -> KeepingEngine:
    engine = KeepingEngine(folder)
    engine.show(SIGHTED)
    engine.sight = True
    engine.still_here.pictures = {"/p/my cat.png": CAT, "dog.jpg": DOG}
    return engine


async def _use(chat: ChatPanel, pilot: Pilot[None], model: str) -> None:
    await until(pilot, lambda: any(choice.name == model for choice in chat.models))
    chat.model = model


async def test_images_are_shown_as_chips_go_with_the_question_and_are_kept(tmp_path: Path) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        await pilot.press(*"/image '/p/my cat.png' dog.jpg /none.png", "enter")
        await until_shown(pilot, "▣ my cat.png 1.0 MiB", "▣ dog.jpg 2.0 KiB", "Bksp drops")
        await until_shown(pilot, "Not sent: /none.png: there is no such file.")
        await pilot.press("backspace")  # in the empty prompt: the last one
        await until(pilot, lambda: "dog.jpg" not in shown(app))
        await pilot.press(*"what?", "enter")
        await until(pilot, lambda: not chat.is_streaming and bool(chat.session.turns))
        assert engine.requests[-1].messages[-1].images == (CAT.data,)
        assert chat.attached == ()
        await until_shown(pilot, "▣ my cat.png 1.0 MiB", "▌ what?")
        await ask(pilot, chat, "and now?")
        assert [m.images for m in engine.requests[-1].messages] == [(CAT.data,), (), ()]
    async with running(engine := _seeing(tmp_path)) as (app, pilot, chat):
        await pilot.press("ctrl+r")
        await until_shown(pilot, "Enter opens")
        await pilot.press("enter")
        await until_shown(pilot, "▣ my cat.png 1.0 MiB", "▌ what?")
        await ask(pilot, chat, "again?")
        assert engine.requests[-1].messages[0].images == (CAT.data,)


async def test_a_model_that_does_not_see_is_sent_none_and_those_that_do_are_named(
    tmp_path: Path,
) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        app.run_line("image dog.jpg")
        await until(pilot, lambda: chat.attached == (DOG,))
        await _use(chat, pilot, LLAMA.name)
        await pilot.press(*"what?", "enter")
        await until_shown(pilot, "does not see images. These here do: llava:7b.")
        assert engine.requests == []
        assert chat.prompt.text == "what?"
        assert chat.attached == (DOG,)
        engine.sight = False
        app.run_line("image dog.jpg")
        await until_shown(pilot, "Not read: llama3.2:3b does not see images.")
        assert ("images", "dog.jpg") in engine.calls
        assert engine.calls.count(("images", "dog.jpg")) == 1  # nothing was read this time


async def test_an_image_whose_question_got_no_answer_comes_back_with_it(tmp_path: Path) -> None:
    from sollol_tui.core.asks import Failed
    from sollol_tui.core.faults import Fault, FaultKind

    engine = _seeing(tmp_path)
    engine.answer = [Failed(Fault(FaultKind.REFUSED), RIG, 0, 1)]
    async with running(engine) as (_, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        chat.attach((CAT,))
        await ask(pilot, chat, "what?")
        await until(pilot, lambda: chat.prompt.text == "what?")
        assert chat.attached == (CAT,)


@pytest.mark.parametrize("sees", [True, False])
async def test_pasted_paths_are_offered_as_images_to_a_model_that_sees(
    tmp_path: Path, sees: bool
) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await _use(chat, pilot, SEEING.name if sees else LLAMA.name)
        chat.prompt.insert("what is this? ")
        app.post_message(events.Paste("'/p/my cat.png'"))
        await until(pilot, lambda: "cat.png" in chat.prompt.text)
        if not sees:
            await pilot.pause()
            assert "Tab sends" not in shown(app)
            return
        await until_shown(pilot, "Tab sends my cat.png with the question, as an image")
        await pilot.press("tab")
        await until_shown(pilot, "▣ my cat.png 1.0 MiB")
        assert chat.prompt.text == "what is this?"
        assert app.focused is chat.prompt


async def test_a_node_answers_one_chat_alone_which_is_shown_kept_and_undone(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await pilot.press(*"/node spark", "enter")
        await until_shown(pilot, "spark answers in this chat", "only spark")
        await pilot.press(*"/set mode both", "enter")
        await until_shown(pilot, "only spark · mode both")
        assert app.snapshot.mode is FULL.mode  # that of the others stays
        await ask(pilot, chat, "why?")
        assert (engine.requests[-1].target, engine.requests[-1].mode) == (SPARK, Mode.BOTH)
        app.run_line("new")
        assert (chat.target, chat.mode) == (None, None)
        assert "only spark" not in shown(app)
        await pilot.press("ctrl+r")
        await until_shown(pilot, "Enter opens", "why?")
        await pilot.press("enter")
        await until_shown(pilot, "only spark · mode both")
        assert (chat.target, chat.mode) == (SPARK, Mode.BOTH)
        app.run_line("node auto")
        app.run_line("set mode auto")
        assert (chat.target, chat.mode) == (None, None)


async def test_node_without_a_name_asks_which_and_a_coordinator_is_one_of_them() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        app.run_line("node")
        await until_shown(pilot, "Who answers in this chat?", "The router chooses", "Only spark")
        app.screen.dismiss(None)
        app.run_line(f"node {COORDINATOR}")
        chat = app.dashboard.bring_chat()
        assert chat.target == COORDINATOR


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("node nowhere", "There is no node and no coordinator “nowhere”."),
        ("set mode off", "In one chat, /node NODE does what mode off does for all."),
        ("set mode x", "“x” is no mode"),
        ("queue", "No question waits."),
        ("image x.png", "No model is chosen yet"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_a_sentence(line: str, sentence: str) -> None:
    snapshot = FULL if "image" not in line else FULL._replace(nodes=(), coordinators=())
    app = SollolApp(StillEngine(snapshot))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        app.run_line(line)
        await until_shown(pilot, sentence)


async def test_the_menu_completes_names_then_arguments_with_the_keys_in_one_go() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        await pilot.press("6")
        chat = app.dashboard.bring_chat()
        await until(pilot, lambda: app.focused is chat.prompt)
        await pilot.press("slash")
        await until_shown(pilot, "model [NAME|FILE.gguf]", "node [NODE|auto]", "more")
        assert "▌ /" in shown(app).splitlines()[-3]  # what is typed is not covered
        for key in (*"mod", "tab"):
            app.post_message(events.Key(key, key if len(key) == 1 else None))
        await until(pilot, lambda: chat.prompt.text == "/model ")
        await until_shown(pilot, "Choose the model that answers")
        await pilot.press("q", "tab")
        assert chat.prompt.text.startswith("/model qwen3:8b")
        await pilot.press("escape")
        await until(pilot, lambda: not chat.menu.is_open)
        assert app.dashboard.current == "chat"
        await pilot.press("enter")
        await until_shown(pilot, "qwen3:8b answers from the next question on.")


async def test_arrows_choose_in_the_menu_and_a_recalled_command_opens_none() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        await pilot.press("6")
        chat = app.dashboard.bring_chat()
        await until(pilot, lambda: app.focused is chat.prompt)
        await pilot.press("slash", "down", "down", "up")
        assert chat.prompt.text == "/model "
        await pilot.press("enter")
        await until_shown(pilot, "Which model answers?")
        await pilot.press("escape", "up")
        assert chat.prompt.text == "/model"
        assert not chat.menu.is_open
        await pilot.press("up")
        assert chat.prompt.text == "/model"


async def test_text_and_doubled_signs_open_no_menu() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        chat = app.dashboard.bring_chat()
        for text in ("model", "//etc", "/usr\nmore"):
            chat.prompt.write("")
            chat.prompt.insert(text)
            assert not chat.menu.is_open, text


async def test_questions_of_an_earlier_run_are_called_back_and_commands_are_not(
    tmp_path: Path,
) -> None:
    async with running(KeepingEngine(tmp_path)) as (_, pilot, chat):
        for text in ("one?", "two?", "one?"):
            await ask(pilot, chat, text)
        await pilot.press(*"/set think off", "enter")
    async with running(KeepingEngine(tmp_path)) as (_, pilot, chat):
        await until(pilot, lambda: bool(chat.prompt._recall.texts))
        await pilot.press("up")
        assert chat.prompt.text == "one?"
        await pilot.press("up")
        assert chat.prompt.text == "two?"
        await pilot.press("up")
        assert chat.prompt.text == "two?"
        await pilot.press("down", "down")
        assert chat.prompt.text == ""


GGUF = ModelFile("tiny", "/m/tiny.gguf", 1 << 30, cast("GgufHeader", None))


async def test_a_file_answers_in_the_chat_where_a_coordinator_can_be_started(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    engine.still_here.file = GGUF
    async with running(engine) as (_, pilot, chat):
        await pilot.press(*"/model /m/tiny.gguf", "enter")
        await until_shown(pilot, "tiny answers from the next question on; a coordinator is started")
        await until_shown(pilot, "tiny.gguf", "a file, which a coordinator runs")
        await ask(pilot, chat, "why?")
        assert engine.requests[-1].model == "/m/tiny.gguf"
        assert engine.last_model == "/m/tiny.gguf"


@pytest.mark.parametrize(
    ("setup", "sentence"),
    [
        ("", "Look again."),
        ("mode task", "mode task uses none: /mode both first."),
        ("node spark", "one node is set: /node auto."),
    ],
)
async def test_a_file_that_cannot_answer_is_refused_with_a_sentence(
    setup: str, sentence: str
) -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(140, 50), notifications=True) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        if setup:
            app.run_line(setup)
        app.run_line("model ./x.gguf")
        await until_shown(pilot, sentence)
        assert app.dashboard.bring_chat().model == ""


async def test_pictures_of_before_are_left_out_for_a_model_that_does_not_see_and_that_is_said(
    tmp_path: Path,
) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        chat.attach((CAT,))
        await ask(pilot, chat, "what?")
        await _use(chat, pilot, LLAMA.name)
        await ask(pilot, chat, "and?")
        await until_shown(pilot, "llama3.2:3b does not see the images of before")
        assert [m.images for m in engine.requests[-1].messages] == [(), (), ()]
        assert chat.session.turns[0].images == (CAT,)


async def test_a_waiting_question_with_pictures_is_held_for_a_model_that_does_not_see(
    tmp_path: Path,
) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        chat.queue.add(Question("what?", (CAT,)))
        chat.queue.hold()
        await _use(chat, pilot, LLAMA.name)
        app.run_line("queue go")
        await until_shown(
            pilot, "Not asked: llama3.2:3b does not see images.", "1 question is held"
        )
        assert engine.requests == []
        await _use(chat, pilot, SEEING.name)
        chat.go_on_asking()
        await until(pilot, lambda: bool(engine.requests))
        assert engine.requests[-1].messages[-1].images == (CAT.data,)


async def test_paths_are_completed_where_a_file_may_be_named() -> None:
    engine = StillEngine(FULL)
    engine.still_here.files = ("/pics/", "/pics/my cat.png", "/pics/my dog.png")
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.dashboard.panes.chat is not None)
        await pilot.press("6")
        chat = app.dashboard.bring_chat()
        await until(pilot, lambda: app.focused is chat.prompt)
        await pilot.press(*"/image /pics/my", "tab")  # what is looked for may not be there yet
        await until_shown(pilot, "/pics/my cat.png", "/pics/my dog.png")
        assert app.focused is chat.prompt
        chat.prompt.write("/image ")
        await pilot.press(*"/pics/my")
        await until_shown(pilot, "/pics/my cat.png")
        await pilot.press("tab", "tab")
        assert chat.prompt.text == "/image '/pics/my dog.png'"


async def test_a_question_with_pictures_is_not_asked_again_of_a_model_that_does_not_see(
    tmp_path: Path,
) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        chat.attach((CAT,))
        await ask(pilot, chat, "what?")
        await _use(chat, pilot, LLAMA.name)
        app.run_line("retry")
        await until_shown(pilot, "Not asked: llama3.2:3b does not see images.")
        assert len(engine.requests) == 1


async def test_without_glyphs_nothing_around_the_prompt_has_any(tmp_path: Path) -> None:
    engine = _seeing(tmp_path)
    engine.settings = engine.settings._replace(ascii=True)
    async with running(engine) as (app, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        chat.attach((CAT,))
        app.run_line("node spark")
        app.run_line("set mode both")
        await until_shown(pilot, "* my cat.png", "only spark - mode both")
        app.clear_notifications()  # Textual's own, with a bar
        await until(pilot, lambda: "answers in this chat" not in shown(app))
        assert shown(app).isascii()
        chat.prompt.insert("/mo")
        await until_shown(pilot, "mode [task|model|both|o~")
        assert shown(app).isascii()


async def test_a_picture_alone_is_no_question(tmp_path: Path) -> None:
    engine = _seeing(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await _use(chat, pilot, SEEING.name)
        chat.attach((CAT,))
        await pilot.press("enter")
        await until_shown(pilot, "Write what is to be asked about it.")
        assert engine.requests == []
        assert chat.attached == (CAT,)


async def test_a_waiting_question_is_brought_into_the_prompt_by_its_number(tmp_path: Path) -> None:
    async with running(KeepingEngine(tmp_path)) as (app, pilot, chat):
        for text in ("a?", "b?", "c?"):
            chat.queue.add(Question(text))
        chat.queue.hold()
        chat.prompt.write("a draft")
        app.run_line("queue 2")
        assert chat.prompt.text == "b?"
        await until_shown(pilot, "waiting question 2 of 3")
        await pilot.press("escape", "up", "up", "up", "up")  # the queue, then what was begun
        assert chat.prompt.text == "a draft"
        app.run_line("queue 9")
        await until_shown(pilot, "There is no waiting question “9”: there are 3.")
        app.screen.dismiss(None)
        app.run_line("queue clear")
        assert not chat.queue
