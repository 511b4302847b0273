"""From a model's name or path to the GGUF files that hold it, or to the reason why not.

Everything here reads from disk and blocks; nothing is ever written, and never is another model
given than the one asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sollol_tui.core.gguf import GgufHeader, read_split
from sollol_tui.core.ids import is_model_path
from sollol_tui.core.manifest import (
    MAX_MANIFEST_BYTES,
    Layer,
    ModelManifest,
    NameParts,
    parse_manifest,
    parse_name,
    parse_params,
    refusal,
    with_config,
)
from sollol_tui.core.problems import NOBODY_NAMED, Cause, Problem
from sollol_tui.io.disk import Disk
from sollol_tui.io.stores import advice_to_read

LARGE_BYTES = 10**9
_SPLIT = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$", re.IGNORECASE)
_ON_A_NODE = "Run it on an Ollama node: its own llama-server knows what llama.cpp does not."
_PULL_AGAIN = "Pull or copy it again."
_NOTHING_THERE = (FileNotFoundError, NotADirectoryError)
_REFUSED_REASONS = ("is a big-endian", "is of GGUF version")


class ModelFile(NamedTuple):
    """A model that llama-server can be given."""

    name: str  # the name with its tag, or the file's stem
    path: str  # what follows -m: the first part of a split model
    bytes: int  # all its parts
    header: GgufHeader
    adapters: tuple[str, ...] = ()  # LoRA files that belong to it
    projector: str = ""  # the file that it sees pictures with
    params: tuple[tuple[str, object], ...] = ()  # Ollama's own options for it
    parts: tuple[str, ...] = ()  # all files of a split model

    @property
    def context_tokens(self) -> int | None:
        """The `num_ctx` that its author set."""
        value = dict(self.params).get("num_ctx")
        return value if isinstance(value, int) and not isinstance(value, bool) else None


class ListedModel(NamedTuple):
    """A model in a store, from its manifest alone: no model file was opened."""

    name: str
    store: str
    bytes: int  # of the model file
    parameters: str  # words to show, from Ollama's config: "8.0B", "Q4_K_M"
    quantization: str
    family: str
    refusal: str | None = None  # why llama-server cannot run it


def resolve_model(
    asked: str, stores: Sequence[Path], disk: Disk | None = None
) -> ModelFile | Problem:
    """The model that was asked for, by name in one of the stores or by the path of a GGUF file."""
    disk = disk or Disk()
    if is_model_path(asked):
        return _from_path(Path(asked).expanduser().absolute(), disk)
    parts = parse_name(asked)
    if isinstance(parts, str):
        return Problem(
            Cause.MODEL_NOT_FOUND, asked.strip(), (f"the name {parts}",), "Write it as name:tag."
        )
    return _from_stores(parts, stores, disk)


def list_models(stores: Sequence[Path], disk: Disk | None = None) -> tuple[ListedModel, ...]:
    """All models of all stores by name, as their manifests tell; the unreadable are left out."""
    disk = disk or Disk()
    found: dict[str, ListedModel] = {}
    for store in stores:
        for parts in _names_in(store, disk):
            manifest = _read_manifest(store, parts, disk)
            if isinstance(manifest, ModelManifest):
                found.setdefault(parts.short, _listed(parts, store, manifest))
    return tuple(found[name] for name in sorted(found))


def largest_model(
    stores: Sequence[Path], at_least_bytes: int = LARGE_BYTES, disk: Disk | None = None
) -> ModelFile | Problem:
    """The largest model that llama-server can run and that answers, for when nobody named one.

    Named by its tag; of several names for one file the first. Only files from `at_least_bytes` on.
    """
    disk = disk or Disk()
    listed = [m for m in list_models(stores, disk) if m.refusal is None]
    large = [m for m in listed if m.bytes >= at_least_bytes]
    refused = []
    for model in sorted(large, key=lambda m: -m.bytes):
        found = resolve_model(model.name, stores, disk)
        if isinstance(found, ModelFile) and not found.header.embeds:
            return found
        refused.append(f"{model.name}: {_why_not(found)}")
    smaller = f"none of {len(listed)} models has {at_least_bytes / 1e9:g} GB"
    evidence = refused or [smaller if listed else "no model is here"]
    looked = (f"looked in {store}" for store in stores)
    advice = "Name a model, or the path of a GGUF file."
    return Problem(Cause.MODEL_NOT_FOUND, NOBODY_NAMED, (*evidence, *looked), advice)


def _why_not(found: ModelFile | Problem) -> str:
    if isinstance(found, Problem):
        return "; ".join(found.evidence) or found.sentence
    return "makes embeddings"


# By name


def _from_stores(parts: NameParts, stores: Sequence[Path], disk: Disk) -> ModelFile | Problem:
    closed: list[tuple[Path, OSError]] = []
    for store in stores:
        try:
            stored = _stored_name(store, parts, disk)
        except PermissionError as error:
            closed.append((store, error))
            continue
        except OSError:
            continue
        if stored is not None:
            return _from_store(stored, store, disk)
    if closed:
        return _unreadable_stores(parts.short, closed, disk)
    return _not_found(parts, stores, disk)


def _stored_name(store: Path, parts: NameParts, disk: Disk) -> NameParts | None:
    """The name as it is written in a store: case does not count (server/routes.go)."""
    directory, written = store / "manifests", []
    for part in parts.path:
        try:
            names = disk.names(directory)
        except _NOTHING_THERE:
            return None
        alike = [n for n in names if n.lower() == part.lower()]
        if not alike:
            return None
        written.append(part if part in alike else alike[0])
        directory /= written[-1]
    return NameParts(written[0], written[1], written[2], written[3], parts.cloud)


def _from_store(parts: NameParts, store: Path, disk: Disk) -> ModelFile | Problem:
    manifest = _read_manifest(store, parts, disk)
    if isinstance(manifest, Problem):
        return manifest
    if (reason := refusal(manifest)) is not None:
        return Problem(Cause.MODEL_REFUSED, parts.short, (reason,), _ON_A_NODE)
    blobs: list[Path] = []
    for layer in (manifest.gguf, *manifest.adapters, manifest.projector):
        if layer is None:
            continue
        blob = _blob(store, layer, parts.short, disk)
        if isinstance(blob, Problem):
            return blob
        blobs.append(blob)
    header = _header(parts.short, blobs[:1], disk)
    if isinstance(header, Problem):
        return header
    last = len(manifest.adapters) + 1
    return ModelFile(
        name=parts.short,
        path=str(blobs[0]),
        bytes=header.file_bytes,
        header=header,
        adapters=tuple(map(str, blobs[1:last])),
        projector=str(blobs[last]) if manifest.projector else "",
        params=_params(store, manifest, disk),
        parts=(str(blobs[0]),),
    )


def _read_manifest(store: Path, parts: NameParts, disk: Disk) -> ModelManifest | Problem:
    path = store.joinpath("manifests", *parts.path)
    try:
        manifest = parse_manifest(disk.read(path, MAX_MANIFEST_BYTES))
    except OSError as error:
        return _unreadable(parts.short, path, error, disk)
    if isinstance(manifest, str):
        return Problem(
            Cause.MODEL_CORRUPT, parts.short, (f"its manifest {path} {manifest}",), _PULL_AGAIN
        )
    return with_config(manifest, _read_layer(store, manifest.config, disk))


def _read_layer(store: Path, layer: Layer | None, disk: Disk) -> bytes:
    """A small blob, nothing when it is not there: what it tells is not needed to run the model."""
    if layer is None:
        return b""
    for path in _blob_paths(store, layer):
        try:
            return disk.read(path, MAX_MANIFEST_BYTES)
        except OSError:
            continue
    return b""


def _params(store: Path, manifest: ModelManifest, disk: Disk) -> tuple[tuple[str, object], ...]:
    return parse_params(_read_layer(store, manifest.params, disk)) if manifest.params else ()


def _blob_paths(store: Path, layer: Layer) -> tuple[Path, Path]:
    return store / "blobs" / layer.blob, store / "blobs" / f"sha256:{layer.digest}"  # before 2024


def _blob(store: Path, layer: Layer, name: str, disk: Disk) -> Path | Problem:
    for path in _blob_paths(store, layer):
        try:
            disk.size(path)
        except _NOTHING_THERE:
            continue
        except OSError as error:
            return _unreadable(name, path, error, disk)
        return path
    evidence = (f"{layer.blob} is missing in {store / 'blobs'}", *_unfinished(store, disk, layer))
    return Problem(Cause.MODEL_NOT_FOUND, name, evidence, f"Pull it again: ollama pull {name}")


def _unfinished(store: Path, disk: Disk, layer: Layer | None = None) -> tuple[str, ...]:
    """What says that a download was not finished."""
    try:
        names = disk.names(store / "blobs")
    except OSError:
        return ()
    wanted = layer.blob if layer else "sha256-"
    partial = [n for n in names if n.startswith(wanted) and "-partial" in n]
    return (f"unfinished downloads lie in {store / 'blobs'}",) if partial else ()


def _names_in(store: Path, disk: Disk) -> Iterable[NameParts]:
    """All names of a store, in the order of its directories."""
    paths: list[tuple[str, ...]] = [()]
    for _ in range(4):
        paths = [(*path, name) for path in paths for name in _entries(store, path, disk)]
    return (NameParts(path[0], path[1], path[2], path[3]) for path in paths)


def _entries(store: Path, path: tuple[str, ...], disk: Disk) -> list[str]:
    try:
        return disk.names(store.joinpath("manifests", *path))
    except OSError:
        return []


def _listed(parts: NameParts, store: Path, manifest: ModelManifest) -> ListedModel:
    return ListedModel(
        name=parts.short,
        store=str(store),
        bytes=manifest.gguf.bytes if manifest.gguf else 0,
        parameters=manifest.parameters,
        quantization=manifest.quantization,
        family=manifest.family,
        refusal=refusal(manifest),
    )


# By path


def _from_path(path: Path, disk: Disk) -> ModelFile | Problem:
    parts = _split_parts(path)
    missing = []
    for part in parts:
        try:
            disk.size(part)
        except _NOTHING_THERE:
            missing.append(part)
        except OSError as error:
            return _unreadable(str(path), part, error, disk)
    if missing == parts:
        evidence = (f"nothing lies at {path}",)
        return Problem(Cause.MODEL_NOT_FOUND, str(path), evidence, "Look at the path.")
    if missing:
        lost = tuple(f"{p.name} is missing" for p in missing)
        return Problem(Cause.MODEL_CORRUPT, str(path), lost, "Put all parts into one directory.")
    header = _header(str(path), parts, disk)
    if isinstance(header, Problem):
        return header
    if header.split_count != len(parts):
        why = (f"it is one of {header.split_count} parts, and its name does not say so",)
        advice = "Give the parts their names back: …-00001-of-0000N.gguf."
        return Problem(Cause.MODEL_REFUSED, str(path), why, advice)
    return ModelFile(
        name=_stem(path),
        path=str(parts[0]),
        bytes=header.file_bytes,
        header=header,
        parts=tuple(map(str, parts)),
    )


def _split_parts(path: Path) -> list[Path]:
    """All files of the model that a path names; the path itself when it stands alone."""
    match = _SPLIT.fullmatch(path.name)
    if match is None or not 1 <= int(match["number"]) <= int(match["count"]) <= 999:
        return [path]
    count = int(match["count"])
    names = (f"{match['stem']}-{i:05}-of-{count:05}.gguf" for i in range(1, count + 1))
    return [path.with_name(name) for name in names]


def _stem(path: Path) -> str:
    match = _SPLIT.fullmatch(path.name)
    return (
        match["stem"] if match else path.name[:-5] if path.suffix.lower() == ".gguf" else path.name
    )


# The file itself, and what can be wrong


def _header(name: str, paths: Sequence[Path], disk: Disk) -> GgufHeader | Problem:
    try:
        with disk.mapped(paths) as views:
            header = read_split(views)
    except OSError as error:
        return _unreadable(name, paths[0], error, disk)
    if isinstance(header, str):
        refused = header.startswith(_REFUSED_REASONS)
        cause = Cause.MODEL_REFUSED if refused else Cause.MODEL_CORRUPT
        advice = "Get a GGUF file of version 3." if refused else _PULL_AGAIN
        return Problem(cause, name, (f"{paths[0]} {header}",), advice)
    return _usable(name, paths[0], header)


def _usable(name: str, path: Path, header: GgufHeader) -> GgufHeader | Problem:
    if header.needs_ollama is not None:
        return Problem(Cause.MODEL_REFUSED, name, (header.needs_ollama,), _ON_A_NODE)
    if header.kind != "model":
        evidence = (f"{path} is of the kind {header.kind}",)
        return Problem(Cause.MODEL_REFUSED, name, evidence, "Give the model that it belongs to.")
    if not header.data_ends_within:
        evidence = (
            f"{path} ends after {header.file_bytes} bytes, before its last tensor: it was cut",
        )
        return Problem(Cause.MODEL_CORRUPT, name, evidence, _PULL_AGAIN)
    return header


def _unreadable(name: str, path: Path, error: OSError, disk: Disk) -> Problem:
    evidence = (f"{path}: {error.strerror or error}",)
    if isinstance(error, PermissionError):
        return Problem(Cause.MODEL_UNREADABLE, name, evidence, advice_to_read(path, disk))
    if isinstance(error, _NOTHING_THERE):
        return Problem(Cause.MODEL_NOT_FOUND, name, evidence, "Look whether it was removed.")
    if isinstance(error, IsADirectoryError):
        return Problem(Cause.MODEL_NOT_FOUND, name, evidence, "Give the path of a GGUF file.")
    return Problem(Cause.MODEL_UNREADABLE, name, evidence, "Look at the disk that holds it.")


def _unreadable_stores(name: str, closed: Sequence[tuple[Path, OSError]], disk: Disk) -> Problem:
    evidence = tuple(f"{store}: {error.strerror or error}" for store, error in closed)
    return Problem(Cause.MODEL_UNREADABLE, name, evidence, advice_to_read(closed[0][0], disk))


def _not_found(parts: NameParts, stores: Sequence[Path], disk: Disk) -> Problem:
    if parts.cloud:
        why = ("its name says that it runs at ollama.com",)
        return Problem(Cause.MODEL_REFUSED, parts.short, why, _ON_A_NODE)
    evidence = tuple(f"not in {store}" for store in stores)
    unfinished = tuple(word for store in stores for word in _unfinished(store, disk))
    advice = f"Pull it here: ollama pull {parts.short}, or give the path of its GGUF file."
    return Problem(Cause.MODEL_NOT_FOUND, parts.short, (*evidence, *unfinished), advice)
