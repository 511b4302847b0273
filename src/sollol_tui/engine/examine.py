"""Looks at everything that `check` judges: this machine on threads, the cluster through the engine.

Nothing is started, stopped or written.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sollol_tui.core.findings import (
    FilesSeen,
    Findings,
    ModelSeen,
    PortSeen,
    ProgramSeen,
    SettingsSeen,
    StoreSeen,
)
from sollol_tui.core.ids import CoordinatorUrl, host_of, port_of
from sollol_tui.core.orders import Order, Planned
from sollol_tui.core.places import own_places
from sollol_tui.core.problems import Problem
from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot, CoordinatorStatus, NodeStatus
from sollol_tui.engine.coordinator_process import bind_error
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.found_run import FoundRun
from sollol_tui.io import binaries, blobs, host, stores
from sollol_tui.io.blobs import ModelFile
from sollol_tui.io.disk import Disk
from sollol_tui.io.files import write_problem
from sollol_tui.io.ollama_here import runner_missing
from sollol_tui.io.terminal import look_at_terminal


class Examination(NamedTuple):
    """What is to be looked at, and what the caller knows already."""

    settings: Settings
    state_dir: Path
    settings_seen: SettingsSeen
    registry_is_configured: bool
    asked_model: str = ""
    env: Mapping[str, str] = os.environ


async def examine(what: Examination) -> Findings:
    """Everything that was found."""
    settings = what.settings
    engine = Engine(settings, what.state_dir, supervises=False)
    async with engine.running():
        on_threads = asyncio.gather(
            asyncio.to_thread(_llama_server, what),
            asyncio.to_thread(_rpc_server, what),
            asyncio.to_thread(_model, what),
            asyncio.to_thread(look_at_terminal, what.env),
            asyncio.to_thread(_sollol_files, settings),
            asyncio.to_thread(_set_models, what),
        )
        snapshot = await engine.first_look()
        llama_server, rpc_server, model, terminal, sollol, set_models = await on_threads
        planned = await _planned(engine, what, snapshot)
        ports = await asyncio.to_thread(_ports, what.state_dir, engine.coordinator_urls)
        without_runner = await asyncio.to_thread(_without_runner, snapshot)
    places = stores.stores(what.env, settings.ollama_models)
    return Findings(
        llama_server=llama_server,
        rpc_server=rpc_server,
        stores=_stores(places),
        looked_in=tuple(map(str, places)),
        model=model,
        asked_model=what.asked_model or settings.model_path,
        planned=planned,
        ports=ports,
        snapshot=snapshot,
        registry_is_configured=what.registry_is_configured,
        settings=what.settings_seen,
        state_dir=str(what.state_dir),
        state_dir_problem=write_problem(what.state_dir),
        sollol=sollol,
        terminal=terminal,
        ascii=settings.ascii,
        without_runner=without_runner,
        set_models=set_models,
    )


def _llama_server(what: Examination) -> ProgramSeen | Problem:
    found = binaries.find_llama_server(what.settings, what.env)
    if isinstance(found, Problem):
        return found
    return ProgramSeen(str(found.path), binaries.read_version(found.path))


def _rpc_server(what: Examination) -> ProgramSeen | Problem:
    found = binaries.find_rpc_server(what.settings, what.env)
    return found if isinstance(found, Problem) else ProgramSeen(str(found.path))


def _model(what: Examination) -> ModelSeen | Problem:
    """The model that a coordinator would get, looked for as the planner does (S3)."""
    places = stores.stores(what.env, what.settings.ollama_models)
    asked = what.asked_model or what.settings.model_path
    return _seen(blobs.resolve_model(asked, places) if asked else blobs.largest_model(places))


def _set_models(what: Examination) -> tuple[ModelSeen | Problem, ...]:
    """Those that coordinators of ours are set to run, each once."""
    places = stores.stores(what.env, what.settings.ollama_models)
    names = dict.fromkeys(place.model for place in own_places(what.settings) if place.model)
    return tuple(_seen(blobs.resolve_model(name, places)) for name in names)


def _seen(found: ModelFile | Problem) -> ModelSeen | Problem:
    if isinstance(found, Problem):
        return found
    return ModelSeen(found.name, found.path, found.bytes, found.header.layers)


def _stores(places: tuple[Path, ...]) -> tuple[StoreSeen, ...]:
    seen = []
    disk = Disk()
    for place in places:
        try:
            disk.names(place / "manifests")
        except PermissionError as error:
            advice = stores.advice_to_read(place, disk)
            seen.append(StoreSeen(str(place), None, error.strerror or str(error), advice))
        except OSError:
            continue
        else:
            seen.append(StoreSeen(str(place), len(blobs.list_models((place,)))))
    return tuple(seen)


def _sollol_files(settings: Settings) -> FilesSeen:
    if not settings.read_sollol_files:
        return FilesSeen(wanted=False)
    from sollol_tui.io.sollol_files import read_sollol_files

    files = read_sollol_files()
    return FilesSeen(files.read, files.notes)


async def _planned(engine: Engine, what: Examination, snapshot: ClusterSnapshot) -> Planned | None:
    """The plan for the model; none while a coordinator serves: it holds the backends."""
    if any(c.status is CoordinatorStatus.READY for c in snapshot.coordinators):
        return None
    return await engine.plan_coordinator(Order(what.asked_model))


def _ports(state_dir: Path, urls: Sequence[CoordinatorUrl]) -> tuple[PortSeen, ...]:
    return tuple(_port(FoundRun(state_dir, url)) for url in urls)


def _port(found: FoundRun) -> PortSeen:
    address = f"{host_of(found.url)}:{port_of(found.url)}"
    keeper = found.keeper()
    if (record := found.record()) is not None:
        holder = f"process {record.process.pid}"
        pid = keeper.pid if keeper is not None else None
        return PortSeen(address, False, holder, is_ours=True, keeper_pid=pid)
    if bind_error(found.url) is None:
        return PortSeen(address, free=True)
    port = port_of(found.url) or 0
    processes = host.server_processes(frozenset({port}))
    return PortSeen(
        address,
        free=False,
        holder=host.port_holder(port),
        is_llama=any(p.port == port for p in processes),
    )


def _without_runner(snapshot: ClusterSnapshot) -> dict[str, tuple[str, ...]]:
    """The nodes of this machine that answer and have no program to run a model with."""
    here = host.this_host_addresses()
    found = {}
    for node in snapshot.nodes:
        is_here = host.is_this_host(host_of(node.url), here)
        if node.status is NodeStatus.UP and is_here and (port := port_of(node.url)):
            found[node.url] = runner_missing(port, node.version)
    return {url: why for url, why in found.items() if why}
