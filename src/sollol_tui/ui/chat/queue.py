"""Questions that wait while an answer is written: each can be picked, changed, moved, dropped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from sollol_tui.core.images import Image


class Question(NamedTuple):
    """What is asked: a text, and the pictures that go with it."""

    text: str
    images: tuple[Image, ...] = ()


class Queue:
    """The questions in their order. At most one is picked: shown in the prompt to be changed.

    `changed` is called after each change. `is_held`: it does not go on by itself, for the last
    answer did not end well.
    """

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.picked: int | None = None
        self._questions = list[Question]()
        self._is_held = False
        self._changed = changed

    def __len__(self) -> int:
        return len(self._questions)

    def __iter__(self) -> Iterator[Question]:
        return iter(self._questions)

    def __getitem__(self, index: int) -> Question:
        return self._questions[index]

    @property
    def is_held(self) -> bool:
        return self._is_held and bool(self._questions)

    @property
    def current(self) -> Question | None:
        """The one that is picked."""
        return None if self.picked is None else self._questions[self.picked]

    # In and out

    def add(self, question: Question) -> None:
        self._questions.append(question)
        self._changed()

    def next(self) -> Question | None:
        """The question that comes next, taken out; None while it is held or being changed."""
        if not self._questions or self._is_held or self.picked == 0:
            return None
        if self.picked is not None:
            self.picked -= 1
        question = self._questions.pop(0)
        self._changed()
        return question

    def hold(self) -> None:
        """Wait for a word of the person."""
        self._is_held = bool(self._questions)
        self._changed()

    def release(self) -> None:
        """Go on."""
        self._is_held = False
        self._changed()

    def clear(self) -> None:
        """Forget all of them."""
        self._questions.clear()
        self.picked, self._is_held = None, False
        self._changed()

    # One of them

    def pick(self, by: int) -> str | None:
        """Pick the next one towards the front (-1) or the end (1), the last one first; its text.

        None, and none is picked, beyond the first and the last one.
        """
        if self.picked is None:
            at = len(self._questions) - 1 if by < 0 else len(self._questions)
        else:
            at = self.picked + by
        return self.pick_at(at)

    def pick_at(self, index: int) -> str | None:
        """Pick that one; its text. None, and none is picked, when there is no such one."""
        self.picked = index if 0 <= index < len(self._questions) else None
        self._changed()
        return None if self.picked is None else self._questions[self.picked].text

    def keep(self, text: str) -> None:
        """The picked one has this text now, at the same place; without any text it is dropped."""
        if self.picked is None:
            return
        at, self.picked = self.picked, None
        if text.strip():
            self._questions[at] = self._questions[at]._replace(text=text)
        else:
            del self._questions[at]
        self._changed()

    def keep_images(self, images: tuple[Image, ...]) -> None:
        """The picked one has these pictures now; it stays picked."""
        if self.picked is not None:
            self._questions[self.picked] = self._questions[self.picked]._replace(images=images)
            self._changed()

    def move(self, by: int) -> None:
        """The picked one changes places with its neighbour; it stays picked."""
        if self.picked is None or not 0 <= self.picked + by < len(self._questions):
            return
        at, to = self.picked, self.picked + by
        self._questions[at], self._questions[to] = self._questions[to], self._questions[at]
        self.picked = to
        self._changed()

    def leave(self) -> None:
        """None is picked; all stay as they are."""
        self.picked = None
        self._changed()
