"""A request that needs a coordinator, and none serves its model: one is started, visibly."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from sollol_tui.core.asks import AskEvent, AskRequest, Notice
from sollol_tui.core.ids import is_called, is_model_path, same_model
from sollol_tui.core.orders import Order
from sollol_tui.core.places import is_set_for
from sollol_tui.core.routing import Circumstances, serves, wants_coordinator
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus
from sollol_tui.engine.comeback import is_coming, until_back
from sollol_tui.engine.places import Places
from sollol_tui.engine.store import Store
from sollol_tui.engine.supervisor import Supervisor

_AT_REST = {CoordinatorStatus.UNKNOWN, CoordinatorStatus.STOPPED}


async def bring_up(
    request: AskRequest, places: Places, store: Store, settings: Settings
) -> AsyncGenerator[AskEvent, None]:
    """Wait for a coordinator that serves the request's model, starting one where none runs.

    Says `Waiting` once a second while it comes up, and a `Notice` when it cannot: then the request
    goes wherever else it can (S14). A coordinator that serves another model is left alone.
    """
    if not _is_needed(request, store.snapshot, settings):
        return
    supervisor = _supervisor_for(request, places, store.snapshot, store.now_s())
    if supervisor is None:
        others = ", ".join(p.setting.model for p in places)
        yield Notice(f"No coordinator is set to run {request.model}: those here are for {others}.")
        return
    ours = store.snapshot.coordinator(supervisor.url)
    if ours is None or ours.status in _AT_REST or _failed_otherwise(ours, request):
        _, order = places.order(Order(request.model), supervisor.url)
        if not order.insists and (problem := await supervisor.objection(request.model)) is not None:
            yield Notice(f"{problem.sentence} {problem.next}")
            return
        yield Notice(f"No coordinator serves {request.model}: starting one.")
        await supervisor.start(order, anew=False)  # others may want it at the same time
    elif not is_coming(ours, store.now_s()) or _is_other(ours, request):
        return
    async with aclosing(_until_up(supervisor, store)) as events:
        async for event in events:
            yield event


def _supervisor_for(
    request: AskRequest, places: Places, snapshot: ClusterSnapshot, now_s: float
) -> Supervisor | None:
    """Of the places that are set to run the model, else of those that nothing else is set to run:
    the one that comes up with it before one where nothing runs, and that before one that failed.
    """
    set_for_it = [p for p in places if is_set_for(p.setting, request.model)]
    fit = set_for_it or [p for p in places if not p.setting.model]
    supervisors = [p.supervisor for p in fit if p.supervisor is not None]

    def rank(supervisor: Supervisor) -> int:
        state = snapshot.coordinator(supervisor.url)
        if state is None or state.status in _AT_REST or _failed_otherwise(state, request):
            return 1
        return 0 if _comes_for(supervisor, state, request, now_s) else 2

    return min(supervisors, key=rank, default=None)


def _comes_for(
    supervisor: Supervisor, state: CoordinatorState, request: AskRequest, now_s: float
) -> bool:
    """Whether it is on its way to serve that model."""
    if not is_coming(state, now_s):
        return False
    if state.plan is not None:
        return not _is_other(state, request)
    asked = supervisor.model
    return is_called(request.model, asked, asked if is_model_path(asked) else "")


def _is_needed(request: AskRequest, snapshot: ClusterSnapshot, settings: Settings) -> bool:
    now = Circumstances(snapshot, 0.0, settings.threshold_parameters)
    served = any(
        serves(c, request.model) and c.status is CoordinatorStatus.READY
        for c in snapshot.coordinators
    )
    return request.target is None and not served and wants_coordinator(request, now)


def _is_other(ours: CoordinatorState, request: AskRequest) -> bool:
    """Whether the one that comes up is known to be for another model."""
    return ours.plan is not None and not serves(
        ours._replace(model=ours.plan.model, model_path=ours.plan.path), request.model
    )


def _failed_otherwise(ours: CoordinatorState, request: AskRequest) -> bool:
    """Whether it failed with another model; with this one its problem stands and is shown."""
    failed_model = ours.plan.model if ours.plan is not None else ""
    failed = ours.status is CoordinatorStatus.FAILED and ours.retry_at_s is None
    return failed and not (failed_model and same_model(failed_model, request.model))


async def _until_up(supervisor: Supervisor, store: Store) -> AsyncGenerator[AskEvent, None]:
    async with aclosing(until_back(supervisor, store, None)) as events:
        async for event in events:
            yield event
    state = store.snapshot.coordinator(supervisor.url)
    if state is not None and state.problems:
        problem = state.problems[0]
        yield Notice(f"{problem.sentence} {problem.next}")
