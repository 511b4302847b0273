"""Backends started from the app stay with the coordinator that needs them, and end with it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from sollol_tui.core.ids import BackendAddress
from sollol_tui.core.plan import CoordinatorPlan, plan
from sollol_tui.core.state import BackendStatus, CoordinatorState
from sollol_tui.engine import planning
from sollol_tui.engine.local_backends import left_backends, used_backends
from sollol_tui.verbs.coordinator_stop import stop
from sollol_tui.verbs.voice import Voice
from tests import fakes
from tests.engine.lives import Life, living
from tests.engine.place import Place
from tests.engine.support import until


async def started(lived: Life, place: Place) -> tuple[BackendAddress, CoordinatorState]:
    """A backend of this machine, and a coordinator over it."""
    address = await lived.engine.here.start_backend()
    assert isinstance(address, str), address
    await until(lived.engine, lambda s: s.backends[0].status is BackendStatus.IDLE)
    await lived.engine.start_coordinator(place.order)
    state = await lived.until_ready()
    assert state.backends == (address,)
    return BackendAddress(address), state


def pids(processes: list[psutil.Process]) -> list[int]:
    return [p.pid for p in processes]


async def test_a_backend_that_is_needed_stays_with_its_coordinator_and_is_found_with_it(
    place: Place,
) -> None:
    settings = place.settings(rpc_server=str(place.rpc_program))
    async with living(settings, place.state_dir) as lived:
        address, left = await started(lived, place)
        spare = await lived.engine.here.start_backend()
        both = pids(place.backends())
        lived.engine.leave_coordinator(stays=True)
    assert used_backends(place.state_dir) == {address}
    (backend,) = pids(place.backends())
    assert backend in both, "and the one that nobody needs has ended"
    assert spare != address
    async with living(settings, place.state_dir) as lived:
        found = await lived.until_ready()
        assert found.pid == left.pid
        await until(lived.engine, lambda s: any("app" in b.sources for b in s.backends))
        assert lived.engine.here.backends == (address,)
        assert pids(place.backends()) == [backend]
        assert lived.backend(address) is BackendStatus.ATTACHED
        await lived.engine.stop_coordinator()
    assert not place.backends()
    assert not place.servers()


async def test_after_a_kill_both_are_found_and_what_nobody_uses_is_ended(place: Place) -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.engine.left_program", str(place.directory), str(place.port)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    pid, address = (await program.stdout.readline()).decode().split()
    os.kill(program.pid, signal.SIGKILL)
    await program.wait()
    (backend,) = pids(place.backends())
    settings = place.settings(rpc_server=str(place.rpc_program))
    async with living(settings, place.state_dir) as lived:
        found = await lived.until_ready()
        assert (found.pid, found.backends) == (int(pid), (address,))
        await until(lived.engine, lambda s: any("app" in b.sources for b in s.backends))
        assert lived.engine.here.backends == (address,)
        assert pids(place.backends()) == [backend], "it was not disturbed"
        lived.engine.leave_coordinator(stays=True)
    for server in place.servers():
        server.kill()
        server.wait()
    (left,) = left_backends(place.state_dir)
    assert (left.order.address, left.is_used) == (address, False)
    async with living(settings, place.state_dir):
        pass
    assert not place.backends()


async def test_stopping_a_coordinator_that_stayed_ends_its_backends_too(place: Place) -> None:
    settings = place.settings(rpc_server=str(place.rpc_program))
    async with living(settings, place.state_dir) as lived:
        address, _ = await started(lived, place)
        lived.engine.leave_coordinator(stays=True)
    out = io.StringIO()
    code = await asyncio.to_thread(stop, place.url, place.state_dir, Voice(out, out))
    assert code == 0
    assert f"stopped the RPC backend {address}" in out.getvalue()
    assert not place.backends()
    assert not place.servers()


async def test_one_whose_program_was_killed_before_it_wrote_down_which_it_is_is_found(
    place: Place,
) -> None:
    settings = place.settings(rpc_server=str(place.rpc_program))
    async with living(settings, place.state_dir) as lived:
        await started(lived, place)
        lived.engine.leave_coordinator(stays=True)
    (backend,) = place.backends()
    (noted,) = (place.state_dir / "worker").glob("*.pid")
    token = backend.environ()["SOLLOL_TUI_BACKEND"]
    noted.write_text(json.dumps([0, 0.0, token]))
    (left,) = left_backends(place.state_dir)
    assert (left.running.pid, left.is_used) == (backend.pid, True)
    noted.write_text(json.dumps([0, 0.0, "of another"]))
    assert left_backends(place.state_dir) == ()
    noted.write_text(json.dumps([0, 0.0, token]))
    async with living(settings, place.state_dir) as lived:
        await lived.until_ready()


async def test_one_that_was_found_takes_other_backends_when_its_own_do_not_suffice(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_over_backends(*wanted: Any, **more: Any) -> CoordinatorPlan:
        made = plan(*wanted, **more)
        return made if made.backends else made._replace(fits=False)

    monkeypatch.setattr(planning, "plan", only_over_backends)
    async with fakes.backend() as one, fakes.backend() as new:
        async with living(place.settings(one.address), place.state_dir) as lived:
            await lived.engine.start_coordinator(place.order)
            left = await lived.until_ready()
            lived.engine.leave_coordinator(stays=True)
        settings = place.settings(one.address, new.address)
        async with living(settings, place.state_dir) as lived:
            found = await lived.until_ready()
            assert (found.pid, found.backends) == (left.pid, (one.address,))
            one.die()
            again = await lived.until_ready(besides=left.pid)
            assert again.backends == (new.address,)


async def test_one_that_somebody_looks_after_is_left_alone(place: Place) -> None:
    settings = place.settings(rpc_server=str(place.rpc_program))
    async with living(settings, place.state_dir) as first:
        address = await first.engine.here.start_backend()
        async with living(settings, place.state_dir) as second:
            assert second.engine.here.backends == ()
        assert first.engine.here.backends == (address,)
        assert len(place.backends()) == 1
