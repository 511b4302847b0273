"""The parts that command lines are made of: parsers, settings as flags, values that are checked."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sollol_tui.core.parallel import LEAST_PARTS, MOST_PARTS
from sollol_tui.core.plain import plain_line
from sollol_tui.core.settings_merge import Statement, state


class UsageError(Exception):
    """The command line cannot be understood; the text is one sentence."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{plain_line(message)} (see {self.prog} --help)")


def _see(verb: str | None) -> str:
    return f" (see {' '.join(filter(None, ('sollol-tui', verb)))} --help)"


def in_parts(text: str | None) -> tuple[int | None, tuple[str, ...]]:
    """How many parts, and the question's first word when the number was left out."""
    if text is None:
        return None, ()
    if not text.isdecimal():
        return 0, (text,) if text else ()
    if not LEAST_PARTS <= int(text) <= MOST_PARTS:
        raise UsageError(
            f"--parallel wants {LEAST_PARTS} to {MOST_PARTS} parts, not {text}{_see('chat')}"
        )
    return int(text), ()


def unknown_words(words: Sequence[str], verb: str | None) -> UsageError:
    """What a verb does not know."""
    return UsageError(f"unrecognized arguments: {plain_line(' '.join(words))}{_see(verb)}")


class StatementAction(argparse.Action):
    """Turns a flag into the statement of a setting. `constant` is the value of one without."""

    def __init__(
        self,
        option_strings: Sequence[str],
        dest: str,
        *,
        into: list[Statement],
        key: str,
        constant: object = None,
        **more: Any,
    ) -> None:
        more["nargs"] = None if constant is None else 0
        super().__init__(option_strings, argparse.SUPPRESS, default=argparse.SUPPRESS, **more)
        self._into = into
        self._key = key
        self._constant = constant

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        raw = values if self._constant is None else self._constant
        # A flag names one target: a comma in it is part of the text.
        raw = [raw] if self._key in ("nodes", "coordinators", "backends") else raw
        self._into.append(state(self._key, raw, option_string or "", "flag"))


def add_verb(
    verbs: Any, name: str, help_text: str, description: str = ""
) -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help_text,
        description=description or f"{help_text[0].upper()}{help_text[1:]}.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return added


def read_by(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse show the sentence of a `ValueError`."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def add_flags(parser: argparse.ArgumentParser, said: list[Statement], node: bool = True) -> None:
    """The settings that can be given as flags: before the command or after it."""
    group = parser.add_argument_group("settings, stronger than variables and the file")
    if node:
        add_flag(group, said, "--node", "nodes", "URL", "an Ollama node (may be repeated)")
    add_flag(group, said, "--backend", "backends", "HOST:PORT", "an RPC backend (may be repeated)")
    add_flag(
        group, said, "--coordinator", "coordinators", "URL", "a llama-server (may be repeated)"
    )
    add_flag(group, said, "--redis", "redis_url", "URL", 'the SOLLOL registry; "off" for none')
    add_switch(group, said, "--read-only", "read_only", True, "start, stop and change nothing")
    add_config_flag(group)
    add_look_flags(parser, said)


def add_look_flags(parser: argparse.ArgumentParser, said: list[Statement]) -> None:
    group = parser.add_argument_group("mode and screen")
    add_flag(group, said, "--mode", "mode", "MODE", "task, model, both or off")
    add_flag(group, said, "--theme", "theme", "NAME", "the colours")
    add_switch(group, said, "--no-mouse", "mouse", False, "leave the mouse to the terminal")
    add_switch(group, said, "--ascii", "ascii", True, "draw with ASCII characters only")


def add_config_flag(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help="read this configuration file"
    )


def add_flag(
    group: argparse._ArgumentGroup,
    said: list[Statement],
    flag: str,
    key: str,
    metavar: str,
    help_text: str,
) -> None:
    group.add_argument(
        flag, action=StatementAction, into=said, key=key, metavar=metavar, help=help_text
    )


def add_switch(
    group: argparse._ArgumentGroup,
    said: list[Statement],
    flag: str,
    key: str,
    constant: bool,
    help_text: str,
) -> None:
    group.add_argument(
        flag, action=StatementAction, into=said, key=key, constant=constant, help=help_text
    )
