"""A coordinator is kept up: over a program that plays llama-server, and backends that can break."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from sollol_tui.core import lifecycle
from sollol_tui.core.asks import (
    AskRequest,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Notice,
    Routed,
    Seam,
    Waiting,
)
from sollol_tui.core.ids import (
    BackendAddress,
    parse_coordinator_url,
    port_of,
    same_model,
)
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause
from sollol_tui.core.state import (
    BackendStatus,
    ClusterSnapshot,
    CoordinatorStatus,
    Mode,
    Owner,
)
from sollol_tui.demo.backend import DemoBackend
from sollol_tui.engine import launch
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.launch import Launch
from sollol_tui.engine.requests import MAX_COMEBACKS
from sollol_tui.io import host_look, log_file, runs
from sollol_tui.io.process import ProcessId, is_same
from tests import fakes
from tests.engine.fake_llama_server import goes, install
from tests.engine.lives import Life
from tests.engine.place import HOST, Place, life, served
from tests.engine.support import until
from tests.engines.store import make_store, manifest_path, write_blob

SLOW = "more = ['--load-s', '600']"
CRASH = "print('something broke', flush=True); sys.exit(7)"
HANG = "signal.pause()"


# Starting


async def test_a_start_goes_through_its_phases_to_a_server_that_holds_its_backends(
    place: Place,
) -> None:
    goes(place.program, "more = ['--load-s', '0.3']")
    async with fakes.backend() as one, fakes.backend() as two, life(place, one, two) as lived:
        state = await served(lived, place)
        assert lived.phases == ["probing", "starting", "connecting", "loading", "ready"]
        assert (state.owner, state.supervised) == (Owner.OURS, True)
        assert state.plan is not None
        assert state.plan.argv[0] == str(place.program)
        assert set(state.backends) == {one.address, two.address} == set(state.plan.backends)
        assert {lived.backend(a) for a in state.backends} == {BackendStatus.ATTACHED}
        assert state.expected_s is not None
        assert state.expected_s >= 0.3
        assert state.shards is not None
        assert {s.address for s in state.shards.devices} == set(state.backends)
        assert psutil.Process(state.pid).is_running()
        record = runs.read_run(place.state_dir, place.port)
        assert record is not None
        assert is_same(record.process), "also now that the script has become the server"
        assert (record.order, record.api_key) == (place.order._replace(port=place.port), "")
    assert not place.servers()
    assert runs.read_run(place.state_dir, place.port) is None


@pytest.mark.parametrize(
    ("way", "phase"), [(HANG, Phase.CONNECTING), (SLOW, Phase.LOADING)], ids=["hangs", "loads"]
)
async def test_a_start_can_be_stopped_in_every_phase(place: Place, way: str, phase: Phase) -> None:
    goes(place.program, way)
    async with fakes.backend() as one, life(place, one) as lived:
        await lived.engine.start_coordinator(place.order)
        await lived.until_phase(phase)
        await lived.engine.stop_coordinator()
        state = lived.states[-1]
        assert (state.status, state.pid) == (CoordinatorStatus.STOPPED, None)
        assert not place.servers()
        await until(lived.engine, lambda s: s.backends[0].status is BackendStatus.IDLE)


async def test_another_start_takes_the_place_of_the_first_one(place: Place) -> None:
    async with life(place) as lived:
        first = await served(lived, place)
        await asyncio.gather(*(lived.engine.start_coordinator(place.order) for _ in range(3)))
        second = await lived.until_ready(besides=first.pid)
        assert [p.pid for p in place.servers()] == [second.pid]


async def test_a_start_that_was_asked_for_at_once_waits_for_the_first_look(place: Place) -> None:
    """Or the plan would know none of the backends."""
    async with fakes.backend() as one:
        engine = Engine(place.settings(one.address), place.state_dir)
        async with engine.running():
            await engine.start_coordinator(place.order)
            lived = Life(engine)
            state = await lived.until_ready()
            assert state.backends == (one.address,)


# What cannot be started


@pytest.mark.parametrize(
    ("changes", "order", "cause"),
    [
        ({"llama_server": "/nowhere/llama-server"}, {}, Cause.NO_BINARY),
        ({}, {"model": "/nowhere/model.gguf"}, Cause.MODEL_NOT_FOUND),
        ({}, {"model": "no-such:1b"}, Cause.MODEL_NOT_FOUND),
        ({}, {"backends": (BackendAddress("127.0.0.1:1"),)}, Cause.BACKEND_REFUSED),
    ],
)
async def test_what_needs_a_person_is_told_and_not_tried_again(
    place: Place, changes: dict[str, object], order: dict[str, object], cause: Cause
) -> None:
    async with life(place, **changes) as lived:
        await lived.engine.start_coordinator(place.order._replace(**order))  # type: ignore[arg-type]
        state = await lived.until_phase(Phase.FAILED)
        assert (state.problems[0].cause, state.retry_at_s) == (cause, None)
        await lived.engine.until_given_up()
        looked_at = state.asked_at_s or 0.0
        later = await lived.until(lambda s: (s.asked_at_s or 0.0) > looked_at)
        assert later.problems == state.problems, "and it is shown for as long as it is so"


async def test_a_port_that_is_taken_names_who_has_it(place: Place) -> None:
    with socket.create_server((HOST, place.port)):
        async with life(place) as lived:
            await lived.engine.start_coordinator(place.order)
            state = await lived.until_phase(Phase.FAILED)
    (problem,) = state.problems
    assert (problem.cause, state.retry_at_s) == (Cause.PORT_TAKEN, None)
    assert f"process {os.getpid()}" in problem.evidence[0]


async def test_a_strangers_server_on_the_port_is_shown_and_left_alone(place: Place) -> None:
    async with fakes.coordinator(model="llama3.2:3b") as theirs:
        place.url, place.port = parse_coordinator_url(theirs.url), theirs.port
        async with life(place) as lived:
            await lived.engine.start_coordinator(place.order)
            await lived.until(lambda s: bool(s.problems))
            state = await lived.until(
                lambda s: s.status is CoordinatorStatus.READY and bool(s.problems)
            )
            assert (state.model, state.supervised) == ("llama3.2:3b", False)
        assert theirs.alive


async def test_a_first_start_that_fails_is_not_tried_again(place: Place) -> None:
    goes(place.program, CRASH)
    async with life(place) as lived:
        await lived.engine.start_coordinator(place.order)
        state = await lived.until_phase(Phase.FAILED)
        assert state.retry_at_s is None
        assert "something broke" in state.problems[0].evidence
        assert "ended with exit code 7" in state.problems[0].evidence
        goes(place.program, "")
        lived.engine.retry_coordinator()
        await lived.until_ready()


async def test_a_model_whose_projector_is_refused_runs_without_it(place: Place) -> None:
    """It cannot see then, and answers; what was refused is told."""
    eye = place.directory / "eye.gguf"
    eye.write_bytes(b"no projector")
    refused = f"srv    load_model: failed to load multimodal model, '{eye}'"
    goes(place.program, f"if '--mmproj' in words: print({refused!r}, flush=True); sys.exit(1)")
    async with life(place) as lived:
        await lived.engine.start_coordinator(place.order._replace(projector=str(eye)))
        ready = await lived.until_ready()
        assert ready.plan is not None
        assert "--mmproj" not in ready.plan.argv
        told = [p for s in lived.states for p in s.problems]
        assert (told[0].cause, told[0].subject) == (Cause.MODEL_REFUSED, str(eye))
        assert lived.phases.count("probing") == 2


async def test_a_program_that_is_none_is_told(place: Place) -> None:
    """It was one when it was looked for."""
    async with life(place) as lived:
        await served(lived, place)
        await lived.engine.stop_coordinator()
        changed = place.program.stat()
        place.program.write_text("no program")
        os.utime(place.program, ns=(changed.st_atime_ns, changed.st_mtime_ns))
        await lived.engine.start_coordinator(place.order)
        state = await lived.until_phase(Phase.FAILED)
        assert state.problems[0].cause is Cause.NO_BINARY


async def test_one_that_says_nothing_is_ended_at_its_deadline_and_its_backend_blamed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "CONNECT_DEADLINE_S", 0.3)
    goes(place.program, HANG)
    async with fakes.backend() as one, life(place, one) as lived:
        await lived.engine.start_coordinator(place.order)
        state = await lived.until(lambda s: bool(s.problems))
        assert state.problems[0].cause is Cause.BACKEND_BUSY
        assert state.problems[0].subject == one.address
        assert state.problems[0].evidence[0].startswith("llama-server has printed nothing")
        await lived.engine.stop_coordinator()


async def test_one_that_never_gets_ready_is_ended_at_its_deadline(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "LOAD_DEADLINE_S", 0.5)
    goes(place.program, SLOW)
    async with life(place) as lived:
        await lived.engine.start_coordinator(place.order)
        state = await lived.until_phase(Phase.FAILED)
        assert state.problems[0].cause is Cause.COORDINATOR_HUNG
        assert not place.servers()


# Staying up


async def test_a_crash_is_followed_by_a_pause_and_another_start(place: Place) -> None:
    async with life(place) as lived:
        first = await served(lived, place)
        os.kill(first.pid or 0, signal.SIGKILL)
        failed = await lived.until_phase(Phase.FAILED)
        assert failed.problems[0].cause is Cause.COORDINATOR_CRASHED
        assert failed.retry_at_s is not None
        assert failed.retry_at_s - (failed.phase_at_s or 0.0) == pytest.approx(1.0, abs=0.01)
        starting = await lived.until_phase(Phase.CONNECTING)
        assert starting.problems == failed.problems, "why it starts again is shown meanwhile"
        second = await lived.until_ready(besides=first.pid)
        assert second.problems == ()
        assert runs.log_path(place.state_dir, place.port).exists()
        assert (place.log.parent / f"coordinator-{place.port}.1.log").exists()


@pytest.mark.usefixtures("quick")
async def test_five_failures_are_a_quarantine_that_ends_when_somebody_says_so(
    place: Place,
) -> None:
    async with life(place) as lived:
        state = await served(lived, place)
        for _ in range(lifecycle.FAILURES_TO_QUARANTINE - 1):
            os.kill(state.pid or 0, signal.SIGKILL)
            state = await lived.until_ready(besides=state.pid)
        os.kill(state.pid or 0, signal.SIGKILL)
        rests = await lived.until_phase(Phase.QUARANTINED)
        assert rests.status is CoordinatorStatus.QUARANTINED
        assert (rests.retry_at_s or 0.0) - (rests.phase_at_s or 0.0) == pytest.approx(300, abs=1)
        assert not place.servers()
        lived.engine.retry_coordinator()
        state = await lived.until_ready(besides=state.pid)
        os.kill(state.pid or 0, signal.SIGKILL)
        await lived.until_ready(besides=state.pid)  # the count begins anew


@pytest.mark.usefixtures("quick")
async def test_while_it_waits_it_can_be_stopped(place: Place) -> None:
    async with life(place) as lived:
        state = await served(lived, place)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lifecycle, "BACKOFF_FIRST_S", 60.0)
            os.kill(state.pid or 0, signal.SIGKILL)
            await lived.until(lambda s: s.retry_at_s is not None)
            await lived.engine.stop_coordinator()
        assert lived.states[-1].status is CoordinatorStatus.STOPPED


async def test_a_lost_backend_is_seen_and_the_others_carry_the_model(place: Place) -> None:
    async with fakes.backend() as one, fakes.backend() as two, life(place, one, two) as lived:
        first = await served(lived, place)
        one.die()
        stopping = await lived.until_phase(Phase.STOPPING)
        (problem,) = stopping.problems
        assert (problem.cause, problem.subject) == (Cause.BACKEND_LOST, one.address)
        assert lived.backend(one.address) is BackendStatus.DOWN
        second = await lived.until_ready(besides=first.pid)
        assert second.backends == (two.address,)
        assert not second.offers_replan
        assert two.alive


async def test_a_backend_that_is_lost_while_loading_costs_another_plan(place: Place) -> None:
    """Also at the very first start: nobody but the backend is to blame."""
    crash = "print('x/ggml-rpc.cpp:566: Remote RPC server crashed or returned malformed response')"
    goes(place.program, f"{crash}; sys.stdout.flush(); os.abort()")
    async with fakes.backend() as one, fakes.backend() as two, life(place, one, two) as lived:
        lived.engine.store.listeners.append(_dies_with(one, place))
        await lived.engine.start_coordinator(place.order)
        failed = await lived.until(lambda s: bool(s.problems))
        assert failed.problems[0].cause is Cause.BACKEND_LOST
        assert failed.problems[0].subject == one.address, "the one that refuses is the lost one"
        goes(place.program, "")
        state = await lived.until_ready()
        assert state.backends == (two.address,)


def _dies_with(
    backend: DemoBackend, place: Place
) -> Callable[[ClusterSnapshot, ClusterSnapshot], None]:
    def note(_: ClusterSnapshot, after: ClusterSnapshot) -> None:
        state = after.coordinator(place.url)
        if state is not None and state.phase == Phase.CONNECTING:
            backend.die()

    return note


async def test_a_backend_that_comes_back_is_offered_and_used_by_one_command(place: Place) -> None:
    async with fakes.backend() as one, fakes.backend() as two, life(place, one, two) as lived:
        first = await served(lived, place)
        port = one.port
        one.die()
        second = await lived.until_ready(besides=first.pid)
        await one.start(port)
        offered = await lived.until(lambda s: s.offers_replan)
        assert offered.pid == second.pid
        texts = [e.text for e in lived.engine.store.entries_after(0)]
        assert any(f"{one.address} is free: start the coordinator again" in t for t in texts)
        await lived.engine.start_coordinator(place.order)
        third = await lived.until_ready(besides=second.pid)
        assert set(third.backends) == {one.address, two.address}
        assert not third.offers_replan


async def test_a_preview_counts_the_backends_of_our_own_coordinator_as_free(place: Place) -> None:
    async with fakes.backend() as one, life(place, one) as lived:
        await served(lived, place)
        planned = await lived.engine.plan_coordinator(place.order)
        assert planned.plan is not None
        assert planned.plan.backends == (one.address,)
        assert planned.startable
        assert lived.backend(one.address) is BackendStatus.ATTACHED


async def test_another_program_plans_with_the_backends_that_our_coordinator_holds(
    place: Place,
) -> None:
    """`coordinator plan` while the screen keeps one up: it knows it by its record."""
    async with fakes.backend() as one, life(place, one) as lived:
        running = await served(lived, place)
        engine = Engine(place.settings(one.address), place.state_dir, supervises=False)
        async with engine.running():
            planned = await engine.plan_coordinator(place.order)
        assert planned.plan is not None
        assert planned.plan.backends == (one.address,)
        assert planned.startable
        assert not planned.problems
        assert running.plan is not None
        assert planned.plan.devices[0].total_bytes == running.plan.devices[0].total_bytes
        assert lived.states[-1].pid == running.pid


async def test_a_script_that_stays_before_the_server_hides_no_lost_backend(
    tmp_path: Path, place: Place
) -> None:
    place.program = install(tmp_path / "stands", stands=True)
    async with fakes.backend() as one, fakes.backend() as two, life(place, one, two) as lived:
        first = await served(lived, place)
        one.die()
        second = await lived.until_ready(besides=first.pid)
        assert second.backends == (two.address,)
        await lived.engine.stop_coordinator()
        assert not place.servers()


# Hanging


HANGS = {"failures_to_down": 2, "timeout_s": 0.3}


async def test_a_stopped_coordinator_is_shown_as_stalled_and_left_until_it_goes_on(
    place: Place,
) -> None:
    async with life(place, **HANGS) as lived:
        state = await served(lived, place)
        os.kill(state.pid or 0, signal.SIGSTOP)
        await lived.until(lambda s: s.status is CoordinatorStatus.STALLED)
        os.kill(state.pid or 0, signal.SIGCONT)
        again = await lived.until(lambda s: s.status is CoordinatorStatus.READY)
        assert again.pid == state.pid


@pytest.mark.usefixtures("quick")
async def test_where_it_is_wanted_a_stopped_coordinator_is_started_anew(place: Place) -> None:
    async with life(place, restart_hung=True, **HANGS) as lived:
        first = await served(lived, place)
        os.kill(first.pid or 0, signal.SIGSTOP)
        failed = await lived.until_phase(Phase.FAILED)
        assert failed.problems[0].cause is Cause.COORDINATOR_HUNG
        second = await lived.until_ready(besides=first.pid)
        assert [p.pid for p in place.servers()] == [second.pid]


async def test_a_hung_backend_is_named_when_its_coordinator_is_started_anew(place: Place) -> None:
    limits = {"token_gap_limit_s": 0.5, "first_token_limit_s": 0.5, "restart_hung": True}
    async with fakes.backend() as one, fakes.backend() as two:
        async with life(place, one, two, **limits) as lived:
            lived.engine.choose_mode(Mode.MODEL)
            first = await served(lived, place)
            one.faults = one.faults._replace(hang=True)
            asking = asyncio.create_task(asked(lived.engine, "model"))
            failed = await lived.until_phase(Phase.FAILED)
            (problem,) = failed.problems
            assert problem.cause is Cause.COORDINATOR_HUNG
            named = f"{one.address} does not answer"
            assert any(line.startswith(named) for line in problem.evidence)
            second = await lived.until_ready(besides=first.pid)
            assert second.backends == (two.address,)
            await asking
        one.faults = one.faults._replace(hang=False)


def question(model: str) -> AskRequest:
    return AskRequest(model, (ChatMessage("user", "Hello?"),))


async def asked(engine: Engine, model: str) -> list[object]:
    return [event async for event in engine.ask(question(model))]


# Leaving and coming back


async def test_one_that_stays_is_taken_over_by_the_next_run_as_it_is(place: Place) -> None:
    async with fakes.backend() as one, fakes.backend() as two:
        async with life(place, one, two) as lived:
            left = await served(lived, place)
            lived.engine.leave_coordinator(stays=True)
        async with life(place, one, two) as lived:
            found = await lived.until_ready()
            assert lived.engine.found_coordinator
            assert (found.pid, found.owner, found.supervised) == (left.pid, Owner.OURS, True)
            assert set(found.backends) == {one.address, two.address}
            assert found.shards == left.shards
            await until(
                lived.engine, lambda s: {b.status for b in s.backends} == {BackendStatus.ATTACHED}
            )
            one.die()
            again = await lived.until_ready(besides=left.pid)
            assert again.backends == (two.address,), "and it is kept up as its own"
            assert same_model(again.model or "", left.model or "")


async def test_one_that_was_taken_over_and_ends_is_started_again(place: Place) -> None:
    async with life(place) as lived:
        left = await served(lived, place)
        lived.engine.leave_coordinator(stays=True)
    async with life(place) as lived:
        await lived.until_ready()
        os.kill(left.pid or 0, signal.SIGKILL)
        failed = await lived.until_phase(Phase.FAILED)
        assert failed.problems[0].cause is Cause.COORDINATOR_CRASHED
        await lived.until_ready(besides=left.pid)


async def test_one_that_was_taken_over_is_started_again_as_it_was_and_not_as_the_settings_are(
    place: Place,
) -> None:
    async with fakes.backend() as one, fakes.backend() as two, fakes.backend() as new:
        order = place.order._replace(context_tokens=256, tensor_split=(3.0, 1.0))
        async with life(place, one, two, coordinator_slots=2) as lived:
            await lived.engine.start_coordinator(order)
            left = await lived.until_ready()
            lived.engine.leave_coordinator(stays=True)
        now = {"context_tokens": 512, "model_path": "/elsewhere/model.gguf"}
        async with life(place, one, two, new, **now) as lived:
            await lived.until_ready()
            os.kill(left.pid or 0, signal.SIGKILL)
            again = await lived.until_ready(besides=left.pid)
            assert left.plan is not None
            assert again.plan is not None
            assert again.plan.argv == left.plan.argv
            two.die()
            third = await lived.until_ready(besides=again.pid)
            assert third.plan is not None
            assert third.backends == (one.address,)
            assert (third.plan.context_tokens, third.plan.slots) == (256, 2)
            assert "-ts" not in third.plan.argv, "that split was for two"


@pytest.mark.parametrize("wrong", ["pid", "start", "name"])
async def test_a_process_that_is_not_the_recorded_one_is_never_touched(
    place: Place, wrong: str
) -> None:
    async with life(place) as lived:
        left = await served(lived, place)
        lived.engine.leave_coordinator(stays=True)
    record = runs.read_run(place.state_dir, place.port)
    assert record is not None
    pid, started_at_s, name = record.process
    false = {
        "pid": ProcessId(os.getpid(), started_at_s, name),
        "start": ProcessId(pid, started_at_s - 60.0, name),
        "name": ProcessId(pid, started_at_s, "other"),
    }
    runs.write_run(place.state_dir, place.port, record._replace(process=false[wrong]))
    async with life(place) as lived:
        state = await lived.until(lambda s: s.status is CoordinatorStatus.READY)
        await lived.engine.stop_coordinator()
        assert not lived.engine.found_coordinator
        assert not state.supervised
    assert is_same(record.process), "it runs on: nobody knows that it is ours"
    os.kill(left.pid or 0, signal.SIGKILL)
    await asyncio.to_thread(_gone, left.pid or 0)


def _gone(pid: int) -> None:
    with suppress(psutil.Error):
        psutil.Process(pid).wait()


async def test_while_one_program_looks_after_it_another_one_only_looks(place: Place) -> None:
    async with life(place) as first:
        state = await served(first, place)
        async with life(place) as second:
            seen = await second.until(lambda s: s.status is CoordinatorStatus.READY)
            assert (seen.supervised, second.engine.owns_coordinator) == (False, False)
            await second.engine.start_coordinator(place.order)
            failed = await second.until(lambda s: bool(s.problems))
            assert failed.problems[0].cause is Cause.PORT_TAKEN
            assert f"process {os.getpid()}" in failed.problems[0].evidence[0]
            await second.engine.stop_coordinator()
        assert [p.pid for p in place.servers()] == [state.pid]
        await first.engine.stop_coordinator()
        async with life(place) as third:
            await served(third, place)  # a stopped one is nobody's


async def test_an_engine_that_is_left_at_once_takes_nothing_over(place: Place) -> None:
    async with life(place) as lived:
        left = await served(lived, place)
        lived.engine.leave_coordinator(stays=True)
    engine = Engine(place.settings(on_quit="stay"), place.state_dir)
    async with engine.running():
        pass
    assert [p.pid for p in place.servers()] == [left.pid]
    async with life(place):
        pass
    assert not place.servers()


async def test_a_key_that_is_made_for_each_start_is_in_no_command_line_and_survives(
    place: Place,
) -> None:
    async with life(place, coordinator_api_key="random") as lived:
        state = await served(lived, place)
        record = runs.read_run(place.state_dir, place.port)
        assert record is not None
        assert len(record.api_key) >= 24
        assert record.api_key not in " ".join(psutil.Process(state.pid).cmdline())
        env = psutil.Process(state.pid).environ()
        assert env["LLAMA_API_KEY"] == record.api_key
        lived.engine.leave_coordinator(stays=True)
    async with life(place, coordinator_api_key="random") as lived:
        await lived.until_ready()
        headers = lived.engine.runtime.looks.server(place.url).headers
        assert headers == (("Authorization", f"Bearer {record.api_key}"),)


# Questions


async def test_a_question_brings_it_up_also_after_it_was_stopped(place: Place) -> None:
    async with life(place, model_path=str(place.model)) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        await served(lived, place)
        await lived.engine.stop_coordinator()
        events = await asked(lived.engine, "model")
        assert isinstance(events[0], Notice)
        assert isinstance(events[-1], Finished)


async def test_a_file_can_be_asked_for_by_its_path(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.model.parent)
    async with life(place) as lived:
        lived.engine.choose_mode(Mode.BOTH)
        for path in (str(place.model), "./model.gguf"):
            events = await asked(lived.engine, path)
            routed = next(e for e in events if isinstance(e, Routed))
            assert (routed.decision.kind, routed.decision.model) == (
                "coordinator",
                str(place.model),
            )
            assert isinstance(events[-1], Finished)
        elsewhere = await asked(lived.engine, "/elsewhere/model.gguf")
        assert isinstance(elsewhere[-1], Failed), "another file of that name is another model"
        assert len(place.servers()) == 1


async def test_who_asks_for_another_model_than_the_settings_name_is_told_so(place: Place) -> None:
    async with life(place, model_path=str(place.model)) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        events = await asked(lived.engine, "llama3:70b")
        (notice,) = [e for e in events if isinstance(e, Notice)]
        assert notice.text == (
            "The coordinator is set to run model, not llama3:70b. Ask for model, "
            "or unset model_path and SOLLOL_MODEL_PATH."
        )
        assert isinstance(events[-1], Failed)
        assert not place.servers()
        planned = await lived.engine.plan_coordinator(Order("llama3:70b"))
        assert not planned.startable
        assert planned.problems[0].sentence in notice.text
        insisted = await lived.engine.plan_coordinator(Order("llama3:70b", insists=True))
        assert insisted.problems[0].subject == "llama3:70b"


async def test_the_file_that_the_settings_name_runs_under_the_name_that_means_it(
    place: Place, tmp_path: Path
) -> None:
    store = make_store(tmp_path / "store", {"big:7b": place.model})
    digest = hashlib.sha256(place.model.read_bytes()).hexdigest()
    blob = store / "blobs" / f"sha256-{digest}"
    changes = {"model_path": str(blob), "ollama_models": str(store)}
    async with life(place, **changes) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        planned = await lived.engine.plan_coordinator(Order("big:7b"))
        assert planned.plan is not None
        assert (planned.plan.model, planned.plan.path) == ("big:7b", str(blob))


async def test_what_a_model_of_ollama_sees_with_goes_with_it(place: Place, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", {"eyes:7b": place.model})
    path = store / "manifests" / manifest_path("eyes:7b")
    manifest = json.loads(path.read_text())
    layer = write_blob(store, b"an eye")
    manifest["layers"].append({"mediaType": "application/vnd.ollama.image.projector", **layer})
    path.write_text(json.dumps(manifest))
    eye = str(store / "blobs" / str(layer["digest"]).replace(":", "-"))
    async with life(place, ollama_models=str(store)) as lived:
        planned = await lived.engine.plan_coordinator(Order("eyes:7b"))
        assert planned.plan is not None
        assert planned.plan.projector == eye
        assert " ".join(("--mmproj", eye, "--no-mmproj-offload")) in " ".join(planned.plan.argv)
        blind = await lived.engine.plan_coordinator(Order("eyes:7b", projector=""))
        assert blind.plan is not None
        assert "--mmproj" not in blind.plan.argv


async def test_an_answer_that_is_cut_goes_on_when_its_coordinator_is_back(place: Place) -> None:
    goes(place.program, "more = ['--tokens-per-s', '25']")
    async with fakes.backend() as one, fakes.backend() as two, life(place, one, two) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        first = await served(lived, place)
        events: list[object] = []
        async for event in lived.engine.ask(question("model")):
            events.append(event)
            if isinstance(event, Delta) and sum(isinstance(e, Delta) for e in events) == 5:
                one.die()
        second = lived.engine.store.snapshot.coordinator(place.url)
        assert second is not None
        assert second.pid != first.pid
        assert isinstance(events[-1], Finished)
        (seam,) = [e for e in events if isinstance(e, Seam)]
        waits = [e for e in events if isinstance(e, Waiting) and e.phase]
        assert waits, "and that it comes back is told meanwhile"
        assert [seam.from_target, seam.to_target] == [place.url, place.url]


async def test_an_answer_whose_coordinator_is_stopped_ends_with_what_came(place: Place) -> None:
    goes(place.program, "more = ['--tokens-per-s', '25']")
    async with life(place) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        await served(lived, place)
        events: list[object] = []
        async for event in lived.engine.ask(question("model")):
            events.append(event)
            if isinstance(event, Delta) and sum(isinstance(e, Delta) for e in events) == 5:
                await lived.engine.stop_coordinator()
        failed = events[-1]
        assert isinstance(failed, Failed)
        assert failed.kept_chars == len("".join(e.text for e in events if isinstance(e, Delta)))


@pytest.mark.usefixtures("quick")
async def test_an_answer_that_ends_its_coordinator_each_time_is_given_up(place: Place) -> None:
    async with life(place) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        await served(lived, place)
        goes(place.program, "more = ['--tokens-per-s', '25']")
        events: list[object] = []
        async for event in lived.engine.ask(question("model")):
            events.append(event)
            for server in place.servers() if isinstance(event, Routed) else ():
                server.kill()
        assert isinstance(events[-1], Failed)
        assert sum(isinstance(e, Routed) for e in events) == MAX_COMEBACKS + 1


async def test_a_question_in_the_middle_of_a_recovery_waits_for_it(place: Place) -> None:
    async with life(place) as lived:
        lived.engine.choose_mode(Mode.MODEL)
        state = await served(lived, place)
        os.kill(state.pid or 0, signal.SIGKILL)
        await lived.until_phase(Phase.FAILED)
        events = await asked(lived.engine, "model")
        assert isinstance(events[0], Waiting)
        assert events[0].phase == Phase.FAILED
        assert isinstance(events[-1], Finished)


async def test_a_backend_whose_host_vanished_is_unknown_and_lost_when_no_token_moves(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection stays established: nobody sent a FIN. Its host's silence tells."""
    limits = {"token_gap_limit_s": 0.5, "first_token_limit_s": 0.5, "timeout_s": 0.2}
    async with fakes.backend() as one, fakes.backend() as two, fakes.dead_url() as lives:
        monkeypatch.setattr(host_look, "CLOSED_PORT", port_of(lives))
        async with life(place, one, two, **limits) as lived, fakes.black_hole() as gone:
            lived.engine.choose_mode(Mode.MODEL)
            first = await served(lived, place)
            await until(
                lived.engine, lambda s: all(b.host_answered_at_s is not None for b in s.backends)
            )
            monkeypatch.setattr(host_look, "CLOSED_PORT", port_of(gone))
            one.faults = one.faults._replace(hang=True)
            await until(
                lived.engine, lambda s: {b.status for b in s.backends} == {BackendStatus.UNKNOWN}
            )
            state = lived.states[-1]
            assert (state.status, state.pid) == (CoordinatorStatus.READY, first.pid)
            assert one.clients == two.clients, "and neither of them was asked anything"
            events = await asked(lived.engine, "model")
            assert isinstance(events[-1], Finished)
            second = await lived.until_ready(besides=first.pid)
            assert second.backends == (two.address,)
            problems = [p for s in lived.states for p in s.problems]
            assert problems[0].cause is Cause.BACKEND_LOST
            assert "its host answered before and does not now" in problems[0].evidence[0]
        one.faults = one.faults._replace(hang=False)


# The log


FLOOD_BYTES = 100 * 2**20
FLOOD = f"""
line = b"0.00.398.372 I srv  load_tensors: some words that nobody needs to read, ever, at all\\n"
piece = line * (2**20 // len(line))
for _ in range({FLOOD_BYTES} // len(piece)):
    os.write(1, piece)
os.write(1, b"0.00.500.000 I the last line of the flood\\n")
"""


async def test_a_flood_of_its_log_stops_nobody_and_costs_no_memory(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 MiB while it starts: the child writes on, we read a bounded part at a time, and between
    two parts everything else has its turns."""
    most_letters = turns = 0
    turns_at_reads: list[int] = []
    read_log = Launch.read_log

    def counted(self: Launch) -> list[str]:
        nonlocal most_letters
        fresh = read_log(self)
        most_letters = max(most_letters, sum(map(len, fresh)))
        turns_at_reads.append(turns)
        return fresh

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0.002)
            turns += 1

    monkeypatch.setattr(Launch, "read_log", counted)
    async with life(place) as lived:
        await served(lived, place)  # what is loaded once is loaded now
        await lived.engine.stop_coordinator()
        goes(place.program, FLOOD)
        before = psutil.Process().memory_info().rss
        turning, first = asyncio.create_task(turn()), len(turns_at_reads)
        await served(lived, place)
        grown = psutil.Process().memory_info().rss - before
        turning.cancel()
        between = [b - a for a, b in pairwise(turns_at_reads[first:])]
        print(f"{len(between)} reads, {between} turns between two, {grown} B more")
        assert all(turns > 2 for turns in between)
        log = lived.engine.coordinator_log()
        assert log is not None
        await lived.until(lambda _: any(f"listening on {place.url}" in x for x in log.lines))
        assert any("left out: it came too fast to read" in line for line in log.lines)
        assert place.log.stat().st_size < FLOOD_BYTES // 2, "and the file is bounded too"
    assert most_letters <= log_file.READ_BYTES + log_file.LINE_BYTES
    assert grown < 10 * 2**20
