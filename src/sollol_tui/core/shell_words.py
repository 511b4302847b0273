"""A command as a shell takes it, over several lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from sollol_tui.core.plain import cell_width, plain_line

INDENT = "  "


def command_lines(argv: Sequence[str], width_cells: int) -> Iterator[str]:
    """The command in lines of that width that end in a backslash; a flag stays with its value."""
    line = ""
    for word in _with_values(argv):
        longer = f"{line} {word}" if line else word
        if line and cell_width(INDENT + longer) > width_cells - 2:
            yield f"{INDENT}{line} \\"
            longer = f"{INDENT}{word}"
        line = longer
    yield f"{INDENT}{line}"


def _with_values(argv: Sequence[str]) -> Iterator[str]:
    """The words, each flag together with its value."""
    words = [plain_line(shlex.quote(word)) for word in argv]
    at = 0
    while at < len(words):
        has_value = at > 0 and words[at].startswith("-") and at + 1 < len(words)
        if has_value and not words[at + 1].startswith("-"):
            yield f"{words[at]} {words[at + 1]}"
            at += 2
        else:
            yield words[at]
            at += 1
