"""Write an Ollama model store by hand: blobs, config blobs and manifests; no `ollama create`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from .stack import read

FILE_TYPES = {1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 15: "Q4_K_M"}


def make_store(
    directory: Path, models: Mapping[str, Path], options: Mapping[str, object] | None = None
) -> Path:
    """Write the store of `{"smol:135m": gguf, …}`; several names may share a file.

    `options` are those of all these models, such as `num_predict`, where a request names none.
    """
    (directory / "blobs").mkdir(parents=True, exist_ok=True)
    for name, gguf in models.items():
        layer = link_blob(directory, gguf)
        config = write_blob(directory, json.dumps(model_config(gguf)).encode())
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", **config},
            "layers": [{"mediaType": "application/vnd.ollama.image.model", **layer}],
        }
        if options:
            params = write_blob(directory, json.dumps(options).encode())
            manifest["layers"].append(
                {"mediaType": "application/vnd.ollama.image.params", **params}
            )
        path = directory / "manifests" / manifest_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest))
    return directory


def manifest_path(name: str) -> Path:
    """Where Ollama looks for a name: host/namespace/model/tag, or its defaults for these."""
    match = re.fullmatch(r"(?:(?:([^/]+)/)?([^/]+)/)?([^/:]+)(?::([^/:]+))?", name)
    if match is None:
        raise ValueError(f"{name!r} is not a model name")
    host, namespace, model, tag = match.groups()
    return Path(host or "registry.ollama.ai", namespace or "library", model, tag or "latest")


def model_config(gguf: Path) -> dict[str, object]:
    """The config blob, with the family, the size and the type that Ollama's lists show."""
    model = read(gguf)
    arch, parameters = model.text("general.architecture"), sum(t.count for t in model.tensors)
    return {
        "model_format": "gguf",
        "model_family": arch,
        "model_families": [arch],
        "model_type": f"{parameters / 1e6:.2f}M",  # as Ollama writes 134.52M
        "file_type": FILE_TYPES.get(model.number("general.file_type"), "unknown"),
        "architecture": "amd64",
        "os": "linux",
    }


def link_blob(directory: Path, file: Path) -> dict[str, object]:
    """Put a file among the blobs without copying it and return its digest and size."""
    digest = file_digest(file, file.stat().st_mtime_ns)
    blob = directory / "blobs" / f"sha256-{digest}"
    if not blob.exists():
        try:
            blob.hardlink_to(file)
        except OSError:
            blob.symlink_to(file)
    return {"digest": f"sha256:{digest}", "size": file.stat().st_size}


def write_blob(directory: Path, data: bytes) -> dict[str, object]:
    """Write bytes among the blobs and return their digest and size."""
    digest = hashlib.sha256(data).hexdigest()
    (directory / "blobs" / f"sha256-{digest}").write_bytes(data)
    return {"digest": f"sha256:{digest}", "size": len(data)}


@lru_cache
def file_digest(file: Path, _changed_ns: int) -> str:
    """The SHA-256 of a file, read once per process and version."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
