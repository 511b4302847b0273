"""What `sollol-tui batch` may be told."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.core.capacity import MOST_PARALLEL
from sollol_tui.core.settings_merge import Statement
from sollol_tui.verbs.flags import StatementAction, add_flags, add_verb, read_by


class BatchOptions(NamedTuple):
    """The flags of the verb. `parallel` None: as many as there are places."""

    prompts: Path
    out: Path
    parallel: int | None = None
    retry_failed: bool = False


def add_batch(verbs: Any, said: list[Statement]) -> None:
    """Add the verb to the command line."""
    parser = add_verb(
        verbs,
        "batch",
        "ask a file of prompts over all nodes, write the results",
        'Ask every line {"id", "prompt", "model"?} of a file, over all nodes at once, and append\n'
        "a line of JSON for each to another. The same command goes on where it was stopped. The\n"
        "exit code is 0 when every prompt has a whole answer, 3 when not all have, 1 when none\n"
        "has, 130 when interrupted.",
    )
    add = parser.add_argument
    add("prompts", type=Path, metavar="PROMPTS.jsonl", help="the prompts")
    add("--out", type=Path, required=True, metavar="RESULTS.jsonl", help="where results go")
    add(
        "--parallel",
        type=read_by(read_parallel),
        metavar="N",
        help="so many at the same time; without it one for each node and slot",
    )
    add("--retry-failed", action="store_true", help="ask those again that have no whole answer")
    add(
        "-m",
        "--model",
        action=StatementAction,
        into=said,
        key="model",
        metavar="MODEL",
        help="for lines that name no model",
    )
    add("--json", action="store_true", help="one event a line (see the README)")
    add_flags(parser, said)


def batch_options(found: argparse.Namespace) -> BatchOptions:
    """What was said."""
    return BatchOptions(found.prompts, found.out, found.parallel, found.retry_failed)


def read_parallel(text: str) -> int:
    """A number of requests. Raises `ValueError`."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= MOST_PARALLEL:
        raise ValueError(f"wants a whole number from 1 to {MOST_PARALLEL}, not {text!r}")
    return number
