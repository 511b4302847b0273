"""Choices for what is being typed, floating above the prompt: nothing moves, nothing is covered
but what was said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from textual.content import Content
from textual.widgets import Static

from sollol_tui.ui.text import Line, clean, fit, width
from sollol_tui.ui.theme import painted
from sollol_tui.ui.widgets.looks import Looks
from sollol_tui.ui.widgets.prompt_parts import Taken

ROWS = 7  # choices at a time
MOST_LABEL_CELLS = 24
MOST_BARE_CELLS = 70  # where nothing is said about any of them


class Choice(NamedTuple):
    """A text that the typed one can become, and what it means. One without a text only helps."""

    text: str
    label: str
    about: str = ""
    paths: tuple[str, ...] = ()
    goes_on: bool = False  # something has to be typed after it


class Completions(Static):
    """The menu of a prompt (see `prompt_parts.Menu`).

    Args:
        offers: what is offered for pictures that were pasted: their names, or nothing.

    `source` gives the choices for a text, best first; `slow` those that take a while, or None.
    """

    def __init__(
        self,
        offers: Callable[[tuple[str, ...]], str],
        *,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's word
    ) -> None:
        super().__init__("", markup=False, id=id)
        self.source: Callable[[str], Sequence[Choice]] = lambda _: ()
        self._offers = offers
        self.slow: Callable[[str], Awaitable[Sequence[Choice]] | None] = lambda _: None
        self._looks = Looks(self, ascii_only=ascii_only)
        self._choices: tuple[Choice, ...] = ()
        self._chosen = -1
        self._text = ""  # what the choices are for
        self.display = False

    # What the prompt asks of it

    @property
    def is_shown(self) -> bool:
        """Whether it says something about what is typed."""
        return bool(self._choices)

    @property
    def is_open(self) -> bool:
        """Whether something can be taken."""
        return any(choice.text or choice.paths for choice in self._choices)

    def typed(self, text: str) -> None:
        """The text has changed."""
        self._text = text
        self._show_all(self.source(text) if text else ())
        if text and (later := self.slow(text)) is not None:
            self.run_worker(self._add(text, later), group="menu", exclusive=True)

    async def _add(self, text: str, later: Awaitable[Sequence[Choice]]) -> None:
        """Show what was found meanwhile, if it is still wanted."""
        found = await later
        if found and self._text == text and self._chosen < 0:
            self._show_all([*self._choices, *found])

    def offer(self, text: str, pasted: str, paths: tuple[str, ...]) -> None:
        """Pictures were pasted as their paths: offer them as pictures."""
        label = self._offers(paths)
        if label and pasted in text:
            rest = text.replace(pasted, "", 1).strip()
            self._show_all([Choice(rest, label, "", paths)])

    def step(self, by: int) -> Taken | None:
        """Take the next choice (1) or the one before (-1)."""
        ones = [at for at, choice in enumerate(self._choices) if choice.text or choice.paths]
        if not ones:
            return None
        if self._chosen < 0:
            self._chosen = ones[0] if by > 0 else ones[-1]
        else:
            self._chosen = ones[(ones.index(self._chosen) + by) % len(ones)]
        choice = self._choices[self._chosen]
        if len(ones) == 1 and choice.goes_on:
            self.typed(choice.text)
        else:
            self._paint()
        return Taken(choice.text, choice.paths)

    def close(self) -> None:
        self._text = ""
        self._show_all(())

    # On the screen

    def _show_all(self, choices: Sequence[Choice]) -> None:
        if choices or self._choices:
            self._choices, self._chosen = tuple(choices), -1
            self._paint()

    def _paint(self) -> None:
        self.display = bool(self._choices)
        if not self._choices:
            return
        rows = max(1, min(ROWS, self._room() - 1))
        first = max(0, min(self._chosen - rows + 1, len(self._choices) - rows))
        lines = self._lines(first, first + rows)
        self.styles.height = len(lines)
        self.styles.offset = (0, -len(lines))
        letters = self._looks.letters
        shown = (tuple((letters(text), name) for text, name in line) for line in lines)
        self.update(Content("\n").join(map(painted, shown)))

    def _room(self) -> int:
        """Lines of the panel above the prompt."""
        parent = self.parent
        height = getattr(getattr(parent, "content_size", None), "height", 0)
        return max(2, height - 3)

    def _lines(self, first: int, end: int) -> list[Line]:
        shown = self._choices[first:end]
        labels = [width(clean(choice.label)) for choice in shown if choice.about]
        cells = min(MOST_LABEL_CELLS, max(labels)) if labels else MOST_BARE_CELLS
        lines = [
            _line(choice, cells, is_chosen=at == self._chosen)
            for at, choice in enumerate(shown, start=first)
        ]
        more = len(self._choices) - end
        if more > 0:
            lines.append(((f"  … {more} more", "muted"),))
        return lines


def _line(choice: Choice, cells: int, *, is_chosen: bool) -> Line:
    mark = ("▌ " if is_chosen else "  ", "accent")
    if not choice.text and not choice.paths:  # it only says what is being typed
        return (mark, (clean(choice.label), "head"), (f"   {clean(choice.about)}", "muted"))
    return (
        mark,
        (fit(choice.label, cells), "bold" if is_chosen else ""),
        (f"   {clean(choice.about)}", "muted"),
    )
