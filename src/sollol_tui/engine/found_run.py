"""The coordinator that another run of this program started, as its record tells."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from sollol_tui.core.coordinator_json import Life
from sollol_tui.core.ids import CoordinatorUrl, port_of
from sollol_tui.core.llama_log import LogFacts, LogReader
from sollol_tui.core.phases import Phase
from sollol_tui.core.settings import Headers
from sollol_tui.core.shard_map import shard_map
from sollol_tui.core.state import CoordinatorState, CoordinatorStatus
from sollol_tui.engine.coordinator_process import bearer
from sollol_tui.io import runs
from sollol_tui.io.process import ProcessId, is_same
from sollol_tui.io.runs import RunNote, RunRecord

HEAD_BYTES = 4 << 20


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


def life_of(found: FoundRun, state: CoordinatorState | None) -> Life:
    """The life of the coordinator of ours, put together from its record, its log, its keeper's
    note and a look at it."""
    record, note, keeper = found.record(), found.note(), found.keeper()
    facts = log_facts(Path(record.log)) if record is not None else LogFacts()
    life = Life(
        found.url,
        _phase(record is not None, keeper is not None, note, facts, state),
        keeper_pid=keeper.pid if keeper is not None else None,
        shards=shard_map(facts, facts.layers or 0) if record is not None else None,
        problem=note.problem if note is not None else None,
        problem_at_s=note.problem_at_s if note is not None else None,
    )
    if life.phase is Phase.LOADING:
        return life._replace(progress=facts.progress)
    waits = keeper is not None and life.phase in {Phase.FAILED, Phase.QUARANTINED}
    return life._replace(retry_at_s=note.retry_at_s) if note is not None and waits else life


def log_facts(path: Path) -> LogFacts:
    """What a log's beginning has told: that is where a load is."""
    reader = LogReader()
    with suppress(OSError), open(path, "rb") as file:
        for line in file.read(HEAD_BYTES).decode("utf-8", "replace").splitlines():
            reader.feed(line)
    return reader.facts


def _phase(
    runs_now: bool,
    is_kept: bool,
    note: RunNote | None,
    facts: LogFacts,
    state: CoordinatorState | None,
) -> Phase:
    status = state.status if state is not None else CoordinatorStatus.UNKNOWN
    if runs_now and status in {CoordinatorStatus.READY, CoordinatorStatus.STALLED}:
        return Phase(status.value)
    if is_kept and note is not None:
        return note.phase
    if runs_now:
        return facts.phase
    return Phase.STOPPED
