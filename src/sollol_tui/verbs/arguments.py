"""The command line: what may be written, and what it means."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from sollol_tui.core.ids import RPC_PORT, NodeUrl, parse_node_url
from sollol_tui.core.plain import plain_line
from sollol_tui.core.settings_merge import Statement, state
from sollol_tui.verbs.demo_look import LOOK_KEYS
from sollol_tui.verbs.worker_options import WorkerOptions, read_host, read_port, read_threads


class UsageError(Exception):
    """The command line cannot be understood; the text is one sentence."""


class Arguments(NamedTuple):
    """A command line that was understood."""

    verb: str = "screen"
    flags: tuple[Statement, ...] = ()
    config: Path | None = None
    as_json: bool = False
    prompt: tuple[str, ...] = ()
    target: NodeUrl | None = None  # chat: ask only there
    worker: WorkerOptions | None = None


def parse(argv: Sequence[str]) -> Arguments:
    """Raises `UsageError`, `SettingsError` for a flag's value, `SystemExit` after help."""
    said: list[Statement] = []
    found = _parser(said).parse_args(list(argv))
    verb = found.verb or "screen"
    if verb == "demo":
        _only_look(said, found.config)
    if verb == "config":
        verb = f"config {found.what}"
    return Arguments(
        verb,
        tuple(said),
        Path(found.config) if found.config else None,
        getattr(found, "json", False),
        tuple(getattr(found, "prompt", ())),
        _target(getattr(found, "only_node", None)),
        _worker_options(found) if verb == "worker" else None,
    )


def _only_look(said: Sequence[Statement], config: str | None) -> None:
    foreign = [s.said_by for s in said if s.key not in LOOK_KEYS]
    if config:
        foreign.append("--config")
    if foreign:
        raise UsageError(f"the demo has a cluster of its own, {foreign[0]} is not for it")


def _target(text: str | None) -> NodeUrl | None:
    if text is None:
        return None
    try:
        return parse_node_url(text)
    except ValueError as error:
        raise UsageError(f"--node: {error}") from None


def _worker_options(found: argparse.Namespace) -> WorkerOptions:
    return WorkerOptions(
        found.host or "",
        found.port,
        found.devices,
        found.threads,
        found.cache,
        found.advertise,
        found.yes,
        found.systemd,
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(plain_line(message))


class _Set(argparse.Action):
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


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from sollol_tui.verbs.version import version

        sys.stdout.write(f"sollol-tui {version()}\n")
        parser.exit()


_DESCRIPTION = """\
See, drive and talk to a self-hosted LLM cluster: llama.cpp coordinators with
their RPC backends, and Ollama nodes. Without a command it opens the screen."""

_MORE = """\
examples:
  sollol-tui                            the screen, with what it finds by itself
  sollol-tui demo                       the same over a cluster of its own
  sollol-tui --node gpu1 --node gpu2    two more nodes for this run
  sollol-tui status --json | jq .nodes  what is there now, for a program
  sollol-tui chat -m llama3.2 "Why is the sky blue?"
  git diff | sollol-tui chat -m qwen2.5-coder - > review.md
  sollol-tui worker --host 192.168.1.5  this machine's RPC backend, for others

exit codes:
  status  0 all that is configured answers, 1 something does not
  chat    0 whole answer, 3 not whole, 1 nothing came, 130 interrupted
  worker  0 stopped by a signal, 1 it cannot be started
  all     2 wrong usage or settings, 70 a bug (a report is kept),
          74 the output cannot be written, 141 nobody reads it
"""


def _parser(said: list[Statement]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="sollol-tui",
        usage="sollol-tui [OPTIONS] [COMMAND [OPTIONS]]",
        description=_DESCRIPTION,
        epilog=_MORE,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(config=None)
    verbs = parser.add_subparsers(
        title="commands",
        dest="verb",
        metavar="COMMAND",
        prog="sollol-tui",
        parser_class=_Parser,
    )
    _add_status(verbs, said)
    _add_chat(verbs, said)
    _add_config(verbs, said)
    _add_worker(verbs, said)
    paths = _verb(verbs, "paths", "print where everything lies")
    _add_config_flag(paths.add_argument_group("settings"))
    demo = _verb(verbs, "demo", "the screen over a cluster that comes with it, offline")
    _add_look_flags(demo, said)
    _add_flags(parser, said)
    return parser


def _verb(verbs: Any, name: str, help_text: str, description: str = "") -> argparse.ArgumentParser:
    added: argparse.ArgumentParser = verbs.add_parser(
        name,
        help=help_text,
        description=description or f"{help_text[0].upper()}{help_text[1:]}.",
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return added


def _add_status(verbs: Any, said: list[Statement]) -> None:
    parser = _verb(
        verbs,
        "status",
        "look at everything once and print it",
        "Look at everything once and print a table. The exit code is 0 when all that\n"
        "is configured answers, 1 when something does not.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (schema 1, see the README)")
    _add_flags(parser, said)


def _add_chat(verbs: Any, said: list[Statement]) -> None:
    parser = _verb(
        verbs,
        "chat",
        "ask one question, print the answer as it comes",
        "Ask one question. The answer goes to stdout; who answers and why, notices and\n"
        "figures go to stderr. The exit code is 0 for a whole answer, 3 for one that is\n"
        "not whole, 1 when nothing came, 130 when interrupted.",
    )
    parser.add_argument(
        "prompt", nargs="*", metavar="PROMPT", help="the question; - or a pipe: stdin is read"
    )
    parser.add_argument(
        "-m", "--model", action=_Set, into=said, key="model", metavar="MODEL", help="ask this model"
    )
    parser.add_argument(
        "--node", dest="only_node", metavar="URL", help="ask only this node, whatever the mode"
    )
    parser.add_argument("--json", action="store_true", help="one event a line (see the README)")
    _add_flags(parser, said, node=False)


def _add_config(verbs: Any, said: list[Statement]) -> None:
    parser = _verb(verbs, "config", "show the settings, or an example file")
    kinds = parser.add_subparsers(
        dest="what", metavar="WHAT", required=True, title="what", parser_class=_Parser
    )
    show = _verb(kinds, "show", "print every setting and where it came from")
    show.add_argument("--json", action="store_true", help="print JSON (see the README)")
    _add_flags(show, said)
    _verb(kinds, "example", "print a commented configuration file with every key")


def _add_worker(verbs: Any, said: list[Statement]) -> None:
    parser = _verb(
        verbs,
        "worker",
        "keep an RPC backend up on this machine, and register it",
        "Keep llama.cpp's RPC backend up on this machine and registered in Redis until\n"
        "Ctrl-C or SIGTERM. The exit code is 0 then, 1 when it cannot be started.",
    )
    add = parser.add_argument
    add("--host", type=_read_by(read_host), metavar="ADDR", help=_WORKER_HOST)
    add("--port", type=_read_by(read_port), default=RPC_PORT, metavar="N", help="its port (50052)")
    add("--device", dest="devices", default="", metavar="A,B", help="only these, such as CUDA0")
    add("--threads", type=_read_by(read_threads), metavar="N", help="threads of the CPU device")
    add("--cache", action="store_true", help="keep large tensors in a file cache")
    add("--advertise", default="", metavar="HOST:PORT", help="the address that others connect to")
    add("--yes", action="store_true", help="the warning about other machines is understood")
    add("--systemd", action="store_true", help="print a unit file for this worker, start nothing")
    add("--json", action="store_true", help="one event a line (see the README)")
    group = parser.add_argument_group("settings")
    _flag(group, said, "--redis", "redis_url", "URL", 'the SOLLOL registry; "off" for none')
    _add_config_flag(group)


_WORKER_HOST = "the address to listen on; without it 127.0.0.1, for this machine only"


def _read_by(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Let argparse show the sentence of a `ValueError`."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


def _add_flags(parser: argparse.ArgumentParser, said: list[Statement], node: bool = True) -> None:
    """The settings that can be given as flags: before the command or after it."""
    group = parser.add_argument_group("settings, stronger than variables and the file")
    if node:
        _flag(group, said, "--node", "nodes", "URL", "an Ollama node (may be repeated)")
    _flag(group, said, "--backend", "backends", "HOST:PORT", "an RPC backend (may be repeated)")
    _flag(group, said, "--coordinator", "coordinators", "URL", "a llama-server (may be repeated)")
    _flag(group, said, "--redis", "redis_url", "URL", 'the SOLLOL registry; "off" for none')
    _switch(group, said, "--read-only", "read_only", True, "start, stop and change nothing")
    _add_config_flag(group)
    _add_look_flags(parser, said)


def _add_look_flags(parser: argparse.ArgumentParser, said: list[Statement]) -> None:
    group = parser.add_argument_group("mode and screen")
    _flag(group, said, "--mode", "mode", "MODE", "task, model, both or off")
    _flag(group, said, "--theme", "theme", "NAME", "the colours")
    _switch(group, said, "--no-mouse", "mouse", False, "leave the mouse to the terminal")
    _switch(group, said, "--ascii", "ascii", True, "draw with ASCII characters only")


def _add_config_flag(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--config", metavar="FILE", default=argparse.SUPPRESS, help="read this configuration file"
    )


def _flag(
    group: argparse._ArgumentGroup,
    said: list[Statement],
    flag: str,
    key: str,
    metavar: str,
    help_text: str,
) -> None:
    group.add_argument(flag, action=_Set, into=said, key=key, metavar=metavar, help=help_text)


def _switch(
    group: argparse._ArgumentGroup,
    said: list[Statement],
    flag: str,
    key: str,
    constant: bool,
    help_text: str,
) -> None:
    group.add_argument(flag, action=_Set, into=said, key=key, constant=constant, help=help_text)
