"""Which RPC backends a coordinator can use: the version rule of llama.cpp's RPC protocol."""

from __future__ import annotations

Version = tuple[int, int, int]


def parse_version(text: str) -> Version | None:
    """`"7.0.0"` or `"7.0"` as numbers; None when it is no version."""
    parts = text.strip().removeprefix("v").split(".")
    if not 2 <= len(parts) <= 3 or not all(p.isascii() and p.isdigit() for p in parts):
        return None
    major, minor, patch = (*map(int, parts), 0)[:3]
    return major, minor, patch


def format_version(version: Version) -> str:
    """The version as it is shown and compared: `"7.0.0"`."""
    return ".".join(map(str, version))


def compatible(coordinator: str, backend: str) -> bool:
    """Whether a coordinator of one protocol version can use a backend of another.

    The client decides: same major, the backend's minor not above its own; the patch is ignored
    (llama.cpp, ggml-rpc.cpp negotiate_hello). False when either text is no version.
    """
    ours, theirs = parse_version(coordinator), parse_version(backend)
    if ours is None or theirs is None:
        return False
    return ours[0] == theirs[0] and theirs[1] <= ours[1]
