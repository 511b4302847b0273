"""A problem in lines: what is wrong, what shows it, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import TextWrapper

from sollol_tui.core.plain import plain_line
from sollol_tui.core.problems import Problem
from sollol_tui.verbs.voice import Colour, Voice

Line = tuple[str, Colour | None]
INDENT = "  "


def problem_lines(problem: Problem) -> Iterator[Line]:
    """The sentence, the evidence under it, and the next step."""
    yield problem.sentence, "bad"
    yield from ((f"{INDENT}{line}", None) for line in problem.evidence)
    yield f"{INDENT}{problem.next}", None


def say_lines(lines: Iterable[Line], voice: Voice) -> None:
    """Print lines, each within the width where it can be broken."""
    for text, colour in lines:
        for part in wrapped(text, voice.width_cells):
            voice.say(voice.painted(part, colour))


def wrapped(text: str, width_cells: int, under: str = "") -> list[str]:
    """The text as plain lines of that width; a path or a command is never broken.

    What goes on is indented as the text is, and by `under` more.
    """
    cleaned = plain_line(text)
    indent = cleaned[: len(cleaned) - len(cleaned.lstrip())]
    wrapper = TextWrapper(
        width_cells,
        initial_indent=indent,
        subsequent_indent=indent + under,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.wrap(cleaned.strip()) or [""]
