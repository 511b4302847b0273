"""What a command is: a name, the words people also use for it, one help line, one function."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.state import ClusterSnapshot

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp

Run = Callable[["SollolApp", str], str | None]
Choices = Callable[[ClusterSnapshot], tuple[str, ...]]


class Files(NamedTuple):
    """Files that an argument may be: their endings, and whether several can be named."""

    endings: tuple[str, ...]
    many: bool = False  # then they are written as a shell takes them


class Command(NamedTuple):
    """One thing that can be asked for. `run` gets the app and the argument; its text is a toast."""

    name: str  # "rpc add"
    title: str  # on the key line and in the palette
    help: str  # the one help line
    run: Run
    arguments: str = ""  # "HOST:PORT"; in brackets when it may be left out
    words: tuple[str, ...] = ()  # other words for it
    choices: Choices | None = None  # what the argument may be, for completion
    changes: bool = False  # not offered when the program may only look
    files: Files | None = None  # what its argument may be besides, for completion
    is_of_a_key: bool = False  # its key is what people use: not offered while a command is typed

    @property
    def takes_many(self) -> bool:
        """Whether each word of the argument is a choice of its own."""
        return " …" in self.arguments

    @property
    def needs_argument(self) -> bool:
        return bool(self.arguments) and not self.arguments.startswith("[")
