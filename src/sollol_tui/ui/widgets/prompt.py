"""Where a question is written: grows with it, sends with Enter, never with a paste."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from sollol_tui.ui.widgets.menu_area import MenuArea, harmless
from sollol_tui.ui.widgets.prompt_parts import Recall, Waiting

WRITING = Binding.Group("Writing")
_SEND, _NEW_LINE = ("enter",), ("ctrl+j", "shift+enter")
_MENU = {"tab": 1, "down": 1, "shift+tab": -1, "up": -1, "escape": 0}
_TABS = ("tab", "shift+tab")
_CHANGING = {"ctrl+up": -1, "ctrl+down": 1, "escape": 0}
_SIGNS = ("/", ":")
"""What begins a command. Doubled it is text: `//etc` asks about /etc."""


class Prompt(MenuArea):
    """A text of one to eight lines. Text from outside is harmless before it is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            ",".join(_SEND),
            "send",
            "Send",
            id="prompt.send",
            group=WRITING,
            tooltip="Send the question; / begins a command; after a \\ begin a new line",
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
        Binding(
            "up",
            "cursor_up",
            "Earlier",
            id="prompt.earlier",
            group=WRITING,
            show=False,
            tooltip="In the empty prompt: what waits, then what was asked before",
        ),
        Binding("pageup", "cursor_page_up", "What stands above: one page up", show=False),
        Binding("pagedown", "cursor_page_down", "What stands above: one page down", show=False),
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

    class DeletedNothing(Message):
        """Backspace in an empty prompt."""

    class WaitingLeft(Message):
        """The text that waits and was picked is as it shall be."""

    class PicturesWanted(Message):
        """These pictures shall go with the question."""

        def __init__(self, paths: tuple[str, ...]) -> None:
            super().__init__()
            self.paths = paths

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
        super().__init__(placeholder, id=id, classes=classes)
        self._recall = Recall()
        self._picked = ""  # the text that waits, as it was when it was picked
        self.waiting: Waiting | None = None
        """Questions that wait to be asked: Up in an empty prompt goes through them first."""

    # Sending

    def on_key(self, event: events.Key) -> None:
        """Taken here, in the order of the keys: a binding is looked up elsewhere meanwhile, before
        or after letters that were typed in one go with it."""
        if self._chose(event.key) or self._changed_waiting(event.key):
            pass
        elif event.key in _SEND:
            self.action_send()
        elif event.key in _NEW_LINE:
            self.action_new_line()
        elif event.key == "backspace" and not self.text:
            self.post_message(self.DeletedNothing())
        else:
            return
        event.stop()
        event.prevent_default()

    def _chose(self, key: str) -> bool:
        """Whether the key was for the menu."""
        menu = self.menu
        if menu is None or not menu.is_shown or key not in _MENU:
            return False
        by = _MENU[key]
        if by and not menu.is_open:  # what it shows is no choice: Tab leads nowhere else meanwhile
            return key in _TABS
        if not by:
            menu.close()
        elif (taken := menu.step(by)) is not None:
            self.put(taken.text)
            if taken.paths:
                menu.close()
                self.post_message(self.PicturesWanted(taken.paths))
        return True

    # The texts that wait

    @property
    def is_changing(self) -> bool:
        """Whether a text that waits stands here."""
        return self.waiting is not None and self.waiting.picked is not None

    def show_picked(self, text: str | None) -> None:
        """Show the text that was picked; None: none is picked any more."""
        self._picked = text or ""
        self.write(self._picked)

    def _changed_waiting(self, key: str) -> bool:
        """Whether the key was for the text that was picked."""
        if self.waiting is None or not self.is_changing or key not in _CHANGING:
            return False
        if by := _CHANGING[key]:
            self.waiting.move(by)
        else:
            self.waiting.leave()
            self.show_picked(None)
            self.post_message(self.WaitingLeft())
        return True

    def _keep_waiting(self, waiting: Waiting, text: str) -> None:
        waiting.keep(text)
        self.show_picked(None)
        self.post_message(self.WaitingLeft())

    def action_send(self) -> None:
        row, column = self.cursor_location
        if column and self.document.get_line(row)[column - 1] == "\\":
            self.replace("\n", (row, column - 1), (row, column), maintain_selection_offset=False)
            return
        text = self.text.rstrip()
        said = self._meaning(text) if text.strip() else self.EnteredNothing()
        if self.waiting is not None and self.is_changing:
            if not isinstance(said, self.CommandEntered):
                self._keep_waiting(self.waiting, text)
                return
            self.write(self._picked)  # the command is for it
        elif text.strip():
            self.write("")
        if text.strip():
            self.remember(text)
        self.post_message(said)

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
        self._recall.add(text)

    def remember_earlier(self, texts: Sequence[str]) -> None:
        """Texts of earlier runs, oldest first: they come before those of this one."""
        self._recall.add_earlier([harmless(text) for text in texts])

    def action_cursor_up(self, select: bool = False) -> None:
        if self._is_recalling() and not select and self.cursor_location[0] == 0:
            self._step_back(-1)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        is_last = self.cursor_location[0] == self.document.line_count - 1
        if self.text and self._is_recalling() and not select and is_last:
            self._step_back(1)
        else:
            super().action_cursor_down(select)

    def _is_recalling(self) -> bool:
        """Whether the prompt is empty, or shows a question of before as it was."""
        return self.text in ("", self._picked if self.is_changing else self._recall.shown)

    def _step_back(self, by: int) -> None:
        if self._walked(by):
            return
        if not self.text:
            self._recall.leave()
        if (text := self._recall.step(by)) is not None:
            self.write(text)

    def _walked(self, by: int) -> bool:
        """Whether that was a step through the texts that wait: from the last one to the first."""
        waiting, was_changing = self.waiting, self.is_changing
        if waiting is None or not (was_changing or (by < 0 and not self.text and len(waiting))):
            return False
        self.show_picked(waiting.pick(by))
        if was_changing and not self.is_changing:
            self.post_message(self.WaitingLeft())
        return self.is_changing or by > 0

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
