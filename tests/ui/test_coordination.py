"""The coordinator from the keyboard: plan, start, stop, switch, try now, backends, leaving."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from textual.pilot import Pilot

from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, Mode, Owner
from sollol_tui.engine.store import Store
from sollol_tui.io.blobs import ListedModel
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.commands import BY_WORD
from sollol_tui.ui.messages import CommandGiven
from sollol_tui.ui.screens.leave import LeaveScreen
from sollol_tui.ui.screens.plan import PlanScreen
from tests.ui import coordinators as ours
from tests.ui.clusters import FULL
from tests.ui.stand_in import StillEngine, shown, until, until_shown

SIZES = [(80, 24), (120, 40)]
NOTHING = ours.cluster(mode=Mode.TASK)
OTHER = parse_coordinator_url("127.0.0.1:18081")
THIRD = parse_coordinator_url("127.0.0.1:18082")
TWO_OF_OURS = FULL._replace(
    coordinators=(
        ours.READY,
        ours.READY._replace(
            url=OTHER, name="small one", model="qwen3:32b", model_path=None, plan=None
        ),
    ),
    own_places=(ours.OURS, OTHER, THIRD),
)
STORE = (
    ListedModel("qwen3:32b", "/store", 20 << 30, "32.8B", "Q4_K_M", "qwen3"),
    ListedModel("gemma3n:e4b", "/store", 5 << 30, "6.9B", "Q4_K_M", "gemma3n", "only Ollama can"),
    ListedModel("codellama:34b", "/store", 19 << 30, "34B", "Q4_K_M", "llama"),
)


def engine_with(snapshot: ClusterSnapshot, settings: Settings | None = None) -> StillEngine:
    engine = StillEngine(snapshot, settings)
    engine.planned = ours.FITS
    engine.still_here.models = STORE
    return engine


async def at_coordinator(pilot: Pilot[None]) -> None:
    await until_shown(pilot, "Quit", "first entry")
    await pilot.press("1")


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_start_shows_the_plan_and_enter_starts_it(size: tuple[int, int]) -> None:
    engine = engine_with(NOTHING)
    app = SollolApp(engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("a")
        await until_shown(pilot, "Start a coordinator on this machine")
        await pilot.press("enter")
        await until_shown(pilot, "codellama:34b", "It fits.", "24–47 +out", "The command:")
        assert ("start", "") not in engine.calls
        await pilot.press("enter")
        await until(pilot, lambda: ("start", "") in engine.calls)
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.dashboard.current == "coordinator"


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_a_plan_that_does_not_fit_cannot_be_started(size: tuple[int, int]) -> None:
    engine = engine_with(NOTHING)
    engine.planned = ours.FITS_NOT
    app = SollolApp(engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator start codellama:34b", "enter")
        await until_shown(pilot, "It does not fit.", "There is not enough memory")
        assert "Enter starts" not in shown(app)
        await pilot.press("enter", "escape")
        await until(pilot, lambda: app.screen is app.dashboard)
    assert engine.calls == [("plan", "codellama:34b")]


async def test_the_command_is_copied_whole() -> None:
    app = SollolApp(engine_with(NOTHING))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator start", "enter")
        await until_shown(pilot, "It fits.")
        await pilot.press("y")
        await until(pilot, lambda: app.clipboard == " ".join(ours.ARGV))


async def test_another_model_can_be_planned_from_the_plan() -> None:
    engine = engine_with(NOTHING)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator start", "enter")
        await until_shown(pilot, "It fits.")
        await pilot.press("m")
        await until_shown(pilot, "Which model does the coordinator run?", "qwen3:32b")
        await pilot.press(*"qwen", "enter")
        await until(pilot, lambda: ("plan", "qwen3:32b") in engine.calls)
        await until_shown(pilot, "It fits.")
        await pilot.press("enter")
        await until(pilot, lambda: ("start", "qwen3:32b") in engine.calls)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_switching_asks_for_the_model_then_shows_what_is_stopped_for_it(
    size: tuple[int, int],
) -> None:
    engine = engine_with(ours.cluster(ours.READY))
    app = SollolApp(engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator switch", "enter")
        await until_shown(pilot, "qwen3:32b", "gemma3n:e4b", "codellama:34b")
        await pilot.press(*"/srv/x.gguf")
        await until_shown(pilot, "Enter takes the file")
        await pilot.press("enter")
        await until(pilot, lambda: ("plan", "/srv/x.gguf") in engine.calls)
        await until_shown(pilot, "Enter stops codellama:34b")


async def test_a_model_that_llama_cpp_cannot_run_is_not_taken_and_says_why() -> None:
    engine = engine_with(NOTHING)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator switch", "enter")
        await until_shown(pilot, "gemma3n:e4b")
        await pilot.press(*"gemma")
        await until_shown(pilot, "cannot be run by llama.cpp: only Ollama can")
        await pilot.press("enter")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
    assert engine.calls == []


@pytest.mark.parametrize("state", [ours.PROBING, ours.CONNECTING, ours.LOADING, ours.WARMING])
async def test_escape_cancels_a_start_at_once(state: object) -> None:
    engine = engine_with(ours.cluster(state))  # type: ignore[arg-type]
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await until_shown(pilot, "Esc cancels")
        await pilot.press("escape")
        await until(pilot, lambda: ("stop",) in engine.calls)
        await until_shown(pilot, "The start is cancelled.")


async def test_escape_stops_nothing_that_serves_nor_from_another_pane() -> None:
    engine = engine_with(ours.cluster(ours.READY))
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("escape")
        engine.show(ours.cluster(ours.LOADING))
        await until_shown(pilot, "Esc cancels")
        await pilot.press("2", "escape")
    assert engine.calls == []


async def test_r_tries_now_during_the_countdown_and_looks_again_elsewhere() -> None:
    engine = engine_with(ours.cluster(ours.FAILED))
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        await until_shown(pilot, "again in 12 s · r tries now")
        await pilot.press("r")
        await until(pilot, lambda: ("retry",) in engine.calls)
        await pilot.press("2", "r")
        await until(pilot, lambda: ("refresh", "everything") in engine.calls)
        await pilot.press("1")
        engine.show(ours.cluster(ours.GIVEN_UP))
        await until_shown(pilot, "given up")
        await pilot.press("r")
        await until(pilot, lambda: engine.calls.count(("refresh", "everything")) == 2)


async def test_the_countdown_runs_down_on_the_screen() -> None:
    engine = engine_with(ours.cluster(ours.FAILED))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await until_shown(pilot, "again in 12 s")
        engine.now_s += 7
        await until_shown(pilot, "again in 5 s")


async def test_free_backends_are_taken_with_the_first_action() -> None:
    engine = engine_with(ours.cluster(ours.OFFERING))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("a")
        await until_shown(pilot, "Plan again: more RPC backends are free")
        await pilot.press("enter")
        await until_shown(pilot, "It fits.")
        await pilot.press("enter")
        await until(pilot, lambda: ("start", ours.PLAN.path) in engine.calls)


async def test_stopping_one_in_use_is_asked_first() -> None:
    engine = engine_with(ours.cluster(ours.READY._replace(slots_busy=2)))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator stop", "enter")
        await until_shown(pilot, "2 answers are being written there")
        assert ("stop",) not in engine.calls
        await pilot.press("down", "enter")
        await until(pilot, lambda: ("stop",) in engine.calls)


async def test_what_the_engine_refuses_is_said() -> None:
    engine = engine_with(NOTHING)
    engine.refusal = "nothing is started here"
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator start", "enter")
        await until_shown(pilot, "It fits.")
        await pilot.press("enter")
        await until_shown(pilot, "Nothing is started here.")


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        (Owner.ADOPTED, "Somebody else started it (PID 4711)"),
        (Owner.REMOTE, "It runs on 10.0.0.1"),
        (Owner.OURS, "Another sollol-tui on this machine looks after it (PID 4711)"),
    ],
)
async def test_a_strangers_coordinator_is_never_stopped_and_says_whose_it_is(
    owner: Owner, said: str
) -> None:
    engine = engine_with(FULL._replace(coordinators=(FULL.coordinators[0]._replace(owner=owner),)))
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("a")
        await until_shown(pilot, said)
        assert "Stop it" not in shown(app)
        assert "Restart" not in shown(app)
        await pilot.press("escape", *":coordinator stop", "enter")
        await until_shown(pilot, "No coordinator of this program runs.")
    assert ("stop",) not in engine.calls


async def test_nothing_is_started_in_the_place_of_a_strangers_coordinator() -> None:
    stranger = FULL.coordinators[0]._replace(url=ours.OURS)
    engine = engine_with(FULL._replace(coordinators=(stranger,)))
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":coordinator start", "enter")
        await until_shown(pilot, "A coordinator runs at http://127.0.0.1:18080 already.")
    assert engine.calls == []


@pytest.mark.parametrize("mode", ["model", "both"])
async def test_entering_a_mode_starts_what_fits_at_once(mode: str) -> None:
    engine = engine_with(NOTHING)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*f":mode {mode}", "enter")
        await until(pilot, lambda: ("start", "") in engine.calls)
        assert app.screen is app.dashboard


async def test_entering_a_mode_asks_when_it_does_not_fit() -> None:
    engine = engine_with(NOTHING)
    engine.planned = ours.FITS_NOT
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":mode model", "enter")
        await until_shown(pilot, "It does not fit.")
        assert isinstance(app.screen, PlanScreen)
    assert ("start", "") not in engine.calls


async def test_entering_a_mode_without_any_plan_says_why_and_goes_on() -> None:
    engine = engine_with(NOTHING)
    engine.planned = ours.NO_PLAN
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":mode both", "enter")
        await until_shown(pilot, "No coordinator was started")
        assert app.screen is app.dashboard
        assert app.snapshot.mode is Mode.BOTH


@pytest.mark.parametrize(
    "snapshot",
    [FULL._replace(mode=Mode.TASK), ours.cluster(ours.LOADING), ours.cluster(ours.FAILED)],
    ids=["serves", "comes", "is tried again"],
)
async def test_entering_a_mode_starts_nothing_where_one_runs(snapshot: ClusterSnapshot) -> None:
    engine = engine_with(snapshot)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":mode model", "enter")
        await until(pilot, lambda: ("mode", "model", "") in engine.calls)
        await until_shown(pilot, "Mode model, from the next request on.")
    assert engine.calls == [("mode", "model", "")]


async def test_the_mode_picker_says_what_would_be_started() -> None:
    stopped = ours.FAILED._replace(
        status=CoordinatorStatus.STOPPED, supervised=False, expected_s=42.0, retry_at_s=None
    )
    app = SollolApp(engine_with(ours.cluster(stopped, mode=Mode.MODEL)))
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("m")
        await until_shown(pilot, "Enter starts llama-server, which loads 19.0 GiB of", "about 42 s")


async def test_only_looking_starts_nothing() -> None:
    engine = engine_with(NOTHING, Settings(read_only=True))
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":mode model", "enter")
        await until(pilot, lambda: ("mode", "model", "") in engine.calls)
        await pilot.press("a")
        await until_shown(pilot, "The coordinator's log")
        assert "Start a coordinator" not in shown(app)
    assert engine.calls == [("mode", "model", "")]


async def test_a_backend_is_started_here_and_told() -> None:
    engine = engine_with(NOTHING)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":rpc start", "enter")
        await until_shown(pilot, "An RPC backend serves at 127.0.0.1:50052")


async def test_a_backend_that_cannot_be_started_says_why() -> None:
    engine = engine_with(NOTHING)
    engine.still_here.started = Problem(Cause.NO_BINARY, "ggml-rpc-server", (), "Install it.")
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":rpc start", "enter")
        await until_shown(pilot, "ggml-rpc-server is not installed here", "Install it.")


async def test_a_backend_of_ours_can_be_stopped_and_no_other() -> None:
    engine = engine_with(NOTHING)
    engine.still_here.backends = (parse_backend_address("127.0.0.1:50052"),)
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(*":rpc stop 10.0.0.7:50052", "enter")
        await until_shown(pilot, "10.0.0.7:50052 was not started from here.")
        await pilot.press(*":rpc stop 127.0.0.1:50052", "enter")
        await until(pilot, lambda: ("stop backend", "127.0.0.1:50052") in engine.calls)


# Leaving


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_leaving_asks_once_and_the_safe_answer_is_first(
    key: str, size: tuple[int, int]
) -> None:
    engine = engine_with(ours.cluster(ours.READY))
    engine.owns = True
    app = SollolApp(engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press(key)
        await until_shown(pilot, "The coordinator (codellama:34b) is running", "It stays running")
        assert app.return_code is None
        await pilot.press("enter")
        await until(pilot, lambda: app.return_code == 0)
    assert engine.stays is True
    assert engine.calls == []


async def test_leaving_with_two_of_them_asks_for_both() -> None:
    engine = engine_with(TWO_OF_OURS)
    engine.owns = True
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("q")
        await until_shown(
            pilot, "2 coordinators (codellama:34b, qwen3:32b) are running", "They stay running"
        )
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.return_code == 0)
    assert engine.calls == [("stop",)]


async def test_it_is_stopped_before_the_program_ends_when_that_is_the_answer() -> None:
    engine = engine_with(ours.cluster(ours.READY))
    engine.owns = True
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("q")
        await until_shown(pilot, "It is stopped")
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.return_code == 0)
    assert engine.stays is False
    assert engine.calls == [("stop",)]


@pytest.mark.parametrize("keys", [("escape",), ("down", "down", "enter")], ids=str)
async def test_the_question_can_be_cancelled(keys: tuple[str, ...]) -> None:
    engine = engine_with(ours.cluster(ours.READY))
    engine.owns = True
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, LeaveScreen))
        await pilot.press(*keys)
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.return_code is None


async def test_leaving_twice_leaves_and_the_coordinator_stays() -> None:
    engine = engine_with(ours.cluster(ours.READY))
    engine.owns = True
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, LeaveScreen))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code == 0)
    assert engine.stays is True


@pytest.mark.parametrize(("setting", "stays"), [("stay", True), ("stop", False)])
async def test_a_setting_answers_for_good(setting: str, stays: bool) -> None:
    engine = engine_with(ours.cluster(ours.READY), Settings(on_quit=setting))
    engine.owns = True
    app = SollolApp(engine)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("q")
        await until(pilot, lambda: app.return_code == 0)
    assert engine.stays is stays


async def test_nobody_is_asked_where_no_coordinator_of_ours_runs() -> None:
    app = SollolApp(engine_with(FULL))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await at_coordinator(pilot)
        await pilot.press("ctrl+q")
        await until(pilot, lambda: app.return_code == 0)


@pytest.mark.parametrize(("setting", "stays"), [("ask", True), ("stop", None)])
async def test_who_cannot_be_asked_leaves_it_running(setting: str, stays: bool | None) -> None:
    """A signal or a crash ends the program without a question: `ask` then means that it stays."""
    engine = engine_with(FULL, Settings(on_quit=setting))
    async with SollolApp(engine).run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "first entry")
        await until(pilot, lambda: engine.stays is stays)


class EndsSlowly(StillEngine):
    """It has much to end in order."""

    has_ended = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Store]:
        try:
            yield self.store
        finally:
            for _ in range(200):
                await asyncio.sleep(0)
            self.has_ended = True


async def test_the_program_ends_after_its_engine_has_ended() -> None:
    """Else a coordinator that is being stopped would be left between two signals."""
    engine = EndsSlowly(FULL)
    async with SollolApp(engine).run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "first entry")
        await until(pilot, lambda: engine.stays is True)
    assert engine.has_ended


# Several of ours


def two_of_ours() -> StillEngine:
    engine = engine_with(TWO_OF_OURS)
    engine.places = TWO_OF_OURS.own_places
    return engine


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_each_of_ours_is_offered_what_can_be_done_with_it(size: tuple[int, int]) -> None:
    engine = two_of_ours()
    app = SollolApp(engine)
    async with app.run_test(size=size, notifications=True) as pilot:
        await at_coordinator(pilot)
        await until_shown(pilot, "● small one qwen3:32b")
        await pilot.press("a")
        await until_shown(pilot, "Stop it", "small one: stop it", "127.0.0.1:18082: start it")
        subject = app.dashboard.subject()
        assert subject is not None
        lines = [action.line for action in subject.actions]
        assert f"coordinator stop {OTHER}" in lines
        assert f"coordinator start {OTHER}" not in lines


@pytest.mark.parametrize(
    ("line", "call"),
    [
        (f"coordinator stop {OTHER}", ("stop", OTHER)),
        ("coordinator stop small one", ("stop", OTHER)),
        ("coordinator stop", ("stop",)),
        (f"coordinator restart {OTHER}", ("plan", "qwen3:32b", OTHER)),
        (f"coordinator start {THIRD}", ("plan", "", THIRD)),
        (f"coordinator start llama3:70b {THIRD}", ("plan", "llama3:70b", THIRD)),
        ("coordinator switch llama3:70b", ("plan", "llama3:70b")),
    ],
)
async def test_a_command_acts_on_the_one_that_it_names(line: str, call: tuple[str, ...]) -> None:
    engine = two_of_ours()
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        run_line(app, line)
        await until(pilot, lambda: call in engine.calls)


async def test_what_is_started_from_its_plan_is_started_there() -> None:
    engine = two_of_ours()
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        run_line(app, f"coordinator start llama3:70b {THIRD}")
        await until_shown(pilot, "It fits.")
        assert "which runs now" not in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: ("start", "llama3:70b", THIRD) in engine.calls)


async def test_one_that_is_not_there_is_told() -> None:
    app = SollolApp(two_of_ours())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await at_coordinator(pilot)
        run_line(app, "coordinator stop nobody")
        await until_shown(pilot, "No coordinator of this program runs at nobody.")


async def test_those_that_the_settings_want_are_started_with_the_screen() -> None:
    wanted = Settings(coordinators=(CoordinatorSetting(OTHER, start=True),))
    for settings, calls in ((wanted, [("start wanted",)]), (Settings(), [])):
        engine = engine_with(FULL, settings)
        app = SollolApp(engine)
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await at_coordinator(pilot)
            assert engine.calls == calls


def run_line(app: SollolApp, line: str) -> None:
    app.dashboard.post_message(CommandGiven(line))


def test_the_words_of_the_table_reach_each_command() -> None:
    for word in ("coordinator start", "coordinator stop", "coordinator switch", "log"):
        assert BY_WORD[word].name == word
    assert BY_WORD["replan"].name == "coordinator replan"
