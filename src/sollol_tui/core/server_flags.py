"""What a llama-server understands, from its `--help`, and the command line that it is given.

Only flags that its help lists are used; of renamed ones the name that it knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MIB = 1 << 20
FIT_TARGET_MIB = 1024  # llama-server's own --fit-target
CACHE_RAM_MIB = 8192  # and its --cache-ram

_NAME = re.compile(r"(--?[A-Za-z][\w-]*)(?:[ =][^\s,]+)?(,?)\s*")
_DEVICE = re.compile(r"\s+(\S+): (.*) \((\d+) MiB, (\d+) MiB free\)\s*$")

Flags = frozenset[str]


class LocalDevice(NamedTuple):
    """A GPU of the coordinator's own machine."""

    name: str  # "CUDA0"
    description: str
    total_bytes: int
    free_bytes: int


class Command(NamedTuple):
    """Everything that a command line says."""

    binary: str
    model_path: str
    alias: str
    backends: tuple[str, ...]
    host: str
    port: int
    context_tokens: int  # per slot
    slots: int
    gpu_layers: int | None = None  # None: the server decides
    tensor_split: tuple[float, ...] = ()
    adapters: tuple[str, ...] = ()
    projector: str = ""
    fit_target_mib: int = FIT_TARGET_MIB
    cache_ram_mib: int = CACHE_RAM_MIB
    threads: int | None = None
    extra: tuple[str, ...] = ()


def parse_help(text: str) -> Flags:
    """The flags that a `--help` text lists, long and short, with all their names."""
    found: set[str] = set()
    for line in text.splitlines():
        if not line.lstrip().startswith("-") or len(line) - len(line.lstrip()) > 4:
            continue  # flags begin a line, their explanation is indented
        at, rest = 0, line.lstrip()
        while match := _NAME.match(rest, at):
            found.add(match[1])
            at = match.end()
            if not match[2]:
                break
    return frozenset(found)


def parse_devices(text: str) -> tuple[LocalDevice, ...]:
    """The devices that `--list-devices` prints; none when it says `(none)`."""
    matches = filter(None, map(_DEVICE.match, text.splitlines()))
    return tuple(LocalDevice(m[1], m[2], int(m[3]) * MIB, int(m[4]) * MIB) for m in matches)


def argv(command: Command, flags: Flags | None) -> tuple[str, ...]:
    """The command line (llama.cpp: start recipe); `flags` None means a current llama-server.

    `--rpc` comes first: it connects while arguments are read, and devices are counted then. A key
    never stands here: it is given by environment or file.
    """
    words = [command.binary]
    if command.backends:
        words += ["--rpc", ",".join(command.backends)]
    words += ["-m", command.model_path]
    words += [word for path in command.adapters for word in ("--lora", path)]
    if command.projector:  # a projector would go to the first device, which is a backend's
        words += ["--mmproj", command.projector]
        words += _first(flags, (["--no-mmproj-offload"],))
    words += ["--alias", command.alias.replace(",", "_")]
    words += ["--host", command.host, "--port", str(command.port)]
    words += ["-c", str(command.context_tokens * command.slots), "-np", str(command.slots)]
    words += _placement(command, flags)
    words += _usual(command, flags)
    return (*words, *command.extra)


def _placement(command: Command, flags: Flags | None) -> list[str]:
    words: list[str] = []
    if command.gpu_layers is not None:
        words += ["-ngl", str(command.gpu_layers)]
    if command.tensor_split:
        words += ["-ts", ",".join(f"{share:g}" for share in command.tensor_split)]
    if command.fit_target_mib != FIT_TARGET_MIB and known(flags, "--fit-target"):
        words += ["--fit-target", str(command.fit_target_mib)]
    return words


def _usual(command: Command, flags: Flags | None) -> list[str]:
    words = ["-b", "512"]
    if command.threads is not None:
        words += ["-t", str(command.threads)]
    if command.cache_ram_mib != CACHE_RAM_MIB and known(flags, "--cache-ram"):
        words += ["--cache-ram", str(command.cache_ram_mib)]
    words += _first(flags, (["--log-jsonl"],))
    words += _first(flags, (["-lv", "4"], ["--verbosity", "4"]))
    words += _first(flags, (["--metrics"],))
    if flags is not None and "--log-jsonl" not in flags:  # slots were off before
        words += _first(flags, (["--slots"],))
    words += _first(flags, (["--no-ui"], ["--no-webui"]))
    words += _first(flags, (["--cors-origins", "localhost"],))
    words += _first(flags, (["--offline"],))
    return words


def _first(flags: Flags | None, choices: Sequence[list[str]]) -> list[str]:
    """The first of the choices that the server knows, nothing when it knows none."""
    return next((words for words in choices if known(flags, words[0])), [])


def known(flags: Flags | None, flag: str) -> bool:
    """Whether a server understands a flag."""
    return flags is None or flag in flags
