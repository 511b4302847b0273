"""Where a question is written: grows with it, sends with Enter, never with a paste."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from sollol_tui.core.plain import plain_block

REMEMBERED = 200
"""So many questions can be called back."""

WRITING = Binding.Group("Writing")
_SEND, _NEW_LINE = ("enter",), ("ctrl+j", "shift+enter")
_SIGNS = ("/", ":")
"""What begins a command. Doubled it is text: `//etc` asks about /etc."""


class Prompt(TextArea):
    """A text of one to eight lines. Text from outside is harmless before it is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            ",".join(_SEND),
            "send",
            "Send",
            id="prompt.send",
            group=WRITING,
            tooltip="Send the question; after a \\ begin a new line",
        ),
        Binding(
            ",".join(_NEW_LINE),
            "new_line",
            "New line",
            key_display="^j",
            id="prompt.new-line",
            group=WRITING,
            tooltip="Begin a new line",
        ),
    ]

    class Submitted(Message):
        """A question is to be asked."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class CommandEntered(Message):
        """A command line, with its sign: `/model llama3.2`, `:mode both`."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class EnteredNothing(Message):
        """Enter in an empty prompt."""

    class TakenBack(Message):
        """The question that waits is being written again: it is not to be asked any more."""

    class ScrollWanted(Message):
        """Keys that read on in what stands above: pages to go, None for its end."""

        def __init__(self, pages: int | None) -> None:
            super().__init__()
            self.pages = pages

    def __init__(
        self,
        placeholder: str = "",
        *,
        id: str | None = None,  # noqa: A002 - Textual's word
        classes: str | None = None,
    ) -> None:
        super().__init__(
            id=id, classes=classes, placeholder=Content(placeholder), highlight_cursor_line=False
        )
        self.cursor_blink = False  # it would write to the terminal twice a second, for ever
        self._asked = list[str]()
        self._at = 0  # which of them is shown; their number: none
        self.waiting: str | None = None
        """A question that waits to be asked: Up in an empty prompt takes it back."""

    # Its text

    def edit(self, edit: Edit) -> EditResult:
        """Everything typed or pasted comes through here."""
        return super().edit(replace(edit, text=_harmless(edit.text)))

    def write(self, text: str) -> None:
        """Replace what stands there; the cursor goes to the end."""
        self.load_text(_harmless(text))
        self.move_cursor(self.document.end)

    def take_back(self, text: str) -> bool:
        """Put a text back that could not be used. False when something else was begun meanwhile."""
        if self.text.strip():
            return False
        self.write(text)
        return True

    # Sending

    def on_key(self, event: events.Key) -> None:
        """Taken here, in the order of the keys: a binding is looked up elsewhere meanwhile, before
        or after letters that were typed in one go with it."""
        if event.key in _SEND:
            event.stop()
            event.prevent_default()
            self.action_send()
        elif event.key in _NEW_LINE:
            event.stop()
            event.prevent_default()
            self.action_new_line()

    def action_send(self) -> None:
        row, column = self.cursor_location
        if column and self.document.get_line(row)[column - 1] == "\\":
            self.replace("\n", (row, column - 1), (row, column), maintain_selection_offset=False)
            return
        text = self.text.rstrip()
        if not text.strip():
            self.post_message(self.EnteredNothing())
            return
        self.load_text("")
        self.remember(text)
        self.post_message(self._meaning(text))

    def _meaning(self, text: str) -> Message:
        sign = text[0]
        if sign not in _SIGNS or "\n" in text:
            return self.Submitted(text)
        return self.Submitted(text[1:]) if text[1:2] == sign else self.CommandEntered(text)

    def action_new_line(self) -> None:
        self.insert("\n")
        self.scroll_cursor_visible()

    # Questions of before

    def remember(self, text: str) -> None:
        """Keep a text to be called back."""
        if not self._asked or self._asked[-1] != text:
            self._asked = [*self._asked[1 - REMEMBERED :], text]
        self._at = len(self._asked)

    def action_cursor_up(self, select: bool = False) -> None:
        if self._is_recalling() and not select and self.cursor_location[0] == 0:
            self._recall(-1)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        is_last = self.cursor_location[0] == self.document.line_count - 1
        if self.text and self._is_recalling() and not select and is_last:
            self._recall(1)
        else:
            super().action_cursor_down(select)

    def _is_recalling(self) -> bool:
        """Whether the prompt is empty, or shows a question of before as it was."""
        shown = self._asked[self._at] if self._at < len(self._asked) else ""
        return self.text in ("", shown)

    def _recall(self, by: int) -> None:
        if not self.text:
            self._at = len(self._asked)
            if self.waiting is not None:
                self.write(self.waiting)
                self.waiting = None
                self.post_message(self.TakenBack())
                return
        at = max(0, min(len(self._asked), self._at + by))
        if at != self._at:
            self._at = at
            self.write(self._asked[at] if at < len(self._asked) else "")

    # Reading what stands above

    def action_cursor_page_up(self) -> None:
        self.post_message(self.ScrollWanted(-1))

    def action_cursor_page_down(self) -> None:
        self.post_message(self.ScrollWanted(1))

    def action_cursor_line_end(self, select: bool = False) -> None:
        if self.text:
            super().action_cursor_line_end(select)
        else:
            self.post_message(self.ScrollWanted(None))


def _harmless(text: str) -> str:
    """The text as it is sent, too: joiners and tabs stay, control codes and bidi overrides go."""
    return plain_block(text.replace("\r\n", "\n").replace("\r", "\n"))
