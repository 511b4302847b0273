"""What the prompt offers for a command that is being typed: names, arguments, else its help."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.command import Command, Files
from sollol_tui.ui.command_line import completions, parse
from sollol_tui.ui.commands import BY_WORD
from sollol_tui.ui.widgets.completions import Choice

SIGNS = ("/", ":")
_PLAIN = re.compile(r"[\w@%+=:,./~-]+")
_PATH_STARTS = ("/", "~", "./", "../")
FIRST = (
    *("model", "node", "mode", "image", "system", "set", "new", "sessions"),
    *("retry", "continue", "edit", "delete", "queue"),
    *("compare", "parallel", "batch", "export", "rename"),
)
"""What a chat is about comes first."""


def choices_for(text: str, snapshot: ClusterSnapshot) -> list[Choice]:
    """The choices for a line with its sign; none for a text, or for a doubled sign."""
    sign, typed = text[:1], text[1:]
    if sign not in SIGNS or typed[:1] in SIGNS:
        return []
    lines = [line for line in completions(typed, snapshot) if line != typed.strip()]
    lines = [line for line in lines if _is_best(line, lines)]
    lines.sort(key=lambda line: _rank(line, typed))
    choices = [_choice(sign, line) for line in lines]
    known = _known(typed)
    if known is not None:  # what it does stands first; there is nothing to take
        choices.insert(0, Choice("", _usage(known), known.help))
    return choices


def _is_best(line: str, lines: list[str]) -> bool:
    """Whether it is no other word for a command whose own name is among the lines."""
    command = BY_WORD.get(line)
    return command is None or command.name == line or command.name not in lines


class FileWish(NamedTuple):
    """A path that is being typed: what stands before it in the line, and how it goes on."""

    head: str
    typed: str
    files: Files

    def choice(self, path: str) -> Choice:
        """The line with this path in it."""
        is_plain = not self.files.many or _PLAIN.fullmatch(path)
        written = path if is_plain else shlex.quote(path)
        return Choice(f"{self.head}{written}", path, goes_on=path.endswith("/"))


def file_wish(text: str) -> FileWish | None:
    """The path at the end of a command line, where its command takes files."""
    sign, line = text[:1], text[1:]
    parsed = parse(line) if sign in SIGNS and " " in line.lstrip() else ""
    if isinstance(parsed, str) or parsed.command.files is None:
        return None
    files = parsed.command.files
    argument = parsed.argument if not text.endswith(" ") else f"{parsed.argument} ".lstrip()
    start, typed = last_word(argument) if files.many else (0, argument)
    if not typed.startswith(_PATH_STARTS):
        return None
    return FileWish(text[: len(text) - len(argument) + start], typed, files)


def last_word(text: str) -> tuple[int, str]:
    """Where the last word of a line begins as a shell parts it, and what it says; quotes need not
    be closed."""
    start, word, quote, is_escaped = 0, "", "", False
    for at, char in enumerate(text):
        if is_escaped:
            word, is_escaped = word + char, False
        elif char == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "'\"":
            quote = char
        elif char == " ":
            start, word = at + 1, ""
        else:
            word += char
    return start, word


def _rank(line: str, typed: str) -> tuple[bool, int]:
    """Arguments first; of names, those of a chat."""
    is_name = line in BY_WORD
    return is_name, FIRST.index(line) if line in FIRST else len(FIRST)


def _choice(sign: str, line: str) -> Choice:
    command = BY_WORD.get(line)
    if command is None:
        return Choice(f"{sign}{line}", line)
    blank = " " if command.arguments else ""
    return Choice(
        f"{sign}{line}{blank}",
        f"{line} {command.arguments}".strip(),
        command.help,
        goes_on=bool(command.arguments),
    )


def _known(typed: str) -> Command | None:
    """The command that is typed in full."""
    whole = BY_WORD.get(" ".join(typed.split()).casefold())
    if whole is not None:
        return whole
    parsed = parse(typed)
    return None if isinstance(parsed, str) else parsed.command


def _usage(command: Command) -> str:
    return f"{command.name} {command.arguments}".strip()
