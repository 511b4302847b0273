"""Chats on disk: what was kept is there again, found by its words, whatever became of the file."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from sollol_tui.core.asks import ChatOptions
from sollol_tui.core.chats import KeptChat, KeptMessage, SeamMark, read_seams, seams_json
from sollol_tui.core.images import Image
from sollol_tui.engine.chats import Chats
from sollol_tui.io import chats as chats_module
from sollol_tui.io.chats import CUT, FILE_NAME, ChatsFile, Opened
from tests.core.test_chat_export import ANSWER, CHAT, QUESTION


def kept(folder: Path) -> ChatsFile:
    file = ChatsFile(folder)
    file.put(CHAT, [(0, QUESTION), (1, ANSWER)])
    return file


def titles(file: ChatsFile, wanted: str = "") -> list[str]:
    return [found.title for found in file.find(wanted, 100)]


def test_a_chat_comes_back_with_all_that_was_known_of_it(tmp_path: Path) -> None:
    kept(tmp_path).close()
    file = ChatsFile(tmp_path)
    assert file.open("c1") == Opened(CHAT, (QUESTION, ANSWER))
    assert file.open("c2") is None
    file.close()


def test_a_message_replaces_its_draft_and_the_title_stays(tmp_path: Path) -> None:
    file = ChatsFile(tmp_path)
    draft = ANSWER._replace(content="Beca", outcome="running")
    file.put(CHAT, [(0, QUESTION), (1, draft)])
    file.rename("c1", "Mine")
    file.put(CHAT._replace(updated_s=1790000200.0), [(1, ANSWER)])
    found = file.open("c1")
    file.close()
    assert found is not None
    assert found.messages == (QUESTION, ANSWER)
    assert found.chat.title == "Mine"


def test_the_last_used_chat_is_listed_first_with_its_questions_counted(tmp_path: Path) -> None:
    file = kept(tmp_path)
    file.put(CHAT._replace(id="c2", title="New", updated_s=1790000300.0), [(0, QUESTION)])
    found = file.find("", 10)
    file.close()
    assert [(f.title, f.questions) for f in found] == [("New", 1), ("Why is it so?", 1)]


@pytest.mark.parametrize("has_words", [True, False])
def test_chats_are_found_by_words_of_title_question_and_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_words: bool
) -> None:
    if not has_words:
        monkeypatch.setattr(chats_module, "_CREATE_WORDS", "CREATE VIRTUAL TABLE w USING none (x)")
    file = kept(tmp_path)
    other = KeptMessage("user", "split 100% of a_model", 0.0)
    file.put(CHAT._replace(id="c2", title="Zebra", updated_s=1.0), [(0, other)])
    assert titles(file, "becau") == ["Why is it so?"]
    assert titles(file, "ZEB") == ["Zebra"]
    assert titles(file, "100%") == ["Zebra"]
    assert titles(file, 'nothing" OR "of') == []
    file.delete("c2")
    assert titles(file, "split") == []
    file.close()


@pytest.mark.parametrize("has_words", [True, False])
def test_what_is_replaced_takes_all_that_came_after_it_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_words: bool
) -> None:
    if not has_words:
        monkeypatch.setattr(chats_module, "_CREATE_WORDS", "CREATE VIRTUAL TABLE w USING none (x)")
    file = kept(tmp_path)
    picture = Image("cat.png", "png", 5, "aGVsbG8=")
    later = KeptMessage("user", "zebra", 1.0, images=(picture,))
    file.put(CHAT, [(2, later), (3, ANSWER._replace(content="quagga"))])
    edited = QUESTION._replace(content="edited")
    file.put(CHAT, [(0, edited)], 0)
    found = file.open("c1")
    assert found is not None
    assert found.messages == (edited,)
    assert titles(file, "quagga") == titles(file, "zebra") == []
    assert titles(file, "edited") == ["edited"]
    file.put(CHAT, [(2, later._replace(images=()))])
    found = file.open("c1")
    assert found is not None
    assert found.messages[-1].images == ()  # those of the message before are gone, too
    file.close()


def test_a_title_made_from_the_first_question_follows_it_and_a_given_one_stays(
    tmp_path: Path,
) -> None:
    file = kept(tmp_path)
    assert titles(file) == ["Why is it so?"]
    file.put(CHAT, [(0, QUESTION._replace(content="And now?"))], 0)
    assert titles(file) == ["And now?"]
    file.put(CHAT, [(2, QUESTION)], 2)
    assert titles(file) == ["And now?"]
    file.rewrite("c1", 0, [(0, QUESTION)])
    assert titles(file) == ["Why is it so?"]
    file.rename("c1", "Mine")
    file.put(CHAT, [(0, QUESTION._replace(content="Another?"))], 0)
    assert titles(file) == ["Mine"]
    file.close()


def test_messages_move_up_when_those_before_them_are_deleted(tmp_path: Path) -> None:
    file = kept(tmp_path)
    later = KeptMessage("user", "later", 1.0)
    file.put(CHAT, [(2, later), (3, ANSWER)])
    assert file.rewrite("c1", 0, [(0, later), (1, ANSWER)])
    found = file.open("c1")
    assert found == Opened(CHAT._replace(title="later"), (later, ANSWER))
    assert not file.rewrite("gone", 0, [(0, later)])
    assert file.open("gone") is None
    file.close()


def test_a_deleted_chat_is_gone(tmp_path: Path) -> None:
    file = kept(tmp_path)
    assert file.delete("c1")
    assert not file.delete("c1")
    assert not file.rename("c1", "x")
    assert titles(file) == []
    file.close()


def test_a_broken_file_is_set_aside_and_said(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 100)
    file = ChatsFile(tmp_path)
    found, problem = file.sound(lambda: file.find("", 10))
    file.close()
    assert found == ()
    assert "the file was broken, a new one begins" in problem
    assert (tmp_path / "chats.broken").exists()


def test_a_newer_file_is_left_alone_and_said(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as newer:
        newer.execute("PRAGMA user_version = 99")
    file = ChatsFile(tmp_path)
    found, problem = file.sound(lambda: file.find("", 10))
    assert found is None
    assert "a newer version of this program made it (schema 99)" in problem
    assert not (tmp_path / "chats.broken").exists()


def test_texts_without_a_bound_and_half_characters_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chats_module, "MAX_TEXT_CHARS", 1000)
    file = ChatsFile(tmp_path)
    file.put(
        CHAT, [(0, KeptMessage("user", "x" * 2000, 0.0)), (1, KeptMessage("user", "\ud800", 0.0))]
    )
    found = file.open("c1")
    file.close()
    assert found is not None
    assert [m.content for m in found.messages] == ["x" * 1000 + CUT, "?"]


async def test_what_is_kept_is_done_in_order_and_there_after_the_end(tmp_path: Path) -> None:
    said = list[str]()
    chats = Chats(tmp_path / "new", said.append)
    chats.keep(CHAT, (0, QUESTION))
    chats.keep(CHAT, (1, ANSWER))
    found = await chats.open("c1")
    assert found is not None
    assert found.messages == (QUESTION, ANSWER)
    chats.keep(CHAT._replace(id="c2"))
    await chats.aclose()
    file = ChatsFile(tmp_path / "new")
    assert titles(file) == ["Why is it so?"] * 2
    file.close()
    assert said == []


async def test_a_place_that_cannot_be_written_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = list[str]()
    chats = Chats(tmp_path / "file", said.append)
    for _ in range(3):
        await chats.keep(CHAT, (0, QUESTION))
    await chats.aclose()
    assert len(said) == 1
    assert "the chats cannot be used" in said[0]


async def test_an_export_never_overwrites_and_says_where_it_lies(tmp_path: Path) -> None:
    chats = Chats(tmp_path, print)
    chats.keep(CHAT, (0, QUESTION), (1, ANSWER))
    first = await chats.export("c1", "md", str(tmp_path))
    second = await chats.export("c1", "md", str(tmp_path))
    assert (first.name, second.name) == (
        "why-is-it-so-2026-09-21.md",
        "why-is-it-so-2026-09-21-2.md",
    )
    assert "Because" in first.read_text(encoding="utf-8")
    with pytest.raises(FileExistsError):
        await chats.export("c1", "json", str(first))
    with pytest.raises(LookupError):
        await chats.export("c9", "md")
    await chats.aclose()


def test_the_facade_loads_no_database_before_it_is_used() -> None:
    code = "import sys, sollol_tui.engine.chats; assert 'sqlite3' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_options_of_a_chat_are_those_of_its_last_message(tmp_path: Path) -> None:
    file = kept(tmp_path)
    changed: KeptChat = CHAT._replace(options=ChatOptions(think=False), system="")
    file.put(changed, [])
    found = file.open("c1")
    file.close()
    assert found is not None
    assert found.chat == changed


def test_seams_of_before_are_read_without_their_decision() -> None:
    marks = (SeamMark(3, "spark writes on", 1), SeamMark(9, "x"))
    assert read_seams(seams_json(marks)) == marks
    assert read_seams('[[3,"spark writes on"],[4],["x","y"],7]') == (
        SeamMark(3, "spark writes on"),
    )
