"""Whether an Ollama of this machine has the llama-server that runs its models.

Since 0.30 Ollama starts a llama-server of its own, which some packages leave out: such a node
answers its API and fails every question (llm/llama_binary.go).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil

_RUNNERS = ("llama-server", "llama-server.exe")
_SINCE = (0, 30)


def runner_missing(port: int, version: str | None) -> tuple[str, ...]:
    """Where the Ollama on that port would look for its llama-server and finds none; empty when it
    has one, or when that cannot be known."""
    if not _is_since(version):
        return ()
    exe = _ollama_on(port)
    if exe is None:
        return ()
    places = tuple(dict.fromkeys(_places(exe)))
    if any((place / name).exists() for place in places for name in _RUNNERS):
        return ()
    return tuple(f"no llama-server in {place}" for place in places)


def _is_since(version: str | None) -> bool:
    numbers = (version or "").split(".")[:2]
    return all(n.isdigit() for n in numbers) and tuple(map(int, numbers)) >= _SINCE


def _ollama_on(port: int) -> Path | None:
    """The program that listens there, when it is an Ollama that this user may look at."""
    try:
        for connection in psutil.net_connections("tcp"):
            at_port = getattr(connection.laddr, "port", None) == port
            if at_port and connection.status == psutil.CONN_LISTEN and connection.pid:
                process = psutil.Process(connection.pid)
                is_ollama = process.name().removesuffix(".exe") == "ollama"
                return Path(os.path.realpath(process.exe())) if is_ollama else None
    except (psutil.Error, OSError):
        return None
    return None


def _places(exe: Path) -> Iterator[Path]:
    here = exe.parent
    yield here.parent / "lib" / "ollama"
    yield here / "lib" / "ollama"
    yield here.parent / "libexec" / "lib" / "ollama"
    yield here / "build" / "lib" / "ollama"
    yield here
