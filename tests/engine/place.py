"""Where a coordinator can run: a program that plays llama-server, a model, a port."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.orders import Order
from sollol_tui.core.settings import BackendSetting, CoordinatorSetting, Settings
from sollol_tui.core.state import CoordinatorState
from sollol_tui.demo.backend import DemoBackend
from sollol_tui.io import runs
from tests.core.make_gguf import gguf, llama_fields, llama_tensors
from tests.engine import fake_rpc_server
from tests.engine.fake_llama_server import install
from tests.engine.lives import Life, living

HOST = "127.0.0.1"


class Place:
    """Where a coordinator can run: a program, a model, a port, a directory for what is kept."""

    def __init__(self, tmp_path: Path, port: int = 0) -> None:
        self.directory = tmp_path
        self.program = install(tmp_path / "bin")
        self.rpc_program = fake_rpc_server.install(tmp_path / "bin")
        self.model = tmp_path / "model.gguf"
        self.model.write_bytes(gguf(llama_fields(), llama_tensors()))
        self.port = port or free_port()
        self.state_dir = tmp_path / "state"
        self.url = parse_coordinator_url(f"{HOST}:{self.port}")

    def settings(self, *backends: str, **changes: object) -> Settings:
        settings = Settings(
            coordinators=(CoordinatorSetting(self.url),),
            backends=tuple(BackendSetting(parse_backend_address(b)) for b in backends),
            redis_url="",
            look_at_localhost=False,
            read_sollol_files=False,
            poll_interval_s=0.1,
            timeout_s=1.0,
            context_tokens=512,
            llama_server=str(self.program),
            threshold_parameters=1.0,
        )
        return settings._replace(**changes)  # type: ignore[arg-type]

    @property
    def order(self) -> Order:
        return Order(str(self.model))

    @property
    def log(self) -> Path:
        return runs.log_path(self.state_dir, self.port)

    def backends(self) -> list[psutil.Process]:
        """The backends that were started from here."""
        found = []
        for running in psutil.process_iter():
            with suppress(psutil.Error):
                if str(self.rpc_program) in running.cmdline():
                    found.append(running)
        return found

    def servers(self) -> list[psutil.Process]:
        """The processes that this place's program has become, alive or zombies."""
        found = []
        for running in psutil.process_iter():
            with suppress(psutil.Error):
                dead = running.status() == psutil.STATUS_ZOMBIE and running.ppid() == os.getpid()
                if dead or str(self.model) in running.cmdline():
                    found.append(running)
        return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


async def served(lived: Life, place: Place) -> CoordinatorState:
    await lived.engine.start_coordinator(place.order)
    return await lived.until_ready()


@asynccontextmanager
async def life(place: Place, *backends: DemoBackend, **changes: object) -> AsyncIterator[Life]:
    settings = place.settings(*(b.address for b in backends), **changes)
    async with living(settings, place.state_dir) as lived:
        yield lived
