"""What a run of a coordinator leaves on disk for the next one, and for whoever looks."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.io import runs
from sollol_tui.io.process import ProcessId
from sollol_tui.io.runs import RunNote, RunRecord

PORT = 18080
RECORD = RunRecord(
    ProcessId(4711, 12.5, "llama-server"),
    "http://127.0.0.1:18080",
    "m:latest",
    "/m.gguf",
    ("a:1",),
    ("llama-server", "-m", "/m.gguf"),
    "/log",
    "secret",
)
LOST = Problem(Cause.BACKEND_LOST, "a:1", ("its connection broke",), "Bring it back.")


def test_a_record_comes_back_and_is_private(tmp_path: Path) -> None:
    runs.write_run(tmp_path, PORT, RECORD)
    assert runs.read_run(tmp_path, PORT) == RECORD
    (path,) = runs.runs_dir(tmp_path).glob("*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    runs.forget_run(tmp_path, PORT)
    assert runs.read_run(tmp_path, PORT) is None


@pytest.mark.parametrize(
    "note",
    [
        RunNote(5.0, Phase.READY),
        RunNote(5.0, Phase.QUARANTINED, 300.0, LOST, 4.5),
    ],
)
def test_a_note_comes_back(tmp_path: Path, note: RunNote) -> None:
    with runs.looked_after(tmp_path, PORT):
        runs.write_note(tmp_path, PORT, note)
    assert runs.read_note(tmp_path, PORT) == note


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"phase": "nonsense", "problem": null}', "\x00", '{"problem": [1]}']
)
def test_what_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, text: str) -> None:
    runs.write_run(tmp_path, PORT, RECORD)
    for path in (runs.runs_dir(tmp_path) / f"coordinator-{PORT}{end}" for end in ENDS):
        path.write_text(text)
    assert runs.read_run(tmp_path, PORT) is None
    assert runs.read_note(tmp_path, PORT) is None
    assert runs.keeper(tmp_path, PORT) is None


ENDS = (".json", ".note.json", ".lock")


def test_only_one_looks_after_it_and_others_can_tell_who(tmp_path: Path) -> None:
    assert runs.keeper(tmp_path, PORT) is None
    with runs.looked_after(tmp_path, PORT) as first:
        assert first
        with runs.looked_after(tmp_path, PORT) as second:
            assert not second
        keeper = runs.keeper(tmp_path, PORT)
        assert keeper is not None
        assert keeper.pid == os.getpid()
    assert runs.keeper(tmp_path, PORT) is None
    with runs.looked_after(tmp_path, PORT) as again:
        assert again


def test_one_that_has_died_keeps_nothing_up(tmp_path: Path) -> None:
    """The lock's file still names it: a process id is believed only with its start time."""
    with runs.looked_after(tmp_path, PORT):
        pass
    dead = (os.getpid(), 1.0, "python")
    (runs.runs_dir(tmp_path) / f"coordinator-{PORT}.lock").write_text(json.dumps(dead))
    assert runs.keeper(tmp_path, PORT) is None
