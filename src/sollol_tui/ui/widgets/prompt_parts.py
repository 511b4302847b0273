"""What a prompt works with: choices for what is typed, texts that wait, texts of before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

REMEMBERED = 200
"""So many texts can be called back."""


class Taken(NamedTuple):
    """What a choice of the menu makes of the text; `paths` are pictures that go with it."""

    text: str
    paths: tuple[str, ...] = ()


class Menu(Protocol):
    """Choices for what is being typed. Called in the order of the keys."""

    @property
    def is_shown(self) -> bool: ...

    @property
    def is_open(self) -> bool: ...

    def typed(self, text: str) -> None: ...

    def offer(self, text: str, pasted: str, paths: tuple[str, ...]) -> None: ...

    def step(self, by: int) -> Taken | None: ...

    def close(self) -> None: ...


class Waiting(Protocol):
    """Texts that wait to be sent; one of them may be picked, to be changed in the prompt."""

    picked: int | None

    def __len__(self) -> int: ...

    def pick(self, by: int) -> str | None: ...

    def keep(self, text: str) -> None: ...

    def move(self, by: int) -> None: ...

    def leave(self) -> None: ...


class Recall:
    """The texts of before, and which of them is shown."""

    def __init__(self) -> None:
        self.texts = list[str]()
        self._at = 0  # their number: none is shown

    @property
    def shown(self) -> str:
        return self.texts[self._at] if self._at < len(self.texts) else ""

    def add(self, text: str) -> None:
        """Keep a text to be called back; one that was said twice in a row counts once."""
        if not self.texts or self.texts[-1] != text:
            self.texts = [*self.texts[1 - REMEMBERED :], text]
        self.leave()

    def add_earlier(self, texts: Sequence[str]) -> None:
        """Texts of earlier runs, oldest first: they come before those of this one."""
        before = len(self.texts)
        self.texts = [*texts, *self.texts][-REMEMBERED:]
        self._at = max(0, self._at + len(self.texts) - before)

    def leave(self) -> None:
        """Begin at the end again."""
        self._at = len(self.texts)

    def step(self, by: int) -> str | None:
        """The text to show instead; None when there is none in that direction."""
        at = max(0, min(len(self.texts), self._at + by))
        if at == self._at:
            return None
        self._at = at
        return self.shown
