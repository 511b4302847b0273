"""Turns that are replaced, continued and deleted: what is shown last is what is kept."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from sollol_tui.core.asks import (
    AskRequest,
    Candidate,
    ChatOptions,
    Delta,
    Failed,
    Finished,
    Notice,
    PartPlanned,
    Routed,
    Said,
    Seam,
    Thinking,
    Usage,
)
from sollol_tui.core.chats import KeptChat, KeptMessage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.io.chats import ChatsFile
from sollol_tui.ui.chat import updates
from sollol_tui.ui.chat.keeping import DRAFT_S, Keeper, kept_answer, kept_question, session_of
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.text import plain
from tests.ui.chat_host import RIG, SPARK, decision

MODEL = "llama3.2:3b"
DONE = Finished("complete", Usage(31, 212, 400.0, 33.1), 0.21, 6.4, 1)
CUT = Failed(Fault(FaultKind.CUT), RIG, 0, 1)
A, B = Routed(decision(1, "gpu-rig", RIG)), Routed(decision(2, "spark", SPARK))


def asked(*events: Said, prompt: str = "why?") -> ChatSession:
    """A chat with one question, and what was answered."""
    session = ChatSession("c1")
    session.begin(prompt, MODEL, 0.0)
    take(session, *events)
    return session


def take(session: ChatSession, *events: Said, from_s: float = 1.0) -> list[updates.Update]:
    """What is shown of events that come a second apart."""
    return [update for n, event in enumerate(events) for update in session.apply(event, from_s + n)]


# What a target thought that did not answer


def test_what_a_target_thought_that_failed_is_no_part_of_the_next_ones_thoughts() -> None:
    session = asked(A, Thinking("rig "), Thinking("thinks"))
    assert take(session, Notice("gpu-rig: cut."), B)[1] == updates.RewriteThought("")
    take(session, Thinking("spark thinks"), Delta("So."), DONE, from_s=10.0)
    turn = session.turns[0]
    assert turn.thoughts == ["spark thinks"]
    assert turn.thought_s == 1.0
    assert [d.name for d in turn.decisions] == ["spark"]


def test_of_parts_written_at_once_only_the_failed_writers_thoughts_are_dropped() -> None:
    session = asked(
        PartPlanned(("For", "Against")),
        A, Thinking("for"), Delta("## For\n\n", 0), Delta("Yes."),
        A, Thinking("half a thought"), Notice("gpu-rig: cut."),
        B, Thinking("against"), Delta("\n\n## Against\n\n", 0), Delta("No."), DONE,
    )  # fmt: skip
    assert "".join(session.turns[0].thoughts) == "for\n\nagainst"
    assert [d.name for d in session.turns[0].decisions] == ["gpu-rig", "spark"]


def test_the_thoughts_of_who_wrote_and_then_failed_stay() -> None:
    session = asked(
        A, Thinking("rig"), Delta("Half"), B, Seam(RIG, SPARK, 4), Delta(" whole"), DONE
    )
    assert session.turns[0].thoughts == ["rig"]
    assert [d.name for d in session.turns[0].decisions] == ["gpu-rig", "spark"]


def test_who_wrote_nothing_is_not_among_those_who_wrote() -> None:
    third = Routed(decision(3, "attic", "http://10.0.0.7:11434"))
    session = asked(A, Delta("Half"), B, third, Seam(RIG, "", 4), Delta("."), DONE)
    assert [d.name for d in session.turns[0].decisions] == ["gpu-rig", "attic"]
    assert session.turns[0].seams[0].decision == 1


# Seams


def test_a_seam_says_who_took_over_from_whom_and_why() -> None:
    failed = Candidate(RIG, "node", "gpu-rig", None, (), "failed this request: connection lost")
    second = Routed(B.decision._replace(candidates=(failed,)))
    session = asked(A, Delta("Half"), second, Seam(RIG, SPARK, 4), Delta("."), DONE)
    assert session.turns[0].seams[0].text == "spark writes on · gpu-rig: connection lost"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (DONE._replace(outcome="length"), "spark writes on · the token limit had cut it off"),
        (DONE._replace(outcome="stopped"), "spark writes on · it was stopped"),
        (CUT, "spark writes on · it was cut off"),
    ],
)
def test_a_continuation_says_why_there_is_a_seam(end: Said, words: str) -> None:
    session = asked(A, Delta("Half"), end)
    session.go_on(20.0)
    take(session, B, Seam("", SPARK, 4), Delta(" and whole"), DONE, from_s=21.0)
    turn = session.turns[0]
    assert turn.answer == "Half and whole"
    assert [seam.text for seam in turn.seams] == [words]
    assert turn.outcome == "complete"


def test_the_figures_of_a_continued_answer_are_those_of_both_parts() -> None:
    session = asked(A, Delta("Half"), DONE._replace(outcome="length"))
    session.go_on(20.0)
    second = DONE._replace(usage=Usage(40, 10, None, 20.0), total_s=1.0)
    take(session, A, Delta("."), second)
    finished = session.turns[0].finished
    assert finished is not None
    assert finished.usage.completion_tokens == 212 + 10
    assert finished.total_s == pytest.approx(7.4)
    assert session.turns[0].decode_tps() is None  # one token of its own


# What is put aside


@pytest.mark.parametrize("ending", [CUT, None])
def test_without_a_new_word_what_was_there_is_there_again(ending: Said | None) -> None:
    session = asked(A, Delta("One"), DONE)
    session.begin("two?", MODEL, 10.0)
    take(session, A, Delta("Two"), DONE)
    before = list(session.turns)
    session.begin("one, changed?", MODEL, 20.0, at=0)
    assert [turn.prompt for turn in session.turns] == ["one, changed?"]
    told = take(session, A, Thinking("hm"), *([ending] if ending else []), from_s=21.0)
    if ending is None:
        told = list(session.stop(25.0))
    assert told[-1] == updates.ShowRestored(0)
    assert session.turns == before
    assert session.turns[0].note
    assert session.replaced is None


def test_with_a_new_word_what_was_there_is_gone() -> None:
    session = asked(A, Delta("One"), DONE)
    session.begin("one, changed?", MODEL, 20.0, at=0)
    take(session, A, Delta("N"), CUT, from_s=21.0)
    assert [turn.answer for turn in session.turns] == ["N"]
    assert session.turns[0].outcome == "incomplete"


def test_a_question_without_an_answer_is_simply_replaced() -> None:
    session = asked(A, CUT)
    session.begin("again?", MODEL, 20.0, at=0)
    take(session, A, CUT)
    assert [(t.prompt, t.outcome) for t in session.turns] == [("again?", "failed")]


def test_a_request_in_the_middle_knows_what_was_said_before_it_only() -> None:
    session = asked(A, Delta("One"), DONE, prompt="one?")
    session.begin("two?", MODEL, 10.0)
    take(session, A, Delta("Two"), DONE)
    request = session.to_request("changed?", MODEL, at=1)
    assert [m.content for m in request.messages] == ["one?", "One", "changed?"]


def test_an_answer_written_anew_looks_as_it_did() -> None:
    """Thought, notices, text, seams and end come again in their order."""
    session = asked(
        A, Thinking("hm"), Delta("Half"), Notice("gpu-rig: cut."), B, Seam(RIG, SPARK, 4),
        Delta(" whole"), DONE,
    )  # fmt: skip
    told = [
        plain(update[0])
        if isinstance(update, updates.ShowNotice | updates.FoldThought)
        else update[0]
        for update in updates.whole(session.turns[0])
    ]
    assert told[1:-1] == [
        "hm", "thought for 1 s", "Half", "▲ gpu-rig: cut.", "spark writes on", " whole",
    ]  # fmt: skip


# Kept


class AtOnce:
    """Chats on disk, written at once. `kept` counts the times."""

    def __init__(self, folder: Path) -> None:
        self.file = ChatsFile(folder)
        self.kept = 0

    def keep(
        self, chat: KeptChat, *numbered: tuple[int, KeptMessage], gone_from: int | None = None
    ) -> None:
        self.kept += 1
        self.file.put(chat, numbered, gone_from)

    def rewrite(self, chat_id: str, first: int, *numbered: tuple[int, KeptMessage]) -> None:
        self.file.rewrite(chat_id, first, numbered)

    def forget(self, chat_id: str) -> None:
        self.file.delete(chat_id)


@pytest.fixture
def chats(tmp_path: Path) -> Iterator[AtOnce]:
    at_once = AtOnce(tmp_path)
    yield at_once
    at_once.file.close()


def keeper_of(chats: AtOnce) -> Keeper:
    return Keeper(chats, lambda: 1790000000.0)  # type: ignore[arg-type]


def rows(session: ChatSession) -> list[KeptMessage]:
    """What has to be kept of it, without what is told of a failure that is not over."""
    return [row for turn in session.turns for row in (kept_question(turn), kept_answer(turn))]


REQUEST = AskRequest(MODEL, (), ChatOptions(temperature=0.2))


def test_an_answer_is_kept_every_few_seconds_while_it_grows(chats: AtOnce) -> None:
    """A crash costs no more than that: what is opened then is marked as cut."""
    keeper, session = keeper_of(chats), asked()
    keeper.began(session, REQUEST, 0.0)
    assert chats.kept == 1
    take(session, A)
    for n in range(100):  # ten seconds, ten tokens each
        now_s = 0.1 * n
        session.apply(Delta(f"{n} "), now_s)
        keeper.moved(session, now_s)
    assert chats.kept == 1 + int(10.0 / DRAFT_S)
    found = chats.file.open("c1")
    assert found is not None
    assert found.messages[1].outcome == "running"
    assert found.messages[1].content.endswith("90 ")  # at 9 s
    (turn,) = session_of(found.chat, found.messages).turns
    assert turn.outcome == "incomplete"
    assert turn.can_go_on


def test_while_a_new_answer_has_no_word_the_old_one_stays_kept(chats: AtOnce) -> None:
    keeper, session = keeper_of(chats), asked(A, Delta("Old"), DONE)
    keeper.began(session, REQUEST, 0.0)
    keeper.ended(session, session.turns[-1])
    old = chats.file.open("c1")
    session.begin("why?", MODEL, 10.0, at=0)
    keeper.began(session, REQUEST, 10.0)
    take(session, A, Thinking("hm"), from_s=11.0)
    keeper.moved(session, 20.0)
    now = chats.file.open("c1")
    assert old is not None
    assert now is not None
    assert now.messages == old.messages  # a crash here loses nothing
    session.apply(Delta("New"), 21.0)
    keeper.moved(session, 30.0)
    now = chats.file.open("c1")
    assert now is not None
    assert [message.content for message in now.messages] == ["why?", "New"]


@pytest.mark.parametrize("seed", range(25))
def test_a_chat_that_is_opened_again_is_what_was_seen_last(chats: AtOnce, seed: int) -> None:
    """Whatever was asked, replaced, continued, deleted, stopped and lost, in any order."""
    rnd = random.Random(seed)
    keeper, session = keeper_of(chats), ChatSession("c1")
    now_s = 0.0
    for step in range(30):
        now_s += 10.0
        deed = rnd.choice(["ask", "ask", "replace", "go on", "delete"])
        if deed == "delete" and session.turns:
            at = rnd.randrange(len(session.turns))
            session.delete(at)
            keeper.deleted(session, at)
        elif deed == "go on" and session.turns and session.turns[-1].can_go_on:
            session.go_on(now_s)
            answer(rnd, session, keeper, now_s)
        elif deed != "delete":
            is_last = deed != "replace" or not session.turns
            at_turn = None if is_last else rnd.randrange(len(session.turns))
            session.begin(f"question {step}", MODEL, now_s, at=at_turn)
            answer(rnd, session, keeper, now_s)
        found = chats.file.open("c1")
        assert (found is None) == (not session.turns)
        if found is not None:
            assert list(found.messages) == rows(session)
            opened = session_of(found.chat, found.messages)
            assert [seen(turn) for turn in opened.turns] == [seen(turn) for turn in session.turns]
            assert found.chat.options == REQUEST.options


def answer(rnd: random.Random, session: ChatSession, keeper: Keeper, now_s: float) -> None:
    """Some answer: thoughts, text, another target, an end of any kind."""
    keeper.began(session, REQUEST, now_s)
    events: list[Said] = [A]
    if rnd.random() < 0.3:
        events.append(Thinking("hm"))
    events += [Delta(f"word{n} ") for n in range(rnd.choice([0, 1, 4]))]
    if len(events) > 2 and rnd.random() < 0.3:
        events += [Notice("cut."), B, Seam(RIG, SPARK, 3), Delta("more")]
    for event in events:
        now_s += 2.0
        session.apply(event, now_s)
        keeper.moved(session, now_s)
    written = session.turns[-1]
    ends: Sequence[Said | None] = (DONE, DONE._replace(outcome="length"), CUT, None)
    end = rnd.choice(ends)
    if end is None:
        session.stop(now_s)
    else:
        session.apply(end, now_s)
    keeper.ended(session, written)


def seen(turn: Turn) -> tuple[object, ...]:
    """What is shown of a turn, but for how another try ended and for figures counted here."""
    names = ("prompt", "answer", "decisions", "seams", "notices", "outcome", "thought_s", "model")
    marks = [update for update in updates.whole(turn) if not isinstance(update, updates.ShowEnd)]
    return *(getattr(turn, name) for name in names), marks
