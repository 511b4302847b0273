"""What this machine has: models in its stores, logs of runs, backends started from the app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sollol_tui.core.ids import BackendAddress, parse_coordinator_url
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine.here import Here
from sollol_tui.engine.store import Store
from sollol_tui.io import log_file, runs
from tests.engine import fake_rpc_server

URL = parse_coordinator_url("127.0.0.1:18080")


@asynccontextmanager
async def here_of(settings: Settings, state_dir: Path | None) -> AsyncIterator[tuple[Here, Store]]:
    store = Store(ClusterSnapshot(), lambda: 0.0)
    async with asyncio.TaskGroup() as group:
        here = Here(settings, store, group, URL, state_dir)
        try:
            yield here, store
        finally:
            await here.aclose()


async def test_a_backend_is_started_told_and_stopped_with_the_program(tmp_path: Path) -> None:
    binary = fake_rpc_server.install(tmp_path / "bin")
    async with here_of(Settings(rpc_server=str(binary)), tmp_path / "state") as (here, store):
        address = await here.start_backend()
        assert isinstance(address, str)
        assert here.backends == (address,)
        backend = store.snapshot.backend(address)
        assert backend is not None
        assert backend.sources == ("app",)
        _, writer = await asyncio.open_connection("127.0.0.1", int(address.split(":")[1]))
        writer.close()
    assert not here.backends
    assert store.snapshot.backends == ()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(address.split(":")[1]))


async def test_one_backend_is_stopped_and_forgotten_alone(tmp_path: Path) -> None:
    binary = fake_rpc_server.install(tmp_path / "bin")
    async with here_of(Settings(rpc_server=str(binary)), tmp_path / "state") as (here, store):
        one, two = await here.start_backend(), await here.start_backend()
        assert isinstance(one, str)
        assert isinstance(two, str)
        assert await here.stop_backend(one)
        assert here.backends == (two,)
        assert [b.address for b in store.snapshot.backends] == [two]
        assert not await here.stop_backend(BackendAddress("10.0.0.9:50052"))


async def test_a_missing_program_is_a_problem_not_a_backend(tmp_path: Path) -> None:
    async with here_of(Settings(rpc_server="/nowhere"), tmp_path) as (here, _):
        started = await here.start_backend()
    assert isinstance(started, Problem)
    assert started.cause is Cause.NO_BINARY


async def test_nothing_is_started_where_no_log_can_be_kept() -> None:
    async with here_of(Settings(), None) as (here, _):
        assert isinstance(await here.start_backend(), Problem)
        assert await here.kept_log() == ()


async def test_the_logs_of_the_last_two_runs_are_kept(tmp_path: Path) -> None:
    path = runs.log_path(tmp_path, 18080)
    async with here_of(Settings(), tmp_path) as (here, _):
        assert await here.kept_log() == ()
        for text in ("first\nrun\n", "second run, cut of"):
            log_file.begin(path)
            path.write_text(text)
        assert await here.kept_log() == ("second run, cut of",)
        assert await here.kept_log(before=True) == ("first", "run")


async def test_the_models_of_the_named_store_are_listed(tmp_path: Path) -> None:
    manifest = tmp_path / "manifests/registry.ollama.ai/library/tiny/1b"
    manifest.parent.mkdir(parents=True)
    digest = f"sha256:{'a' * 64}"
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 77}
    manifest.write_text(json.dumps({"schemaVersion": 2, "config": layer, "layers": [layer]}))
    async with here_of(Settings(ollama_models=str(tmp_path)), tmp_path) as (here, _):
        mine = [m for m in await here.local_models() if m.store == str(tmp_path)]
    assert [(m.name, m.bytes) for m in mine] == [("tiny:1b", 77)]
