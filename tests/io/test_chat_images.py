"""Pictures of a chat: kept with it, exported with it, gone with it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from sollol_tui.core.chat_export import chat_json, chat_markdown
from sollol_tui.core.images import Image
from sollol_tui.io.chats import _CREATE, FILE_NAME, MAX_QUESTION_CHARS, ChatsFile
from tests.core.test_chat_export import ANSWER, CHAT, QUESTION

CAT = Image("my [cat].png", "png", 1234, "aGVsbG8=")
SEEN = QUESTION._replace(images=(CAT, CAT._replace(name="b.jpg", kind="jpeg")))


def _count(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM images").fetchone()
    return int(count)


def test_pictures_come_back_with_their_question(tmp_path: Path) -> None:
    file = ChatsFile(tmp_path)
    file.put(CHAT, [(0, SEEN), (1, ANSWER)])
    file.close()
    found = ChatsFile(tmp_path).open("c1")
    assert found is not None
    assert found.messages == (SEEN, ANSWER)


def test_a_question_that_was_changed_loses_its_old_pictures_and_a_deleted_chat_all(
    tmp_path: Path,
) -> None:
    file = ChatsFile(tmp_path)
    file.put(CHAT, [(0, SEEN)])
    file.put(CHAT, [(0, QUESTION)])
    found = file.open("c1")
    assert found is not None
    assert found.messages == (QUESTION,)
    file.put(CHAT, [(0, SEEN)])
    file.delete("c1")
    file.close()
    assert _count(tmp_path) == 0


def test_a_file_of_before_there_were_pictures_is_used_on(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        for statement in _CREATE:
            connection.execute(statement)
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    file = ChatsFile(tmp_path)
    file.put(CHAT, [(0, SEEN)])
    file.close()
    found = ChatsFile(tmp_path).open("c1")
    assert found is not None
    assert found.messages == (SEEN,)


def test_markdown_names_the_pictures_and_json_holds_them() -> None:
    assert "*with my [cat].png (PNG, 1.2 KiB) · b.jpg (JPEG, 1.2 KiB)*" in chat_markdown(
        CHAT, [SEEN, ANSWER]
    )
    question, answer = json.loads(chat_json(CHAT, [SEEN, ANSWER]))["messages"]
    assert question["images"][0] == {
        "name": "my [cat].png",
        "kind": "png",
        "size_bytes": 1234,
        "data": "aGVsbG8=",
    }
    assert "images" not in answer


def test_the_last_questions_of_all_chats_come_oldest_first_and_each_once(tmp_path: Path) -> None:
    file = ChatsFile(tmp_path)
    for number, text in enumerate(("one", "two", "one", "x" * (MAX_QUESTION_CHARS + 1), "three")):
        question = QUESTION._replace(content=text, at_s=float(number))
        file.put(CHAT._replace(id=f"c{number}"), [(0, question), (1, ANSWER)])
    assert file.questions(10) == ("two", "one", "three")
    assert file.questions(2) == ("one", "three")
    file.close()
