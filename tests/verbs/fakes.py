"""Stand-ins: an engine that says what a test wants, and a voice that is listened to."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sollol_tui.core.asks import AskEvent, AskRequest, Said
from sollol_tui.core.settings_merge import Resolved, Statement, merge
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.verbs.voice import Voice


class FakeEngine:
    """Sees one snapshot, and answers every question with the same events."""

    def __init__(
        self,
        snapshot: ClusterSnapshot = ClusterSnapshot(),  # noqa: B008 - a frozen value
        events: Sequence[AskEvent | BaseException] = (),
    ) -> None:
        self.snapshot = snapshot
        self.events = events
        self.asked: list[AskRequest] = []
        self.parts: int | None = None  # asked for
        self.part_events: Sequence[Said] = ()
        self.runs = False
        self.sight: bool | None = None
        self.found_coordinator = False
        self.stays: bool | None = None  # what the verb decided of a coordinator of ours

    def leave_coordinator(self, stays: bool, found_stay: bool | None = None) -> None:
        assert self.runs
        found = self.found_coordinator and found_stay is not None
        self.stays = found_stay if found else stays

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.runs = True
        try:
            yield
        finally:
            self.runs = False

    async def sees(self, model: str) -> bool | None:
        return self.sight

    async def first_look(self) -> ClusterSnapshot:
        return self.snapshot

    async def look_once(self) -> ClusterSnapshot:
        return self.snapshot

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        assert self.runs, "asked an engine that does not run"
        self.asked.append(request)
        for event in self.events:
            if isinstance(event, BaseException):
                raise event
            yield event

    async def ask_parallel(self, request: AskRequest, parts: int = 0) -> AsyncGenerator[Said, None]:
        self.asked.append(request)
        self.parts = parts
        for event in self.part_events:
            yield event


class Terminal(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def voice(width_cells: int = 80, *, terminal: bool = False, colours: bool = False) -> Voice:
    """A voice whose words can be read back with `heard`."""
    out = Terminal() if terminal else io.StringIO()
    return Voice(out, io.StringIO(), width_cells, colours)


def heard(spoken: Voice) -> tuple[str, str]:
    """What went to stdout and to stderr."""
    assert isinstance(spoken.out, io.StringIO)
    assert isinstance(spoken.err, io.StringIO)
    return spoken.out.getvalue(), spoken.err.getvalue()


def resolved(*statements: Statement, notes: Sequence[str] = ()) -> Resolved:
    """Settings that nobody but these statements says anything about."""
    return merge(statements, notes)
