"""Run the lab's real servers on loopback addresses, each in a process group of its own.

    with RpcBackend(lab, "127.0.0.2") as one, RpcBackend(lab, "127.0.0.3") as two:
        with Coordinator(lab, lab.model_small, [one, two]) as coordinator:
            get_json(coordinator.url + "/v1/models")

Entering waits until the server answers, leaving stops the whole group. A port of 0 means a free
one, kept over a restart with `start()`.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from .lab import HOW_TO_GET_IT, Lab, library_path
from .store import make_store

__all__ = [
    "Coordinator",
    "FragileBackend",
    "OllamaNode",
    "RedisServer",
    "RpcBackend",
    "Server",
    "ServerError",
    "free_port",
    "get_json",
    "is_ok",
    "make_store",
    "post_json",
    "rpc_version",
]

START_LIMIT_S = 60.0  # a start takes 0.1 to 1 s on a quiet machine
POLL_S = 0.02
ANSWER_LIMIT_S = 1.0
STOP_LIMITS_S = (2.0, 1.0)  # after the first and the second SIGTERM
HELLO = struct.pack("<BQ24x", 14, 24)
HELLO_ANSWER = struct.Struct("<QBBB25x")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ServerError(Exception):
    """A server ended or did not answer in time; the text holds the end of its log."""


class Server(ABC):
    """One server process on a loopback address."""

    def __init__(self, lab: Lab, host: str = "127.0.0.1", port: int = 0) -> None:
        if not host.startswith("127."):
            raise ValueError(f"{host} is not a loopback address")
        self.lab = lab
        self.host = host
        self.port = port or free_port(host)
        self._process: subprocess.Popen[bytes] | None = None
        self._home: tempfile.TemporaryDirectory[str] | None = None
        self._last_log = ""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """The words of the command line."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether the server does its work now; asks it once."""

    def environment(self) -> Mapping[str, str]:
        """What the process gets beside the paths."""
        return {}

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the process, again if it has ended, and wait until it answers."""
        self.spawn()
        self.wait_ready()

    def spawn(self) -> None:
        """Start the process and return at once."""
        if self._process is not None:
            self.stop()
        paths = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        paths |= library_path(self.lab.lib_dir)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in self.command()],
                env={**paths, "GGML_NO_BACKTRACE": "1", **self.environment()},
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                restore_signals=False,  # Python ignores SIGPIPE, so the child does
            )

    def wait_ready(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait until the server answers; ServerError when it ends first or the time is over."""
        deadline = time.monotonic() + limit_s
        while self.running:
            if self.answers():
                return
            if time.monotonic() > deadline:
                raise ServerError(f"no answer from {self} in {limit_s:.0f} s:\n{self.log_tail()}")
            time.sleep(POLL_S)
        raise ServerError(f"{self} ended with {self.wait_exit()}:\n{self.log_tail()}")

    def kill(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the server's own process, not to its children."""
        self.process.send_signal(sig)

    def kill_group(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to the server and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, sig)

    def wait_exit(self, limit_s: float = 10.0) -> int:
        """Wait for the end of the process and return its status, negative for a signal."""
        return self.process.wait(limit_s)

    def stop(self) -> None:
        """End the whole group: SIGTERM twice, then SIGKILL for what is left; twice does no harm."""
        if self._process is None:
            return
        for limit_s in STOP_LIMITS_S:
            if self.running:
                self.kill_group(signal.SIGTERM)
                self.kill_group(signal.SIGCONT)
                with suppress(subprocess.TimeoutExpired):
                    self.wait_exit(limit_s)
        self.kill_group(signal.SIGKILL)
        self.wait_exit()

    def close(self) -> None:
        """Stop, and give up the log and the private directory."""
        self.stop()
        if self._home is not None:
            self._last_log = self.log_text()
            self._home.cleanup()
            self._home = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        if self._process is None:
            raise ServerError(f"{self} was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The id of the process, and of its group."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process has not ended; a stopped one has not."""
        return self.process.poll() is None

    @property
    def children(self) -> list[int]:
        """The ids of the processes that it has started and that have not ended."""
        with suppress(FileNotFoundError, ProcessLookupError):
            listed = Path(f"/proc/{self.pid}/task").glob("*/children")
            return sorted(int(word) for path in listed for word in path.read_text().split())
        return []

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return f"http://{self.address}"

    @property
    def directory(self) -> Path:
        """A directory of its own, from the first use until `close()`."""
        if self._home is None:
            self._home = tempfile.TemporaryDirectory(prefix="lab-")
        return Path(self._home.name)

    @property
    def log(self) -> Path:
        """The file that it prints into, over all its starts."""
        return self.directory / "log.txt"

    def log_text(self) -> str:
        """Everything it has printed; still there after `close()`."""
        if self._home is None:
            return self._last_log
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.address}"


class RpcBackend(Server):
    """A ggml-rpc-server, which serves one client at a time."""

    deaths: ClassVar[list[int]] = []
    """How those of this run of the tests ended that nobody stopped: their exit statuses."""

    def stop(self) -> None:
        """As every server; one that has ended before is counted."""
        if self._process is not None and not self.running and self.pid != self._counted:
            self._counted = self.pid
            self.deaths.append(self.process.returncode)
        super().stop()
        self._counted = self.pid if self._process is not None else 0

    _counted = 0

    def command(self) -> Sequence[str | Path]:
        """One thread; line buffering, because it prints into a file."""
        by_line = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
        bind = ["-H", self.host, "-p", str(self.port)]
        return [*by_line, str(self.lab.rpc_server), *bind, "-t", "1"]

    def answers(self) -> bool:
        """Whether it says its protocol version; False also while a coordinator holds it."""
        return rpc_version(self.host, self.port) is not None


class FragileBackend(RpcBackend):
    """A backend as most people start it: it dies when it answers somebody who has left."""

    def command(self) -> Sequence[str | Path]:
        """SIGPIPE is what it is by default."""
        return ["env", "--default-signal=PIPE", *super().command()]


class Coordinator(Server):
    """A llama-server with a model, over RPC backends or alone."""

    COMMON = "-t 1 -c 2048 -np 1 -b 512 --no-ui --metrics --offline --cors-origins localhost"

    def __init__(
        self,
        lab: Lab,
        model: Path,
        backends: Sequence[RpcBackend | str] = (),
        port: int = 0,
        extra_args: Sequence[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        super().__init__(lab, host, port)
        self.model = model
        self.backends = [b if isinstance(b, str) else b.address for b in backends]
        self.extra_args = extra_args

    def command(self) -> Sequence[str | Path]:
        """One slot, one thread, 2048 tokens, the name `lab`; the extra words come last and win."""
        rpc = ["--rpc", ",".join(self.backends)] if self.backends else []
        bind = ["--host", self.host, "--port", str(self.port), *self.COMMON.split()]
        name = [] if "--alias" in self.extra_args else ["--alias", "lab"]  # two would be a list
        model = ["-m", str(self.model), *name]
        return [self.lab.llama_server, *rpc, *model, *bind, *self.extra_args]

    def answers(self) -> bool:
        """Whether the model is loaded."""
        return is_ok(self.url + "/health")


class OllamaNode(Server):
    """An `ollama serve` over a model store."""

    def __init__(
        self,
        lab: Lab,
        store: Path,
        host: str = "127.0.0.1",
        port: int = 0,
        env: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(lab, host, port)
        self.store = store
        self.env = env or {}

    def command(self) -> Sequence[str | Path]:
        """The words of the command line; ServerError on a lab without Ollama."""
        if self.lab.ollama is None:
            raise ServerError(f"no Ollama here: {HOW_TO_GET_IT} on a machine with go")
        return [self.lab.ollama, "serve"]

    def environment(self) -> Mapping[str, str]:
        """Its own home, no cloud, one thread for the llama-server it runs; `env` wins."""
        return {
            "HOME": str(self.directory),
            "OLLAMA_HOST": self.address,
            "OLLAMA_MODELS": str(self.store),
            "OLLAMA_NO_CLOUD": "1",
            "OLLAMA_NOPRUNE": "1",
            "OLLAMA_CONTEXT_LENGTH": "2048",
            "LLAMA_ARG_THREADS": "1",
            **self.env,
        }

    def answers(self) -> bool:
        """Whether it tells its version."""
        return is_ok(self.url + "/api/version")


class RedisServer(Server):
    """An empty Redis that writes nothing to disk."""

    def __init__(self, lab: Lab, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__(lab, host, port)

    def command(self) -> Sequence[str | Path]:
        """No snapshots, no journal."""
        bind = ["--bind", self.host, "--port", str(self.port)]
        return [self.lab.redis_server, *bind, "--save", "", "--appendonly", "no"]

    @property
    def url(self) -> str:
        """`redis://host:port/0`."""
        return f"redis://{self.address}/0"

    def answers(self) -> bool:
        """Whether it says PONG."""
        return self.ask("PING") == "+PONG"

    def ask(self, command: str) -> str:
        """Send one inline command and return the answer's first line, empty if there is none."""
        try:
            with socket.create_connection((self.host, self.port), ANSWER_LIMIT_S) as redis:
                redis.sendall(command.encode() + b"\r\n")
                return redis.makefile("rb").readline().decode().strip()
        except OSError:
            return ""


# Asking


def free_port(*hosts: str) -> int:
    """A port that is free on all these addresses, to give every node the same one."""
    while True:
        with ExitStack() as held, suppress(OSError):
            port = 0
            for host in hosts or ("127.0.0.1",):
                sock = held.enter_context(socket.socket())
                sock.bind((host, port))
                port = int(sock.getsockname()[1])
            return port


def rpc_version(
    host: str, port: int, limit_s: float = ANSWER_LIMIT_S
) -> tuple[int, int, int] | None:
    """The protocol version that a backend tells, None if it says nothing; does it no harm."""
    with socket.socket() as sock, suppress(OSError):
        sock.settimeout(limit_s)
        # Until it has answered leave with a reset: one that writes to a closed socket may die.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.connect((host, port))
        sock.sendall(HELLO)
        with sock.makefile("rb") as answers:
            answer = answers.read(HELLO_ANSWER.size)
        if len(answer) == HELLO_ANSWER.size:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
            _, major, minor, patch = HELLO_ANSWER.unpack(answer)
            return major, minor, patch
    return None


def is_ok(url: str) -> bool:
    """Whether a GET is answered with 200 in a second."""
    try:
        with DIRECT.open(url, timeout=ANSWER_LIMIT_S) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, http.client.HTTPException):
        pass
    return False


def get_json(url: str, limit_s: float = 30.0) -> Any:
    """The JSON that a GET returns."""
    with DIRECT.open(url, timeout=limit_s) as answer:
        return json.load(answer)


def post_json(url: str, body: object, limit_s: float = 120.0) -> Any:
    """The JSON that a POST of JSON returns."""
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with DIRECT.open(request, timeout=limit_s) as answer:
        return json.load(answer)
