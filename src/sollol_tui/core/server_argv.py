"""What a llama-server's command line says, read as its own parser reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sollol_tui.core.ids import BackendAddress, parse_backend_address
from sollol_tui.core.plain import HIDDEN

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8080

_FLAGS = {
    "-m": "model",
    "--model": "model",
    "-a": "alias",
    "--alias": "alias",
    "--rpc": "rpc",
    "--host": "host",
    "--port": "port",
}
_SECRET_FLAGS = {"--api-key", "--hf-token", "-hft"}
_VARIABLES = {
    "LLAMA_ARG_MODEL": "model",
    "LLAMA_ARG_ALIAS": "alias",
    "LLAMA_ARG_RPC": "rpc",
    "LLAMA_ARG_HOST": "host",
    "LLAMA_ARG_PORT": "port",
}


class ServerArgs(NamedTuple):
    """`port` is None when it is not told or no port, 0 when the system chooses one."""

    host: str = DEFAULT_HOST
    port: int | None = None
    model_path: str | None = None
    alias: str | None = None
    backends: tuple[BackendAddress, ...] = ()


def parse_server_argv(argv: Sequence[str], env: Mapping[str, str] | None = None) -> ServerArgs:
    """Read a command line and the `LLAMA_ARG_*` variables.

    The command line wins over the variables and the last flag over earlier ones, but every `--rpc`
    adds its backends (llama.cpp arg.cpp). Entries of `--rpc` that are no host:port are left out.
    """
    said = [(key, env[name]) for name, key in _VARIABLES.items() if name in env] if env else []
    said += _flags(argv)
    last = dict(said)
    return ServerArgs(
        host=last.get("host", DEFAULT_HOST).split(",")[0].strip() or DEFAULT_HOST,
        port=_port(last.get("port", "")),
        model_path=last.get("model") or None,
        alias=last.get("alias") or None,
        backends=_backends(value for key, value in said if key == "rpc"),
    )


def without_secrets(argv: Sequence[str]) -> tuple[str, ...]:
    """The command line as it may be shown: keys and tokens are hidden."""
    shown = []
    hide = False
    for word in argv:
        flag, equals, _ = word.partition("=")
        secret = _normal(flag) in _SECRET_FLAGS
        shown.append(HIDDEN if hide else f"{flag}={HIDDEN}" if secret and equals else word)
        hide = secret and not equals and not hide
    return tuple(shown)


def looks_like_llama(argv: Sequence[str]) -> bool:
    """Whether a command line under another name may be a llama-server's."""
    if not argv:
        return False
    program = argv[0].replace("\\", "/").rsplit("/", 1)[-1].lower()
    return "llama" in program or any(
        _normal(word.partition("=")[0]) == "--rpc" or word.endswith(".gguf") for word in argv[1:]
    )


def _flags(argv: Sequence[str]) -> list[tuple[str, str]]:
    said = []
    for place, word in enumerate(argv):
        flag, equals, value = word.partition("=")
        key = _FLAGS.get(_normal(flag))
        if key is None:
            continue
        if not equals:
            value = argv[place + 1] if place + 1 < len(argv) else ""
        said.append((key, value))
    return said


def _normal(flag: str) -> str:
    """llama.cpp takes `--hf_token` for `--hf-token`."""
    return flag.replace("_", "-") if flag.startswith("--") else flag


def _port(text: str) -> int | None:
    cleaned = text.strip()
    if not cleaned.isascii() or not cleaned.isdigit() or int(cleaned) > 65535:
        return None
    return int(cleaned)


def _backends(values: Iterable[str]) -> tuple[BackendAddress, ...]:
    found: dict[BackendAddress, None] = {}
    for value in values:
        for piece in filter(str.strip, value.split(",")):
            try:
                found[parse_backend_address(piece)] = None
            except ValueError:
                continue  # llama-server refuses it too
    return tuple(found)
