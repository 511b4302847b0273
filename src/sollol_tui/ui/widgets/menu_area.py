"""A text area for foreign text, with a menu of choices for what is typed into it."""

from __future__ import annotations

from dataclasses import replace

from textual import events
from textual.content import Content
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult

from sollol_tui.core.images import pasted_paths
from sollol_tui.core.plain import plain_block
from sollol_tui.ui.widgets.prompt_parts import Menu


class MenuArea(TextArea):
    """Text from outside is harmless before it is shown; the menu hears of each change."""

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
        self.menu: Menu | None = None
        """Choices for what is being typed."""

    def edit(self, edit: Edit) -> EditResult:
        """Everything typed or pasted comes through here."""
        result = super().edit(replace(edit, text=harmless(edit.text)))
        if self.menu is not None:
            self.menu.typed(self.text if self.document.line_count == 1 else "")
        return result

    def write(self, text: str) -> None:
        """Replace what stands there; the cursor goes to the end."""
        if self.menu is not None:
            self.menu.close()
        self.put(text)

    def put(self, text: str) -> None:
        """Replace what stands there, and leave the menu as it is."""
        self.load_text(harmless(text))
        self.move_cursor(self.document.end)

    def take_back(self, text: str) -> bool:
        """Put a text back that could not be used. False when something else was begun meanwhile."""
        if self.text.strip():
            return False
        self.write(text)
        return True

    def on_paste(self, event: events.Paste) -> None:
        """Files that were dropped on the terminal come as their paths."""
        paths = pasted_paths(event.text)
        if paths:  # after the text itself, which Textual's own handler puts in
            self.call_later(self._offer, harmless(event.text), paths)

    def _offer(self, pasted: str, paths: tuple[str, ...]) -> None:
        if self.menu is not None:
            self.menu.offer(self.text, pasted, paths)


def harmless(text: str) -> str:
    """The text as it is sent, too: joiners and tabs stay, control codes and bidi overrides go."""
    return plain_block(text.replace("\r\n", "\n").replace("\r", "\n"))
