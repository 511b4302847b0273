"""`sollol-tui coordinator plan`: what would be started, and whether it fits. Starts nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.planned_json import planned_json
from sollol_tui.verbs.coordinator_options import CoordinatorOptions
from sollol_tui.verbs.plan_words import plan_lines
from sollol_tui.verbs.voice import Voice

EXIT_STARTABLE = 0
EXIT_NOT = 1


class PlanMaker(Protocol):
    """What this verb needs of the engine."""

    def running(self) -> AbstractAsyncContextManager[object]: ...

    async def plan_coordinator(self, order: Order) -> Planned: ...


def show_plan(
    make_engine: Callable[[], PlanMaker],
    options: CoordinatorOptions,
    voice: Voice,
    *,
    as_json: bool,
) -> int:
    """Print the plan; returns 0 when it can be started, else 1."""
    planned = asyncio.run(_planned(make_engine, options.order))
    if as_json:
        voice.say_json(planned_json(planned))
    else:
        for line in plan_lines(planned, voice):
            voice.say(line)
    return EXIT_STARTABLE if planned.startable else EXIT_NOT


async def _planned(make_engine: Callable[[], PlanMaker], order: Order) -> Planned:
    engine = make_engine()
    async with engine.running():
        return await engine.plan_coordinator(order)
