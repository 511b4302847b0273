"""Why a backend does not start or ended: what ggml-rpc-server prints, and what that means.

It leaves with exit code 0 when its port is taken and when it does not know an argument (build
11434; each of these was provoked for real), so its words decide, not the code.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.server_flags import parse_devices
from sollol_tui.core.wire import one_line
from sollol_tui.core.worker import WorkerOrder

MAX_EVIDENCE = 4

PortState = Literal["free", "taken", "not_here", "denied"]

_NO_SOCKET = "Failed to create server socket"
_WRONG_ORDER = ("unknown argument", "unknown device", "Invalid host", "Invalid parameters")
_USUAL = re.compile(
    r"!!!!|WARNING: Host|Never expose the RPC|This is an experimental|Starting RPC server"
    r"|^ *(endpoint|local cache|transport) +:|^Devices:|[Cc]lient connection"
)
_NOT_RUNNABLE = (126, 127)  # a loader that misses a library ends so


class PortLook(NamedTuple):
    """Whether the port can be had. `holder` is who listens there, where that can be seen."""

    state: PortState
    holder: str = ""
    own_addresses: tuple[str, ...] = ()  # this machine's


class Ended(NamedTuple):
    """`is_lasting`: another start would end in the same way until somebody does something."""

    problem: Problem
    is_lasting: bool = False


def port_problem(order: WorkerOrder, look: PortLook) -> Ended | None:
    """Why the backend cannot listen; None when it can."""
    lines: tuple[str, ...]
    match look.state:
        case "taken":
            lines = (f"{look.holder or 'another program'} listens there",)
            advice = "Stop that program, or give this worker another --port."
            return Ended(Problem(Cause.PORT_TAKEN, order.address, lines, advice), True)
        case "not_here":
            has = ", ".join(look.own_addresses) or "none but 127.0.0.1"
            lines = (f"{order.host} is no address of this machine", f"it has {has}")
            return _unreachable(order, lines, "Give --host one of this machine's addresses.")
        case "denied":
            lines = (f"this user may not listen on port {order.port}",)
            return _unreachable(order, lines, "Take a --port from 1024 on.")
    return None


def why_ended(
    order: WorkerOrder, exit_code: int | None, log: Sequence[str], look: PortLook
) -> Ended:
    """What an ended backend died of, from its exit code, the end of its log and its port."""
    said = _evidence(log)
    text = "\n".join(said)
    if _NO_SOCKET in text:
        blocked = port_problem(order, look)
        again = Problem(Cause.BACKEND_UNREACHABLE, order.address, said, "It is tried again.")
        return blocked or Ended(again)
    if any(words in text for words in _WRONG_ORDER):
        advice = "Change what it is started with: --host, --port, --device, --threads."
        wrong = Problem(Cause.BACKEND_LOST, order.address, said[:MAX_EVIDENCE], advice)
        return Ended(wrong, True)
    if exit_code in _NOT_RUNNABLE:
        advice = "Install llama.cpp anew: a library that it needs is missing."
        return Ended(Problem(Cause.NO_BINARY, one_line(order.binary), said, advice), True)
    evidence = (_end(exit_code), *said[-MAX_EVIDENCE:])
    return Ended(Problem(Cause.BACKEND_LOST, order.address, evidence, _next(exit_code)))


def _unreachable(order: WorkerOrder, evidence: tuple[str, ...], advice: str) -> Ended:
    return Ended(Problem(Cause.BACKEND_UNREACHABLE, order.address, evidence, advice), True)


def _evidence(log: Sequence[str]) -> tuple[str, ...]:
    """The lines that say something, each once: not its banner, nor who came and went."""
    has_begun = any("Starting RPC server" in line for line in log)
    kept = [line for line in log if not _USUAL.search(line)]
    if has_begun:  # the devices are part of the banner then
        kept = [line for line in kept if not parse_devices(line)]
    return tuple(filter(None, dict.fromkeys(map(one_line, kept))))


def _end(exit_code: int | None) -> str:
    if exit_code is None:
        return "it ended"
    if exit_code >= 0:
        return f"it ended with exit code {exit_code}"
    try:
        return f"it was ended by {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"it was ended by signal {-exit_code}"


def _next(exit_code: int | None) -> str:
    if exit_code == -signal.SIGKILL:
        return "It is started again. When memory ran out, the system's log says so (dmesg)."
    return "It is started again; a coordinator that used it has to be started anew."
