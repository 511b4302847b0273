"""The variables that existing set-ups have: Ollama's, SOLLOL's and SynapticLlamas'."""

from __future__ import annotations

from collections.abc import Mapping

from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.plain import plain_line
from sollol_tui.core.settings_merge import SettingsError, Statement, state

_SIMPLE = {
    # SOLLOL's modules read the first, SynapticLlamas' coordinator manager the second.
    "REDIS_URL": "redis_url",
    "SOLLOL_REDIS_URL": "redis_url",
    "RPC_BACKENDS": "backends",
    "SOLLOL_MODEL_PATH": "model_path",
    "SOLLOL_CTX_SIZE": "context_tokens",
    "OLLAMA_MODELS": "ollama_models",
}
# These belong to other programs too: what they hold need not be meant for us.
_SHARED = ("REDIS_URL", "OLLAMA_MODELS")

OLD_VARIABLES = (
    "OLLAMA_HOST",
    "OLLAMA_PORT",
    "SOLLOL_COORDINATOR_HOST",
    "SOLLOL_COORDINATOR_PORT",
    *_SIMPLE,
)


def from_old_variables(env: Mapping[str, str]) -> tuple[list[Statement], list[str]]:
    """What they say, weakest first, and notes on what could not be used.

    An empty variable counts as not set. Raises `SettingsError` for a value that only this program
    and SOLLOL read; one that other programs share is noted and passed over.
    """
    notes: list[str] = []
    found = [*_ollama_host(env, notes), *_coordinator(env)]
    for name, key in _SIMPLE.items():
        if not env.get(name, "").strip():
            continue
        try:
            found.append(state(key, env[name], name, "env"))
        except SettingsError as error:
            if name not in _SHARED:
                raise
            notes.append(f"not used: {error}")
    return found, notes


def _ollama_host(env: Mapping[str, str], notes: list[str]) -> list[Statement]:
    """`OLLAMA_HOST` as Ollama reads it; `OLLAMA_PORT` is SynapticLlamas' for a bare host.

    Ollama itself takes the usual port when the port is none (envconfig/config.go:22).
    """
    text = env.get("OLLAMA_HOST", "").strip().strip("\"'").strip()
    if not text:
        return []
    text = _with_port(text, env.get("OLLAMA_PORT", "").strip())
    try:
        parse_node_url(text)
    except ValueError as error:
        notes.append(f"OLLAMA_HOST: {plain_line(str(error))}")
        text = _without_port(text)
    try:
        return [state("nodes", [text], "OLLAMA_HOST", "env")]
    except SettingsError:
        notes[-1] += ": not used"
        return []


def _coordinator(env: Mapping[str, str]) -> list[Statement]:
    host = env.get("SOLLOL_COORDINATOR_HOST", "").strip()
    port = env.get("SOLLOL_COORDINATOR_PORT", "").strip()
    if not host and not port:
        return []
    text = _with_port(host or "127.0.0.1", port)
    names = [n for n in ("SOLLOL_COORDINATOR_HOST", "SOLLOL_COORDINATOR_PORT") if env.get(n)]
    try:
        return [state("coordinators", [text], names[0], "env")]
    except SettingsError as error:
        raise SettingsError(" and ".join(names), "", error.problem) from None


def _with_port(host: str, port: str) -> str:
    """The host with the port, when it is bare: no scheme, path or port of its own."""
    if not port or "/" in host:
        return host
    if host.startswith("[") and host.endswith("]"):
        return f"{host}:{port}"
    if host.startswith("[") or host.count(":") == 1:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _without_port(text: str) -> str:
    scheme, separator, rest = text.rpartition("://")
    authority, slash, path = rest.partition("/")
    host = authority.rpartition(":")[0] or authority
    return f"{scheme}{separator}{host}{slash}{path}"
