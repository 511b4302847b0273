"""A conversation as it is seen: a session in a transcript, and what is wanted of its messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget

from sollol_tui.core.plain import plain_block
from sollol_tui.ui.chat import sentences, updates
from sollol_tui.ui.chat.message_list import MessageList
from sollol_tui.ui.chat.session import ChatSession
from sollol_tui.ui.chat.turn import Turn
from sollol_tui.ui.chat.updates import Update
from sollol_tui.ui.messages import CopyAsked, Told
from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.transcript import MessageHandle, Transcript


class SessionView(Widget):
    """A session and its transcript. Each turn is two messages, its question and its answer, also
    when that is empty."""

    BLANK = True  # its transcript covers it

    class DecisionWanted(Message):
        """The records of an answer's routing decisions are to be shown."""

        def __init__(self, turn: Turn) -> None:
            super().__init__()
            self.turn = turn
            self.decision_id = turn.decision_id

    def __init__(
        self,
        session: ChatSession,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__(id=id)
        self.session = session
        self.transcript = MessageList(ascii_only=ascii_only)
        self.again_key: Callable[[], str] = str  # that has the last answer go on, if there is one
        self._copied: tuple[MessageHandle | None, int] = (None, 0)  # whose code, which block

    def compose(self) -> ComposeResult:
        yield self.transcript

    @property
    def chosen(self) -> Turn | None:
        """The turn of the chosen message, else the last one."""
        handle = self.transcript.chosen_handle
        if handle is not None:
            return self._turn_of(handle)
        return self.session.turns[-1] if self.session.turns else None

    def choose(self, turn: Turn) -> None:
        """Choose its answer, and show it."""
        self.transcript.go_to(2 * self.session.turns.index(turn) + 1)

    def choose_if_read(self, number: int) -> None:
        """Whoever reads goes on from that message: the chosen one was written anew."""
        if self.transcript.has_focus:
            self.transcript.choose(number)

    def _turn_of(self, handle: MessageHandle) -> Turn | None:
        """None when it is forgotten."""
        number = handle.number // 2
        return self.session.turns[number] if number < len(self.session.turns) else None

    def handle_of(self, turn: Turn) -> MessageHandle:
        """Its answer."""
        return self.transcript.handle(2 * self.session.turns.index(turn) + 1)

    # Writing it down

    def show_from(self, first: int) -> None:
        """Write the transcript anew from a turn on."""
        self.transcript.cut(2 * first)
        for turn in self.session.turns[first:]:
            pictures = sentences.pictures(turn.images)
            self.transcript.add_message("user", pictures, turn.prompt).finish()
            self.write(self.transcript.add_message("assistant"), updates.whole(turn))
        self.end_of_last(has_key=True)

    def end_of_last(self, *, has_key: bool) -> None:
        """The lines under the last answer: the key that has it go on is named there only."""
        if self.session.turns:
            turn = self.session.turns[-1]
            lines = self._with_key(turn) if has_key else turn.end
            self.handle_of(turn).set_footer(*lines, *turn.note)

    def _with_key(self, turn: Turn) -> tuple[Line, ...]:
        key = "" if turn.outcome in ("complete", "running") else self.again_key()
        if not key or not turn.end:
            return turn.end
        last = sentences.with_key(turn.end[-1], key, goes_on=turn.can_go_on)
        return (*turn.end[:-1], last)

    def write(self, handle: MessageHandle, told: Iterable[Update]) -> None:
        """Write into an answer what was told of it."""
        for update in told:
            match update:
                case updates.ShowText(text):
                    handle.append(text)
                case updates.ShowThought(text):
                    handle.think(text)
                case updates.RewriteThought(text):
                    handle.rethink(text)
                case updates.FoldThought(label):
                    handle.fold_thought(label)
                case updates.ShowHeader(line):
                    handle.set_header(line)
                case updates.ShowNotice(line):
                    handle.mark(line)
                case updates.ShowSeam(text):
                    handle.seam(text)
                case updates.ShowEnd(lines):
                    handle.set_footer(*lines)
                    handle.finish()
                case updates.ShowRestored(at):
                    self.show_from(at)
                    self.transcript.follow()
                    self.choose_if_read(2 * at + 1)

    # What is wanted of a message

    @on(Transcript.Wanted)
    def use_message(self, event: Transcript.Wanted) -> None:
        event.stop()
        handle, turn = event.handle, self._turn_of(event.handle)
        if event.what == "decision" and turn is not None and turn.decisions:
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
