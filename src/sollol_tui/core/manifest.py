"""Ollama's store on paper: from a model's name to its manifest, and what a manifest says.

The rules are Ollama's (types/model/name.go, manifest/manifest.go, server/images.go of 0.32).
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
MAX_MANIFEST_BYTES = 4 << 20

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_LAYER = "application/vnd.ollama.image."


class NameParts(NamedTuple):
    """A model's name in full. `cloud`: it asks for a model that runs at ollama.com."""

    host: str
    namespace: str
    model: str
    tag: str
    cloud: bool = False

    @property
    def path(self) -> tuple[str, str, str, str]:
        """Where its manifest lies under `manifests/`."""
        return self.host, self.namespace, self.model, self.tag

    @property
    def short(self) -> str:
        """The name as Ollama shows it: what is usual is left out, the tag is always there."""
        name = f"{self.model}:{self.tag}"
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{name}"
        return name if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{name}"


class Layer(NamedTuple):
    """One file of a model: the hex digits of its SHA-256, and its size."""

    digest: str
    bytes: int

    @property
    def blob(self) -> str:
        """Its name under `blobs/`."""
        return f"sha256-{self.digest}"


class ModelManifest(NamedTuple):
    """What a model consists of. `format` and what follows come from the config blob."""

    config: Layer | None
    gguf: Layer | None
    projector: Layer | None
    adapters: tuple[Layer, ...]
    params: Layer | None
    tensors: bool  # stored tensor by tensor: a model for MLX
    bytes: int  # all layers
    format: str = ""
    family: str = ""
    parameters: str = ""  # "8.0B", a word to show
    quantization: str = ""
    remote_host: str = ""


def parse_name(text: str) -> NameParts | str:
    """The parts of a model's name, or why it is none ("is empty"): a phrase that follows it.

    Host, namespace and tag have defaults; the tag is what follows a `:` after the last `/`. A last
    `:local` or `:cloud`, and a tag that ends in `-cloud`, say where the model runs.
    """
    cleaned = text.strip()
    for scheme in ("https://", "http://", "ollama://"):
        cleaned = cleaned.removeprefix(scheme)
    if not cleaned:
        return "is empty"
    cleaned, cloud = _without_source(cleaned)
    *above, last = cleaned.split("/")
    model, _, tag = last.partition(":")
    tag = tag or DEFAULT_TAG
    if len(above) > 2:
        return "has too many parts"
    namespace = above[-1] if above else DEFAULT_NAMESPACE
    host = above[0] if len(above) == 2 else DEFAULT_HOST
    checks = ((_HOST, host), (_NAMESPACE, namespace), (_PART, model), (_PART, tag))
    if not all(pattern.fullmatch(part) for pattern, part in checks):
        return "is no model name"
    return NameParts(host, namespace, model, tag, cloud or tag.lower().endswith("-cloud"))


def _without_source(name: str) -> tuple[str, bool]:
    lower = name.lower()
    if lower.endswith(":local"):
        return name[: -len(":local")], False
    if lower.endswith(":cloud"):
        return name[: -len(":cloud")], True
    return name, False


def parse_manifest(text: str | bytes) -> ModelManifest | str:
    """The layers of a manifest file, or why it cannot be read: a phrase that follows it."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return "is no JSON"
    if not isinstance(read, dict):
        return "is no manifest"
    listed = read.get("layers") or []
    layers = [x for x in listed if isinstance(x, dict)] if isinstance(listed, list) else []
    models = _of_kind(layers, "model")
    projectors, params = _of_kind(layers, "projector"), _of_kind(layers, "params")
    return ModelManifest(
        config=_layer(read.get("config")),
        gguf=models[-1] if models else None,  # Ollama lets the last one win
        projector=projectors[-1] if projectors else None,
        adapters=tuple(_of_kind(layers, "adapter")),
        params=params[-1] if params else None,
        tensors=bool(_of_kind(layers, "tensor")),
        bytes=sum(found.bytes for found in map(_layer, layers) if found),
    )


def _of_kind(layers: list[dict[str, Any]], kind: str) -> list[Layer]:
    found = (_layer(x) for x in layers if x.get("mediaType") == _LAYER + kind)
    return [layer for layer in found if layer is not None]


def _layer(value: object) -> Layer | None:
    if not isinstance(value, dict):
        return None
    digest, size = value.get("digest"), value.get("size")
    match = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
    if match is None:  # what is no digest must never become a path
        return None
    return Layer(match[1], size if isinstance(size, int) and size >= 0 else 0)


def with_config(manifest: ModelManifest, text: str | bytes) -> ModelManifest:
    """The manifest with what its config blob says; unreadable text says nothing."""
    read = _object(text)

    def word(key: str) -> str:
        value = read.get(key)
        return value if isinstance(value, str) else ""

    return manifest._replace(
        format=word("model_format"),
        family=word("model_family"),
        parameters=word("model_type"),
        quantization=word("file_type"),
        remote_host=word("remote_host"),
    )


def refusal(manifest: ModelManifest) -> str | None:
    """Why llama-server cannot run this model, None when nothing in the manifest says so."""
    if manifest.remote_host:
        return f"it is a name for a model that runs at {manifest.remote_host}"
    if manifest.tensors or manifest.format not in {"", "gguf"}:
        return f"it is stored as {manifest.format or 'tensors'} for MLX, not as GGUF"
    if manifest.gguf is None:
        return "its manifest names no model file"
    return None


def parse_params(text: str | bytes) -> tuple[tuple[str, object], ...]:
    """The options that belong to a model (`num_ctx`, `stop`, …), in their order."""
    return tuple(_object(text).items())


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}
