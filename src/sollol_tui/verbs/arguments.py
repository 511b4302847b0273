"""The command line: what may be written, and what it means."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.core.ids import RPC_PORT, NodeUrl, parse_node_url
from sollol_tui.core.settings_merge import Statement
from sollol_tui.verbs.batch_options import BatchOptions, add_batch, batch_options
from sollol_tui.verbs.coordinator_options import (
    CoordinatorOptions,
    read_backends,
    read_context,
    read_layers,
    read_model,
    read_split,
    read_what,
)
from sollol_tui.verbs.demo_look import LOOK_KEYS
from sollol_tui.verbs.flags import (
    Parser,
    StatementAction,
    UsageError,
    add_config_flag,
    add_flag,
    add_flags,
    add_look_flags,
    add_switch,
    add_verb,
    in_parts,
    read_by,
    unknown_words,
)
from sollol_tui.verbs.worker_options import WorkerOptions, read_host, read_port, read_threads

__all__ = ["Arguments", "UsageError", "parse"]


class Arguments(NamedTuple):
    """A command line that was understood."""

    verb: str = "screen"
    flags: tuple[Statement, ...] = ()
    config: Path | None = None
    as_json: bool = False
    prompt: tuple[str, ...] = ()
    target: NodeUrl | None = None  # chat: ask only there
    worker: WorkerOptions | None = None
    coordinator: CoordinatorOptions | None = None
    keep: bool = False  # chat: a coordinator that was started stays
    model: str = ""  # check: this one
    batch: BatchOptions | None = None
    parallel: int | None = None  # chat: so many parts at once, 0: as many as suit
    images: tuple[str, ...] = ()  # chat: paths


def parse(argv: Sequence[str]) -> Arguments:
    """Raises `UsageError`, `SettingsError` for a flag's value, `SystemExit` after help."""
    said: list[Statement] = []
    found, foreign = _parser(said).parse_known_args(list(argv))
    verb = found.verb or "screen"
    if foreign:
        raise unknown_words(foreign, found.verb)
    parallel, first_word = in_parts(getattr(found, "in_parts", None))
    if verb == "demo":
        _only_look(said, found.config)
    if verb == "config":
        verb = f"config {found.what}"
    return Arguments(
        verb,
        tuple(said),
        Path(found.config) if found.config else None,
        getattr(found, "json", False),
        (*first_word, *getattr(found, "prompt", ())),
        _target(getattr(found, "only_node", None)),
        _worker_options(found) if verb == "worker" else None,
        _coordinator_options(found) if verb == "coordinator" else None,
        getattr(found, "keep", False),
        getattr(found, "asked_model", None) or "",
        batch_options(found) if verb == "batch" else None,
        parallel,
        tuple(getattr(found, "image", None) or ()),
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


def _coordinator_options(found: argparse.Namespace) -> CoordinatorOptions:
    what = read_what(found.what)
    if what in ("status", "stop"):
        return CoordinatorOptions(what)
    return CoordinatorOptions(
        what,
        found.asked_model or "",
        found.only_backends,
        found.context,
        found.tensor_split,
        found.gpu_layers,
    )


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
  sollol-tui batch prompts.jsonl --out results.jsonl
  sollol-tui check                      what is wrong, and what to do
  sollol-tui worker --host 192.168.1.5  this machine's RPC backend, for others
  sollol-tui coordinator plan -m qwen3:32b  will it fit, and how it is split

exit codes:
  status  0 all that is configured answers, 1 something does not
  chat    0 whole answer, 3 not whole, 1 nothing came, 130 interrupted
  batch   0 all answers whole, 3 not all, 1 none, 130 interrupted
  check   0 nothing fails, 1 something does
  worker  0 stopped by a signal, 1 it cannot be started
  coordinator  0 startable, stopped or ready, 1 not (more in the --help of each)
  all     2 wrong usage or settings, 70 a bug (a report is kept),
          74 the output cannot be written, 141 nobody reads it
"""


def _parser(said: list[Statement]) -> argparse.ArgumentParser:
    parser = Parser(
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
        parser_class=Parser,
    )
    _add_status(verbs, said)
    _add_chat(verbs, said)
    add_batch(verbs, said)
    _add_check(verbs, said)
    _add_config(verbs, said)
    _add_coordinator(verbs, said)
    _add_worker(verbs, said)
    paths = add_verb(verbs, "paths", "print where everything lies")
    add_config_flag(paths.add_argument_group("settings"))
    demo = add_verb(verbs, "demo", "the screen over a cluster that comes with it, offline")
    add_look_flags(demo, said)
    add_flags(parser, said)
    return parser


def _add_status(verbs: Any, said: list[Statement]) -> None:
    parser = add_verb(
        verbs,
        "status",
        "look at everything once and print it",
        "Look at everything once and print a table. The exit code is 0 when all that\n"
        "is configured answers, 1 when something does not.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON (schema 1, see the README)")
    add_flags(parser, said)


def _add_chat(verbs: Any, said: list[Statement]) -> None:
    parser = add_verb(
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
        "-m",
        "--model",
        action=StatementAction,
        into=said,
        key="model",
        metavar="MODEL",
        help="ask this model",
    )
    parser.add_argument(
        "--node", dest="only_node", metavar="URL", help="ask only this node, whatever the mode"
    )
    parser.add_argument(
        "--image",
        action="append",
        metavar="PATH",
        help="send this image with the question, to a model that sees (may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="one event a line (see the README)")
    parser.add_argument(
        "--parallel",
        dest="in_parts",
        nargs="?",
        const="",
        metavar="N",
        help="have it written in N parts (2 to 5) on several nodes at the same time",
    )
    parser.add_argument(
        "--keep", action="store_true", help="let a coordinator that was started for it go on"
    )
    add_flags(parser, said, node=False)


def _add_config(verbs: Any, said: list[Statement]) -> None:
    parser = add_verb(verbs, "config", "show the settings, or an example file")
    kinds = parser.add_subparsers(
        dest="what", metavar="WHAT", required=True, title="what", parser_class=Parser
    )
    show = add_verb(kinds, "show", "print every setting and where it came from")
    show.add_argument("--json", action="store_true", help="print JSON (see the README)")
    add_flags(show, said)
    add_verb(kinds, "example", "print a commented configuration file with every key")


def _add_check(verbs: Any, said: list[Statement]) -> None:
    parser = add_verb(
        verbs,
        "check",
        "say what is wrong here and in the cluster, and what to do",
        "Look at programs, models, backends, nodes, registry and settings, each ok, warn\n"
        "or fail with the fix. The exit code is 0 when nothing fails, else 1.",
    )
    _add_model(parser, "whether this model can be run (a name, or a GGUF file)")
    parser.add_argument("--json", action="store_true", help="print JSON (schema 1, see the README)")
    add_flags(parser, said)


def _add_coordinator(verbs: Any, said: list[Statement]) -> None:
    parser = add_verb(
        verbs,
        "coordinator",
        "plan a split model, run it, look at it, stop it",
        "One model over RPC backends: llama.cpp's llama-server, at --coordinator URL, else\n"
        "where the settings want the model, else on the first coordinator of the settings\n"
        "that lies on this machine, else on 127.0.0.1:18080.",
    )
    kinds = parser.add_subparsers(
        dest="what", metavar="WHAT", required=True, title="what", parser_class=Parser
    )
    plan = add_verb(kinds, "plan", "print what would be started and whether it fits", _PLAN)
    run = add_verb(kinds, "run", "start it, keep it up until Ctrl-C or SIGTERM", _RUN)
    for wishing in (plan, run):
        _add_wishes(wishing)
    status = add_verb(kinds, "status", "what runs there, on which devices", _STATUS)
    stop = add_verb(kinds, "stop", "stop the one that this program left running", _STOP)
    for kind, what in ((plan, "print JSON"), (run, "one event a line"), (status, "print JSON")):
        kind.add_argument("--json", action="store_true", help=f"{what} (see the README)")
    for kind in (plan, run, status, stop):
        _add_coordinator_settings(kind, said)


_PLAN = """Print the plan and the exact command, start nothing. The exit code is 0 when it
can be started as planned, else 1."""
_RUN = """Start a coordinator and keep it up, as under systemd; it ends with this program.
The exit code is 0 when stopped by a signal, 1 when it was given up."""
_STATUS = """Print the coordinators. The exit code is 0 when one of them is ready, else 1."""
_STOP = """Stop a coordinator of ours that an earlier run left. One that somebody else
started is not touched. The exit code is 0 when none of ours runs afterwards, 1
when what runs there is not ours to stop."""


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_model(parser, "a model's name, or a GGUF file; without it the largest in Ollama's store")
    add(
        "--backends",
        dest="only_backends",
        type=read_by(read_backends),
        metavar="A,B",
        help='only these, which must all answer; "none": this machine alone',
    )
    add("--context", type=read_by(read_context), metavar="N", help="tokens in each slot")
    add(
        "--tensor-split",
        type=read_by(read_split),
        default=(),
        metavar="3,1",
        help="the share of each device, in their order",
    )
    add(
        "--gpu-layers",
        type=read_by(read_layers),
        metavar="N",
        help="so many layers, with the output, go to the backends",
    )


def _add_model(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument(
        "-m",
        "--model",
        dest="asked_model",
        type=read_by(read_model),
        metavar="MODEL",
        help=help_text,
    )


def _add_coordinator_settings(parser: argparse.ArgumentParser, said: list[Statement]) -> None:
    group = parser.add_argument_group("settings, stronger than variables and the file")
    add_flag(group, said, "--backend", "backends", "HOST:PORT", "one more (may be repeated)")
    add_flag(group, said, "--coordinator", "coordinators", "URL", "where it listens, or others do")
    add_flag(group, said, "--redis", "redis_url", "URL", 'the SOLLOL registry; "off" for none')
    add_switch(group, said, "--ascii", "ascii", True, "draw with ASCII characters only")
    add_config_flag(group)


def _add_worker(verbs: Any, said: list[Statement]) -> None:
    parser = add_verb(
        verbs,
        "worker",
        "keep an RPC backend up on this machine, and register it",
        "Keep llama.cpp's RPC backend up on this machine and registered in Redis until\n"
        "Ctrl-C or SIGTERM. The exit code is 0 then, 1 when it cannot be started.",
    )
    add = parser.add_argument
    add("--host", type=read_by(read_host), metavar="ADDR", help=_WORKER_HOST)
    add("--port", type=read_by(read_port), default=RPC_PORT, metavar="N", help="its port (50052)")
    add("--device", dest="devices", default="", metavar="A,B", help="only these, such as CUDA0")
    add("--threads", type=read_by(read_threads), metavar="N", help="threads of the CPU device")
    add("--cache", action="store_true", help="keep large tensors in a file cache")
    add("--advertise", default="", metavar="HOST:PORT", help="the address that others connect to")
    add("--yes", action="store_true", help="the warning about other machines is understood")
    add("--systemd", action="store_true", help="print a unit file for this worker, start nothing")
    add("--json", action="store_true", help="one event a line (see the README)")
    group = parser.add_argument_group("settings")
    add_flag(group, said, "--redis", "redis_url", "URL", 'the SOLLOL registry; "off" for none')
    add_config_flag(group)


_WORKER_HOST = "the address to listen on; without it 127.0.0.1, for this machine only"
