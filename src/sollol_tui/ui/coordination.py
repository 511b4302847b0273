"""Starting, stopping and changing the coordinator from the screen, each after its plan is seen."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import PurePath
from typing import TYPE_CHECKING

from sollol_tui.core import units
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus, Mode
from sollol_tui.ui.coordinator_menu import coordinator_called, own_coordinator, whose
from sollol_tui.ui.panes.phases import is_coming, waits_to_retry
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.core.orders import Order, Planned
    from sollol_tui.ui.app import SollolApp
    from sollol_tui.ui.panes.server_log import Log
    from sollol_tui.ui.screens.local_models import LocalModelScreen
    from sollol_tui.ui.screens.log import LogScreen
    from sollol_tui.ui.screens.mode_picker import ModePicker
    from sollol_tui.ui.screens.plan import PlanScreen

RUNNING = (
    CoordinatorStatus.STARTING,
    CoordinatorStatus.LOADING,
    CoordinatorStatus.READY,
    CoordinatorStatus.STALLED,
    CoordinatorStatus.STOPPING,
)


# Commands


def start(app: SollolApp, argument: str) -> None:
    """Show the plan for a model, or for the one that is found when none is named."""
    from sollol_tui.core.orders import Order

    model, url = _model_and_place(app, argument)
    open_plan(app, Order(model, insists=bool(model)), url)


def switch(app: SollolApp, argument: str) -> None:
    """Show the plan for another model; without a name it is asked for."""
    model, url = _model_and_place(app, argument)
    own = own_coordinator(app.snapshot)
    if url is None and own is not None:
        url = own.url
    if model:
        start(app, f"{model} {url or ''}")
    else:
        _refuse_strangers_place(app, url)
        choose_model(app, lambda chosen: start(app, f"{chosen} {url or ''}"))


def restart(app: SollolApp, argument: str) -> None:
    """Show the plan for the same model over all backends that are free then."""
    own = _own(app, argument)
    open_plan(app, order_of(own), own.url)


def stop(app: SollolApp, argument: str) -> str | None:
    """Stop the coordinator of ours; cancel it while it starts; ask first while it is used."""
    own = _own(app, argument)
    used = max(own.in_flight, own.slots_busy or 0)
    if used and own.status is CoordinatorStatus.READY:
        _ask_to_stop(app, own.url, used)
        return None
    _do(app, app.engine.stop_coordinator(own.url), "stopping the coordinator")
    return "The start is cancelled." if is_coming(own) else "Stopping the coordinator."


def retry(app: SollolApp, argument: str = "") -> str:
    """Do not wait for the countdown."""
    own = own_coordinator(app.snapshot, argument)
    if own is None or not waits_to_retry(own):
        raise Refused("Nothing waits to be tried again.")
    app.engine.retry_coordinator(own.url)
    return "Trying now."


def start_wanted(app: SollolApp) -> None:
    """Start those that the settings want with the screen."""
    settings = app.engine.settings
    if any(c.start for c in settings.coordinators) and not settings.read_only:
        _do(app, app.engine.start_wanted(), "starting coordinators")


def start_backend(app: SollolApp, _argument: str) -> str:
    """Start an RPC backend on this machine."""
    _do(app, _start_backend(app), "starting a backend")
    return "Starting an RPC backend on this machine."


def stop_backend(app: SollolApp, argument: str) -> None:
    """Stop one that was started from here."""
    _do(app, _stop_backend(app, argument), "stopping a backend")


def show_log(app: SollolApp, argument: str) -> None:
    """The coordinator's log, live."""
    from sollol_tui.ui.screens.log import LogScreen

    own = own_coordinator(app.snapshot)
    url = coordinator_called(app.snapshot, argument) if argument else own.url if own else None
    if argument and url is None:
        raise Refused(f"No coordinator is called {argument}.")

    def live() -> Log | None:
        return app.engine.coordinator_log(url)

    def want_kept(screen: LogScreen, before: bool) -> None:
        _do(app, _read_kept(app, screen, url, before), "reading a log")

    if not isinstance(app.screen, LogScreen):
        app.open(LogScreen(live, want_kept, ascii_only=app.engine.settings.ascii))


# The plan


def open_plan(app: SollolApp, order: Order, url: str | None = None) -> None:
    """Show a plan for a place of ours; Enter in it starts what it says."""
    from sollol_tui.ui.screens.plan import PlanScreen

    _refuse_strangers_place(app, url)

    def make(screen: PlanScreen, wanted: Order) -> None:
        _do(app, _plan_for(app, screen, wanted, url), "planning a coordinator")

    def choose(screen: PlanScreen) -> None:
        from sollol_tui.core.orders import Order

        choose_model(app, lambda model: screen.plan(Order(model, insists=True)))

    def begin(chosen: Order | None) -> None:
        if chosen is not None:
            start_now(app, chosen, url)

    there = app.snapshot.coordinator(url or app.engine.place_of(order.model))
    runs = there is not None and there.supervised and there.status in RUNNING
    replaces = f"{there.model or there.url}, which runs now" if there is not None and runs else ""
    ascii_only = app.engine.settings.ascii
    app.open(PlanScreen(order, make, choose, replaces=replaces, ascii_only=ascii_only), begin)


def start_now(app: SollolApp, order: Order, url: str | None) -> None:
    """Start what was planned, and show how it gets on."""
    _do(app, app.engine.start_coordinator(order, url), "starting the coordinator")
    app.dashboard.show_pane("coordinator")


def choose_model(app: SollolApp, then: Callable[[str], None]) -> None:
    """Ask for a model of this machine."""
    from sollol_tui.ui.screens.local_models import LocalModelScreen

    def take(model: str | None) -> None:
        if model is not None:
            then(model)

    own = own_coordinator(app.snapshot)
    screen = LocalModelScreen((own.model if own is not None else "") or app.engine.last_model)
    app.open(screen, take)
    _do(app, _read_models(app, screen), "reading Ollama's store")


def order_of(own: CoordinatorState) -> Order:
    """The order for what a coordinator of ours runs: by its name where that is in a store."""
    from sollol_tui.core.orders import Order

    name = own.plan.model if own.plan is not None else own.model or ""
    path = own.plan.path if own.plan is not None else own.model_path or ""
    context = own.plan.context_tokens if own.plan is not None else own.context_tokens
    if not path or PurePath(path).name.startswith("sha256"):
        return Order(name, insists=bool(name), context_tokens=context)
    return Order(path, alias=name, insists=True, context_tokens=context)


# Entering a mode


def make_sure(app: SollolApp, mode: Mode) -> str:
    """Start a coordinator for a mode that needs one, when none runs; says what it does."""
    if not _is_missing(app):
        return ""
    _do(app, _start_if_it_fits(app, mode), "planning a coordinator")
    return " Looking whether a coordinator can be started."


def tell_starts(app: SollolApp, picker: ModePicker) -> None:
    """Let the mode picker say what a mode would start."""
    if _is_missing(app):
        _do(app, _tell_starts(app, picker), "planning a coordinator")


def _is_missing(app: SollolApp) -> bool:
    """Whether entering a mode that needs a coordinator would have to start one."""
    if app.engine.settings.read_only or any(c.status in RUNNING for c in app.snapshot.coordinators):
        return False
    own = own_coordinator(app.snapshot)
    return own is None or not waits_to_retry(own)


async def _tell_starts(app: SollolApp, picker: ModePicker) -> None:
    for mode in (Mode.MODEL, Mode.BOTH):
        _, planned = await plan_for_mode(app, mode)
        picker.show_start(mode, _starts(app, planned))


def _starts(app: SollolApp, planned: Planned) -> str:
    plan = planned.plan
    if plan is None or not planned.startable:
        return f"No coordinator can be started: {_why_not(planned)}"
    there = app.snapshot.coordinator(app.engine.place_of(plan.model))
    last_s = there.expected_s if there is not None else None
    about = f", about {units.span(last_s)}" if last_s is not None else ""
    loads = f"{units.size(plan.model_bytes)} of {plan.model}"
    return f"Enter starts llama-server, which loads {loads}{about}."


async def plan_for_mode(app: SollolApp, mode: Mode) -> tuple[Order, Planned]:
    """What entering a mode would start: the model that is asked for when that is a large one, else
    what the settings name or the largest one here."""
    from sollol_tui.core.asks import AskRequest
    from sollol_tui.core.orders import Order
    from sollol_tui.core.routing import Circumstances, wants_coordinator

    model = app.engine.last_model
    snapshot = app.snapshot._replace(mode=mode)
    now = Circumstances(snapshot, 0.0, app.engine.settings.threshold_parameters)
    if model and not wants_coordinator(AskRequest(model, ()), now):
        model = ""
    order = Order(model)
    return order, await app.engine.plan_coordinator(order)


async def _start_if_it_fits(app: SollolApp, mode: Mode) -> None:
    order, planned = await plan_for_mode(app, mode)
    if app.snapshot.mode is not mode:
        return
    if any(c.status in RUNNING for c in app.snapshot.coordinators):
        return
    if planned.startable and planned.plan is not None:
        await app.engine.start_coordinator(order)
        app.tell(f"Starting a coordinator for {planned.plan.model}. Esc in its pane cancels.")
    elif planned.plan is not None and app.screen is app.dashboard:
        open_plan(app, order)
    else:
        why = _why_not(planned)
        app.tell(f"No coordinator was started: {why} :coordinator start says more.", refused=True)


def _why_not(planned: Planned) -> str:
    """Why there is no plan. Where no model was named, what was looked for is the better reason."""
    from sollol_tui.core.problems import NOBODY_NAMED

    if not planned.problems:
        return "there is no plan."
    problem = planned.problems[0]
    if problem.subject == NOBODY_NAMED and problem.evidence:
        return f"{problem.evidence[0]}."
    return problem.sentence


# What takes time


async def _plan_for(app: SollolApp, screen: PlanScreen, order: Order, url: str | None) -> None:
    screen.show_plan(order, await app.engine.plan_coordinator(order, url))


async def _read_models(app: SollolApp, screen: LocalModelScreen) -> None:
    await app.engine.first_look()
    screen.show_models(await app.engine.here.local_models())


async def _read_kept(app: SollolApp, screen: LogScreen, url: str | None, before: bool) -> None:
    await app.engine.first_look()
    screen.show_kept(await app.engine.here.kept_log(url, before=before), before=before)


async def _start_backend(app: SollolApp) -> None:
    await app.engine.first_look()
    started = await app.engine.here.start_backend()
    if isinstance(started, str):
        app.tell(f"An RPC backend serves at {started}, for as long as it is needed.")
    else:
        app.tell(f"{started.sentence} {started.next}", refused=True)


async def _stop_backend(app: SollolApp, address: str) -> None:
    here = app.engine.here
    found = next((a for a in here.backends if a == address), None)
    if found is None or not await here.stop_backend(found):
        app.tell(f"{address} was not started from here.", refused=True)
    else:
        app.tell(f"Stopped {address}.")


def _do(app: SollolApp, work: Coroutine[object, object, None], what: str) -> None:
    """Do something that takes time; what the engine refuses is told."""

    async def told() -> None:
        try:
            await work
        except ValueError as error:
            app.tell(f"{str(error)[:1].upper()}{str(error)[1:]}.", refused=True)

    app.run_worker(told(), group="coordination", description=what, exit_on_error=False)


def _own(app: SollolApp, named: str) -> CoordinatorState:
    own = own_coordinator(app.snapshot, named)
    if own is None:
        raise Refused(_nothing_of_ours(app.snapshot, named))
    return own


def _model_and_place(app: SollolApp, argument: str) -> tuple[str, str | None]:
    """`MODEL`, `URL` or `MODEL URL`; the place may be said by its name too."""
    model, _, last = argument.strip().rpartition(" ")
    url = coordinator_called(app.snapshot, last) if last else None
    return (argument.strip(), None) if url is None else (model.strip(), url)


def _ask_to_stop(app: SollolApp, url: str, used: int) -> None:
    from sollol_tui.ui.screens.confirm import YES, ConfirmScreen

    def stop_for(answer: str | None) -> None:
        if answer == YES:
            _do(app, app.engine.stop_coordinator(url), "stopping the coordinator")

    answers = "1 answer is" if used == 1 else f"{used} answers are"
    app.open(ConfirmScreen(f"{answers} being written there", "Stop it all the same"), stop_for)


def _refuse_strangers_place(app: SollolApp, url: str | None) -> None:
    """A server of somebody else's where ours would listen is never stopped for it."""
    try:
        url = url or app.engine.coordinator_url
    except RuntimeError:
        raise Refused("The engine is still being started: try again in a moment.") from None
    there = app.snapshot.coordinator(url)
    if there is not None and not there.supervised and there.status in RUNNING:
        raise Refused(f"A coordinator runs at {url} already. {whose(there)}")


def _nothing_of_ours(snapshot: ClusterSnapshot, named: str) -> str:
    if named and own_coordinator(snapshot) is not None:
        return f"No coordinator of this program runs at {named}."
    others = [c for c in snapshot.coordinators if c.status in RUNNING]
    said = whose(others[0]) if others else ""
    return f"No coordinator of this program runs. {said}".rstrip()
