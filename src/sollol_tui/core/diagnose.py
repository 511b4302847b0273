"""Why a coordinator ended or does not come up: from its exit and the end of its log to one cause.

Each rule is a line that llama-server prints (build 11434; every one of them was provoked for real)
and what it means. The order matters: the first rule that finds its line wins, and the general
lines that follow every failure ("failed to load model") decide nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sollol_tui.core.llama_log import FOR_THE_STARTER, parse_line
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Cause, Problem

MAX_EVIDENCE = 6
MAX_EVIDENCE_CHARACTERS = 400
SLOW_CONNECT_S = 20.0  # a refused connection fails in milliseconds, an unanswered one in minutes
_SIGNALS = {4: "SIGILL", 6: "SIGABRT", 7: "SIGBUS", 9: "killed", 11: "SIGSEGV", 15: "SIGTERM"}
_NUMERIC = re.compile(r"\d+\.\d+\.\d+\.\d+:")
_STARTED = re.compile(r"llama_server: initializing|load_model: loading|system_info")


class Context(NamedTuple):
    """What is known beside the log."""

    phase: Phase = Phase.CONNECTING  # how far it had come
    elapsed_s: float | None = None  # since its start
    binary: str = ""
    address: str = ""  # host:port that it should listen on
    model: str = ""  # name or path
    backends: tuple[str, ...] = ()  # its --rpc
    lost: tuple[str, ...] = ()  # of them, those whose connection is known to be broken
    held: tuple[str, ...] = ()  # of them, those that another coordinator holds
    silent: tuple[str, ...] = ()  # of them, those that did not answer a probe
    protocols: tuple[tuple[str, str], ...] = ()  # backend, protocol version, as probed
    stopped_by_us: bool = False
    ended: bool = False  # it runs no longer; without an exit code: it was not our child


class Rule(NamedTuple):
    """A line and what it means. `subject` and `next` may use the line's named groups."""

    line: re.Pattern[str]
    cause: Cause
    subject: str
    next: str


_SMALLER = (
    "Add a backend, take a smaller model or quantization, or set context_tokens lower; "
    "`coordinator plan` shows what fits."
)
_LOOK_AT_THE_MACHINE = "Look whether the machine is up and its firewall lets the port through."
_SAME_BUILD = "Install the same llama.cpp build on this machine and on the backend."
_ELSEWHERE = "run it on an Ollama node, or get a GGUF made for llama.cpp (such as from hf.co)."


def _rule(cause: Cause, subject: str, advice: str, *lines: str) -> Rule:
    return Rule(re.compile("|".join(lines)), cause, subject, advice)


_RULES = (
    _rule(
        Cause.NO_BINARY,
        "{binary}",
        "Install llama.cpp whole: {what} must lie beside the program or in the library path.",
        r"error while loading shared libraries: (?P<what>[^:]+)",
    ),
    _rule(
        Cause.NO_RPC_SUPPORT,
        "{binary}",
        "Use a llama.cpp build with RPC (cmake -DGGML_RPC=ON); the release builds have it.",
        r"invalid argument: --rpc",
        r"RPC not supported in this build",
        r"failed to find RPC",
    ),
    _rule(
        Cause.PORT_TAKEN,
        "{host}:{port}",
        "Stop what listens there, give another port, or give an address of this machine.",
        r"couldn't bind HTTP server socket, hostname: (?P<host>.*), port: (?P<port>\d+)",
    ),
    _rule(
        Cause.BACKEND_REFUSED,
        "{endpoint}",
        "Start the backend there (`sollol-tui worker`), or remove it from the backends.",
        r"Failed to connect to (?P<endpoint>\S+)",
    ),
    _rule(
        Cause.BACKEND_UNREACHABLE,
        "{endpoint}",
        "Give the backend's IPv4 address: the name has none here.",
        r"Cannot resolve host '(?P<endpoint>[^']*)'",
    ),
    _rule(
        Cause.BACKEND_UNREACHABLE,
        "{endpoint}",
        "Write the backend as host:port.",
        r"Failed to parse endpoint: (?P<endpoint>.*)",
    ),
    _rule(
        Cause.BACKEND_INCOMPATIBLE,
        "{endpoint}",
        _SAME_BUILD,
        r"RPC handshake failed for (?P<endpoint>\S+)",
    ),
    _rule(
        Cause.BACKEND_LOST,
        "{lost}",
        "Bring it back (`sollol-tui worker` there); until then the others carry the model.",
        r"Remote RPC server crashed or returned malformed response",
    ),
    _rule(
        Cause.OUT_OF_MEMORY,
        "{place}",
        _SMALLER,
        r"failed to allocate (?P<place>\S+) buffer of size (?P<size>\d+)",
        r"unable to allocate (?P<place2>\S+) buffer",
        r"(?P<gpu>cudaMalloc failed: out of memory)",
        r"insufficient memory \(attempted to allocate",
        r"failed to allocate buffer for kv cache",
        r"failed to allocate compute",
        r"std::bad_alloc",
        r"Cannot allocate memory",
    ),
    _rule(
        Cause.MODEL_REFUSED,
        "{path}",
        f"It is what the model sees with, and was not made for this llama.cpp: {_ELSEWHERE}",
        r"failed to load multimodal model, '(?P<path>[^']*)'",
    ),
    _rule(
        Cause.MODEL_NOT_FOUND,
        "{path}",
        "Look at the path, or pull the model.",
        r"failed to open GGUF file '(?P<path>.*)' \(No such file or directory\)",
    ),
    _rule(
        Cause.MODEL_UNREADABLE,
        "{path}",
        "Give the user that runs llama-server the right to read it (by group or ACL).",
        r"failed to open GGUF file '(?P<path>.*)' \((?P<reason>[^)]*)\)",
    ),
    _rule(
        Cause.MODEL_REFUSED,
        "{model}",
        f"Update llama.cpp here and on the backends. If that does not help: {_ELSEWHERE}",
        r"(?:unknown|unsupported) model architecture: '(?P<what>[^']*)'",
    ),
    _rule(
        Cause.MODEL_REFUSED,
        "{model}",
        f"It was not made for this llama.cpp: {_ELSEWHERE}",
        r"has invalid ggml type",
        r"GGUFv1 is no longer supported",
        r"only supports up to version",
        r"mismatch between the host and model endianness",
        r"CLIP cannot be used as main model",
        r"unknown (?:pre-)?tokenizer",
        r"key not found in model",
        r"cannot find tokenizer merges",
        r"missing tensor '",
        r"check_tensor_dims: tensor '.*' not found",
        r"has wrong type \w+ but expected",
        r"wrong number of tensors",
        r"has wrong (?:shape|array length)",
        r"invalid n_rot",
        r"error loading model (?:hyperparameters|vocabulary)",
        r"illegal split file idx",
    ),
    _rule(
        Cause.MODEL_CORRUPT,
        "{model}",
        "Pull or copy the model again: the file is not what it was.",
        r"data is not within the file bounds",
        r"failed to read (?:magic|header|key-value pairs|tensor info|tensor data)",
        r"invalid magic characters",
        r"has invalid data",
        r"found tensors with invalid data",
        r"corrupted model",
        r"bad GGUF version",
        r"tensor '.*' is duplicated",
        r"failed to load GGUF split",
        r"unexpectedly reached end of file",
        r"gguf_init_from_\w+: ",  # all that it says besides is said when the bytes make no sense
    ),
    _rule(
        Cause.MODEL_REFUSED,  # the loader's own words, whatever they are
        "{model}",
        f"It was not made for this llama.cpp: {_ELSEWHERE}",
        r"error loading model: ",
    ),
    _rule(
        Cause.UNKNOWN,
        "{address}",
        "This llama-server does not know {what}: use another version.",
        r"invalid argument: (?P<what>\S+)",
    ),
)
_ALSO = {  # lines that belong to a cause beside the one that decides
    Cause.BACKEND_INCOMPATIBLE: re.compile(r"RPC server version mismatch|handshake failed"),
    Cause.BACKEND_LOST: re.compile(r"(?:recv|send) failed|Remote RPC server"),
    Cause.OUT_OF_MEMORY: re.compile(
        r"failed to (?:allocate|fit params)|unable to allocate|insufficient memory|out of memory"
    ),
    Cause.MODEL_CORRUPT: re.compile(r"error loading model"),
    Cause.MODEL_REFUSED: re.compile(r"error loading model"),
    Cause.MODEL_NOT_FOUND: re.compile(r"failed to open GGUF"),
    Cause.PORT_TAKEN: re.compile(r"exiting due to HTTP"),
}
_NOISE = re.compile(  # what a debugger prints when it is called by an abort
    r"\[(?:New LWP|Thread debugging|Inferior)|Using host libthread_db|#\d+ |syscall|\d+\s.*\.\./"
)
NO_CONTEXT = Context()


def diagnose(exit_code: int | None, tail: Sequence[str], context: Context = NO_CONTEXT) -> Problem:
    """The cause of a coordinator's end, or of its silence when `exit_code` is None.

    `exit_code` is the process's status, negative for a signal, as `subprocess` gives it; `tail` are
    the last raw lines of stdout and stderr together, oldest first. A process that was taken over
    has no exit code for us: then the context says that it ended.
    """
    said = (parse_line(raw).text.strip() for raw in tail if not raw.startswith(FOR_THE_STARTER))
    lines = [text for text in said if text]
    if exit_code is None and not context.ended:
        return _silent(lines, context)
    for rule in _RULES:
        matches = [m for m in map(rule.line.search, lines) if m is not None]
        if matches:
            return _refined(rule, matches, lines, context)
    return _crashed(exit_code, lines, context)


def _refined(
    rule: Rule, matches: Sequence[re.Match[str]], lines: Sequence[str], context: Context
) -> Problem:
    words = _words(matches, context)
    problem = Problem(
        rule.cause,
        rule.subject.format_map(words),
        _evidence(lines, (m.string for m in matches), rule.cause),
        rule.next.format_map(words),
    )
    refine = _REFINEMENTS.get(rule.cause)
    return refine(problem, lines, context) if refine else problem


def _words(matches: Iterable[re.Match[str]], context: Context) -> dict[str, str]:
    """What the texts may name: the groups of all the lines, the last one wins, and the context."""
    words = {
        "binary": context.binary or "llama-server",
        "address": context.address,
        "model": context.model or "the model",
        "lost": " or ".join(context.lost or context.backends) or "(unknown)",
        "place": "",
        "what": "",
    }
    for match in matches:
        words |= {key: value for key, value in match.groupdict().items() if value}
    words["place"] = _place(words["place"] or words.get("place2", ""), words.get("gpu", ""))
    return words


def _place(buffer: str, gpu: str) -> str:
    """Whose memory a buffer's name means."""
    if found := re.fullmatch(r"RPC\d*\[([^\]]+)\]", buffer):
        return found[1]
    if gpu or (buffer and not buffer.startswith("CPU")):
        return f"{buffer or 'the GPU'} of this machine"
    return "this machine"


def _evidence(lines: Sequence[str], deciding: Iterable[str], cause: Cause) -> tuple[str, ...]:
    """The lines that show the cause, in their order, each once."""
    also = _ALSO.get(cause)
    chosen = set(deciding) | {line for line in lines if also and also.search(line)}
    shown = dict.fromkeys(line[:MAX_EVIDENCE_CHARACTERS] for line in lines if line in chosen)
    return tuple(shown)[:MAX_EVIDENCE]


def _not_refused(problem: Problem, _: Sequence[str], context: Context) -> Problem:
    """The same words for a connection that nobody answered, and for a name without an address."""
    slow = context.elapsed_s is not None and context.elapsed_s >= SLOW_CONNECT_S
    if slow or problem.subject in context.silent:
        return problem._replace(cause=Cause.BACKEND_UNREACHABLE, next=_LOOK_AT_THE_MACHINE)
    if not _NUMERIC.match(problem.subject):
        return problem._replace(
            next=f"Look whether that name has an IPv4 address here. {problem.next}"
        )
    return problem


def _never_spoke(problem: Problem, lines: Sequence[str], context: Context) -> Problem:
    """A connection that breaks while arguments are read was never one: another protocol.

    Versions before 4 answer HELLO with too few bytes, other programs with none (RPC:354).
    """
    started = context.phase not in {Phase.PROBING, Phase.STARTING, Phase.CONNECTING}
    if started or context.lost or any(map(_STARTED.search, lines)):
        return problem
    subject = _of_another_version(context) or problem.subject
    evidence = (*problem.evidence, *_protocol_lines(context))
    return Problem(Cause.BACKEND_INCOMPATIBLE, subject, evidence, _SAME_BUILD)


def _with_versions(problem: Problem, _: Sequence[str], context: Context) -> Problem:
    return problem._replace(evidence=(*problem.evidence, *_protocol_lines(context)))


def _protocol_lines(context: Context) -> tuple[str, ...]:
    return tuple(f"{address} speaks RPC {version}" for address, version in context.protocols)


def _of_another_version(context: Context) -> str:
    versions = [v for _, v in context.protocols]
    usual = max(set(versions), key=versions.count, default="")
    return ", ".join(a for a, v in context.protocols if v != usual)


_Refinement = Callable[[Problem, Sequence[str], Context], Problem]
_REFINEMENTS: dict[Cause, _Refinement] = {
    Cause.BACKEND_REFUSED: _not_refused,
    Cause.BACKEND_LOST: _never_spoke,
    Cause.BACKEND_INCOMPATIBLE: _with_versions,
}


def _silent(lines: Sequence[str], context: Context) -> Problem:
    """It runs and does not get on."""
    if context.phase in {Phase.PROBING, Phase.STARTING, Phase.CONNECTING} and not any(
        map(_STARTED.search, lines)
    ):
        return _stuck_connecting(context)
    waited = "" if context.elapsed_s is None else f"no progress after {context.elapsed_s:.0f} s"
    evidence = tuple(line for line in (*lines[-3:], waited) if line)
    where = context.address or "(no address)"
    if gone := ", ".join(dict.fromkeys((*context.lost, *context.silent, *context.held))):
        evidence = (*evidence, f"no answer from {gone}")
    return Problem(
        Cause.COORDINATOR_HUNG,
        where,
        evidence,
        "Restart it; a backend that is stopped or cut off holds it up.",
    )


def _stuck_connecting(context: Context) -> Problem:
    """No line and no port: a backend does not take the connection (RPC connects first of all)."""
    if context.silent and not context.held:
        cause, backends = Cause.BACKEND_UNREACHABLE, context.silent
        advice = _LOOK_AT_THE_MACHINE
    else:
        cause, backends = Cause.BACKEND_BUSY, context.held or context.backends
        advice = "Stop the coordinator that holds it, or take other backends."
    evidence = ["llama-server has printed nothing: it waits for a backend"]
    if context.elapsed_s is not None:
        evidence.append(f"for {context.elapsed_s:.0f} s")
    return Problem(cause, ", ".join(backends), tuple(evidence), advice)


def _crashed(exit_code: int | None, lines: Sequence[str], context: Context) -> Problem:
    last = tuple(line for line in lines if not _NOISE.match(line))[-MAX_EVIDENCE + 1 :]
    where = context.address or "(no address)"
    if exit_code is None:
        ended = "it ended; it was not our child, so nobody was told how"
        advice = "Its log and the kernel's (journalctl -k, oom-kill) may say why."
        return Problem(Cause.COORDINATOR_CRASHED, where, (ended, *last), advice)
    how = _exit_words(exit_code)
    if context.stopped_by_us or exit_code in {0, -15, 143}:
        advice = "Start it again when it is wanted."
        said = f"The coordinator {where} was told to end, and not from here."
        return Problem(Cause.UNKNOWN, where, (how, *last), advice, said)
    if exit_code in {-9, 137}:
        advice = (
            "If memory ran out, the kernel's log says so (journalctl -k, oom-kill): " + _SMALLER
        )
        return Problem(Cause.COORDINATOR_CRASHED, where, (how, *last), advice)
    if exit_code < 0 or exit_code > 128 or any("GGML_ASSERT" in line for line in lines):
        failed = tuple(x for x in lines if "GGML_ASSERT" in x or "terminate called" in x)
        shown = tuple(dict.fromkeys((*failed[:2], *last)))
        advice = "Update llama.cpp; if it comes again, report it there with these lines."
        return Problem(Cause.COORDINATOR_CRASHED, where, (*shown, how), advice)
    return Problem(Cause.UNKNOWN, where, (*last, how), "Read the coordinator's log.")


def _exit_words(exit_code: int) -> str:
    number = -exit_code if exit_code < 0 else exit_code - 128 if exit_code > 128 else 0
    if number:
        return f"ended by signal {number} ({_SIGNALS.get(number, 'signal')})"
    return f"ended with exit code {exit_code}"
