"""The lab itself: every real server comes up on its own address and does its work."""

from __future__ import annotations

from pathlib import Path

import pytest

from .lab import Lab
from .servers import (
    Coordinator,
    OllamaNode,
    RedisServer,
    RpcBackend,
    free_port,
    get_json,
    make_store,
    post_json,
    rpc_version,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),  # two cores may be busy with other things
    pytest.mark.xdist_group("engine"),
]

QUESTION = [{"role": "user", "content": "Say hello."}]
BACKENDS = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
NODES = ("127.0.0.5", "127.0.0.6")


def test_a_coordinator_over_two_backends_answers_while_a_third_is_free_and_redis_runs(
    lab: Lab,
) -> None:
    """llama.cpp and Redis: a chat from a model split over two backends, HELLO from the free one."""
    port = free_port(*BACKENDS)
    with (
        RedisServer(lab) as redis,
        RpcBackend(lab, BACKENDS[0], port) as one,
        RpcBackend(lab, BACKENDS[1], port) as two,
        RpcBackend(lab, BACKENDS[2], port) as free,
        Coordinator(lab, lab.model_large, [one, two], extra_args=["-lv", "4"]) as coordinator,
    ):
        answer = post_json(
            coordinator.url + "/v1/chat/completions",
            {"messages": QUESTION, "max_tokens": 8, "temperature": 0},
        )
        assert answer["choices"][0]["message"]["content"].startswith("Hello")
        assert get_json(coordinator.url + "/v1/models")["data"][0]["id"] == "lab"
        for backend in (one, two):
            assert f"RPC0[{backend.address}] model buffer size" in coordinator.log_text()
        assert rpc_version(free.host, free.port) == (7, 0, 0)
        assert redis.ask("SET lab here") == "+OK"
    assert not any(server.running for server in (redis, one, two, free, coordinator))


def test_two_ollama_nodes_with_stores_written_by_hand_answer_a_chat(
    ollama_lab: Lab, tmp_path: Path
) -> None:
    """Ollama: each node lists its own models and the second of them answers."""
    port = free_port(*NODES)
    models = {"smol:135m": ollama_lab.model_small, "smol:241m": ollama_lab.model_large}
    small = make_store(tmp_path / "small", {"smol:135m": ollama_lab.model_small})
    both = make_store(tmp_path / "both", models)
    with (
        OllamaNode(ollama_lab, small, NODES[0], port) as one,
        OllamaNode(ollama_lab, both, NODES[1], port) as two,
    ):
        assert names(one) == {"smol:135m"}
        assert names(two) == set(models)
        request = {"model": "smol:241m", "messages": QUESTION, "stream": False}
        answer = post_json(two.url + "/api/chat", request | {"options": {"num_predict": 8}})
        assert answer["done"]
        assert answer["message"]["content"]
        assert two.children
    assert not one.running
    assert not two.running


def names(node: OllamaNode) -> set[str]:
    """The models that a node lists."""
    return {model["name"] for model in get_json(node.url + "/api/tags")["models"]}
