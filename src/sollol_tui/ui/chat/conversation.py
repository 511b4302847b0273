"""A conversation on the screen: asks, and shows what comes of it in a transcript."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

from textual import on, work
from textual.message import Message
from textual.worker import Worker, WorkerState

from sollol_tui.core.asks import AskEvent, AskRequest, Said
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import Image
from sollol_tui.core.parallel import Wish
from sollol_tui.ui.chat import sentences
from sollol_tui.ui.chat.keeping import Keeper
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.session_view import SessionView
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.widgets.transcript import MessageHandle

Ask: TypeAlias = Callable[[AskRequest], AsyncIterator[AskEvent]]
AskParallel: TypeAlias = Callable[[AskRequest, int], AsyncIterator[Said]]

_NO_END = Fault(FaultKind.CUT, "it ended without its proper end")


class Conversation(SessionView):
    """A session that goes on, in its transcript. At most one answer is written at a time.

    Args:
        ask: routes a question and streams its answer; closing the iterator stops it.
        conversation: its id, by which the router keeps it on one target; empty: a new one.
        clock: seconds; only differences count.
    """

    class Ended(Message):
        """An answer is over, well or not."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn

    class Crashed(Message):
        """A bug ended an answer."""

        def __init__(self, error: BaseException) -> None:
            super().__init__()
            self.error = error

    def __init__(
        self,
        ask: Ask,
        *,
        conversation: str = "",
        ascii_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(ChatSession(conversation or _new_id()), ascii_only=ascii_only, id=id)
        self.keeper: Keeper | None = None  # None: nothing is kept
        self._ask = ask
        self.ask_parallel: AskParallel | None = None  # has an answer written in so many parts
        self.wish: Callable[[str], tuple[Wish, int]] = lambda _: ("no", 0)  # and on so many nodes
        self.next_parts: int | None = None  # of the next answer; 0: as many as suit
        self._clock = clock
        self._writing: MessageHandle | None = None  # the answer that is being written
        self._written: Turn | None = None  # and its turn
        self._worker: Worker[None] | None = None

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written."""
        return self.session.current is not None

    # Questions

    def begin(
        self,
        request: AskRequest,
        images: tuple[Image, ...] = (),
        *,
        at: int | None = None,
        setup: AskRequest | None = None,
    ) -> None:
        """Ask a question that `session.to_request` has made, with the pictures that go with it.

        Args:
            at: the turn whose place it takes, and that of all after it; None: it comes last.
            setup: what is set for the chat, where the request is another one for once.
        """
        text, now_s = request.messages[-1].content, self._clock()
        self.end_of_last(has_key=False)
        header = self.session.begin(text, request.model, now_s, images, at)
        first = len(self.session.turns) - 1
        self.transcript.cut(2 * first)
        self.transcript.add_message("user", sentences.pictures(images), text).finish()
        self._writing = self.transcript.add_message("assistant", header)
        self._written = self.session.turns[-1]
        self.transcript.follow()
        self.choose_if_read(2 * first + 1)
        if self.keeper is not None:
            self.keeper.began(self.session, setup or request, now_s)
        parts = self._parts_of(text, self._writing)
        if parts is None or self.ask_parallel is None:
            events: AsyncIterator[Said] = self._ask(request)
        else:
            events = self.ask_parallel(request, parts)
        self._worker = self._answer(events, self._writing)

    def go_on(self, request: AskRequest, setup: AskRequest) -> None:
        """Continue the last answer with a request that holds its text so far."""
        now_s = self._clock()
        self.session.go_on(now_s)
        self._written = self.session.turns[-1]
        self._writing = self.handle_of(self._written)
        self._writing.reopen()
        self.transcript.follow()
        if self.keeper is not None:
            self.keeper.began(self.session, setup, now_s)
        self._worker = self._answer(self._ask(request), self._writing)

    def delete(self, turn: Turn) -> None:
        """Forget a question and its answer, also where they are kept."""
        at = self.session.turns.index(turn)
        chosen = self.transcript.chosen
        self.session.delete(at)
        self.show_from(at)
        if chosen is not None and self.session.turns:
            self.transcript.choose(min(chosen, 2 * len(self.session.turns) - 1))
        if self.keeper is not None:
            self.keeper.deleted(self.session, at)

    def _parts_of(self, text: str, handle: MessageHandle) -> int | None:
        """How many parts the answer is written in, None for one; says when more would help."""
        parts, self.next_parts = self.next_parts, None
        wish, nodes = self.wish(text) if parts is None else ("no", 0)
        if wish == "offer":
            handle.mark(sentences.notice(f"/parallel answers it on {nodes} nodes at once"))
        return 0 if wish == "run" else parts

    def stop(self) -> None:
        """Stop the answer; what came of it stays, marked."""
        if self._writing is not None and self._worker is not None:
            self._worker.cancel()
            self.write(self._writing, self.session.stop(self._clock()))
            self._end()

    def clear(self) -> None:
        """Forget everything that was said."""
        self.stop()
        self.session = ChatSession(_new_id())
        self.transcript.clear()

    def reopen(self, earlier: ChatSession) -> None:
        """Go on with a conversation of before, in the place of this one."""
        self.clear()
        self.session = earlier
        self.show_from(0)
        self.transcript.follow()

    def on_unmount(self) -> None:
        """The program ends: what came of the answer is kept."""
        if self.is_streaming:
            self.session.stop(self._clock())
            self._keep_end()

    # An answer

    @work(group="chat", exclusive=True, exit_on_error=False, description="an answer")
    async def _answer(self, events: AsyncIterator[Said], handle: MessageHandle) -> None:
        try:
            async for event in events:
                self.write(handle, self.session.apply(event, self._clock()))
                if self.keeper is not None:
                    self.keeper.moved(self.session, self._clock())
                if not self.is_streaming:  # that was the end, whatever the iterator does
                    break
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:  # an iterator that is no generator has nothing to close
                await close()
        self.write(handle, self.session.cut(_NO_END, self._clock()))
        self._end()

    @on(Worker.StateChanged)
    def _show_bug(self, event: Worker.StateChanged) -> None:
        """A bug in what answers is said, and the chat goes on."""
        event.stop()
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None or self._writing is None:
            return
        fault = Fault(FaultKind.PROTOCOL, f"a bug of this program, {error!r}")
        self.write(self._writing, self.session.cut(fault, self._clock()))
        self._end()
        self.post_message(self.Crashed(error))

    def _end(self) -> None:
        if self._writing is not None:
            self._writing = None
            self._keep_end()
            self.end_of_last(has_key=True)
            if self._written is not None:
                self.post_message(self.Ended(self._written))

    def _keep_end(self) -> None:
        if self.keeper is not None:
            self.keeper.ended(self.session, self._written)


def _new_id() -> str:
    return os.urandom(6).hex()
