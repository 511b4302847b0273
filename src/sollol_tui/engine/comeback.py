"""A coordinator that failed under an answer: is it coming back, and when (N2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from sollol_tui.core.asks import Progress, Waiting
from sollol_tui.core.phases import Phase
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus
from sollol_tui.engine.store import Store
from sollol_tui.engine.supervisor import Supervisor

TELL_EVERY_S = 1.0
NOTICED_WITHIN_S = 2.0  # so soon its supervisor knows of an end, or that it hangs
LONGEST_PAUSE_S = 15.0  # before another try; longer than that nobody waits for an answer
PERCENT = 100

_COMING = {CoordinatorStatus.STARTING, CoordinatorStatus.LOADING, CoordinatorStatus.STOPPING}
_SERVING = {CoordinatorStatus.READY, CoordinatorStatus.STALLED}


def is_back(state: CoordinatorState | None, pid: int | None) -> bool:
    """Whether it serves again, in another process than the one that failed."""
    return state is not None and state.status is CoordinatorStatus.READY and state.pid != pid


def is_coming(state: CoordinatorState, now_s: float) -> bool:
    """Whether it is on its way to serve, or will be within a bearable time."""
    if state.status in _COMING:
        return True
    failed = state.status is CoordinatorStatus.FAILED and state.retry_at_s is not None
    return failed and (state.retry_at_s or 0.0) - now_s <= LONGEST_PAUSE_S


async def until_back(
    supervisor: Supervisor, store: Store, pid: int | None
) -> AsyncGenerator[Waiting, None]:
    """Say `Waiting` with each step and once a second until that coordinator serves again, in
    another process than `pid`; ends too when it will not.
    """
    began_s = store.now_s()
    changed = asyncio.Event()

    def note(before: ClusterSnapshot, after: ClusterSnapshot) -> None:
        if before.coordinator(supervisor.url) is not after.coordinator(supervisor.url):
            changed.set()

    store.listeners.append(note)
    try:
        while supervisor.busy:
            state, age_s = store.snapshot.coordinator(supervisor.url), store.now_s() - began_s
            if state is None or is_back(state, pid):
                return
            unnoticed = state.status in _SERVING and age_s < NOTICED_WITHIN_S
            if not unnoticed and not is_coming(state, store.now_s()):
                return
            yield waiting(state, age_s)
            changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_EVERY_S):
                    await changed.wait()
    finally:
        store.listeners.remove(note)


def waiting(state: CoordinatorState, age_s: float) -> Waiting:
    """What is said while a coordinator comes up."""
    done = None if state.progress is None else Progress(int(state.progress * PERCENT), PERCENT)
    return Waiting(
        0,
        age_s,
        loading=True,
        progress=done,
        phase=state.phase or Phase.PROBING,
        last_load_s=state.expected_s,
        size_bytes=state.plan.model_bytes if state.plan is not None else state.model_bytes,
    )
