"""The llama.cpp programs of this machine: where they lie, and what their `--help` says they can.

Everything here blocks while a program prints its help (a tenth of a second; seconds on a host that
looks for its GPUs first): the caller runs it in a thread.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from threading import Event, Timer
from typing import Literal, NamedTuple

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.core.server_flags import parse_help
from sollol_tui.core.settings import Settings
from sollol_tui.core.wire import one_line

Kind = Literal["llama-server", "rpc-server"]

NAMES: dict[Kind, tuple[str, ...]] = {
    "llama-server": ("llama-server",),
    "rpc-server": ("ggml-rpc-server", "rpc-server"),  # its name today, its name before
}
_KEYS: dict[Kind, str] = {"llama-server": "llama_server", "rpc-server": "rpc_server"}

USUAL_PLACES = (
    "~/llama.cpp/build*/bin",
    "~/src/llama.cpp/build*/bin",
    "~/.local/bin",
    "/usr/local/bin",
    "/opt/llama.cpp/bin",
    "/opt/llama.cpp/build*/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
)

HELP_WITHIN_S = 20.0
MAX_HELP_BYTES = 1 << 18

_BUILD = (
    "Build llama.cpp with -DGGML_RPC=ON and put the program into PATH, or name it in the settings: "
    '{key} = "/path/to/{name}".'
)


class Binary(NamedTuple):
    """A program that can be used; `help` is what it prints for `--help`, its errors included."""

    path: Path
    kind: Kind
    help: str = ""


def find_llama_server(settings: Settings, env: Mapping[str, str] = os.environ) -> Binary | Problem:
    """The llama-server for a coordinator: the first one that was built with RPC.

    One that the settings name is the only one that counts. Ollama's own is never taken.
    """
    return _find("llama-server", settings, env)


def find_rpc_server(settings: Settings, env: Mapping[str, str] = os.environ) -> Binary | Problem:
    """The ggml-rpc-server (rpc-server in older builds) for a backend: the first that runs."""
    return _find("rpc-server", settings, env)


def supports_rpc(help_text: str) -> bool:
    """Whether a llama-server's help lists `--rpc`: without GGML_RPC it does not."""
    return "--rpc" in parse_help(help_text)


def read_version(path: Path) -> str:
    """The version that a program tells: `0.6.0-dev (build 0, …)`; empty when it tells none."""
    said = _said(path, "--version", HELP_WITHIN_S)
    lines = [] if isinstance(said, Fault) else said.splitlines()
    told = (line.removeprefix("version:") for line in lines if line.startswith("version:"))
    return one_line(next(told, "")).strip()


def read_help(path: Path, within_s: float = HELP_WITHIN_S) -> str | Fault:
    """What the program prints for `--help`: at most 256 KiB, within the time."""
    return _said(path, "--help", within_s)


def _said(path: Path, flag: str, within_s: float) -> str | Fault:
    try:
        child = subprocess.Popen(
            (str(path), flag),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "GGML_NO_BACKTRACE": "1"},
            start_new_session=True,
        )
    except OSError as error:
        return Fault(FaultKind.BAD_REQUEST, error.strerror or str(error))
    late = Event()

    def end_late() -> None:
        late.set()
        _end(child)

    timer = Timer(within_s, end_late)
    timer.daemon = True
    timer.start()
    with child:
        assert child.stdout is not None
        text = child.stdout.read(MAX_HELP_BYTES).decode("utf-8", "replace")
        timer.cancel()
        _end(child)
    if late.is_set():
        return Fault(FaultKind.TIMEOUT, f"{flag} did not end within {within_s:g} s")
    return text


# Looking for them


def _find(kind: Kind, settings: Settings, env: Mapping[str, str]) -> Binary | Problem:
    if named := str(getattr(settings, _KEYS[kind])):
        return _named(kind, named, env)
    failures = []
    for path in _candidates(kind, settings, env):
        found = _usable(kind, path)
        if isinstance(found, Binary):
            return found
        failures.append(found)
    # One without RPC says more than one that does not run.
    failures.sort(key=lambda problem: problem.cause is not Cause.NO_RPC_SUPPORT)
    return failures[0] if failures else _missing(kind, env)


def _named(kind: Kind, named: str, env: Mapping[str, str]) -> Binary | Problem:
    place = os.path.expanduser(named)
    words = [os.path.join(place, n) for n in NAMES[kind]] if os.path.isdir(place) else [place]
    for word in words:
        if found := shutil.which(word, path=env.get("PATH", "")):
            return _usable(kind, Path(found).absolute())
    there = "it is not a program" if os.path.exists(place) else "there is no such program"
    evidence = (f"{_KEYS[kind]} in the settings names it", f"{one_line(named)}: {there}")
    return Problem(Cause.NO_BINARY, one_line(named), evidence, _advice(kind))


def _usable(kind: Kind, path: Path) -> Binary | Problem:
    said = read_help(path)
    subject = one_line(str(path))
    if isinstance(said, Fault):
        return Problem(Cause.NO_BINARY, subject, (f"{subject}: {said.detail}",), _advice(kind))
    flags = parse_help(said)
    if not flags & {"--host", "--port"}:  # its libraries are missing, or it is something else
        evidence = tuple(map(one_line, said.splitlines()[-2:])) or ("it printed nothing",)
        return Problem(Cause.NO_BINARY, subject, evidence, _advice(kind))
    if kind == "llama-server" and "--rpc" not in flags:
        return Problem(Cause.NO_RPC_SUPPORT, subject, ("its --help knows no --rpc",), _advice(kind))
    return Binary(path, kind, said)


def _missing(kind: Kind, env: Mapping[str, str]) -> Problem:
    path = ", ".join(filter(None, env.get("PATH", "").split(os.pathsep))) or "nothing"
    evidence = (
        f"looked for {' and '.join(NAMES[kind])}",
        f"in PATH: {one_line(path)}",
        f"in {', '.join(USUAL_PLACES)}",
    )
    return Problem(Cause.NO_BINARY, NAMES[kind][0], evidence, _advice(kind))


def _advice(kind: Kind) -> str:
    return _BUILD.format(key=_KEYS[kind], name=NAMES[kind][0])


def _candidates(kind: Kind, settings: Settings, env: Mapping[str, str]) -> Iterator[Path]:
    """Programs of the right names: in PATH, in the usual places, then beside the other kind."""
    seen = set()
    for folder in _folders(kind, settings, env):
        for name in NAMES[kind]:
            path = folder / name
            real = os.path.realpath(path)
            if real not in seen and os.path.isfile(path) and os.access(path, os.X_OK):
                seen.add(real)
                if not _is_ollamas(Path(real)):
                    yield path


def _folders(kind: Kind, settings: Settings, env: Mapping[str, str]) -> Iterator[Path]:
    known = [Path(word) for word in env.get("PATH", "").split(os.pathsep) if word]
    known += (found for place in USUAL_PLACES for found in _expanded(place))
    yield from known
    yield from _beside(kind, settings, known)


def _beside(kind: Kind, settings: Settings, known: Iterable[Path]) -> Iterator[Path]:
    """Where the other program lies: the one that the settings name, or one behind a link."""
    other: Kind = "rpc-server" if kind == "llama-server" else "llama-server"
    if named := str(getattr(settings, _KEYS[other])):
        place = Path(named).expanduser()
        yield place if place.is_dir() else place.parent
    for folder in known:
        for name in NAMES[other]:
            if (path := folder / name).is_symlink():
                yield Path(os.path.realpath(path)).parent


def _expanded(place: str) -> list[Path]:
    path = Path(place).expanduser()
    if "*" not in place:
        return [path]
    return sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))


def _is_ollamas(real: Path) -> bool:
    """Ollama brings a llama-server of its own (lib/ollama, Ollama.app), built without RPC."""
    return real.parent.name == "ollama" or "Ollama.app" in real.parts


def _end(child: subprocess.Popen[bytes]) -> None:
    """End it with all that it started: a child of its own could hold the pipe open."""
    try:
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    except OSError:
        return  # it has ended
