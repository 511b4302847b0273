"""Which questions are worth several writers, and what each of them is told."""

from __future__ import annotations

import pytest

from sollol_tui.core.asks import AskRequest, ChatMessage
from sollol_tui.core.parallel import (
    SURE,
    Kind,
    Recognition,
    Wish,
    part_request,
    plan_for,
    plan_parts,
    recognise,
    wants_parallel,
)


@pytest.mark.parametrize(
    ("prompt", "kind", "parts"),
    [
        ("Write a long story about a lighthouse in five chapters", Kind.STORY, 5),
        ("Discuss the pros and cons of nuclear power in detail", Kind.DISCUSSION, 4),
        ("Compare Rust and Go for servers, in depth", Kind.ANALYSIS, 4),
        ("Give me a comprehensive overview of research on sleep, in 3 sections", Kind.RESEARCH, 3),
        ("Explain these:\n1. TCP\n2. UDP\n3. QUIC", Kind.EXPLANATION, 3),
        ("Explain step by step in detail how does a compiler work", Kind.EXPLANATION, 4),
        ("Schreibe eine lange Geschichte in vier Kapiteln", Kind.STORY, 4),
        ("Diskutiere ausführlich die Vor- und Nachteile der Kernkraft", Kind.DISCUSSION, 4),
        ("Analysiere und vergleiche ausführlich drei Sprachen", Kind.ANALYSIS, 4),
    ],
)
def test_a_long_question_is_recognised(prompt: str, kind: Kind, parts: int) -> None:
    found = recognise(prompt)
    assert (found.kind, found.parts) == (kind, parts)
    assert SURE <= found.confidence <= 1


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "Hello",
        "Why is the sky blue?",
        "Explain this bug",
        "What is the capital of France?",
        "Compare tea and coffee briefly",
        "Tell me a short story",
        "How does a list comprehension work?",
        "Erkläre kurz, wie ein Motor läuft",
        "Write a regex for dates",
        "I cannot find my longest history",
    ],
)
def test_a_short_one_is_not(prompt: str) -> None:
    assert recognise(prompt).confidence < SURE


def test_counts_stay_between_two_and_five() -> None:
    assert recognise("A story in 12 chapters").parts == 5
    assert recognise("A story in 1 chapters").parts == 2
    listed = "\n".join(f"- thing {n}" for n in range(9))
    assert recognise(f"Explain\n{listed}").parts == 5


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("prompt", ["Say it all", "Sag mir alles über das Meer und die See"])
def test_a_plan_has_as_many_different_parts_as_wanted(kind: Kind, n: int, prompt: str) -> None:
    parts = plan_parts(prompt, kind, n)
    assert len({part.title for part in parts}) == n
    assert all(part.title in part.instruction for part in parts)
    assert parts == plan_parts(prompt, kind, n)


def test_the_questions_own_list_makes_the_parts() -> None:
    assert [p.title for p in plan_for("Explain:\n1. TCP.\n2) UDP")] == ["TCP", "UDP"]


def test_a_german_question_is_divided_in_german() -> None:
    parts = plan_for("Erkläre ausführlich, wie ein Motor und das Getriebe funktionieren", 2)
    assert parts[0].title == "Die Idee"
    assert parts[0].instruction.startswith("Mehrere")


@pytest.mark.parametrize(
    ("setting", "confidence", "nodes", "wish"),
    [
        ("offer", 0.6, 2, "offer"),
        ("always", 0.6, 2, "run"),
        ("never", 1.0, 9, "no"),
        ("offer", 0.59, 2, "no"),
        ("always", 1.0, 1, "no"),
    ],
)
def test_it_is_offered_when_sure_and_of_use(
    setting: str, confidence: float, nodes: int, wish: Wish
) -> None:
    found = Recognition(Kind.STORY, confidence, 3)
    assert wants_parallel(setting, found, nodes) == wish


def test_each_writer_gets_the_whole_talk_and_no_conversation_of_one_node() -> None:
    before = (ChatMessage("user", "Hi"), ChatMessage("assistant", "Hello"))
    question = ChatMessage("user", "Explain", ("aW1n",))
    request = AskRequest("m", (*before, question), conversation="c1")
    part = plan_for("Explain", 2)[1]
    made = part_request(request, part)
    assert made.messages[:2] == before
    assert made.messages[2].images == ("aW1n",)
    assert made.messages[2].content == f"Explain\n\n{part.instruction}"
    assert made.conversation == ""
