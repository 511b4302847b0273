"""A chat as a document, and the parts of a kept chat as JSON and back."""

from __future__ import annotations

import json

import pytest

from sollol_tui.core.asks import Candidate, ChatOptions, RouteDecision, Usage
from sollol_tui.core.chat_export import chat_json, chat_markdown, exported, file_name
from sollol_tui.core.chats import (
    TITLE_CHARS,
    KeptChat,
    KeptMessage,
    NoticeMark,
    SeamMark,
    decisions_json,
    figures_json,
    options_json,
    read_decisions,
    read_options,
    read_seams,
    seams_json,
    title_of,
    with_figures,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.state import Mode

DECISION = RouteDecision(
    "r1.1",
    "llama3.2:3b",
    Mode.BOTH,
    "http://gpu1:11434",
    "node",
    "gpu1",
    "model loaded",
    (Candidate("http://gpu1:11434", "node", "gpu1", -10.5, (("wait", -0.5),)),),
)
CHAT = KeptChat(
    "c1", "Why is it so?", 1790000000.0, 1790000100.0, "llama3.2:3b", "Be short.\nPlease.",
    ChatOptions(temperature=0.2), Mode.BOTH,
)  # fmt: skip
QUESTION = KeptMessage("user", "Why is it so?", 1790000000.0)
ANSWER = KeptMessage(
    "assistant", "Because **it** is.", 1790000001.0, "hm", "llama3.2:3b", (DECISION,),
    Usage(12, 320, 480.0, 34.2), 0.21, 9.6, 2, "complete", None,
    (SeamMark(8, "gpu2 writes on"),), 1.5,
)  # fmt: skip


def test_markdown_tells_questions_answers_who_wrote_seams_and_figures() -> None:
    assert chat_markdown(CHAT, [QUESTION, ANSWER]) == (
        "# Why is it so?\n\n"
        "*llama3.2:3b · 2026-09-21T14:13:20Z · temperature 0.2*\n\n"
        "> Be short.\n> Please.\n\n"
        "## Question\n\nWhy is it so?\n\n"
        "## Answer: llama3.2:3b via gpu1\n\n"
        "<details><summary>thought</summary>\n\nhm\n\n</details>\n\n"
        "Because \n\n*— gpu2 writes on —*\n\n**it** is.\n\n"
        "*320 tok · 34.2 tok/s · TTFT 0.21 s · model loaded*\n"
    )


def test_notices_stand_where_they_were_said_and_before_the_seam_they_explain() -> None:
    told = ANSWER._replace(notices=(NoticeMark(0, "gpu3 is full."), NoticeMark(8, "gpu1: closed.")))
    assert (
        "\n\n*— gpu3 is full. —*\n\nBecause \n\n*— gpu1: closed. —*\n\n"
        "\n\n*— gpu2 writes on —*\n\n**it** is."
    ) in chat_markdown(CHAT, [QUESTION, told])
    (_, answer) = json.loads(chat_json(CHAT, [QUESTION, told]))["messages"]
    assert answer["notices"][0] == {"at_chars": 0, "text": "gpu3 is full."}


def test_markdown_says_what_an_answer_lacks_and_holds_no_control_codes() -> None:
    fault = Fault(FaultKind.CUT, "peer\x1b[2J closed")
    cut = ANSWER._replace(content="Be\x1b[31m", outcome="incomplete", fault=fault, seams=())
    text = chat_markdown(CHAT, [QUESTION, cut])
    assert "*incomplete · answer broke off: peer" in text
    assert "\x1b" not in text


def test_json_has_all_that_is_kept_with_the_decisions() -> None:
    found = json.loads(chat_json(CHAT, [QUESTION, ANSWER]))
    assert found["title"] == "Why is it so?"
    assert found["options"] == {"temperature": 0.2}
    question, answer = found["messages"]
    assert question == {"role": "user", "content": "Why is it so?", "at": "2026-09-21T14:13:20Z"}
    assert answer["decisions"][0]["candidates"][0]["score"] == -10.5
    assert answer["seams"] == [{"at_chars": 8, "text": "gpu2 writes on", "decision": -1}]
    assert answer["usage"]["completion_tokens"] == 320


def test_each_kind_is_what_its_name_says() -> None:
    assert exported(CHAT, [], "md").startswith("# ")
    assert exported(CHAT, [], "json").startswith("{")
    assert file_name(CHAT, "md") == "why-is-it-so-2026-09-21.md"
    assert file_name(CHAT._replace(title="../../etc"), "json") == "etc-2026-09-21.json"
    assert file_name(CHAT._replace(title="…"), "md") == "chat-2026-09-21.md"


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("  why\n is\tit so?  ", "why is it so?"),
        ("", "(no title)"),
        ("\x1b[31mred", "[31mred"),
        ("x" * 80, "x" * TITLE_CHARS + "…"),
    ],
)
def test_a_title_is_the_question_on_one_line(question: str, title: str) -> None:
    assert title_of(question) == title


def test_a_long_title_ends_with_a_whole_word() -> None:
    title = title_of("how do I split a model over several machines that are small, please?")
    assert title == "how do I split a model over several machines that…"


def test_what_was_written_of_a_message_reads_back_the_same() -> None:
    failed = ANSWER._replace(
        fault=Fault(FaultKind.CUT, "closed"),
        outcome="incomplete",
        notices=(NoticeMark(0, "gpu1 is full."), NoticeMark(8, "gpu1: closed.")),
    )
    bare = KeptMessage("assistant", "", 0.0)
    for message in (ANSWER, failed):
        assert with_figures(bare, figures_json(message)) == bare._replace(
            usage=message.usage, ttft_s=message.ttft_s, total_s=message.total_s,
            tries=message.tries, thought_s=message.thought_s, fault=message.fault,
            notices=message.notices,
        )  # fmt: skip
    assert read_decisions(decisions_json((DECISION, DECISION))) == (DECISION, DECISION)
    assert read_seams(seams_json(ANSWER.seams)) == ANSWER.seams
    options = ChatOptions(0.2, 100, 7, 8192, "10m", False)
    assert read_options(options_json(options)) == options
    assert read_options(options_json(ChatOptions())) == ChatOptions()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "null",
        "[1, 2]",
        '{"usage": 3, "fault": [1]}',
        '{"notices": [1, [], ["a", "b"], [3, 4], [-1, "x"], [1, 2, 3]]}',
    ],
)
def test_what_cannot_be_read_is_unknown(text: str) -> None:
    bare = KeptMessage("assistant", "", 0.0)
    assert with_figures(bare, text) == bare
    assert read_decisions(text) == ()
    assert read_seams(text) == ()
    assert read_options(text) == ChatOptions()
