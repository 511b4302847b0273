"""The coordinator that another run of this program started, as its record tells."""

from __future__ import annotations

from pathlib import Path

from sollol_tui.core.ids import CoordinatorUrl, port_of
from sollol_tui.core.settings import Headers
from sollol_tui.engine.coordinator_process import bearer
from sollol_tui.io import runs
from sollol_tui.io.process import ProcessId, is_same
from sollol_tui.io.runs import RunNote, RunRecord


class FoundRun:
    """For programs that only look: whose the coordinator on that port is, and its key."""

    def __init__(self, state_dir: Path, url: CoordinatorUrl) -> None:
        self.url = url
        self._state_dir = state_dir

    def record(self) -> RunRecord | None:
        """The record of the last start, when that very process still runs."""
        record = runs.read_run(self._state_dir, self._port)
        return record if record is not None and is_same(record.process) else None

    def note(self) -> RunNote | None:
        """Where its life stands, as whoever looks after it wrote last."""
        return runs.read_note(self._state_dir, self._port)

    def keeper(self) -> ProcessId | None:
        """The program that looks after it now."""
        return runs.keeper(self._state_dir, self._port)

    def headers(self) -> Headers:
        """What a client has to send along."""
        record = self.record()
        return bearer(record.api_key) if record is not None else ()

    @property
    def _port(self) -> int:
        return port_of(self.url) or 0
