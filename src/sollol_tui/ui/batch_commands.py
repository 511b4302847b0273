"""`/batch FILE [OUT]`: a file of prompts over all nodes, beside everything else."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from sollol_tui.ui import batching, dialogs
from sollol_tui.ui.command import Command, Files
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.engine.batch_run import BatchOrder
    from sollol_tui.ui.app import SollolApp

_WANTED = "A file of prompts is wanted, and, if you like, where results go."


def batch(app: SollolApp, argument: str) -> None:
    """Begin one; without a file, show the one that goes on or the last one, or ask for a file."""
    if argument:
        app.batching.begin(_order(app, argument))
    elif app.batching.has_run:
        batching.show(app)
    else:
        dialogs.ask_command(app, "batch ", _WANTED)


def line_of(order: BatchOrder) -> str:
    """The command that means an order."""
    return f"batch {shlex.join([str(order.prompts), str(order.out)])}"


def _order(app: SollolApp, argument: str) -> BatchOrder:
    from sollol_tui.engine.batch_run import order_of

    try:
        words = shlex.split(argument)
    except ValueError:
        raise Refused("A quotation mark has no second one.") from None
    if len(words) > 2:
        raise Refused("Two files at most, prompts and results; a name with blanks in quotes.")
    return order_of(*words, model=app.dashboard.bring_chat().model_in_use)


BATCH = Command(
    "batch",
    "Batch",
    "Ask a file of prompts over all nodes, or show how far that is",
    batch,
    arguments="[PROMPTS.jsonl [RESULTS.jsonl]]",
    files=Files((".jsonl",), many=True),
)
