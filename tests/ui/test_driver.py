"""A terminal that has gone takes what is written, and holds nobody up."""

from __future__ import annotations

import io
from threading import Thread

import pytest
from textual.app import App
from textual.drivers._writer_thread import MAX_QUEUED_WRITES, WriterThread

from sollol_tui.core.settings import Settings
from sollol_tui.engine.engine import Engine
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.driver import Outlet

PATIENCE_S = 10.0


class Gone(io.StringIO):
    """A file that fails, and counts how often it was tried."""

    tried = 0

    def write(self, text: str, /) -> int:
        self.tried += 1
        raise OSError(5, "Input/output error")


def test_the_writing_thread_outlives_its_terminal() -> None:
    gone = Gone()
    writer = WriterThread(Outlet(gone))  # type: ignore[arg-type]
    writer.start()

    def use_it() -> None:
        for _ in range(3 * MAX_QUEUED_WRITES):
            writer.write("x")
        writer.stop()

    user = Thread(target=use_it, daemon=True)
    user.start()
    user.join(PATIENCE_S)
    assert not user.is_alive()
    assert gone.tried == 1


def test_a_terminal_that_is_there_gets_everything() -> None:
    file = io.StringIO()
    outlet = Outlet(file)
    assert outlet.write("abc") == 3
    outlet.flush()
    assert file.getvalue() == "abc"
    assert not outlet.isatty()


def test_the_program_writes_through_such_an_outlet(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plain:
        def __init__(self) -> None:
            self._file = io.StringIO()

    monkeypatch.setattr(App, "get_driver_class", lambda _: Plain)
    driver = SollolApp(Engine(Settings())).driver_class
    assert isinstance(driver()._file, Outlet)  # type: ignore[call-arg, attr-defined]
