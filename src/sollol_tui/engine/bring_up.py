"""A request that needs a coordinator, and none serves its model: one is started, visibly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from sollol_tui.core.asks import AskEvent, AskRequest, Notice, Progress, Waiting
from sollol_tui.core.ids import same_model
from sollol_tui.core.lifecycle import Phase
from sollol_tui.core.orders import Order
from sollol_tui.core.routing import Circumstances, serves, wants_coordinator
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus
from sollol_tui.engine.store import Store
from sollol_tui.engine.supervisor import Supervisor

TELL_EVERY_S = 1.0
PERCENT = 100

_COMING = {CoordinatorStatus.STARTING, CoordinatorStatus.LOADING}
_AT_REST = {CoordinatorStatus.UNKNOWN, CoordinatorStatus.STOPPED}


async def bring_up(
    request: AskRequest, supervisor: Supervisor, store: Store, settings: Settings
) -> AsyncGenerator[AskEvent, None]:
    """Wait for a coordinator that serves the request's model, starting one where none runs.

    Says `Waiting` once a second while it comes up, and a `Notice` when it cannot: then the request
    goes wherever else it can (S14). A coordinator that serves another model is left alone.
    """
    if not _is_needed(request, store.snapshot, settings):
        return
    ours = store.snapshot.coordinator(supervisor.url)
    if ours is None or ours.status in _AT_REST or _failed_otherwise(ours, request):
        yield Notice(f"No coordinator serves {request.model}: starting one.")
        await supervisor.start(Order(request.model, port=supervisor.process.port))
    elif ours.status not in _COMING:
        return
    async for event in _until_up(request, supervisor, store):
        yield event


def _is_needed(request: AskRequest, snapshot: ClusterSnapshot, settings: Settings) -> bool:
    now = Circumstances(snapshot, 0.0, settings.threshold_parameters)
    served = any(
        serves(c, request.model) and c.status is CoordinatorStatus.READY
        for c in snapshot.coordinators
    )
    return request.target is None and not served and wants_coordinator(request, now)


def _failed_otherwise(ours: CoordinatorState, request: AskRequest) -> bool:
    """Whether it failed with another model; with this one its problem stands and is shown."""
    failed_model = ours.plan.model if ours.plan is not None else ""
    failed = ours.status is CoordinatorStatus.FAILED and ours.retry_at_s is None
    return failed and not (failed_model and same_model(failed_model, request.model))


async def _until_up(
    request: AskRequest, supervisor: Supervisor, store: Store
) -> AsyncGenerator[AskEvent, None]:
    started_s = store.now_s()
    changed = asyncio.Event()

    def note(_: ClusterSnapshot, __: ClusterSnapshot) -> None:
        changed.set()

    store.listeners.append(note)
    try:
        while (state := store.snapshot.coordinator(supervisor.url)) is not None:
            if state.status not in _COMING and (state.phase or not supervisor.busy):
                break
            yield _waiting(state, store.now_s() - started_s)
            await _either(changed, TELL_EVERY_S)
    finally:
        store.listeners.remove(note)
    if state is not None and state.problems:
        problem = state.problems[0]
        yield Notice(f"{problem.sentence} {problem.next}")


def _waiting(state: CoordinatorState, age_s: float) -> Waiting:
    done = None if state.progress is None else Progress(int(state.progress * PERCENT), PERCENT)
    return Waiting(0, age_s, loading=True, progress=done, phase=state.phase or Phase.PROBING)


async def _either(changed: asyncio.Event, within_s: float) -> None:
    """Wait for a change that matters to whoever watches, at most so long."""
    try:
        async with asyncio.timeout(within_s):
            await changed.wait()
    except TimeoutError:
        return
    finally:
        changed.clear()
