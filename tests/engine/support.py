"""Engines over servers of ours on loopback, with short intervals and a short patience."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url, parse_node_url
from sollol_tui.core.settings import BackendSetting, CoordinatorSetting, NodeSetting, Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.engine.engine import Engine

PATIENCE_S = 10.0


def settings_for(
    nodes: tuple[str, ...] = (),
    coordinators: tuple[str, ...] = (),
    backends: tuple[str, ...] = (),
    **changes: object,
) -> Settings:
    """Settings that name exactly these targets, look often and give up soon."""
    settings = Settings(
        nodes=tuple(NodeSetting(parse_node_url(n)) for n in nodes),
        coordinators=tuple(CoordinatorSetting(parse_coordinator_url(c)) for c in coordinators),
        backends=tuple(BackendSetting(parse_backend_address(b)) for b in backends),
        redis_url="",
        look_at_localhost=False,
        read_sollol_files=False,
        poll_interval_s=0.1,
        timeout_s=0.5,
    )
    return settings._replace(**changes)  # type: ignore[arg-type]


def preferring(url: str, settings: Settings) -> Settings:
    """The settings with one node that is asked first."""
    nodes = (n._replace(weight=10.0) if n.url == url else n for n in settings.nodes)
    return settings._replace(nodes=tuple(nodes))


@asynccontextmanager
async def running(settings: Settings, state_dir: Path | None = None) -> AsyncIterator[Engine]:
    """A running engine after its first look."""
    engine = Engine(settings, state_dir)
    async with engine.running():
        await until(engine, lambda s: s.looked)
        yield engine


async def until(
    engine: Engine, condition: Callable[[ClusterSnapshot], bool], within_s: float = PATIENCE_S
) -> ClusterSnapshot:
    """The first snapshot that fulfils the condition; fails with the last one seen otherwise."""
    changed = asyncio.Event()

    def note(_: ClusterSnapshot, __: ClusterSnapshot) -> None:
        changed.set()

    engine.store.listeners.append(note)
    try:
        async with asyncio.timeout(within_s):
            while not condition(engine.store.snapshot):
                changed.clear()
                await changed.wait()
    except TimeoutError:
        raise AssertionError(f"never came: {engine.store.snapshot}") from None
    finally:
        engine.store.listeners.remove(note)
    return engine.store.snapshot
