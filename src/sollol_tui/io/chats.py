"""The chats on disk: one SQLite file, one row for a chat, one for each of its messages.

Used in one thread only, whoever calls has to see to that.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.core.chats import (
    ChatSummary,
    KeptChat,
    KeptMessage,
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
from sollol_tui.core.images import images_json, read_images
from sollol_tui.core.state import Mode
from sollol_tui.io.sqlite_file import SqliteFile, writable

FILE_NAME = "chats.sqlite"
SCHEMA = 2
MAX_TEXT_CHARS = 4_000_000  # of one message
MAX_QUESTION_CHARS = 20_000  # of one that is called back into the prompt
CUT = "\n\n[cut here: too long to be kept]"

_CREATE = (
    """CREATE TABLE chats (
    id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    created REAL NOT NULL,      -- seconds since the epoch
    updated REAL NOT NULL,
    model TEXT NOT NULL,
    system TEXT NOT NULL,
    options TEXT NOT NULL,      -- JSON: those that are set
    mode TEXT,
    target TEXT
)""",
    """CREATE TABLE messages (
    chat TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,    -- within the chat, from 0
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    thinking TEXT NOT NULL,
    model TEXT NOT NULL,
    target TEXT NOT NULL,
    decisions TEXT NOT NULL,    -- JSON, exactly
    figures TEXT NOT NULL,      -- JSON: usage, times, tries, fault
    outcome TEXT NOT NULL,
    seams TEXT NOT NULL,        -- JSON: where another target wrote on
    at REAL NOT NULL,
    PRIMARY KEY (chat, number)
)""",
    "CREATE INDEX chats_by_time ON chats (updated)",
)
_CREATE_IMAGES = """CREATE TABLE images (
    chat TEXT NOT NULL,
    number INTEGER NOT NULL,    -- of the question they go with
    images TEXT NOT NULL,       -- JSON: name, kind, size, and the file in base64
    PRIMARY KEY (chat, number)
)"""  # since schema 2
_CREATE_WORDS = "CREATE VIRTUAL TABLE words USING fts5 (chat UNINDEXED, number UNINDEXED, text)"

_PUT_CHAT = """INSERT INTO chats VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET updated = excluded.updated, model = excluded.model,
system = excluded.system, options = excluded.options, mode = excluded.mode,
target = excluded.target"""
_PUT_MESSAGE = "INSERT OR REPLACE INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_LIST = """SELECT id, title, updated, model,
(SELECT count(*) FROM messages WHERE chat = id AND role = 'user') FROM chats {where}
ORDER BY updated DESC, rowid DESC LIMIT ?"""
_QUESTIONS = """SELECT content FROM messages WHERE role = 'user' AND length(content) <= ?
GROUP BY content ORDER BY max(at) DESC, max(rowid) DESC LIMIT ?"""
_BY_WORDS = """WHERE title LIKE ? ESCAPE '!'
OR id IN (SELECT chat FROM words WHERE words MATCH ?)"""
_BY_TEXT = """WHERE title LIKE ? ESCAPE '!'
OR id IN (SELECT chat FROM messages WHERE content LIKE ? ESCAPE '!')"""


class Opened(NamedTuple):
    """A chat with its messages, oldest first."""

    chat: KeptChat
    messages: tuple[KeptMessage, ...]


class ChatsFile(SqliteFile):
    """The file, opened at its first use; its methods raise what SQLite raises, see `sound`.

    Args:
        directory: where it lies; made when it is missing.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / FILE_NAME, "the chats", SCHEMA)
        self._has_words = False

    def upgrade(self, connection: sqlite3.Connection, schema: int) -> None:
        if schema == 0:
            for statement in _CREATE:
                connection.execute(statement)
            with suppress(sqlite3.OperationalError):  # SQLite built without FTS5
                connection.execute(_CREATE_WORDS)
        connection.execute(_CREATE_IMAGES)

    def made_ready(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("SELECT 1 FROM words LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            self._has_words = False
        else:
            self._has_words = True

    def put(
        self,
        chat: KeptChat,
        numbered: Sequence[tuple[int, KeptMessage]],
        gone_from: int | None = None,
    ) -> None:
        """Keep the chat and these messages; the title of a chat that is there stays.

        Args:
            gone_from: messages with that number and larger ones are forgotten before.
        """
        connection = self.connection()
        with connection:
            connection.execute(_PUT_CHAT, _chat_values(chat))
            if gone_from is not None:
                _retitle(connection, chat.id, numbered)
                self._forget_from(connection, chat.id, gone_from)
            self._put_messages(connection, chat.id, numbered)

    def rewrite(
        self, chat_id: str, first: int, numbered: Sequence[tuple[int, KeptMessage]]
    ) -> bool:
        """From a number on, keep these messages and no others; False when the chat is gone."""
        connection = self.connection()
        with connection:
            sql = "SELECT 1 FROM chats WHERE id = ?"
            if connection.execute(sql, (chat_id,)).fetchone() is None:
                return False
            _retitle(connection, chat_id, numbered)
            self._forget_from(connection, chat_id, first)
            self._put_messages(connection, chat_id, numbered)
        return True

    def find(self, wanted: str, most: int) -> tuple[ChatSummary, ...]:
        """The chats in which all these words occur, the last used first; all when it is empty."""
        where, arguments = "", tuple[str, ...]()
        words = wanted.split()
        if words:
            title = _like(wanted)
            where = _BY_WORDS if self._uses_words() else _BY_TEXT
            quoted = " ".join('"' + word.replace('"', '""') + '"*' for word in words)
            arguments = (title, quoted if self._has_words else title)
        sql = _LIST.format(where=where)  # constants of this module
        with closing(self.connection().execute(sql, (*arguments, most))) as cursor:
            return tuple(ChatSummary(*row) for row in cursor)

    def open(self, chat_id: str) -> Opened | None:
        """The chat with that id; None when it is gone."""
        connection = self.connection()
        row = connection.execute("SELECT * FROM chats WHERE id = ?", (chat_id,)).fetchone()
        if row is None:
            return None
        sql = "SELECT number, images FROM images WHERE chat = ?"
        images = dict(connection.execute(sql, (chat_id,)).fetchall())
        sql = "SELECT * FROM messages WHERE chat = ? ORDER BY number"
        with closing(connection.execute(sql, (chat_id,))) as cursor:
            return Opened(_chat(row), tuple(_message(row, images) for row in cursor))

    def questions(self, most: int) -> tuple[str, ...]:
        """The last questions of all chats, oldest first, without those too long to be typed."""
        with closing(self.connection().execute(_QUESTIONS, (MAX_QUESTION_CHARS, most))) as cursor:
            return tuple(text for (text,) in cursor)[::-1]

    def rename(self, chat_id: str, title: str) -> bool:
        """Give it another title; False when it is gone."""
        connection = self.connection()
        sql = "UPDATE chats SET title = ? WHERE id = ?"
        with connection:
            return connection.execute(sql, (_writable(title), chat_id)).rowcount > 0

    def delete(self, chat_id: str) -> bool:
        """Forget it for good; False when it is gone already."""
        connection = self.connection()
        with connection:
            if self._has_words:
                connection.execute("DELETE FROM words WHERE chat = ?", (chat_id,))
            connection.execute("DELETE FROM images WHERE chat = ?", (chat_id,))
            connection.execute("DELETE FROM messages WHERE chat = ?", (chat_id,))
            return connection.execute("DELETE FROM chats WHERE id = ?", (chat_id,)).rowcount > 0

    def _put_messages(
        self, connection: sqlite3.Connection, chat: str, numbered: Sequence[tuple[int, KeptMessage]]
    ) -> None:
        for number, message in numbered:
            connection.execute(_PUT_MESSAGE, _message_values(chat, number, message))
            _put_images(connection, chat, number, message)
            if self._has_words and message.outcome != "running":  # a draft changes too often
                self._index(connection, chat, number, message.content)

    def _forget_from(self, connection: sqlite3.Connection, chat: str, first: int) -> None:
        for table in ("messages", "images", *(["words"] if self._has_words else [])):
            sql = f"DELETE FROM {table} WHERE chat = ? AND number >= ?"  # noqa: S608 - our names
            connection.execute(sql, (chat, first))

    def _uses_words(self) -> bool:
        self.connection()
        return self._has_words

    def _index(self, connection: sqlite3.Connection, chat: str, number: int, text: str) -> None:
        connection.execute("DELETE FROM words WHERE chat = ? AND number = ?", (chat, number))
        connection.execute("INSERT INTO words VALUES (?, ?, ?)", (chat, number, _writable(text)))


def _retitle(
    connection: sqlite3.Connection, chat: str, numbered: Sequence[tuple[int, KeptMessage]]
) -> None:
    """A title that was made from the first question is made from what takes its place."""
    new = next((message.content for number, message in numbered if number == 0), None)
    sql = """SELECT title, content FROM chats JOIN messages ON chat = id
    WHERE id = ? AND number = 0"""
    row = connection.execute(sql, (chat,)).fetchone()
    if new is not None and row is not None and row[0] == title_of(row[1]):
        title = _writable(title_of(new))
        connection.execute("UPDATE chats SET title = ? WHERE id = ?", (title, chat))


def _like(wanted: str) -> str:
    for sign in "!%_":
        wanted = wanted.replace(sign, f"!{sign}")
    return f"%{_writable(wanted)}%"


def _writable(text: str) -> str:
    """As it can be written, and not without a bound."""
    text = writable(text)
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + CUT


def _chat_values(chat: KeptChat) -> tuple[object, ...]:
    mode = chat.mode.value if chat.mode is not None else None
    values = (
        chat.id,
        chat.title,
        chat.created_s,
        chat.updated_s,
        chat.model,
        chat.system,
        options_json(chat.options),
        mode,
        chat.target,
    )
    return tuple(_writable(v) if isinstance(v, str) else v for v in values)


def _message_values(chat: str, number: int, message: KeptMessage) -> tuple[object, ...]:
    values = (
        chat,
        number,
        message.role,
        message.content,
        message.thinking,
        message.model,
        message.target,
        decisions_json(message.decisions),
        figures_json(message),
        message.outcome,
        seams_json(message.seams),
        message.at_s,
    )
    return tuple(_writable(v) if isinstance(v, str) else v for v in values)


def _chat(row: Sequence[Any]) -> KeptChat:
    (chat_id, title, created_s, updated_s, model, system, options, mode, target) = row
    known = Mode(mode) if mode in set(Mode) else None
    read = read_options(options)
    return KeptChat(chat_id, title, created_s, updated_s, model, system, read, known, target)


def _put_images(
    connection: sqlite3.Connection, chat: str, number: int, message: KeptMessage
) -> None:
    connection.execute("DELETE FROM images WHERE chat = ? AND number = ?", (chat, number))
    if message.images:
        values = (chat, number, images_json(message.images))
        connection.execute("INSERT INTO images VALUES (?, ?, ?)", values)


def _message(row: Sequence[Any], images: Mapping[int, str]) -> KeptMessage:
    (_, number, role, content, thinking, model, _, decisions, figures, outcome, seams, at_s) = row
    message = KeptMessage(
        "user" if role == "user" else "assistant",
        content,
        at_s,
        thinking,
        model,
        read_decisions(decisions),
        outcome=outcome,
        seams=read_seams(seams),
        images=read_images(images[number]) if number in images else (),
    )
    return with_figures(message, figures)
