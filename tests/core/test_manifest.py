"""Model names, and the manifests that Ollama keeps for them."""

from __future__ import annotations

import json

import pytest

from sollol_tui.core.manifest import (
    Layer,
    ModelManifest,
    NameParts,
    parse_manifest,
    parse_name,
    parse_params,
    refusal,
    with_config,
)

ONE, TWO, THREE = "1" * 64, "2" * 64, "3" * 64


@pytest.mark.parametrize(
    ("name", "path", "short"),
    [
        ("llama3.1:8b", "registry.ollama.ai/library/llama3.1/8b", "llama3.1:8b"),
        ("llama3", "registry.ollama.ai/library/llama3/latest", "llama3:latest"),
        (" me/foo ", "registry.ollama.ai/me/foo/latest", "me/foo:latest"),
        (
            "hf.co/bartowski/Foo-GGUF:Q4_K_M",
            "hf.co/bartowski/Foo-GGUF/Q4_K_M",
            "hf.co/bartowski/Foo-GGUF:Q4_K_M",
        ),
        (
            "box.lan:5000/team/foo:q8",
            "box.lan:5000/team/foo/q8",
            "box.lan:5000/team/foo:q8",
        ),
        ("https://hf.co/u/r", "hf.co/u/r/latest", "hf.co/u/r:latest"),
        ("qwen3:8b:local", "registry.ollama.ai/library/qwen3/8b", "qwen3:8b"),
        ("library/llama3", "registry.ollama.ai/library/llama3/latest", "llama3:latest"),
    ],
)
def test_a_name_leads_to_its_manifest(name: str, path: str, short: str) -> None:
    parts = parse_name(name)
    assert isinstance(parts, NameParts), parts
    assert "/".join(parts.path) == path
    assert parts.short == short
    assert not parts.cloud


@pytest.mark.parametrize("name", ["gpt-oss:120b-cloud", "qwen3:cloud", "QWEN3:CLOUD"])
def test_a_name_may_ask_for_a_model_that_runs_elsewhere(name: str) -> None:
    parts = parse_name(name)
    assert isinstance(parts, NameParts)
    assert parts.cloud


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is empty"),
        ("a/b/c/d", "has too many parts"),
        ("../../etc/passwd", "has too many parts"),
        ("../etc", "is no model name"),
        ("a b", "is no model name"),
        ("-m", "is no model name"),
        ("my.name/foo", "is no model name"),
        ("foo:a:b", "is no model name"),
        ("x" * 81, "is no model name"),
        ("ollama://", "is empty"),
    ],
)
def test_what_is_no_name_gets_a_reason(name: str, reason: str) -> None:
    assert parse_name(name) == reason


def manifest(*layers: tuple[str, str, int], config: str = ONE) -> str:
    """A manifest of these layers: kind, digits, size."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "config": {"digest": f"sha256:{config}", "size": 149},
            "layers": [
                {
                    "mediaType": f"application/vnd.ollama.image.{kind}",
                    "digest": f"sha256:{digits}",
                    "size": size,
                }
                for kind, digits, size in layers
            ],
        }
    )


def read(text: str) -> ModelManifest:
    """A manifest that must be readable."""
    found = parse_manifest(text)
    assert isinstance(found, ModelManifest), found
    return found


def test_the_last_model_layer_is_the_model() -> None:
    found = read(manifest(("model", ONE, 5), ("license", THREE, 7), ("model", TWO, 9)))
    assert found.gguf == Layer(TWO, 9)
    assert found.gguf.blob == f"sha256-{TWO}"
    assert found.bytes == 21
    assert refusal(found) is None


def test_projector_adapters_and_params_are_found() -> None:
    found = read(
        manifest(
            ("model", ONE, 1),
            ("projector", TWO, 2),
            ("adapter", THREE, 3),
            ("adapter", ONE, 4),
            ("params", TWO, 5),
        )
    )
    assert found.projector == Layer(TWO, 2)
    assert found.adapters == (Layer(THREE, 3), Layer(ONE, 4))
    assert found.params == Layer(TWO, 5)


@pytest.mark.parametrize(
    "digest",
    ["../../etc/passwd", "sha256:12", "md5:" + ONE, f"sha256:{ONE}/../x", 7, None],
)
def test_what_is_no_digest_never_becomes_a_path(digest: object) -> None:
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": digest, "size": 3}
    assert read(json.dumps({"layers": [layer]})).gguf is None


@pytest.mark.parametrize(
    ("text", "reason"), [("{", "is no JSON"), ("[]", "is no manifest"), ("", "is no JSON")]
)
def test_a_broken_manifest_gets_a_reason(text: str, reason: str) -> None:
    assert parse_manifest(text) == reason


@pytest.mark.parametrize(
    ("layers", "config", "reason"),
    [
        ([("model", ONE, 1)], {"model_format": "gguf"}, None),
        ([("model", ONE, 1)], {}, None),
        ([], {}, "its manifest names no model file"),
        (
            [],
            {"remote_host": "https://ollama.com:443"},
            "it is a name for a model that runs at https://ollama.com:443",
        ),
        (
            [("tensor", ONE, 1)],
            {"model_format": "safetensors"},
            "it is stored as safetensors for MLX, not as GGUF",
        ),
        ([("tensor", ONE, 1)], {}, "it is stored as tensors for MLX, not as GGUF"),
    ],
)
def test_what_llama_server_cannot_run_gets_a_reason(
    layers: list[tuple[str, str, int]], config: dict[str, str], reason: str | None
) -> None:
    found = with_config(read(manifest(*layers)), json.dumps(config))
    assert refusal(found) == reason


def test_a_cloud_stub_has_no_layers_at_all() -> None:
    found = read('{"config":{"digest":"sha256:' + ONE + '","size":9},"layers":null}')
    assert found.gguf is None
    assert found.config == Layer(ONE, 9)


def test_the_config_tells_the_words_that_are_shown() -> None:
    config = {"model_format": "gguf", "model_family": "llama", "model_type": "8.0B"}
    found = with_config(read(manifest()), json.dumps(config | {"file_type": "Q4_K_M"}))
    assert (found.family, found.parameters, found.quantization) == ("llama", "8.0B", "Q4_K_M")
    assert with_config(found, b"\xff").format == ""


def test_params_keep_their_order_and_may_be_broken() -> None:
    assert parse_params('{"stop":["a"],"num_ctx":4096}') == (("stop", ["a"]), ("num_ctx", 4096))
    assert parse_params("nonsense") == ()
