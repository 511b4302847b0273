"""The messages of a chat as a list: asked again, continued, changed, deleted, and kept so."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from textual.pilot import Pilot

from sollol_tui.core.asks import Candidate, Delta, Failed, Finished, Routed, Seam, Thinking, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import Image
from sollol_tui.core.state import Mode
from sollol_tui.ui.chat.panel import ChatPanel
from sollol_tui.ui.chat.session import ChatSession
from tests.ui.clusters import DECISION, LLAMA
from tests.ui.stand_in import shown, until, until_shown
from tests.ui.test_sessions import KeepingEngine, ask, messages, running

DONE = Finished("complete", Usage(31, 212, 400.0, 33.1), 0.21, 6.4, 1)
LENGTH = DONE._replace(outcome="length")
REFUSED = Failed(Fault(FaultKind.REFUSED, "10.0.0.4"), DECISION.target, 0, 1)


def answers(engine: KeepingEngine, *events: object) -> None:
    """What is answered from now on."""
    engine.answer = [Routed(DECISION), *events]  # type: ignore[list-item]


async def said(engine: KeepingEngine, chat: ChatPanel) -> list[str]:
    """What is kept, in its order."""
    return [message.content for message in await messages(engine, chat)]


async def three_turns(engine: KeepingEngine, pilot: Pilot[None], chat: ChatPanel) -> None:
    for n in ("one", "two", "three"):
        answers(engine, Delta(f"Answer {n}."), DONE)
        await ask(pilot, chat, f"Question {n}?")


async def choose(pilot: Pilot[None], chat: ChatPanel, number: int) -> None:
    """Enter the messages and go to one, by keys."""
    await pilot.press("alt+up", "home")
    for _ in range(number):
        await pilot.press("j")
    assert chat.transcript.chosen == number


async def at_rest(pilot: Pilot[None], chat: ChatPanel, asked: int, engine: KeepingEngine) -> None:
    await until(pilot, lambda: len(engine.requests) == asked and not chat.is_streaming)


# Retry


async def test_the_last_question_is_asked_again_in_its_own_place(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await three_turns(engine, pilot, chat)
        answers(engine, Delta("Another answer."), DONE)
        await pilot.press("alt+up", "r")
        await at_rest(pilot, chat, 4, engine)
        await until_shown(pilot, "Another answer.")
        assert chat.transcript.chosen == 5  # the new one, to go on from
        assert "Answer three." not in shown(app)
        asked = engine.requests[-1]
        assert [m.content for m in asked.messages][-3:] == [
            "Question two?", "Answer two.", "Question three?",
        ]  # fmt: skip
        assert asked.avoid == ()
        kept = await said(engine, chat)
        assert kept[-2:] == ["Question three?", "Another answer."]
        assert len(kept) == 6


async def test_an_earlier_question_is_asked_again_only_after_a_yes(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await three_turns(engine, pilot, chat)
        await choose(pilot, chat, 1)
        await pilot.press("r")
        await until_shown(pilot, "Ask “Question one?” again?", "the 2 questions after it")
        await pilot.press("enter")
        assert len(chat.session.turns) == 3
        answers(engine, Delta("New."), DONE)
        await pilot.press("r")
        await until_shown(pilot, "Ask it again")
        await pilot.press("down", "enter")
        await at_rest(pilot, chat, 4, engine)
        assert await said(engine, chat) == ["Question one?", "New."]


async def test_without_a_word_of_a_new_answer_the_old_one_is_there_again(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await three_turns(engine, pilot, chat)
        before = await said(engine, chat)
        answers(engine, REFUSED)
        await choose(pilot, chat, 3)
        await pilot.press("r")
        await until_shown(pilot, "Ask it again")
        await pilot.press("down", "enter")
        await at_rest(pilot, chat, 4, engine)
        await until_shown(
            pilot, "Answer two.", "no answer: gpu-rig: connection refused", "as it was",
            "Question three?", "Answer three.",
        )  # fmt: skip
        assert await said(engine, chat) == before


async def test_a_stop_before_the_first_word_changes_nothing_either(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await three_turns(engine, pilot, chat)
        before = await said(engine, chat)
        answers(engine)
        app.run_line("retry")
        await until(pilot, lambda: chat.is_streaming)
        chat.stop()
        await until_shown(pilot, "Answer three.", "stopped before a word came")
        assert await said(engine, chat) == before


async def test_elsewhere_avoids_who_wrote_and_a_node_is_asked_alone(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        engine.choose_mode(Mode.OFF, DECISION.target or "")
        await three_turns(engine, pilot, chat)
        place = next(c for c in chat.models if c.name == LLAMA.name).places
        others = [p for p in place if not p.problem and p.url != DECISION.target]
        assert others
        app.run_line("retry elsewhere")
        await at_rest(pilot, chat, 4, engine)
        assert engine.requests[-1].avoid == (DECISION.target,)
        app.run_line(f"retry {others[0].name}")
        await at_rest(pilot, chat, 5, engine)
        assert engine.requests[-1].target == others[0].url
        assert engine.requests[-1].mode is Mode.TASK  # off would send it to the pinned one
        assert engine.chats is not None
        found = await engine.chats.open(chat.session.conversation)
        assert found is not None
        assert (found.chat.target, found.chat.mode) == (None, None)  # for once only
        app.run_line("retry nowhere")
        await until_shown(pilot, "There is no node and no coordinator “nowhere”.")


async def test_the_key_for_elsewhere_offers_who_else_has_the_model(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        chat.models = (
            chat.models[0]._replace(
                name=LLAMA.name,
                places=tuple(
                    chat.models[0].places[0]._replace(url=f"http://{n}:11434", name=n, problem="")
                    for n in ("near", "far")
                ),
            ),
        )
        await ask(pilot, chat, "Why?")
        await pilot.press("alt+up", "R")
        await until_shown(pilot, "Who answers “Why?” instead?", "near", "far")
        await pilot.press("down", "down", "enter")
        await at_rest(pilot, chat, 2, engine)
        assert engine.requests[-1].target == "http://far:11434"


# Continue


async def test_a_stopped_answer_goes_on_from_its_text_with_a_seam(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        answers(engine, Delta("Half of "))
        chat.submit("Why?")
        await until_shown(pilot, "Half of")
        await pilot.press("escape")
        await until_shown(pilot, "stopped", "F5 goes on")
        answers(engine, Seam("", DECISION.target or "", 8), Delta("it is known."), DONE)
        await pilot.press("alt+up", "c")
        await at_rest(pilot, chat, 2, engine)
        request = engine.requests[-1]
        assert request.so_far == "Half of "
        assert [m.content for m in request.messages] == ["Why?"]
        await until_shown(pilot, "gpu-rig writes on · it was stopped", "it is known.")
        assert chat.session.turns[-1].answer == "Half of it is known."
        assert "stopped · " not in shown(app)
        (_, kept) = await messages(engine, chat)
        assert (kept.content, kept.outcome) == ("Half of it is known.", "complete")
        assert [(seam.at_chars, seam.decision) for seam in kept.seams] == [(8, 1)]
        assert kept.usage.completion_tokens == 212 + 1  # and those before
        assert len(kept.decisions) == 2


async def test_an_answer_that_the_limit_cut_goes_on_and_one_that_adds_nothing_says_so(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        answers(engine, Delta("Begun"), LENGTH)
        await ask(pilot, chat, "Why?")
        await until_shown(pilot, "the token limit cut it off", "F5 goes on")
        before = await messages(engine, chat)
        answers(engine, DONE)
        await pilot.press("f5")
        await at_rest(pilot, chat, 2, engine)
        await until_shown(pilot, "Begun", "the token limit cut it off", "nothing to add")
        assert await messages(engine, chat) == before
        answers(engine, Delta("."), DONE)
        app.run_line("continue")
        await at_rest(pilot, chat, 3, engine)
        assert chat.session.turns[-1].answer == "Begun."


async def test_a_continuation_that_fails_leaves_the_beginning_with_its_key(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        answers(engine, Delta("Half"), REFUSED._replace(kept_chars=4))
        await ask(pilot, chat, "Why?")
        await until_shown(pilot, "incomplete: gpu-rig: connection refused", "F5 goes on")
        answers(engine, REFUSED._replace(kept_chars=4))
        await pilot.press("f5")
        await at_rest(pilot, chat, 2, engine)
        await until_shown(pilot, "Half", "as it was", "F5 goes on")
        assert engine.requests[-1].so_far == "Half"


async def test_only_what_can_go_on_is_continued(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        app.run_line("continue")
        await until_shown(pilot, "Nothing was asked in this chat yet.")
        await pilot.press("escape")
        answers(engine, Delta("Half"), LENGTH)
        await ask(pilot, chat, "Why?")
        answers(engine, Delta("Whole"), DONE)
        await ask(pilot, chat, "And?")
        assert "goes on" not in shown(app)  # it is not the last answer any more
        await pilot.press("alt+up", "c")
        await until_shown(pilot, "This answer is whole: there is nothing to continue.")
        await choose(pilot, chat, 1)
        await pilot.press("c")
        await until_shown(pilot, "Only the last answer can go on")
        assert len(engine.requests) == 2


# Edit


async def test_a_changed_question_takes_the_place_of_all_from_there_on(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await three_turns(engine, pilot, chat)
        before = await said(engine, chat)
        await choose(pilot, chat, 2)
        await pilot.press("e")
        await until_shown(pilot, "replaces this question and the question after it", "Esc")
        assert chat.prompt.text == "Question two?"
        assert chat.prompt.has_focus
        assert await said(engine, chat) == before  # nothing changed yet
        await pilot.press("X")
        answers(engine, Delta("Changed."), DONE)
        await pilot.press("enter")
        await at_rest(pilot, chat, 4, engine)
        await until_shown(pilot, "Question two?X", "Changed.")
        assert "Question three?" not in shown(app)
        assert await said(engine, chat) == [
            "Question one?", "Answer one.", "Question two?X", "Changed.",
        ]  # fmt: skip


async def test_escape_gives_a_change_up_and_the_draft_is_there_again(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await three_turns(engine, pilot, chat)
        await pilot.press(*"draft")
        await pilot.press("alt+up", "e")
        await until_shown(pilot, "replaces this question and its answer")
        await pilot.press("X", "escape")
        assert chat.prompt.text == "draft"
        assert "replaces" not in shown(app)
        answers(engine, Delta("Fine."), DONE)
        await pilot.press("enter")
        await at_rest(pilot, chat, 4, engine)
        assert [turn.prompt for turn in chat.session.turns][2:] == ["Question three?", "draft"]


async def test_a_changed_question_that_gets_no_answer_can_be_changed_again(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await three_turns(engine, pilot, chat)
        before = await said(engine, chat)
        answers(engine, REFUSED)
        await pilot.press("alt+up", "e", "X", "enter")
        await at_rest(pilot, chat, 4, engine)
        await until_shown(pilot, "Answer three.", "no answer", "sending replaces")
        assert chat.prompt.text == "Question three?X"
        assert await said(engine, chat) == before
        answers(engine, Delta("Now."), DONE)
        await pilot.press("enter")
        await at_rest(pilot, chat, 5, engine)
        assert (await said(engine, chat))[-2:] == ["Question three?X", "Now."]


# Delete


async def test_a_question_is_deleted_with_its_answer_after_a_yes(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await three_turns(engine, pilot, chat)
        await choose(pilot, chat, 2)
        await pilot.press("d")
        await until_shown(pilot, "Delete “Question two?” and its answer?")
        await pilot.press("escape")
        assert len(chat.session.turns) == 3
        await pilot.press("d")
        await until_shown(pilot, "Delete both")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "Question two?" not in shown(app))
        assert await said(engine, chat) == [
            "Question one?", "Answer one.", "Question three?", "Answer three.",
        ]  # fmt: skip
        answers(engine, Delta("Answer four."), DONE)
        await ask(pilot, chat, "Question four?")
        told = [m.content for m in engine.requests[-1].messages]
        assert told == [*(await said(engine, chat))[:4], "Question four?"]
        assert len(await said(engine, chat)) == 6


async def test_with_its_only_question_a_chat_is_deleted(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await ask(pilot, chat, "Why?")
        app.run_line("delete")
        await until_shown(pilot, "It is the only one")
        await pilot.press("down", "enter")
        await until_shown(pilot, "Ask something.")
        assert engine.chats is not None
        assert await engine.chats.find() == ()


async def test_a_reopened_chat_keeps_its_settings_when_a_question_is_deleted(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        app.run_line("set temperature 0.2")
        await three_turns(engine, pilot, chat)
        before = await messages(engine, chat)
        app.run_line("new")
        app.run_line("sessions")
        await until_shown(pilot, "Enter opens", "Question one?")
        await pilot.press("enter")
        await until_shown(pilot, "Answer three.")
        app.run_line("delete")
        await until_shown(pilot, "Delete both")
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(chat.session.turns) == 2)
        assert engine.chats is not None
        found = await engine.chats.open(chat.session.conversation)
        assert found is not None
        assert found.chat.options.temperature == 0.2
        assert found.chat.model == LLAMA.name
        assert found.messages == before[:4]


# While an answer is running


async def test_while_an_answer_is_written_nothing_is_changed(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        answers(engine, Delta("One."), DONE)
        await ask(pilot, chat, "One?")
        answers(engine, Delta("Half"))
        chat.submit("Two?")
        await until_shown(pilot, "Half")
        await pilot.press("alt+up")
        for key in ("r", "R", "c", "e", "d", "f5"):
            app._notifications.clear()
            await pilot.press(key)
            await until_shown(pilot, "An answer is being written: stop it first")
        assert app.screen is app.dashboard
        assert chat.is_streaming
        assert len(engine.requests) == 2


# Details


async def test_enter_shows_who_wrote_and_why_another_took_over_also_when_reopened(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    failed = Candidate(
        DECISION.target or "", "node", "gpu-rig", None, (), "failed this request: connection lost"
    )
    second = DECISION._replace(
        id="r1.2", target="http://10.0.0.8:11434", name="spark", reason="the other one",
        candidates=(failed,),
    )  # fmt: skip
    async with running(engine) as (app, pilot, chat):
        answers(
            engine, Thinking("let me see"), Delta("Because "), Routed(second),
            Seam(DECISION.target or "", second.target or "", 8), Delta("so."), DONE,
        )  # fmt: skip
        await ask(pilot, chat, "Why?")
        await until_shown(pilot, "spark writes on · gpu-rig: connection lost", "so.")
        for is_reopened in (False, True):
            if is_reopened:
                app.run_line("new")
                app.run_line("sessions")
                await until_shown(pilot, "Enter opens", "Why?")
                await pilot.press("enter")
                await until_shown(pilot, "so.")
            await pilot.press("alt+up", "enter")
            await until_shown(
                pilot, "Routing decision", DECISION.reason, "after 8 characters:",
                "spark writes on · gpu-rig: connection lost", "the other one",
            )  # fmt: skip
            await pilot.press("escape")
            await pilot.press("t")
            await until_shown(pilot, "let me see")
            await pilot.press("t")
            await until(pilot, lambda: "let me see" not in shown(app))


async def test_a_question_can_be_copied_like_an_answer(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        answers(engine, Delta("See:\n\n```py\nx = 1\n```\n"), DONE)
        await ask(pilot, chat, "Why?")
        await pilot.press("alt+up", "y")
        await until(pilot, lambda: app.clipboard.startswith("See:"))
        await pilot.press("Y")
        await until(pilot, lambda: app.clipboard.strip() == "x = 1")
        await pilot.press("k", "y")
        await until(pilot, lambda: app.clipboard == "Why?")


# From an answer to its event and back


async def test_g_goes_from_an_answer_to_its_event_and_back(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        first = DECISION._replace(id="r7.1")
        engine.store.log("info", "route", "", "llama3.2:3b → gpu-rig (first)", first)
        engine.answer = [Routed(first), Delta("One."), DONE]
        await ask(pilot, chat, "One?")
        for n in range(30):
            engine.store.log("info", "node", "", f"noise {n}")
        app.dashboard.panes.show(app.snapshot)
        answers(engine, Delta("Two."), DONE)
        await ask(pilot, chat, "Two?")
        app.dashboard.panes.events.filter("noise")  # hides it
        await choose(pilot, chat, 1)
        await pilot.press("g")
        await until(pilot, lambda: app.dashboard.current == "events")
        entry = engine.store.entry_of(first)
        assert app.dashboard.panes.events.cursor_key == str(entry)
        await until_shown(pilot, "(first)")
        await pilot.press("g")
        await until(pilot, lambda: app.dashboard.current == "chat")
        assert chat.transcript.has_focus
        assert chat.transcript.chosen == 1
        await pilot.press("j", "j", "g")  # its decision was never logged
        await until_shown(pilot, "Its entry has left the events")
        app.dashboard.show_pane("events")
        await pilot.press("end", "g")
        await until_shown(pilot, "No answer belongs to this entry.")
        engine.tell_route()
        app.dashboard.panes.show(app.snapshot)
        app.run_line("new")
        app.dashboard.show_pane("events")
        await pilot.press("end", "g")
        await until_shown(pilot, "Its answer is in no open chat.")
        app.dashboard.show_pane("nodes")
        app.run_line("answer")
        await until_shown(pilot, "choose one in the events.")


# The list itself


async def test_escape_and_alt_down_lead_back_to_the_prompt(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await ask(pilot, chat, "Why?")
        for key in ("escape", "alt+down"):
            await pilot.press("alt+up")
            await until(pilot, lambda: chat.transcript.chosen == 1)
            await pilot.press(key)
            await until(pilot, lambda: chat.prompt.has_focus and chat.transcript.chosen is None)


async def test_a_command_from_the_list_acts_on_the_chosen_message(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await three_turns(engine, pilot, chat)
        await choose(pilot, chat, 0)
        await pilot.press("colon", *"edit", "enter")
        await until(pilot, lambda: chat.prompt.text == "Question one?")


async def test_the_key_line_names_what_can_be_done_with_the_message(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        answers(engine, Delta("Whole."), DONE)
        await ask(pilot, chat, "Why?")
        await pilot.press("alt+up")
        await until_shown(pilot, "r Retry", "e Edit", "d Delete", "g Event", "y Copy")
        line = shown(app).splitlines()[-1]
        assert "c Continue" not in line
        assert "Thought" not in line
        assert "Copy code" not in line
        chat.session.turns[-1].outcome = "length"
        await pilot.press("k", "j")
        await until_shown(pilot, "c Continue")


async def test_escape_leads_out_of_the_list_before_it_stops_and_the_line_says_so(
    tmp_path: Path,
) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        answers(engine, Delta("Half"))
        chat.submit("Why?")
        await until_shown(pilot, "Half", "Esc stops")
        await pilot.press("alt+up")
        await until_shown(pilot, "Esc Esc stops")
        await pilot.press("escape")
        await until(pilot, lambda: chat.prompt.has_focus)
        assert chat.is_streaming
        await pilot.press("escape")
        await until(pilot, lambda: not chat.is_streaming)


async def test_the_key_under_an_answer_is_the_one_that_works_now(tmp_path: Path) -> None:
    """Also when it was given another key, and while a dialog is open."""
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        app.set_keymap({"again": "f8"})
        answers(engine, Delta("Half"), LENGTH)
        app.run_line("help")
        await until_shown(pilot, "Esc closes")
        chat.submit("Why?")
        await until(pilot, lambda: bool(chat.session.turns) and not chat.is_streaming)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        await until_shown(pilot, "F8 goes on")
        answers(engine, Delta("."), DONE)
        await pilot.press("f8")
        await until(pilot, lambda: chat.session.turns[-1].answer == "Half.")


# Everything, in any order


def sources(chat: ChatPanel) -> list[str]:
    """What the screen shows, which is what the session holds."""
    shown_ones = [message.source for message in chat.transcript.history.messages]
    turns = chat.session.turns
    assert shown_ones == [text for turn in turns for text in (turn.prompt, turn.answer)]
    return shown_ones


@pytest.mark.parametrize("seed", range(4))
async def test_screen_session_and_disk_agree_whatever_is_done(tmp_path: Path, seed: int) -> None:
    """Each turn is two messages; their texts are those of the session, and those that are kept."""
    rnd = random.Random(seed)
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        for step in range(14):
            text = [Delta(f"word{n} ") for n in range(rnd.choice([0, 1, 3]))]
            answers(engine, *text, rnd.choice([DONE, LENGTH, REFUSED]))
            if chat.session.turns and rnd.random() < 0.7:
                chat.transcript.focus()
                chat.transcript.choose(rnd.randrange(2 * len(chat.session.turns)))
                await pilot.press(rnd.choice(["r", "c", "e", "d", "f5"]))
                await pilot.pause()
                if app.screen is not app.dashboard:
                    await pilot.press(*rnd.choice([("escape",), ("down", "enter")]))
                elif chat.prompt.has_focus:
                    await pilot.press(*rnd.choice([("X", "enter"), ("escape",)]))
            else:
                chat.prompt.write("")
                chat.submit(f"Question {step}?")
            await until(pilot, lambda: app.screen is app.dashboard and not chat.is_streaming)
            async with asyncio.timeout(5):
                while await said(engine, chat) != sources(chat):
                    await pilot.pause(0.01)


async def test_what_was_being_changed_is_left_when_another_chat_is_opened(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (app, pilot, chat):
        await ask(pilot, chat, "One?")
        app.run_line("edit")
        await until_shown(pilot, "sending replaces")
        chat.conversation.reopen(ChatSession("other"))
        chat.show_state()
        assert chat.actions.editing is None
        await pilot.press("X", "enter")
        await until(pilot, lambda: [turn.prompt for turn in chat.session.turns] == ["One?X"])


async def test_pictures_go_with_the_question_when_it_is_asked_again(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    picture = Image("cat.png", "png", 5, "aGVsbG8=")
    async with running(engine) as (app, pilot, chat):
        (choice, *_) = chat.models
        places = tuple(place._replace(sees=True) for place in choice.places)
        chat.models = (choice._replace(name=LLAMA.name, places=places),)
        chat.attach((picture,))
        await ask(pilot, chat, "What is it?")
        app.run_line("retry")
        await at_rest(pilot, chat, 2, engine)
        app.run_line("edit")
        await until_shown(pilot, "sending replaces", "cat.png")
        await pilot.press("X", "enter")
        await at_rest(pilot, chat, 3, engine)
        assert [r.messages[-1].images for r in engine.requests] == [("aGVsbG8=",)] * 3
        assert chat.attached == ()
        assert (await messages(engine, chat))[0].images == (picture,)


async def test_without_a_model_nothing_is_asked_again(tmp_path: Path) -> None:
    engine = KeepingEngine(tmp_path)
    async with running(engine) as (_, pilot, chat):
        await ask(pilot, chat, "One?")
        chat.models, chat.model = (), ""
        await pilot.press("alt+up", "r")
        await until_shown(pilot, "There is no model to ask")
        assert len(engine.requests) == 1
