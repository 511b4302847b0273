"""The transcript of a chat with the keys that act on its messages."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType

from sollol_tui.ui.keys import MESSAGE_KEYS
from sollol_tui.ui.widgets.pane import moves
from sollol_tui.ui.widgets.transcript import MESSAGE_LOOKS, Transcript


class MessageList(Transcript, inherit_bindings=False):
    """What was said, as a list: its messages are asked again, continued, changed, deleted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *MESSAGE_KEYS,
        *MESSAGE_LOOKS,
        *moves("home", "message"),
    ]
