"""The demo's cluster: three Ollama nodes, a coordinator over two RPC backends, and one free."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.settings import (
    BackendSetting,
    CoordinatorSetting,
    NodeSetting,
    Settings,
)
from sollol_tui.core.state import Mode
from sollol_tui.demo.faults import Faults
from sollol_tui.demo.listener import HOST

START_LIMIT_S = 10.0
STOP_LIMIT_S = 1.0
KEPT_LOG_LINES = 500
SOURCE = "demo"

COORDINATOR = "coordinator"
MODEL = "llama3.3:70b"
MODEL_PATH = "/srv/models/Llama-3.3-70B-Instruct-Q4_K_M.gguf"
FIRST_MODEL = "llama3.2:3b"


class Plan(NamedTuple):
    """A server of the cluster, before it is started."""

    name: str
    kind: str
    options: tuple[str, ...]


def _node(name: str, models: str, *options: str) -> Plan:
    return Plan(name, "ollama", ("--name", name, "--models", models, *options))


NODES = (
    _node(
        "gpu-rig",
        "llama3.2:3b,qwen3:8b,gemma3:12b,deepseek-r1:14b",
        *("--preload", "qwen3:8b", "--tokens-per-s", "72", "--load-s", "2.5"),
    ),
    _node(
        "studio",
        "llama3.2:3b,qwen3:8b,mistral:7b,codellama:13b,nomic-embed-text",
        *("--preload", "mistral:7b,llama3.2:3b", "--tokens-per-s", "41", "--load-s", "4"),
    ),
    _node(
        "attic",
        "llama3.2:3b,nomic-embed-text",
        *("--gpu-share", "0", "--tokens-per-s", "11", "--load-s", "7"),
    ),
)
BACKENDS = (
    Plan("rpc-1", "ggml-rpc-server", ("--device", "24576:23910")),
    Plan("rpc-2", "ggml-rpc-server", ("--device", "24576:23870", "--device", "12288:11760")),
    Plan("rpc-3", "ggml-rpc-server", ("--device", "16384:15420")),
)
ATTACHED = ("rpc-1", "rpc-2")
COORDINATOR_OPTIONS = (
    *("-m", MODEL_PATH, "--alias", MODEL, "--host", HOST, "-c", "16384", "-np", "2"),
    *("--metrics", "--tokens-per-s", "14"),
)


class DemoError(Exception):
    """A server of the demo did not start; the text says which and what it said."""


class Cluster:
    """Runs the servers as processes of their own, for as long as the context lasts.

    Names: `gpu-rig`, `studio`, `attic`, `rpc-1`, `rpc-2`, `rpc-3`, `coordinator`.
    """

    def __init__(self) -> None:
        self._servers: dict[str, _Server] = {}

    async def __aenter__(self) -> Cluster:
        try:
            async with asyncio.TaskGroup() as starts:
                sharded = [starts.create_task(self._start(plan)) for plan in BACKENDS]
                await asyncio.gather(*sharded)
                starts.create_task(self._start(self._coordinator_plan(), _free_port()))
                for plan in NODES:
                    starts.create_task(self._start(plan))
        except BaseExceptionGroup as group:
            await self._end()
            raise group.exceptions[0] from None
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    @property
    def names(self) -> tuple[str, ...]:
        """All servers."""
        return tuple(self._servers)

    def settings(self) -> Settings:
        """What a screen needs to look at these servers and at nothing else."""
        nodes = [NodeSetting(NodeUrl(self.url(p.name)), p.name, source=SOURCE) for p in NODES]
        url = CoordinatorUrl(self.url(COORDINATOR))
        backends = [BackendSetting(BackendAddress(self.url(p.name)), SOURCE) for p in BACKENDS]
        return Settings(
            nodes=tuple(nodes),
            coordinators=(CoordinatorSetting(url, COORDINATOR, source=SOURCE),),
            backends=tuple(backends),
            redis_url="",
            mode=Mode.BOTH,
            look_at_localhost=False,
            read_sollol_files=False,
            model=FIRST_MODEL,
        )

    def url(self, name: str) -> str:
        """Where a server listens: a URL, or `host:port` of a backend."""
        return self._servers[name].url

    def pid(self, name: str) -> int:
        """The process of a server."""
        return self._servers[name].process.pid

    def running(self, name: str) -> bool:
        """Whether the process of a server lives (it may be stopped)."""
        return self._servers[name].process.returncode is None

    def log(self, name: str) -> tuple[str, ...]:
        """The last lines that a server wrote."""
        return tuple(self._servers[name].log)

    def stop(self, name: str) -> None:
        """Freeze a server: its connections stay, nothing answers."""
        self._servers[name].signal(signal.SIGSTOP)

    def cont(self, name: str) -> None:
        """Thaw a frozen server."""
        self._servers[name].signal(signal.SIGCONT)

    async def kill(self, name: str) -> None:
        """End a server as a power cut does."""
        self._servers[name].signal(signal.SIGKILL)
        await self._servers[name].ended()

    async def restart(self, name: str) -> None:
        """Start a server again where it was, killing it before if need be.

        Raises `DemoError`: a coordinator does not start without its backends.
        """
        await self.kill(name)
        await self._servers[name].start()

    async def set_faults(self, name: str, faults: Faults) -> None:
        """Break or mend a server without ending it."""
        await self._servers[name].send({"faults": faults._asdict()})

    def _coordinator_plan(self) -> Plan:
        rpc = ",".join(self.url(name) for name in ATTACHED)
        return Plan(COORDINATOR, "llama-server", ("--rpc", rpc, *COORDINATOR_OPTIONS))

    async def _start(self, plan: Plan, port: int = 0) -> None:
        server = self._servers[plan.name] = _Server(plan, port)
        await server.start()

    async def _end(self) -> None:
        await asyncio.gather(*(server.end() for server in self._servers.values()))


class _Server:
    """One process: its pipes are read until they end, its input stays open as long as we live."""

    process: asyncio.subprocess.Process

    def __init__(self, plan: Plan, port: int = 0) -> None:
        self.plan = plan
        self.url = ""
        self.log: deque[str] = deque(maxlen=KEPT_LOG_LINES)
        self._port = port
        self._reading: list[asyncio.Task[None]] = []
        self._started = False

    async def start(self) -> None:
        """Start the process and wait until it listens. Raises `DemoError`."""
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            *self._command(),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env=_environment(),
            # A group of its own in our session: Ctrl+C does not reach it, and should we die while
            # it is stopped, the kernel wakes and ends it.
            process_group=0,
        )
        self._started = True
        stdout, stderr = self.process.stdout, self.process.stderr
        assert stdout is not None
        assert stderr is not None
        self._reading = [asyncio.create_task(self._read(stderr))]
        try:
            async with asyncio.timeout(START_LIMIT_S):
                said = await stdout.readline()
        except TimeoutError:
            said = b""
        self._reading.append(asyncio.create_task(self._read(stdout)))
        if not said:
            await self.end()
            raise DemoError(f"{self.plan.name} did not start: {' / '.join(self.log)}")
        self.url = str(json.loads(said)["url"])
        self._port = int(self.url.rpartition(":")[2])

    def signal(self, number: int) -> None:
        """Send a signal, if there is anybody to receive it."""
        if self._started and self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    async def send(self, message: Mapping[str, Any]) -> None:
        """Write a line to its input; a dead server does not hear it."""
        assert self.process.stdin is not None
        with suppress(ConnectionError):
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            await self.process.stdin.drain()

    async def end(self) -> None:
        """Close its input, ask it to end, and kill it when it does not within a second."""
        if not self._started:
            return
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self.ended()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.ended()

    async def ended(self) -> None:
        """Return when the process and its pipes are gone."""
        if self._started:
            await self.process.wait()
            await asyncio.wait(self._reading)

    def _command(self) -> Sequence[str]:
        port = ("--port", str(self._port))
        return (sys.executable, "-m", "sollol_tui.demo", self.plan.kind, *port, *self.plan.options)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.log.append(line.decode(errors="replace").rstrip("\n"))


def _environment() -> dict[str, str]:
    """Ours, with this very package to be found first."""
    source = str(Path(__file__).resolve().parents[2])
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{rest}" if rest else source}


def _free_port() -> int:
    """A port for the coordinator, whose command line has to name it."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])
