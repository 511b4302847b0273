"""Messages that cross the screen: what the engine knows, and what a person wants done."""

from __future__ import annotations

from textual.message import Message

from sollol_tui.core.state import ClusterSnapshot


class SnapshotChanged(Message):
    """The cluster or the journal changed. The newest one is enough: older ones are replaced."""

    def __init__(self, snapshot: ClusterSnapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SnapshotChanged)


class CommandGiven(Message):
    """A command line was typed or chosen, without its sign: `rpc add 10.0.0.7`."""

    def __init__(self, line: str) -> None:
        super().__init__()
        self.line = line


class CopyAsked(Message):
    """A text is wanted in the terminal's clipboard. `what` names it in the answer."""

    def __init__(self, text: str, what: str) -> None:
        super().__init__()
        self.text = text
        self.what = what


class Told(Message):
    """One sentence that answers what the person just did. Shown as a toast, never as markup."""

    def __init__(self, sentence: str, *, refused: bool = False) -> None:
        super().__init__()
        self.sentence = sentence
        self.refused = refused
