"""`/parallel [N] [question]`: several nodes write one answer, each a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.core.parallel import LEAST_PARTS, MOST_PARTS
from sollol_tui.ui.command import Command
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp


def _parallel(app: SollolApp, argument: str) -> str | None:
    """The question given; else the one being answered, anew; else the next one."""
    parts, text = _read(argument)
    chat = app.dashboard.bring_chat()
    turn = chat.session.current
    if turn is not None and text:
        raise Refused("An answer is being written: Esc stops it.")
    if turn is not None:
        text = turn.prompt
        chat.stop()
    chat.conversation.next_parts = parts
    if not text:
        return "The next question is answered by several at once."
    if turn is not None and turn in chat.session.turns:
        chat.actions.retry(turn)  # asked anew, not asked twice
    else:
        chat.submit(text)
    return None


def _read(argument: str) -> tuple[int, str]:
    word, _, rest = argument.partition(" ")
    if not word.isdecimal():
        return 0, argument
    if not LEAST_PARTS <= int(word) <= MOST_PARTS:
        raise Refused(f"An answer has {LEAST_PARTS} to {MOST_PARTS} parts, not {word}.")
    return int(word), rest.strip()


PARALLEL = Command(
    "parallel",
    "Parallel answer",
    "Have the question answered in parts by several nodes at once",
    _parallel,
    arguments="[N] [QUESTION]",
)
