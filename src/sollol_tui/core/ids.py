"""Names of things, normalised once: node and coordinator URLs, backend addresses, model names."""

from __future__ import annotations

from typing import NewType
from urllib.parse import urlsplit

NodeUrl = NewType("NodeUrl", str)
"""An Ollama server: scheme, host, port and base path, no trailing slash."""

CoordinatorUrl = NewType("CoordinatorUrl", str)
"""A llama-server, in the same form."""

BackendAddress = NewType("BackendAddress", str)
"""A ggml-rpc-server: `host:port`."""

ModelName = NewType("ModelName", str)
"""`[host/][namespace/]name:tag`, the tag always present."""

OLLAMA_PORT = 11434
COORDINATOR_PORT = 18080
RPC_PORT = 50052

# A wildcard means this machine, and so does its usual name: one server must not show up twice.
_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1", "localhost": "127.0.0.1"}  # noqa: S104
_SCHEME_PORTS = {"http": 80, "https": 443}
_PATH_STARTS = ("/", "./", "../", "~", ".\\", "..\\")


def parse_node_url(text: str) -> NodeUrl:
    """The URL an `OLLAMA_HOST`-like text means.

    Follows Ollama's own table (envconfig/config.go): no port means 11434, a scheme without a port
    means the scheme's port, a wildcard address means this machine, a base path is kept, and
    `ollama.com` alone means https. Raises `ValueError` with a sentence.
    """
    is_cloud = text.strip().strip("\"'").strip() == "ollama.com"
    return NodeUrl(_parse_url("https://ollama.com" if is_cloud else text, OLLAMA_PORT))


def parse_coordinator_url(text: str) -> CoordinatorUrl:
    """The URL of a llama-server; no port means 18080. Raises `ValueError` with a sentence."""
    return CoordinatorUrl(_parse_url(text, COORDINATOR_PORT))


def parse_backend_address(text: str) -> BackendAddress:
    """`host:port` of an RPC backend; no port means 50052. Raises `ValueError` with a sentence."""
    cleaned = text.strip().strip("\"'")
    if "://" in cleaned or "/" in cleaned:
        raise ValueError(f"{cleaned!r} is not host:port")
    host, port = _split_host_port(cleaned, RPC_PORT)
    if port == 0:
        raise ValueError("port 0 is no port to connect to")
    return BackendAddress(f"{_bracketed(host)}:{port}")


def parse_model_name(text: str) -> ModelName:
    """The model name with its tag: `llama3` is `llama3:latest`; a file's path is kept as it is.

    Raises `ValueError` when empty.
    """
    cleaned = text.strip()
    if not cleaned:
        raise ValueError("the model name is empty")
    if is_model_path(cleaned):
        return ModelName(cleaned)
    has_tag = ":" in cleaned.rsplit("/", 1)[-1]
    return ModelName(cleaned if has_tag else f"{cleaned}:latest")


def is_model_path(asked: str) -> bool:
    """Whether somebody asks for a file and not for a name in a store."""
    text = asked.strip()
    drive = len(text) > 2 and text[1] == ":" and text[2] in "\\/"
    return text.startswith(_PATH_STARTS) or drive or text.lower().endswith(".gguf")


def is_called(asked: str, name: str, path: str) -> bool:
    """Whether somebody who asks for that means the model of this name in this file.

    A file's name will do, with or without its ending; a path with directories must be the same.
    """
    file = path.replace("\\", "/").rsplit("/", 1)[-1]
    if is_model_path(asked) and "/" in asked.replace("\\", "/"):
        return asked == path
    names = {n for called in (name, file) if called for n in (called, called.removesuffix(".gguf"))}
    return model_key(asked) in {model_key(n) for n in names}


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model: tags default to `latest`, case does not count.

    Ollama looks names up without regard to case (server/routes.go, facts/ollama.md §3).
    """
    return model_key(one) == model_key(other)


def model_key(name: str) -> str:
    """The form in which model names are compared."""
    cleaned = name.strip().lower()
    return cleaned if ":" in cleaned.rsplit("/", 1)[-1] else f"{cleaned}:latest"


def host_of(url_or_address: str) -> str:
    """The host part of a URL or of `host:port`."""
    text = url_or_address if "://" in url_or_address else f"//{url_or_address}"
    return urlsplit(text).hostname or url_or_address


def is_loopback(host: str) -> bool:
    """Whether a host part means the machine itself."""
    return host.startswith("127.") or host in {"::1", "localhost"}


def port_of(url_or_address: str) -> int | None:
    """The port of a URL or of `host:port`, or None when none is written."""
    text = url_or_address if "://" in url_or_address else f"//{url_or_address}"
    return urlsplit(text).port


def short_name(url_or_address: str, default_port: int) -> str:
    """How a target is called on the screen: the host, and the port when it is not the usual one."""
    host, port = host_of(url_or_address), port_of(url_or_address)
    shown = _bracketed(host)
    path = urlsplit(url_or_address).path.rstrip("/") if "://" in url_or_address else ""
    return f"{shown}{path}" if port in (None, default_port) else f"{shown}:{port}{path}"


def coordinator_words(name: str) -> str:
    """How a coordinator is called beside nodes: with that word, once."""
    return name if "coordinator" in name.casefold() else f"coordinator {name}"


def _parse_url(text: str, default_port: int) -> str:
    cleaned = text.strip().strip("\"'").strip()
    scheme, separator, rest = cleaned.partition("://")
    if not separator:
        scheme, rest = "http", cleaned
    scheme = scheme.lower()
    if scheme not in _SCHEME_PORTS:
        raise ValueError(f"{cleaned!r}: only http and https are spoken here")
    if "@" in rest.split("/", 1)[0]:
        raise ValueError("put user and password under headers, not into the URL")
    authority, _, path = rest.partition("/")
    host, port = _split_host_port(authority, _SCHEME_PORTS[scheme] if separator else default_port)
    path = path.split("?", 1)[0].split("#", 1)[0].rstrip("/")
    suffix = f"/{path}" if path else ""
    return f"{scheme}://{_bracketed(host)}:{port}{suffix}"


def _split_host_port(text: str, default_port: int) -> tuple[str, int]:
    host, port_text = _split_authority(text.strip())
    host = _THIS_MACHINE.get(host.lower(), host) or "127.0.0.1"
    if any(c.isspace() or ord(c) < 32 or c in "<>\\^`{|}" for c in host):
        raise ValueError(f"{host!r} is not a host name")
    if not port_text:
        return host.lower(), default_port
    if not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65535:
        raise ValueError(f"{port_text!r} is not a port (0 to 65535)")
    return host.lower(), int(port_text)


def _split_authority(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return host, rest.removeprefix(":")
    if text.count(":") > 1:  # a bare IPv6 address
        return text, ""
    host, _, port = text.partition(":")
    return host, port


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
