"""From a typed line to a command: parsing, completion, and a sentence when it is not understood."""

from __future__ import annotations

from typing import NamedTuple

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.command import Command
from sollol_tui.ui.commands import BY_WORD, COMMANDS

MAX_WORDS = max(word.count(" ") + 1 for word in BY_WORD)


class Parsed(NamedTuple):
    """A line that was understood."""

    command: Command
    argument: str


def parse(line: str) -> Parsed | str:
    """The command a line means, or one sentence why it means none.

    The longest name wins: `rpc add x` is `rpc add` with `x`, not `rpc` with `add x`. A leading
    `:` or `/` is allowed. Case does not matter in names.
    """
    text = line.strip().lstrip(":/")
    words = text.split()
    if not words:
        return "Type a command, or Esc to leave."
    for count in range(min(MAX_WORDS, len(words)), 0, -1):
        command = BY_WORD.get(" ".join(words[:count]).casefold())
        if command is not None:
            rest = text.split(None, count)[count:]  # blanks within it stay as they are
            return _checked(command, words, count, rest[0] if rest else "")
    return _no_such(" ".join(words[:2]), words[0])


def completions(line: str, snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """Whole lines that the typed beginning can become, best first."""
    text = line.lstrip(" :/")
    typed = text.casefold()
    names = [c.name for c in COMMANDS if c.name.startswith(typed) and not c.is_of_a_key]
    others = [w for c in COMMANDS for w in c.words if typed and w.startswith(typed)]
    return tuple(dict.fromkeys([*_arguments(text, snapshot), *names, *others]))


def _arguments(text: str, snapshot: ClusterSnapshot) -> list[str]:
    """The line with each argument that the command before it can take."""
    found: list[str] = []
    for word, command in BY_WORD.items():
        head, rest = text[: len(word) + 1], text[len(word) + 1 :].lstrip()
        if command.choices and head.casefold() == f"{word} ":
            choices = command.choices(snapshot)
            before, last = _last_word(rest) if command.takes_many else ("", rest)
            taken = before.casefold().split()
            found += [
                f"{word} {before}{c}"
                for c in choices
                if c.casefold().startswith(last.casefold()) and c.casefold() not in taken
            ]
    return found


def _last_word(text: str) -> tuple[str, str]:
    """What stands before the last word, and that word."""
    before, blank, last = text.rpartition(" ")
    return before + blank, last


def _checked(command: Command, words: list[str], count: int, argument: str) -> Parsed | str:
    if argument and not command.arguments:
        near = _nearest(" ".join(words[: count + 1]))
        hint = f" Did you mean “{near}”?" if near and near != command.name else ""
        return f"“{command.name}” takes nothing after it.{hint}"
    if command.needs_argument and not argument:
        return f"“{command.name}” needs {command.arguments}."
    return Parsed(command, argument)


def _no_such(two_words: str, word: str) -> str:
    near = _nearest(two_words) or _nearest(word)
    hint = f"Did you mean “{near}”?" if near else "^P lists all of them."
    return f"There is no command “{word}”. {hint}"


def _nearest(text: str) -> str | None:
    import difflib

    near = difflib.get_close_matches(text.casefold(), BY_WORD, n=1, cutoff=0.6)
    return near[0] if near else None
