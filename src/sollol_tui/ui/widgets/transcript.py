"""The transcript of a chat: messages are written into it by their handles, and used by keys."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as TextualMessage

from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.transcript_model import Message, Role
from sollol_tui.ui.widgets.transcript_view import HistoryPane


class MessageHandle:
    """One message of a transcript, for whoever writes it."""

    def __init__(self, transcript: Transcript, message: Message, number: int) -> None:
        self._transcript = transcript
        self._message = message
        self._number = number

    @property
    def source(self) -> str:
        """The text exactly as it came."""
        return self._message.source

    def append(self, text: str) -> None:
        """Take text of any length, at any rate; it is shown at the next point of the grid."""
        self._message.append(text)
        self._changed()

    def think(self, text: str) -> None:
        """Take what the model thinks before it answers."""
        self._message.thought.add(text)
        self._changed()

    def fold_thought(self, label: Line) -> None:
        """The answer begins: what was thought becomes one line."""
        self._message.thought.fold(label)
        self._changed()

    def set_header(self, line: Line) -> None:
        self._message.header = line
        self._changed()

    def set_footer(self, *lines: Line) -> None:
        self._message.footer = lines
        self._changed()

    def mark(self, line: Line) -> None:
        """Put a line of ours where the text ends now; it is no part of the text."""
        self._message.add_mark(line)
        self._changed()

    def seam(self, text: str) -> None:
        """Mark where another target writes on."""
        self.mark((("╌╌ ", "seam"), (text, "seam"), (" ╌╌", "seam")))

    def finish(self) -> None:
        """No text comes any more."""
        self._message.finish()
        self._changed()

    def _changed(self) -> None:
        self._transcript.message_changed(self._message, self._number)


class Transcript(HistoryPane):
    """Streamed answers and what was asked, to read, to select and to copy."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter",
            "ask_decision",
            "Why there",
            id="transcript.decision",
            tooltip="Why this target",
        ),
        Binding("y", "copy_answer", "Copy answer", id="transcript.copy", tooltip="Copy the answer"),
        Binding("Y", "copy_code", "Copy code", id="transcript.code", tooltip="Copy its next code"),
        Binding(
            "t", "toggle_thought", "Thought", id="transcript.thought", tooltip="What it thought"
        ),
    ]

    class Chosen(TextualMessage):
        """Something is wanted of a message: its `decision`, its `answer` or its `code` copied."""

        def __init__(self, handle: MessageHandle, what: str) -> None:
            super().__init__()
            self.handle = handle
            self.what = what

    def __init__(
        self,
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(ascii_only=ascii_only, id=id, classes=classes)
        self._handles = list[MessageHandle]()

    # What is written

    def add_message(self, role: Role, header: Line = (), source: str = "") -> MessageHandle:
        """Begin a message at the end."""
        message = Message(role, header, source)
        number = len(self.history.messages)
        self.history.add(message)
        self._handles.append(MessageHandle(self, message, number))
        self.message_changed(message, number)
        return self._handles[-1]

    def clear(self) -> None:
        """Forget all messages."""
        self._handles.clear()
        super().clear()

    # What is done with messages

    def on_click(self, event: events.Click) -> None:
        if (offset := event.get_content_offset(self)) is None or not self.history.messages:
            return
        number, line = self.history.at(self._top + offset.y)
        message = self.history.messages[number]
        if message.is_thought_label(line):
            self._toggle(number)
        elif message.role == "assistant" and message.is_header(line):
            self.post_message(self.Chosen(self._handles[number], "decision"))

    def _current(self) -> int | None:
        """The last answer of which something is in view."""
        bottom = min(self.history.total, self._top + self._page) - 1
        last = self.history.at(bottom)[0]
        answers = (n for n in range(last, -1, -1) if self._role(n) == "assistant")
        return next(answers, None)

    def _role(self, number: int) -> Role | None:
        messages = self.history.messages
        return messages[number].role if number < len(messages) else None

    def _choose(self, what: str) -> None:
        if (number := self._current()) is not None:
            self.post_message(self.Chosen(self._handles[number], what))

    def _toggle(self, number: int) -> None:
        thought = self.history.messages[number].thought
        thought.is_folded = not thought.is_folded
        self.message_changed(self.history.messages[number], number)
        self.flush()

    def action_ask_decision(self) -> None:
        self._choose("decision")

    def action_copy_answer(self) -> None:
        self._choose("answer")

    def action_copy_code(self) -> None:
        self._choose("code")

    def action_toggle_thought(self) -> None:
        number = self._current()
        if number is not None and len(self.history.messages[number].thought):
            self._toggle(number)
