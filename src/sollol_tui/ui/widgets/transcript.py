"""The transcript of a chat: messages are written into it by their handles, and used by keys."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message as TextualMessage

from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.transcript_choice import ChoicePane
from sollol_tui.ui.widgets.transcript_model import Message, Role

MESSAGE_LOOKS = [
    Binding(
        "enter",
        "ask_decision",
        "Why there",
        id="transcript.decision",
        tooltip="Who answered and why, at each seam",
    ),
    Binding("y", "copy_text", "Copy", id="transcript.copy", tooltip="Copy the message"),
    Binding("Y", "copy_code", "Copy code", id="transcript.code", tooltip="Copy its next code"),
    Binding(
        "t",
        "toggle_thought",
        "Thought",
        id="transcript.thought",
        tooltip="Open or close what was thought",
    ),
]
"""Keys that change nothing."""


class MessageHandle:
    """One message of a transcript, for whoever writes it."""

    def __init__(self, transcript: Transcript, message: Message, number: int) -> None:
        self._transcript = transcript
        self._message = message
        self._number = number

    @property
    def number(self) -> int:
        """Its place among the messages, from 0."""
        return self._number

    @property
    def role(self) -> Role:
        return self._message.role

    @property
    def source(self) -> str:
        """The text exactly as it came."""
        return self._message.source

    @property
    def has_thought(self) -> bool:
        return len(self._message.thought) > 0

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

    def rethink(self, text: str) -> None:
        """Replace what was thought: whoever thought the rest of it did not answer."""
        self._message.rethink(text)
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

    def reopen(self) -> None:
        """More text comes after all."""
        self._message.reopen()
        self._changed()

    def _changed(self) -> None:
        self._transcript.message_changed(self._message, self._number)


class Transcript(ChoicePane):
    """Streamed answers and what was asked, to read, to choose from and to copy."""

    BINDINGS: ClassVar[list[BindingType]] = [*MESSAGE_LOOKS]

    class Wanted(TextualMessage):
        """Something is wanted of a message: its `decision`, its `text` or its `code` copied."""

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

    def cut(self, number: int) -> None:
        del self._handles[number:]
        super().cut(number)

    def handle(self, number: int) -> MessageHandle:
        return self._handles[number]

    @property
    def chosen_handle(self) -> MessageHandle | None:
        """The message that is chosen."""
        return None if self.chosen is None else self._handles[self.chosen]

    @property
    def current_handle(self) -> MessageHandle | None:
        """The chosen message, else the last answer of which something is in view."""
        number = self.chosen if self.chosen is not None else self._last_answer()
        return None if number is None else self._handles[number]

    # What is done with messages

    def on_focus(self) -> None:
        if self.chosen is None and self.history.messages:
            last = self._last_answer()
            self.choose(self.last_in_view() if last is None else last)

    def on_click(self, event: events.Click) -> None:
        if (offset := event.get_content_offset(self)) is None or not self.history.messages:
            return
        number, line = self.history.at(self._top + offset.y)
        self.choose(number)
        message = self.history.messages[number]
        if message.is_thought_label(line):
            self._toggle(number)
        elif message.role == "assistant" and message.is_header(line):
            self.post_message(self.Wanted(self._handles[number], "decision"))

    def _last_answer(self) -> int | None:
        messages = self.history.messages
        if not messages:
            return None
        numbers = range(self.last_in_view(), -1, -1)
        return next((n for n in numbers if messages[n].role == "assistant"), None)

    def _want(self, what: str) -> None:
        if (handle := self.current_handle) is not None:
            self.post_message(self.Wanted(handle, what))

    def _toggle(self, number: int) -> None:
        thought = self.history.messages[number].thought
        thought.is_folded = not thought.is_folded
        self.message_changed(self.history.messages[number], number)
        self.flush()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys are there for what the message has."""
        handle = self.current_handle
        if action == "ask_decision":
            return handle is not None and handle.role == "assistant"
        if action == "toggle_thought":
            return handle is not None and handle.has_thought
        return True

    def action_ask_decision(self) -> None:
        self._want("decision")

    def action_copy_text(self) -> None:
        self._want("text")

    def action_copy_code(self) -> None:
        self._want("code")

    def action_toggle_thought(self) -> None:
        handle = self.current_handle
        if handle is not None and handle.has_thought:
            self._toggle(handle.number)
