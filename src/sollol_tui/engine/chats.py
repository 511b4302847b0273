"""The chats that are kept, for screens: nothing here waits for the disk on the event loop.

Importing this loads no SQLite: the first use does, in the thread that owns the file.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from sollol_tui.core.chats import ChatSummary, KeptChat, KeptMessage

if TYPE_CHECKING:
    from sollol_tui.core.chat_export import Format
    from sollol_tui.io.chats import ChatsFile, Opened

MOST_LISTED = 300
CLOSE_WITHIN_S = 3.0

Answer = TypeVar("Answer")


class Chats:
    """Belongs to one event loop. What is asked is done in the order in which it was asked.

    Args:
        directory: where the file lies.
        tell: hears a sentence when something goes wrong, once for each sentence in a row.
    """

    def __init__(self, directory: Path, tell: Callable[[str], None]) -> None:
        self._directory = directory
        self._tell = tell
        self._told = ""
        self._thread: ThreadPoolExecutor | None = None
        self._file: ChatsFile | None = None  # touched in that thread only

    def keep(
        self, chat: KeptChat, *numbered: tuple[int, KeptMessage], gone_from: int | None = None
    ) -> asyncio.Future[None]:
        """Write the chat and these messages of it, soon; nobody has to wait for it.

        A message with a number that is there replaces that one: a draft, what came of it. Messages
        from `gone_from` on are forgotten in the same step.
        """
        return self._soon(lambda file: file.put(chat, numbered, gone_from))

    def rewrite(
        self, chat_id: str, first: int, *numbered: tuple[int, KeptMessage]
    ) -> asyncio.Future[None]:
        """From a number on, keep these messages and no others, soon."""
        return self._soon(lambda file: file.rewrite(chat_id, first, numbered))

    def forget(self, chat_id: str) -> asyncio.Future[None]:
        """Delete a chat, soon."""
        return self._soon(lambda file: file.delete(chat_id))

    def _soon(self, work: Callable[[ChatsFile], Any]) -> asyncio.Future[None]:
        future = self._call(work)
        done = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda ended: self._kept(ended, done))
        return done

    async def find(self, wanted: str = "") -> tuple[ChatSummary, ...]:
        """The chats with these words in their title or text, the last used first."""
        return await self._answer(lambda file: file.find(wanted, MOST_LISTED)) or ()

    async def open(self, chat_id: str) -> Opened | None:
        """A chat with its messages; None when it cannot be had."""
        return await self._answer(lambda file: file.open(chat_id))

    async def questions(self, most: int) -> tuple[str, ...]:
        """The last questions of all chats, oldest first."""
        return await self._answer(lambda file: file.questions(most)) or ()

    async def rename(self, chat_id: str, title: str) -> bool:
        """Give a chat another title."""
        return bool(await self._answer(lambda file: file.rename(chat_id, title)))

    async def delete(self, chat_id: str) -> bool:
        """Forget a chat for good."""
        return bool(await self._answer(lambda file: file.delete(chat_id)))

    async def export(self, chat_id: str, kind: Format, path: str = "") -> Path:
        """Write a chat into a file and return where it lies.

        Args:
            path: a file that is not there yet, or a directory; empty: the downloads of this person,
                else the working directory.

        Raises `OSError` when it cannot be written, `LookupError` when there is no such chat.
        """
        found = await self.open(chat_id)
        if found is None:
            raise LookupError(chat_id)
        return await asyncio.to_thread(_export, found.chat, found.messages, kind, path)

    async def aclose(self) -> None:
        """Write what has not been written yet, within a bound, and close the file."""
        if self._thread is None:
            return
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._call(lambda file: file.close())
        except TimeoutError:
            self._say("the chats were not written in time")
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown(wait=False)

    async def _answer(self, work: Callable[[ChatsFile], Answer]) -> Answer | None:
        answer, problem = await self._call(work)
        self._say(problem)
        return answer

    def _call(
        self, work: Callable[[ChatsFile], Answer]
    ) -> asyncio.Future[tuple[Answer | None, str]]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "chats")
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._thread, self._do, work)

    def _do(self, work: Callable[[ChatsFile], Answer]) -> tuple[Answer | None, str]:
        file = self._file
        if file is None:
            module = importlib.import_module("sollol_tui.io.chats")
            file = self._file = module.ChatsFile(self._directory)
        assert file is not None
        return file.sound(lambda: work(file))

    def _kept(self, ended: asyncio.Future[tuple[Any, str]], done: asyncio.Future[None]) -> None:
        if not ended.cancelled():
            self._say(ended.result()[1])
        if not done.done():
            done.set_result(None)

    def _say(self, problem: str) -> None:
        if problem and problem != self._told:
            self._tell(problem)
        self._told = problem


def _export(chat: KeptChat, messages: Sequence[KeptMessage], kind: Format, path: str) -> Path:
    from sollol_tui.core.chat_export import exported, file_name
    from sollol_tui.io.exports import write_new

    return write_new(path, file_name(chat, kind), exported(chat, messages, kind))
