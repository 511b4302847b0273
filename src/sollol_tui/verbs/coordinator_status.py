"""`sollol-tui coordinator status`: the coordinators, and the life of the one of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from sollol_tui.core import units
from sollol_tui.core.coordinator_json import Life, coordinators_json
from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.plain import plain_line
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState, CoordinatorStatus
from sollol_tui.verbs.plan_words import shard_lines
from sollol_tui.verbs.problem_lines import INDENT, problem_lines, wrapped
from sollol_tui.verbs.status import coordinator_lines
from sollol_tui.verbs.voice import Voice

EXIT_READY = 0
EXIT_NONE = 1


class Looker(Protocol):
    """What this verb needs of the engine."""

    async def look_once(self) -> ClusterSnapshot: ...


def only_coordinators(settings: Settings, url: CoordinatorUrl) -> Settings:
    """The settings that look at coordinators and nothing else; the place of ours among them."""
    known = any(c.url == url for c in settings.coordinators)
    ours = () if known else (CoordinatorSetting(url, source="localhost"),)
    return settings._replace(
        nodes=(), backends=(), redis_url="", coordinators=(*settings.coordinators, *ours)
    )


def show_status(
    make_engine: Callable[[], Looker],
    life_of: Callable[[CoordinatorState | None], Life],
    url: CoordinatorUrl,
    voice: Voice,
    *,
    as_json: bool,
    clock: Callable[[], float] = time.time,
    others: Callable[[ClusterSnapshot], Sequence[Life]] = lambda _: (),
) -> int:
    """Look once and print; returns 0 when a coordinator is ready, else 1.

    `others` are the lives of other coordinators of ours that run.
    """

    async def look() -> ClusterSnapshot:
        return await make_engine().look_once()

    snapshot = asyncio.run(look())
    lives = (life_of(snapshot.coordinator(url)), *others(snapshot))
    if as_json:
        voice.say_json(coordinators_json(snapshot, lives, clock()))
    else:
        for line in coordinator_lines(snapshot.coordinators, voice):
            voice.say(line)
        for index, life in enumerate(lives):
            for line in (*([""] if index else []), *_life(life, voice, clock)):
                voice.say(line)
    ready = any(c.status is CoordinatorStatus.READY for c in snapshot.coordinators)
    return EXIT_READY if ready else EXIT_NONE


def _life(life: Life, voice: Voice, clock: Callable[[], float]) -> Iterator[str]:
    now_s = clock()
    yield from wrapped(f"{life.url}: {_phase(life, now_s)}", voice.width_cells)
    if life.shards is not None:
        yield ""
        yield from shard_lines(life.shards, voice)
    if life.problem is not None:
        yield ""
        yield f"The last problem, {units.age(life.problem_at_s, now_s)}:"
        for text, _ in problem_lines(life.problem):
            yield from wrapped(f"{INDENT}{text}", voice.width_cells)


def _phase(life: Life, now_s: float) -> str:
    percent = "" if life.progress is None else f" {life.progress:.0%}"
    words = f"{life.phase.value}{percent}"
    if life.retry_at_s is not None and life.retry_at_s > now_s:
        words += f", starts again in {units.duration(life.retry_at_s - now_s)}"
    if life.keeper_pid is not None:
        return f"{words}, kept up by sollol-tui (process {life.keeper_pid})"
    return plain_line(words)
