"""From a model's name or path to its files: stores written by hand, as Ollama writes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from sollol_tui.core.ids import is_model_path
from sollol_tui.core.problems import Cause, Problem
from sollol_tui.io.blobs import (
    ListedModel,
    ModelFile,
    largest_model,
    list_models,
    resolve_model,
)
from sollol_tui.io.disk import Disk
from sollol_tui.io.stores import stores
from tests.core.make_gguf import Field, Model, gguf, llama, llama_fields, llama_tensors

SMALL = llama()
LARGE = llama(Model(layers=12))


class Guarded(Disk):
    """A disk that keeps this user out of some places; works for root as well."""

    def __init__(self, *closed: Path, group: str = "", windows: bool = False) -> None:
        self.closed = closed
        self.group = group
        self.windows = windows

    def names(self, directory: Path) -> list[str]:
        self._check(directory)
        return super().names(directory)

    def size(self, path: Path) -> int:
        self._check(path)
        return super().size(path)

    def read(self, path: Path, at_most: int) -> bytes:
        self._check(path)
        return super().read(path, at_most)

    def may_enter(self, directory: Path) -> bool:
        return not self._shut(directory)

    def reading_group(self, path: Path) -> str:
        return self.group

    def _check(self, path: Path) -> None:
        if self._shut(path):
            raise PermissionError(13, "Permission denied", str(path))

    def _shut(self, path: Path) -> bool:
        return any(path.is_relative_to(c) for c in self.closed)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store."""
    place = tmp_path / "models"
    (place / "blobs").mkdir(parents=True)
    return place


def blob(store: Path, data: bytes) -> dict[str, object]:
    """Put bytes among the blobs."""
    digits = hashlib.sha256(data).hexdigest()
    (store / "blobs" / f"sha256-{digits}").write_bytes(data)
    return {"digest": f"sha256:{digits}", "size": len(data)}


def put(
    store: Path,
    path: str,
    layers: Mapping[str, bytes] | Sequence[tuple[str, bytes]] = (("model", SMALL),),
    **config: str,
) -> Path:
    """Write a model into a store and return its manifest."""
    pairs = list(layers.items()) if isinstance(layers, Mapping) else layers
    manifest = {
        "config": blob(store, json.dumps({"model_format": "gguf", **config}).encode()),
        "layers": [
            {"mediaType": f"application/vnd.ollama.image.{kind}", **blob(store, data)}
            for kind, data in pairs
        ],
    }
    file = store / "manifests" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(manifest))
    return file


def found(asked: str, *places: Path, disk: Disk | None = None) -> ModelFile:
    """A model that must be there."""
    model = resolve_model(asked, places, disk)
    assert isinstance(model, ModelFile), model
    return model


def failed(asked: str, *places: Path, disk: Disk | None = None) -> Problem:
    """Why a model is not given."""
    problem = resolve_model(asked, places, disk)
    assert isinstance(problem, Problem), problem
    return problem


def blob_path(store: Path, data: bytes) -> str:
    """Where those bytes lie in a store."""
    return str(store / "blobs" / f"sha256-{hashlib.sha256(data).hexdigest()}")


# By name


@pytest.mark.parametrize(
    ("asked", "path", "name"),
    [
        ("tiny:8b", "registry.ollama.ai/library/tiny/8b", "tiny:8b"),
        ("tiny", "registry.ollama.ai/library/tiny/latest", "tiny:latest"),
        ("TINY:8B", "registry.ollama.ai/library/tiny/8b", "tiny:8b"),
        ("me/tiny", "registry.ollama.ai/me/tiny/latest", "me/tiny:latest"),
        ("tiny:8b:local", "registry.ollama.ai/library/tiny/8b", "tiny:8b"),
        (
            "hf.co/bartowski/foo-gguf:q4_k_m",
            "hf.co/bartowski/Foo-GGUF/Q4_K_M",
            "hf.co/bartowski/Foo-GGUF:Q4_K_M",
        ),
        ("box.lan:5000/a/b:c", "box.lan:5000/a/b/c", "box.lan:5000/a/b:c"),
    ],
)
def test_a_name_finds_its_file(store: Path, asked: str, path: str, name: str) -> None:
    put(store, path)
    model = found(asked, store)
    assert (model.name, model.path) == (name, blob_path(store, SMALL))
    assert model.bytes == len(SMALL)
    assert model.header.layers == 4
    assert model.parts == (model.path,)


def test_the_exact_case_wins(store: Path) -> None:
    put(store, "hf.co/u/Foo/latest", [("model", LARGE)])
    put(store, "hf.co/u/foo/latest")
    assert found("hf.co/u/foo", store).header.layers == 4
    assert found("hf.co/u/Foo", store).header.layers == 12


def test_all_that_belongs_to_a_model_comes_with_it(store: Path) -> None:
    params = json.dumps({"num_ctx": 16384, "stop": ["<|end|>"]}).encode()
    layers = [
        ("model", SMALL),
        ("adapter", b"one"),
        ("projector", b"eyes"),
        ("adapter", b"two"),
        ("params", params),
    ]
    put(store, "registry.ollama.ai/library/tiny/8b", layers)
    model = found("tiny:8b", store)
    assert model.adapters == (blob_path(store, b"one"), blob_path(store, b"two"))
    assert model.projector == blob_path(store, b"eyes")
    assert model.context_tokens == 16384
    assert dict(model.params)["stop"] == ["<|end|>"]


def test_the_last_of_several_model_layers_is_the_model(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b", [("model", SMALL), ("model", LARGE)])
    assert found("tiny:8b", store).header.layers == 12


def test_older_stores_write_a_colon_into_the_blobs_name(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b")
    digits = hashlib.sha256(SMALL).hexdigest()
    old = store / "blobs" / f"sha256:{digits}"
    Path(blob_path(store, SMALL)).rename(old)
    assert found("tiny:8b", store).path == str(old)


def test_the_first_store_that_has_it_gives_it(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("missing", "empty", "one", "two")]
    for place in places[1:]:
        (place / "blobs").mkdir(parents=True)
    put(places[2], "registry.ollama.ai/library/tiny/8b")
    put(places[3], "registry.ollama.ai/library/tiny/8b", [("model", LARGE)])
    assert found("tiny:8b", *places).path.startswith(str(places[2]))


def test_a_model_that_is_not_there_is_told_with_where_was_looked(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b")
    problem = failed("tiny:70b", store)
    assert (problem.cause, problem.subject) == (Cause.MODEL_NOT_FOUND, "tiny:70b")
    assert problem.evidence == (f"not in {store}",)
    assert "ollama pull tiny:70b" in problem.next


def test_never_another_model_than_the_one_asked_for(store: Path) -> None:
    for tag in ("8b", "8b-q4", "latest"):
        put(store, f"registry.ollama.ai/library/tiny/{tag}")
    for asked in ("tiny:8", "tin:8b", "tiny2:8b", "tiny:8b-q", "library2/tiny:8b"):
        assert failed(asked, store).cause is Cause.MODEL_NOT_FOUND


def test_what_is_no_name_is_not_looked_for(store: Path) -> None:
    problem = failed("../../etc/passwd x", store)
    assert problem.cause is Cause.MODEL_NOT_FOUND
    assert failed("a b", store).evidence == ("the name is no model name",)


# No permission is not "not there"


def test_a_store_that_is_closed_is_told_apart(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b")
    problem = failed("tiny:8b", store, disk=Guarded(store.parent, group="ollama"))
    assert (problem.cause, problem.subject) == (Cause.MODEL_UNREADABLE, "tiny:8b")
    assert problem.evidence == (f"{store}: Permission denied",)
    assert "sudo usermod -aG ollama $USER" in problem.next
    assert "OLLAMA_MODELS" in problem.next


def test_without_a_group_that_may_read_an_acl_is_the_way(store: Path) -> None:
    """Never a wider mode: Ollama's private key lies beside the models."""
    closed = store.parent
    put(store, "registry.ollama.ai/library/tiny/8b")
    advice = failed("tiny:8b", store, disk=Guarded(closed)).next
    assert f"sudo setfacl -m u:$USER:x {closed}" in advice
    assert f"sudo setfacl -R -m u:$USER:rX {store}" in advice
    assert "chmod" not in advice


def test_windows_knows_neither(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b")
    advice = failed("tiny:8b", store, disk=Guarded(store, windows=True)).next
    assert "sudo" not in advice


def test_a_closed_store_does_not_hide_another(store: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "blobs").mkdir(parents=True)
    put(other, "registry.ollama.ai/library/tiny/8b")
    disk = Guarded(store)
    assert found("tiny:8b", store, other, disk=disk).path.startswith(str(other))
    assert failed("tiny:9b", store, other, disk=disk).cause is Cause.MODEL_UNREADABLE


def test_a_blob_that_is_closed_is_told_apart(store: Path) -> None:
    """Models made before 2024 may be readable by their owner only."""
    put(store, "registry.ollama.ai/library/tiny/8b")
    closed = Path(blob_path(store, SMALL))
    problem = failed("tiny:8b", store, disk=Guarded(closed))
    assert problem.cause is Cause.MODEL_UNREADABLE
    assert problem.evidence == (f"{closed}: Permission denied",)


def test_a_manifest_that_is_closed_is_told_apart(store: Path) -> None:
    manifest = put(store, "registry.ollama.ai/library/tiny/8b")
    assert failed("tiny:8b", store, disk=Guarded(manifest)).cause is Cause.MODEL_UNREADABLE


# What is there and cannot be used


def test_a_missing_blob_asks_for_another_pull(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b")
    lost = Path(blob_path(store, SMALL))
    lost.unlink()
    problem = failed("tiny:8b", store)
    assert problem.cause is Cause.MODEL_NOT_FOUND
    assert problem.evidence == (f"{lost.name} is missing in {store / 'blobs'}",)
    assert "ollama pull tiny:8b" in problem.next
    lost.with_name(f"{lost.name}-partial-3").touch()
    assert failed("tiny:8b", store).evidence[1].startswith("unfinished downloads")


def test_an_unfinished_download_is_told(store: Path) -> None:
    (store / "blobs" / f"sha256-{'a' * 64}-partial").touch()
    assert failed("tiny:8b", store).evidence == (
        f"not in {store}",
        f"unfinished downloads lie in {store / 'blobs'}",
    )


def test_a_broken_manifest_is_damage(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b").write_text("{")
    problem = failed("tiny:8b", store)
    assert problem.cause is Cause.MODEL_CORRUPT
    assert "is no JSON" in problem.evidence[0]


@pytest.mark.parametrize(
    ("layers", "config", "reason"),
    [
        ([("tensor", b"x")], {"model_format": "safetensors"}, "stored as safetensors for MLX"),
        ([], {"remote_host": "https://ollama.com:443"}, "runs at https://ollama.com:443"),
        ([], {}, "names no model file"),
    ],
)
def test_models_for_other_engines_are_refused(
    store: Path, layers: list[tuple[str, bytes]], config: dict[str, str], reason: str
) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b", layers, **config)
    problem = failed("tiny:8b", store)
    assert problem.cause is Cause.MODEL_REFUSED
    assert reason in problem.evidence[0]
    assert "Ollama node" in problem.next


def test_a_model_in_the_cloud_is_refused_though_nothing_lies_here(store: Path) -> None:
    problem = failed("gpt-oss:120b-cloud", store)
    assert problem.cause is Cause.MODEL_REFUSED
    assert "ollama.com" in problem.evidence[0]


@pytest.mark.parametrize(
    ("data", "cause", "reason"),
    [
        (b"", Cause.MODEL_CORRUPT, "is empty"),
        (b"hello world", Cause.MODEL_CORRUPT, "is no GGUF file"),
        (SMALL[:300], Cause.MODEL_CORRUPT, "ends in the middle of its header"),
        (SMALL[:-5000], Cause.MODEL_CORRUPT, "it was cut"),
        (b"FUGG" + bytes(99), Cause.MODEL_REFUSED, "is a big-endian GGUF file"),
        (llama(general__type="adapter"), Cause.MODEL_REFUSED, "is of the kind adapter"),
        (llama(general__architecture="gptoss"), Cause.MODEL_REFUSED, "gptoss is Ollama's own"),
    ],
)
def test_files_that_llama_cpp_cannot_run(
    store: Path, data: bytes, cause: Cause, reason: str
) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b", [("model", data)])
    problem = failed("tiny:8b", store)
    assert problem.cause is cause
    assert reason in problem.evidence[0]


def test_an_embedding_model_is_given_and_says_so(store: Path) -> None:
    put(store, "registry.ollama.ai/library/e/latest", [("model", llama(llama__pooling_type=1))])
    assert found("e", store).header.embeds


# By path


def test_any_gguf_file_can_be_named_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "my model.GGUF"
    file.write_bytes(SMALL)
    model = found(str(file))
    assert (model.name, model.path, model.bytes) == ("my model", str(file), len(SMALL))


def test_a_relative_path_becomes_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.gguf").write_bytes(SMALL)
    monkeypatch.chdir(tmp_path)
    assert found("x.gguf").path == str(tmp_path / "x.gguf")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_part_of_a_split_model_means_the_whole(tmp_path: Path, number: int) -> None:
    parts = split_files(tmp_path)
    model = found(str(parts[number - 1]))
    assert (model.name, model.path) == ("big", str(parts[0]))
    assert model.parts == tuple(map(str, parts))
    assert model.header.layers == 4
    assert model.bytes == sum(p.stat().st_size for p in parts)


def test_a_lost_part_is_named(tmp_path: Path) -> None:
    parts = split_files(tmp_path)
    parts[1].unlink()
    problem = failed(str(parts[0]))
    assert problem.cause is Cause.MODEL_CORRUPT
    assert problem.evidence == ("big-00002-of-00003.gguf is missing",)


def test_a_part_under_another_name_is_refused(tmp_path: Path) -> None:
    (alone := tmp_path / "alone.gguf").write_bytes(split_files(tmp_path)[0].read_bytes())
    problem = failed(str(alone))
    assert problem.cause is Cause.MODEL_REFUSED
    assert "one of 3 parts" in problem.evidence[0]


def test_a_path_that_leads_nowhere(tmp_path: Path) -> None:
    problem = failed(str(tmp_path / "no.gguf"))
    assert (problem.cause, problem.subject) == (Cause.MODEL_NOT_FOUND, str(tmp_path / "no.gguf"))
    assert failed(str(tmp_path)).cause is Cause.MODEL_NOT_FOUND


def test_a_path_that_is_closed(tmp_path: Path) -> None:
    (file := tmp_path / "x.gguf").write_bytes(SMALL)
    assert failed(str(file), disk=Guarded(file)).cause is Cause.MODEL_UNREADABLE


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("/models/x", True),
        ("./x", True),
        ("~/x", True),
        ("x.gguf", True),
        ("C:\\models\\x", True),
        ("tiny:8b", False),
        ("hf.co/u/Repo-GGUF:Q4_K_M", False),
        ("hf.co/u/Repo-GGUF", False),
    ],
)
def test_paths_and_names_are_told_apart(asked: str, path: bool) -> None:
    assert is_model_path(asked) == path


def split_files(directory: Path) -> list[Path]:
    """A model in three files."""
    tensors = llama_tensors()
    fields: list[dict[str, Field]] = [llama_fields(), {}, {}]
    shares = (tensors[:10], tensors[10:20], tensors[20:])
    files = []
    for i, (about, share) in enumerate(zip(fields, shares, strict=True)):
        file = directory / f"big-{i + 1:05}-of-00003.gguf"
        file.write_bytes(gguf(about | {"split.no": i, "split.count": 3}, share))
        files.append(file)
    return files


# Lists


def test_a_list_holds_every_model_once(store: Path, tmp_path: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b", model_type="8.0B", file_type="Q4_0")
    put(store, "hf.co/u/Foo/Q8", [("model", LARGE)])
    put(store, "registry.ollama.ai/library/cloud/latest", [], remote_host="https://ollama.com")
    put(store, "registry.ollama.ai/library/bad/latest").write_text("{")
    put(store, "registry.ollama.ai/library/.hidden/latest")
    other = tmp_path / "other"
    (other / "blobs").mkdir(parents=True)
    put(other, "registry.ollama.ai/library/tiny/8b", [("model", LARGE)])
    listed = list_models([store, other, tmp_path / "missing"])
    assert [m.name for m in listed] == ["cloud:latest", "hf.co/u/Foo:Q8", "tiny:8b"]
    assert listed[0].refusal is not None
    assert listed[2] == ListedModel("tiny:8b", str(store), len(SMALL), "8.0B", "Q4_0", "")


def test_a_closed_store_lists_nothing(store: Path) -> None:
    put(store, "registry.ollama.ai/library/tiny/8b")
    assert list_models([store], Guarded(store)) == ()


def test_the_largest_model_that_runs_is_taken_when_nobody_named_one(store: Path) -> None:
    put(store, "registry.ollama.ai/library/small/latest")
    put(store, "registry.ollama.ai/library/large/8b", [("model", LARGE)])
    huge = llama(Model(layers=20), general__architecture="gptoss")
    put(store, "registry.ollama.ai/library/huge/latest", [("model", huge)])
    embedder = llama(Model(layers=16), llama__pooling_type=1)
    put(store, "registry.ollama.ai/library/embedder/latest", [("model", embedder)])
    put(store, "registry.ollama.ai/library/cloud/latest", [], remote_host="https://ollama.com")
    model = largest_model([store], 1)
    assert isinstance(model, ModelFile)
    assert (model.name, model.header.layers) == ("large:8b", 12)


def test_small_models_are_not_taken_unasked(store: Path) -> None:
    put(store, "registry.ollama.ai/library/small/latest")
    problem = largest_model([store])
    assert isinstance(problem, Problem)
    assert problem.cause is Cause.MODEL_NOT_FOUND
    assert problem.evidence == ("none of 1 models has 1 GB", f"looked in {store}")


def test_why_the_large_ones_do_not_run_is_told(store: Path) -> None:
    huge = llama(Model(layers=20), general__architecture="gptoss")
    put(store, "registry.ollama.ai/library/huge/latest", [("model", huge)])
    problem = largest_model([store], 1)
    assert isinstance(problem, Problem)
    assert problem.evidence[0].startswith("huge:latest: the architecture gptoss is Ollama's own")


# Places


def test_the_likeliest_place_comes_first(tmp_path: Path) -> None:
    units = tmp_path / "units"
    places = stores(
        {"OLLAMA_MODELS": "/from/env"}, "/from/settings", home=Path("/home/me"), platform="linux",
        units=units,
    )  # fmt: skip
    assert [p.as_posix() for p in places] == [
        "/from/settings",
        "/from/env",
        "/home/me/.ollama/models",
        "/usr/share/ollama/.ollama/models",
        "/var/lib/ollama/.ollama/models",
        "/var/lib/ollama/models",
        "/var/snap/ollama/common/models",
    ]


def test_no_place_comes_twice(tmp_path: Path) -> None:
    places = stores(
        {"OLLAMA_MODELS": "/usr/share/ollama/.ollama/models"}, home=tmp_path, platform="darwin",
        units=tmp_path,
    )  # fmt: skip
    assert len(places) == len(set(places)) == 5


def test_windows_has_only_the_users_own(tmp_path: Path) -> None:
    assert stores({}, home=tmp_path, platform="win32") == (tmp_path / ".ollama" / "models",)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ('Environment="OLLAMA_MODELS=/data/my models"', "/data/my models"),
        ("Environment=OLLAMA_MODELS=/data/models", "/data/models"),
        ('Environment="PATH=/bin" "OLLAMA_MODELS=/data"', "/data"),
        ("Environment='OLLAMA_MODELS=/data/a b'", "/data/a b"),
    ],
)
def test_the_services_unit_may_name_another_place(tmp_path: Path, line: str, path: str) -> None:
    (drop_ins := tmp_path / "ollama.service.d").mkdir()
    (drop_ins / "override.conf").write_text(f"[Service]\n{line}\n#Environment=OLLAMA_MODELS=/no\n")
    (tmp_path / "ollama.service").write_text("[Service]\nUser=ollama\n")
    places = stores({}, home=tmp_path, platform="linux", units=tmp_path)
    assert places[1] == Path(path)
    assert Path("/no") not in places


def test_a_real_disk_sees_directories_and_groups(tmp_path: Path) -> None:
    disk = Disk()
    assert disk.may_enter(tmp_path)
    assert disk.may_enter(tmp_path / "missing")
    assert disk.reading_group(tmp_path / "missing") == ""
    with pytest.raises(IsADirectoryError):
        disk.size(tmp_path)
