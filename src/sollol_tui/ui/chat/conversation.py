"""A conversation on the screen: asks, and shows what comes of it in a transcript."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import TypeAlias

from textual import on, work
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.worker import Worker, WorkerState

from sollol_tui.core.asks import AskEvent, AskRequest, RouteDecision, Said
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.images import Image
from sollol_tui.core.parallel import Wish
from sollol_tui.core.plain import plain_block
from sollol_tui.ui.chat import sentences, session
from sollol_tui.ui.chat.keeping import Keeper, end_lines
from sollol_tui.ui.chat.session import ChatSession, Show, Turn
from sollol_tui.ui.messages import CopyAsked, Told
from sollol_tui.ui.widgets.transcript import MessageHandle, Transcript

Ask: TypeAlias = Callable[[AskRequest], AsyncIterator[AskEvent]]
AskParallel: TypeAlias = Callable[[AskRequest, int], AsyncIterator[Said]]

_NO_END = Fault(FaultKind.CUT, "it ended without its proper end")


class Conversation(Widget):
    """A session and its transcript. At most one answer is written at a time.

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

    class DecisionWanted(Message):
        """The record of a routing decision is to be shown."""

        def __init__(self, decision: RouteDecision) -> None:
            super().__init__()
            self.decision = decision
            self.decision_id = decision.id

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
        self.transcript = Transcript(ascii_only=ascii_only)
        self.keeper: Keeper | None = None  # None: nothing is kept
        self._ask = ask
        self.ask_parallel: AskParallel | None = None  # has an answer written in so many parts
        self.wish: Callable[[str], tuple[Wish, int]] = lambda _: ("no", 0)  # and on so many nodes
        self.next_parts: int | None = None  # of the next answer; 0: as many as suit
        self._clock = clock
        self._turns = dict[MessageHandle, Turn]()
        self._writing: MessageHandle | None = None  # the answer that is being written
        self._worker: Worker[None] | None = None
        self._copied: tuple[MessageHandle | None, int] = (None, 0)  # whose code, which block

    def compose(self) -> ComposeResult:
        yield self.transcript

    @property
    def is_streaming(self) -> bool:
        """Whether an answer is being written."""
        return self.session.current is not None

    def begin(self, request: AskRequest, images: tuple[Image, ...] = ()) -> None:
        """Ask a question that `session.to_request` has made, with the pictures that go with it."""
        text = request.messages[-1].content
        self.transcript.add_message("user", sentences.pictures(images), text).finish()
        header = self.session.begin(text, request.model, self._clock(), images)
        self._writing = self.transcript.add_message("assistant", header)
        self._turns[self._writing] = self.session.turns[-1]
        self.transcript.follow()
        if self.keeper is not None:
            self.keeper.began(self.session, request, self._clock())
        parts = self._parts_of(text, self._writing)
        if parts is None or self.ask_parallel is None:
            events: AsyncIterator[Said] = self._ask(request)
        else:
            events = self.ask_parallel(request, parts)
        self._worker = self._answer(events, self._writing)

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
        self._turns.clear()
        self.transcript.clear()

    def reopen(self, earlier: ChatSession) -> None:
        """Go on with a conversation of before, in the place of this one."""
        self.clear()
        self.session = earlier
        for turn in earlier.turns:
            pictures = sentences.pictures(turn.images)
            self.transcript.add_message("user", pictures, turn.prompt).finish()
            header = sentences.header(turn.model, turn.decisions)
            handle = self.transcript.add_message("assistant", header)
            self._turns[handle] = turn
            self._show(handle, _shows_of(turn))
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
            turn, self._writing = self._turns[self._writing], None
            self._keep_end()
            self.post_message(self.Ended(turn))

    def _keep_end(self) -> None:
        if self.keeper is not None:
            self.keeper.ended(self.session)

    def _show(self, handle: MessageHandle, shows: Iterable[Show]) -> None:
        for show in shows:
            match show:
                case session.ShowText(text):
                    handle.append(text)
                case session.ShowThought(text):
                    handle.think(text)
                case session.FoldThought(label):
                    handle.fold_thought(label)
                case session.ShowHeader(line):
                    handle.set_header(line)
                case session.ShowNotice(line):
                    handle.mark(line)
                case session.ShowSeam(text):
                    handle.seam(text)
                case session.ShowEnd(lines):
                    handle.set_footer(*lines)
                    handle.finish()

    # What is wanted of a message

    @on(Transcript.Wanted)
    def use_message(self, event: Transcript.Wanted) -> None:
        event.stop()
        handle, turn = event.handle, self._turns.get(event.handle)
        if event.what == "decision" and turn is not None and turn.decisions:
            self.post_message(self.DecisionWanted(turn.decisions[-1]))
        elif event.what == "text":
            self.post_message(CopyAsked(plain_block(handle.source), "the answer"))
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


def _shows_of(turn: Turn) -> Iterator[Show]:
    """What the transcript shall show of an answer of before."""
    if turn.thoughts:
        yield session.ShowThought("".join(turn.thoughts))
        yield session.FoldThought(sentences.thought_label(turn.thought_s))
    text, begin = turn.answer, 0
    for at_chars, words in turn.seams:
        yield session.ShowText(text[begin:at_chars])
        yield session.ShowSeam(words)
        begin = at_chars
    yield session.ShowText(text[begin:])
    yield session.ShowEnd(end_lines(turn))


def _new_id() -> str:
    return os.urandom(6).hex()
