"""`sollol-tui worker`: this machine's RPC backend, kept up and registered until it is stopped."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from sollol_tui.core.ids import is_loopback
from sollol_tui.core.plain import plain_line, without_password
from sollol_tui.core.problems import Problem
from sollol_tui.core.settings_merge import Resolved
from sollol_tui.core.worker import (
    ProblemFound,
    WorkerEvent,
    WorkerOrder,
    unknown_flags,
    worker_event_json,
)
from sollol_tui.io.binaries import Binary, find_rpc_server
from sollol_tui.io.listening import address_towards, own_addresses
from sollol_tui.verbs.voice import Voice
from sollol_tui.verbs.worker_options import LOOPBACK, Place, WorkerOptions, choose_place
from sollol_tui.verbs.worker_unit import Unit, unit_text
from sollol_tui.verbs.worker_words import ONLY_HERE, event_lines, warning

EXIT_STOPPED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2


class WorkerCall(NamedTuple):
    """Everything the verb is called with."""

    options: WorkerOptions
    resolved: Resolved
    state_dir: Path
    config: Path | None = None
    as_json: bool = False


def worker(call: WorkerCall, voice: Voice, stdin: TextIO | None) -> int:
    """Keep a backend up until SIGINT, SIGTERM or SIGHUP: 0 then, 1 when it cannot be started, 2
    for what was asked wrongly or not confirmed."""
    options, settings = call.options, call.resolved.settings
    if settings.read_only:
        return _refuse(voice, "read_only is set: nothing is started")
    host = options.host or LOOPBACK
    try:
        place = choose_place(options, host, settings.redis_url, address_towards)
    except ValueError as error:
        return _refuse(voice, f"--advertise: {error}")
    binary = find_rpc_server(settings)
    order = _order(call, host, "" if isinstance(binary, Problem) else str(binary.path), place)
    if options.wants_unit:
        return _print_unit(call, order, voice, binary)
    if isinstance(binary, Problem):
        _Teller(voice, order, call.as_json).tell(ProblemFound(time.time(), binary))
        return EXIT_FAILED
    if unknown := unknown_flags(order, binary.help):
        return _refuse(voice, f"{binary.path} knows no {', '.join(unknown)}")
    if not _is_wanted(order, options, voice, stdin):
        return EXIT_USAGE
    voice.tell(f"sollol-tui worker: {place.note}")
    return _keep_up(order, call, voice)


def _order(call: WorkerCall, host: str, binary: str, place: Place) -> WorkerOrder:
    options = call.options
    return WorkerOrder(
        binary,
        host,
        options.port,
        options.devices,
        options.threads,
        options.cache,
        call.resolved.settings.redis_url if place.advertised else "",
        place.advertised,
    )


def _refuse(voice: Voice, sentence: str) -> int:
    voice.tell(f"sollol-tui worker: {sentence}")
    return EXIT_USAGE


# The yes


def _is_wanted(
    order: WorkerOrder, options: WorkerOptions, voice: Voice, stdin: TextIO | None
) -> bool:
    """Whether it may listen there: on loopback always, elsewhere only with a yes."""
    _say_who_can_reach(order, options, voice)
    if is_loopback(order.host) or options.is_confirmed:
        return True
    if stdin is None or not stdin.isatty():
        voice.tell('sollol-tui worker: say "--yes" when that is understood')
        return False
    voice.err.write('Start it? Type "yes": ')
    voice.err.flush()
    if stdin.readline().strip().lower() == "yes":
        return True
    voice.tell("sollol-tui worker: not started")
    return False


def _say_who_can_reach(order: WorkerOrder, options: WorkerOptions, voice: Voice) -> None:
    if not is_loopback(order.host):
        for line in warning(order, own_addresses()):
            voice.tell(line)
    elif not options.host:
        voice.tell(f"sollol-tui worker: {ONLY_HERE}")


# Running


def _keep_up(order: WorkerOrder, call: WorkerCall, voice: Voice) -> int:
    teller = _Teller(voice, order, call.as_json)
    problem = asyncio.run(_run(order, call.state_dir, teller))
    if teller.broken is not None:
        raise teller.broken
    return EXIT_STOPPED if problem is None else EXIT_FAILED


async def _run(order: WorkerOrder, state_dir: Path, teller: _Teller) -> Problem | None:
    from sollol_tui.engine.worker import Worker

    keeper = Worker(order, state_dir, teller.tell)
    teller.stop = keeper.stop
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup's wish
            loop.add_signal_handler(number, keeper.stop)
    return await keeper.run()


class _Teller:
    """Prints events, in words or as JSON. Output that cannot be written ends the worker."""

    def __init__(self, voice: Voice, order: WorkerOrder, as_json: bool) -> None:
        self.broken: OSError | None = None
        self.stop: Callable[[], None] = lambda: None
        self._voice = voice
        self._order = order
        self._as_json = as_json

    def tell(self, event: WorkerEvent) -> None:
        if self.broken is not None:
            return
        try:
            self._print(event)
        except OSError as error:
            self.broken = error
            self.stop()

    def _print(self, event: WorkerEvent) -> None:
        if self._as_json:
            self._voice.say_json(worker_event_json(event, self._order.address))
            return
        clock = time.strftime("%H:%M:%S")
        for line, colour in event_lines(event, self._order):
            self._voice.say(f"{clock}  {self._voice.painted(plain_line(line), colour)}")
        self._voice.out.flush()


# The unit


def _print_unit(
    call: WorkerCall, order: WorkerOrder, voice: Voice, binary: Binary | Problem
) -> int:
    options, redis_url = call.options, call.resolved.settings.redis_url
    _say_who_can_reach(order, options, voice)  # the unit brings the yes
    variables = {}
    if isinstance(binary, Problem):
        voice.tell(f"sollol-tui worker: {binary.sentence} It has to be there when the unit starts.")
    else:
        variables["SOLLOL_TUI_RPC_SERVER"] = str(binary.path)
    variables |= {n: os.environ[n] for n in ("LD_LIBRARY_PATH",) if os.environ.get(n)}
    is_secret = without_password(redis_url) != redis_url
    words = [*_program(), "worker", *_flags(options)]
    if not call.resolved.is_default("redis_url") and not is_secret:
        words += ["--redis", redis_url or "off"]
    if call.config is not None:
        words += ["--config", str(call.config.expanduser().absolute())]
    voice.say(unit_text(Unit((*words, "--yes"), getpass.getuser(), variables, is_secret)))
    return EXIT_STOPPED


def _flags(options: WorkerOptions) -> list[str]:
    words = ["--host", options.host or LOOPBACK, "--port", str(options.port)]
    words += ["--device", options.devices] if options.devices else []
    words += ["--threads", str(options.threads)] if options.threads else []
    words += ["--cache"] if options.cache else []
    return words + (["--advertise", options.advertise] if options.advertise else [])


def _program(argv0: str = sys.argv[0], env: Mapping[str, str] = os.environ) -> Sequence[str]:
    """How this program is started: systemd wants whole paths."""
    found = shutil.which(argv0, path=env.get("PATH", ""))
    if found and Path(found).name == "sollol-tui":
        return [os.path.abspath(found)]
    return [sys.executable, "-m", "sollol_tui.cli"]
