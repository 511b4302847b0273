"""The process of a coordinator of ours: its record, its log, its key, and who looks after it."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path

from sollol_tui.core.ids import RPC_PORT, CoordinatorUrl, host_of, port_of
from sollol_tui.core.orders import Order
from sollol_tui.core.phases import Phase
from sollol_tui.core.plan import CoordinatorPlan
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.settings import Headers
from sollol_tui.io import process, runs
from sollol_tui.io.host import port_holder
from sollol_tui.io.log_file import LogFile, begin
from sollol_tui.io.parting import resetting
from sollol_tui.io.process import Command, ProcessId, Running
from sollol_tui.io.runs import RunNote, RunRecord

_ELSEWHERE = "Stop that program, or choose another port for the coordinator."
API_KEY_VARIABLE = "LLAMA_API_KEY"
TOKEN_VARIABLE = "SOLLOL_TUI_RUN"  # noqa: S105 - a name
RANDOM_KEY = "random"

# As a router's child, llama-server says on stdout how far it has loaded, and ends when it is told
# to on stdin (llama.cpp SM:1833; older ones know neither and are none the worse for it).
TELLS_PROGRESS = {"LLAMA_SERVER_ROUTER_PORT": "1"}
EXIT = "cmd_router_to_child:exit\n"
KEY_BYTES = 24


def bind_error(url: CoordinatorUrl) -> OSError | None:
    """Why nothing can listen there now; None when something can."""
    host = host_of(url)
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port_of(url) or 0))
        except OSError as error:
            return error
    return None


def bearer(key: str) -> Headers:
    """The header that carries a key; none without one."""
    return (("Authorization", f"Bearer {key}"),) if key else ()


class CoordinatorProcess:
    """At most one process, on one port of this host. The supervisor is its only caller."""

    def __init__(self, url: CoordinatorUrl, state_dir: Path, api_key: str = "") -> None:
        self.url = url
        self.running: Running | None = None
        self.log: LogFile | None = None
        self.serves = False  # and can be asked to stop
        self.is_ending = False  # or would be, had nobody cut that short
        self.key = "" if api_key == RANDOM_KEY else api_key
        self._random_key = api_key == RANDOM_KEY
        self._state_dir = state_dir
        self._lock = ExitStack()
        self._held = False
        self._noted: Phase | None = None
        self._ports: frozenset[int] = frozenset()  # of its backends

    @property
    def port(self) -> int:
        return port_of(self.url) or 0

    @property
    def headers(self) -> Headers:
        """What a client has to send along."""
        return bearer(self.key)

    @property
    def is_running(self) -> bool:
        return self.running is not None and self.running.is_running

    def start(self, plan: CoordinatorPlan, order: Order | None = None) -> Running:
        """Start it as planned, with a fresh log. Raises `OSError` when it cannot be started.

        `order` is what the plan was made for: the next run of this program plans anew with it.
        """
        if not self._may_look_after():
            raise OSError("another sollol-tui looks after the coordinator on this port")
        if self._random_key:
            self.key = secrets.token_urlsafe(KEY_BYTES)
        path = runs.log_path(self._state_dir, self.port)
        begin(path)
        token = secrets.token_urlsafe(KEY_BYTES)
        record = self._record(plan, path, order, token)
        runs.write_run(self._state_dir, self.port, record)  # first: we may be killed any time
        env = {**TELLS_PROGRESS, TOKEN_VARIABLE: token}
        if self.key:
            env[API_KEY_VARIABLE] = self.key
        pipe = runs.pipe_path(self._state_dir, self.port)
        running = process.start(Command(plan.argv, path, env, hears=pipe))
        self.log, self.running, self.serves = LogFile(path), running, False
        self._ports = _ports(plan.backends)
        runs.write_run(self._state_dir, self.port, record._replace(process=running.identity))
        return running

    def confirm(self) -> None:
        """Its name is settled now: a script that stood before it has become the server.

        By name, start time and id it is known again by the next run.
        """
        if self.running is None or not self.running.identify_again():
            return
        record = runs.read_run(self._state_dir, self.port)
        if record is not None:
            named = record._replace(process=self.running.identity)
            with suppress(OSError):
                runs.write_run(self._state_dir, self.port, named)

    def take_over(self) -> RunRecord | None:
        """The record of an earlier run whose process still runs and is nobody else's; now ours."""
        record = runs.read_run(self._state_dir, self.port)
        if record is None or not self._may_look_after():
            return None
        identity = record.process if record.process.pid else _by_token(record.token)
        self.running = process.take_over(identity) if identity is not None else None
        if identity is None or self.running is None:
            runs.forget_run(self._state_dir, self.port)
            self.let_go()
            return None
        if identity != record.process:
            record = record._replace(process=identity)
            with suppress(OSError):
                runs.write_run(self._state_dir, self.port, record)
        self.log, self.key, self.serves = LogFile(Path(record.log)), record.api_key, True
        self._ports = _ports(record.backends)
        return record

    async def end(self) -> None:
        """Stop it, if it runs, and forget it. No backend shall die of that.

        While it loads it takes no request to stop, nor when it hangs: it would be killed in the
        middle of a word to a backend. Then it is held still first, so that all its connections are
        known, and killed.
        """
        if self.running is None:
            return
        self.is_ending = True
        if not self.serves:
            await self.running.hold_still()
        with resetting(self.running.pid, self._ports) as is_harmless:
            if is_harmless and not self.serves:
                await self.running.kill()
            process.tell(runs.pipe_path(self._state_dir, self.port), EXIT)
            await self.running.stop()
        self.running, self.is_ending = None, False
        runs.forget_run(self._state_dir, self.port)

    def let_go(self) -> None:
        """Look after it no longer; a process that runs stays, with its record."""
        self._lock.close()
        self._held = False

    def port_problem(self) -> Problem | None:
        """Who is in the way, when the port cannot be taken."""
        if not self._may_look_after():
            keeper = runs.keeper(self._state_dir, self.port)
            who = f"process {keeper.pid}" if keeper is not None else "another process"
            evidence: tuple[str, ...] = (f"another sollol-tui ({who}) looks after it",)
            return Problem(Cause.PORT_TAKEN, f"port {self.port}", evidence, _ELSEWHERE)
        if (error := bind_error(self.url)) is None:
            return None
        evidence = (port_holder(self.port) or error.strerror or str(error),)
        return Problem(Cause.PORT_TAKEN, f"port {self.port}", evidence, _ELSEWHERE)

    def note(
        self, at_s: float, phase: Phase, problems: tuple[Problem, ...], retry_at_s: float | None
    ) -> None:
        """Write down where it stands: other programs on this machine want to know."""
        if (phase is self._noted and not problems) or not self._may_look_after():
            return
        self._noted = phase
        old = runs.read_note(self._state_dir, self.port)
        kept = (problems[0], at_s) if problems else (old.problem, old.problem_at_s) if old else ()
        note = RunNote(at_s, phase, retry_at_s, *kept)
        with suppress(OSError):
            runs.write_note(self._state_dir, self.port, note)

    def _may_look_after(self) -> bool:
        if not self._held:
            lock = runs.looked_after(self._state_dir, self.port)
            self._held = self._lock.enter_context(lock)
            if not self._held:
                self._lock.close()  # or each try would leave one behind
        return self._held

    def _record(
        self, plan: CoordinatorPlan, log: Path, order: Order | None, token: str
    ) -> RunRecord:
        """The record of a process that has no id yet."""
        return RunRecord(
            ProcessId(0, 0.0, ""),
            self.url,
            plan.model,
            plan.path,
            plan.backends,
            plan.argv,
            str(log),
            self.key,
            order,
            plan.layer_kv_bytes,
            token,
        )


def _ports(backends: Iterable[str]) -> frozenset[int]:
    return frozenset(port_of(b) or RPC_PORT for b in backends)


def _by_token(token: str) -> ProcessId | None:
    """The process of a run that was killed before it could write down which one it is."""
    return process.with_variable(TOKEN_VARIABLE, token) if token else None
