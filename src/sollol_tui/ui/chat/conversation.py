"""A conversation on the screen: asks, and shows what comes of it in a transcript."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeAlias

from textual import on, work
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from sollol_tui.core.asks import AskEvent, AskRequest, Said
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import Image
from sollol_tui.core.parallel import Wish
from sollol_tui.core.plain import plain_block
from sollol_tui.ui.chat import sentences, shows
from sollol_tui.ui.chat.keeping import Keeper
from sollol_tui.ui.chat.message_list import MessageList
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.shows import Show
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.messages import CopyAsked, Told
from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.transcript import MessageHandle, Transcript

Ask: TypeAlias = Callable[[AskRequest], AsyncIterator[AskEvent]]
AskParallel: TypeAlias = Callable[[AskRequest, int], AsyncIterator[Said]]

_NO_END = Fault(FaultKind.CUT, "it ended without its proper end")


class Conversation(Widget):
    """A session and its transcript. At most one answer is written at a time.

    Each turn is two messages, its question and its answer, also when that is empty.

    Args:
        ask: routes a question and streams its answer; closing the iterator stops it.
        conversation: its id, by which the router keeps it on one target; empty: a new one.
        clock: seconds; only differences count.
    """

    BLANK = True  # its transcript covers it

    class Ended(Message):
        """An answer is over, well or not."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn

    class DecisionWanted(Message):
        """The records of an answer's routing decisions are to be shown."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn
            self.decision_id = turn.decision_id

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
        super().__init__(id=id)
        self.session = ChatSession(conversation or _new_id())
        self.transcript = MessageList(ascii_only=ascii_only)
        self.keeper: Keeper | None = None  # None: nothing is kept
        self._ask = ask
        self.ask_parallel: AskParallel | None = None  # has an answer written in so many parts
        self.wish: Callable[[str], tuple[Wish, int]] = lambda _: ("no", 0)  # and on so many nodes
        self.next_parts: int | None = None  # of the next answer; 0: as many as suit
        self._clock = clock
        self._writing: MessageHandle | None = None  # the answer that is being written
        self._written: Turn | None = None  # and its turn
        self._worker: Worker[None] | None = None
        self._copied: tuple[MessageHandle | None, int] = (None, 0)  # whose code, which block
        self.again_key: Callable[[], str] = str  # that has the last answer go on, if there is one

    def compose(self) -> ComposeResult:
        yield self.transcript

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written."""
        return self.session.current is not None

    @property
    def chosen(self) -> Turn | None:
        """The turn of the chosen message, else the last one."""
        handle = self.transcript.chosen_handle
        return (
            self._turn_of(handle)
            if handle is not None
            else next(iter(self.session.turns[-1:]), None)
        )

    def choose(self, turn: Turn) -> None:
        """Choose its answer, and show it."""
        self.transcript.go_to(2 * self.session.turns.index(turn) + 1)

    def _turn_of(self, handle: MessageHandle) -> Turn:
        return self.session.turns[handle.number // 2]

    def _handle_of(self, turn: Turn) -> MessageHandle:
        """Its answer."""
        return self.transcript.handle(2 * self.session.turns.index(turn) + 1)

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
        self._end_of_last(has_key=False)
        header = self.session.begin(text, request.model, now_s, images, at)
        first = len(self.session.turns) - 1
        self.transcript.cut(2 * first)
        self.transcript.add_message("user", sentences.pictures(images), text).finish()
        self._writing = self.transcript.add_message("assistant", header)
        self._written = self.session.turns[-1]
        self.transcript.follow()
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
        self._writing = self._handle_of(self._written)
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
        self._show_from(at)
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
            self._show(self._writing, self.session.stop(self._clock()))
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
        self._show_from(0)
        self.transcript.follow()

    def _show_from(self, first: int) -> None:
        """Write the transcript anew from a turn on."""
        self.transcript.cut(2 * first)
        for turn in self.session.turns[first:]:
            pictures = sentences.pictures(turn.images)
            self.transcript.add_message("user", pictures, turn.prompt).finish()
            self._show(self.transcript.add_message("assistant"), shows.whole(turn))
        self._end_of_last(has_key=True)

    def _end_of_last(self, *, has_key: bool) -> None:
        """The lines under the last answer: the key that has it go on is named there only."""
        if self.session.turns:
            turn = self.session.turns[-1]
            lines = self._with_key(turn) if has_key else turn.end
            self._handle_of(turn).set_footer(*lines, *turn.note)

    def _with_key(self, turn: Turn) -> tuple[Line, ...]:
        key = "" if turn.outcome in ("complete", "running") else self.again_key()
        if not key or not turn.end:
            return turn.end
        last = sentences.with_key(turn.end[-1], key, goes_on=turn.can_go_on)
        return (*turn.end[:-1], last)

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
                self._show(handle, self.session.apply(event, self._clock()))
                if self.keeper is not None:
                    self.keeper.moved(self.session, self._clock())
                if not self.is_streaming:  # that was the end, whatever the iterator does
                    break
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:  # an iterator that is no generator has nothing to close
                await close()
        self._show(handle, self.session.cut(_NO_END, self._clock()))
        self._end()

    @on(Worker.StateChanged)
    def _show_bug(self, event: Worker.StateChanged) -> None:
        """A bug in what answers is said, and the chat goes on."""
        event.stop()
        error = event.worker.error
        if event.state is not WorkerState.ERROR or error is None or self._writing is None:
            return
        fault = Fault(FaultKind.PROTOCOL, f"a bug of this program, {error!r}")
        self._show(self._writing, self.session.cut(fault, self._clock()))
        self._end()
        self.post_message(self.Crashed(error))

    def _end(self) -> None:
        if self._writing is not None:
            self._writing = None
            self._keep_end()
            self._end_of_last(has_key=True)
            if self._written is not None:
                self.post_message(self.Ended(self._written))

    def _keep_end(self) -> None:
        if self.keeper is not None:
            self.keeper.ended(self.session, self._written)

    def _show(self, handle: MessageHandle, told: Iterable[Show]) -> None:
        for show in told:
            match show:
                case shows.ShowText(text):
                    handle.append(text)
                case shows.ShowThought(text):
                    handle.think(text)
                case shows.RewriteThought(text):
                    handle.rethink(text)
                case shows.FoldThought(label):
                    handle.fold_thought(label)
                case shows.ShowHeader(line):
                    handle.set_header(line)
                case shows.ShowNotice(line):
                    handle.mark(line)
                case shows.ShowSeam(text):
                    handle.seam(text)
                case shows.ShowEnd(lines):
                    handle.set_footer(*lines)
                    handle.finish()
                case shows.ShowRestored(at):
                    self._show_from(at)
                    self.transcript.follow()

    # What is wanted of a message

    @on(Transcript.Wanted)
    def use_message(self, event: Transcript.Wanted) -> None:
        event.stop()
        handle, turn = event.handle, self._turn_of(event.handle)
        if event.what == "decision" and turn.decisions:
            self.post_message(self.DecisionWanted(turn))
        elif event.what == "text":
            what = "the question" if handle.role == "user" else "the answer"
            self.post_message(CopyAsked(plain_block(handle.source), what))
        elif event.what == "code":
            self._copy_code(handle)

    def _copy_code(self, handle: MessageHandle) -> None:
        """The message's code blocks, one after the other, again from the first."""
        from sollol_tui.ui.markdown.code_blocks import code_blocks

        blocks = code_blocks(plain_block(handle.source))
        if not blocks:
            self.post_message(Told("There is no code in this answer.", refused=True))
            return
        last_handle, last = self._copied
        number = (last + 1) % len(blocks) if last_handle is handle else 0
        self._copied = handle, number
        what = f"code block {number + 1} of {len(blocks)}" if len(blocks) > 1 else "the code"
        self.post_message(CopyAsked(blocks[number], what))


def _new_id() -> str:
    return os.urandom(6).hex()
