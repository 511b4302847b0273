"""The terminal's driver: Textual's own, which also outlives its terminal.

Textual writes on a thread of its own. A write that fails ends that thread, and with nobody left to
take what is written the program stands still for good, about thirty writes later, when an ssh
connection breaks or tmux ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from textual.driver import Driver


class Outlet:
    """A terminal's file that takes what is written also when the terminal has gone."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._is_gone = False

    def write(self, text: str) -> int:
        self._unless_gone(lambda: self._file.write(text))
        return len(text)

    def flush(self) -> None:
        self._unless_gone(self._file.flush)

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return self._file.isatty()

    def _unless_gone(self, act: Callable[[], object]) -> None:
        if self._is_gone:
            return
        try:
            act()
        except OSError:
            self._is_gone = True


def outliving(driver: type[Driver]) -> type[Driver]:
    """The driver, with an outlet that does not fail where it writes into a file."""

    class OutlivingDriver(driver):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            file = getattr(self, "_file", None)
            if file is not None:
                self._file = cast("IO[str]", Outlet(file))

    return OutlivingDriver
