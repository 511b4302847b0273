"""Where the lab's real servers can be used by an engine: a store of models, backends, a port."""

from __future__ import annotations

import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

from sollol_tui.core.asks import AskEvent, AskRequest, ChatMessage, ChatOptions, Delta
from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.orders import Order
from sollol_tui.core.settings import BackendSetting, CoordinatorSetting, Settings
from sollol_tui.core.state import BackendStatus, ClusterSnapshot, CoordinatorState
from sollol_tui.io import runs
from tests.engine.lives import Life, living
from tests.engine.support import until

from .lab import Lab
from .servers import RpcBackend, Server, free_port, make_store

HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
SMALL, LARGE, HUGE = "one:latest", "two:latest", "three:latest"  # names that tell no size
THRESHOLD = 200e6  # parameters: between SMALL and LARGE
PATIENCE_S = 90.0  # on a machine that does other things as well
SIGPIPE = -signal.SIGPIPE


class Place:
    """A port of this host, a store with three models, and where what is kept lies."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        models = {SMALL: lab.model_small, LARGE: lab.model_large, HUGE: lab.model_huge}
        self.store = make_store(directory / "store", models)
        self.state_home = directory / "state"
        self.state_dir = self.state_home / "sollol-tui"
        self.port = free_port()
        self.url = parse_coordinator_url(f"127.0.0.1:{self.port}")

    def settings(self, backends: Iterable[str]) -> Settings:
        """Everything by hand, looked at often."""
        return Settings(
            coordinators=(CoordinatorSetting(self.url),),
            backends=tuple(BackendSetting(parse_backend_address(b)) for b in backends),
            redis_url="",
            look_at_localhost=False,
            read_sollol_files=False,
            poll_interval_s=0.5,
            timeout_s=5.0,
            threshold_parameters=THRESHOLD,
            context_tokens=2048,
            ollama_models=str(self.store),
            llama_server=str(self.lab.llama_server),
        )

    @property
    def log_text(self) -> str:
        """What the coordinator has printed so far."""
        return runs.log_path(self.state_dir, self.port).read_text(errors="replace")

    def servers(self) -> list[psutil.Process]:
        """The llama-servers that run here, and zombies of theirs."""
        return servers_on(self.port)


def servers_on(port: int) -> list[psutil.Process]:
    """The llama-servers that were started for that port, alive or not reaped."""
    found = []
    for running in psutil.process_iter():
        with suppress(psutil.Error):
            words = running.cmdline()
            zombie = running.status() == psutil.STATUS_ZOMBIE and running.name() == "llama-server"
            if zombie or ("--port" in words and words[words.index("--port") + 1] == str(port)):
                found.append(running)
    return found


class App(Server):
    """`sollol-tui coordinator run --json`, with everything in its configuration."""

    def __init__(self, lab: Lab, place: Place, backends: Sequence[RpcBackend], model: str) -> None:
        super().__init__(lab, "127.0.0.1", place.port)
        self.place = place
        self.model = model
        self.config = self.directory / "config.toml"
        listed = ", ".join(f'"{b.address}"' for b in backends)
        self.config.write_text(
            f'redis_url = "off"\nlook_at_localhost = false\nbackends = [{listed}]\n'
            f'coordinators = ["{place.url}"]\nollama_models = "{place.store}"\n'
            f'llama_server = "{lab.llama_server}"\ncontext_tokens = 2048\n'
        )

    def command(self) -> Sequence[str | Path]:
        """The verb that keeps a coordinator up."""
        verb = ["coordinator", "run", "--json", "-m", self.model, "--config", str(self.config)]
        return [sys.executable, "-m", "sollol_tui.cli", *verb]

    def environment(self) -> dict[str, str]:
        """A home of its own; what it keeps lies where the next run finds it."""
        return {
            "HOME": str(self.directory),
            "XDG_STATE_HOME": str(self.place.state_home),
            "LLAMA_ARG_THREADS": "1",
        }

    def answers(self) -> bool:
        """Whether its coordinator serves."""
        return '"phase": "ready"' in self.log_text()


@asynccontextmanager
async def life(
    place: Place, backends: Iterable[RpcBackend | str], **changes: object
) -> AsyncIterator[Life]:
    """An engine over these backends, after its first look at all of them."""
    addresses = [b if isinstance(b, str) else b.address for b in backends]
    settings = place.settings(addresses)._replace(**changes)  # type: ignore[arg-type]
    async with living(settings, place.state_dir, PATIENCE_S) as lived:
        yield lived


async def served(lived: Life, order: Order) -> CoordinatorState:
    """Start it, until it serves."""
    await lived.engine.start_coordinator(order)
    return await lived.until_ready()


async def until_shown(lived: Life, address: str, status: BackendStatus) -> ClusterSnapshot:
    """Until that backend is shown so."""

    def holds(snapshot: ClusterSnapshot) -> bool:
        backend = snapshot.backend(address)
        return backend is not None and backend.status is status

    return await until(lived.engine, holds, PATIENCE_S)


def question(model: str, tokens: int = 12, words: int = 0) -> AskRequest:
    """A question behind so many words that say nothing, and so many tokens for the answer."""
    text = "Once more. " * (words // 2) + "Count from one to two hundred."
    options = ChatOptions(temperature=0, max_tokens=tokens, seed=1)
    return AskRequest(model, (ChatMessage("user", text),), options)


async def asked(lived: Life, request: AskRequest) -> list[AskEvent]:
    """All events of a question."""
    return [event async for event in lived.engine.ask(request)]


def text_of(events: Sequence[AskEvent]) -> str:
    """What was answered."""
    return "".join(e.text for e in events if isinstance(e, Delta))
