"""The demo's Ollama node answers like the real one."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import httpx
import pytest

from sollol_tui.demo.runners import Limits
from tests import fakes
from tests.demo.kit import ASK, client, lines, shape
from tests.samples import ollama_answer, ollama_body

LOOKS = {
    "/": "root",
    "/api/version": "version",
    "/api/tags": "tags",
    "/api/status": "status",
    "/v1/models": "models_v1",
    "/health": "health_404",
    "/metrics": "metrics_404",
}
REFUSALS: dict[str, bytes | dict[str, Any]] = {
    "chat_missing_model": {"model": "nope", "messages": [{"role": "user", "content": "x"}]},
    "chat_no_model": {"messages": []},
    "chat_bad_json": b"{bad json",
    "chat_options_wrong": {**ASK, "options": {"num_ctx": "many"}},
    "chat_think_refused": {**ASK, "model": "smollm2:135m", "think": True},
}


def head_of(answer: bytes) -> tuple[int, str]:
    """Status and content type of captured bytes."""
    head = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    types = [line.partition(": ")[2] for line in head if line.startswith("Content-Type")]
    return int(head[0].split()[1]), types[0]


@pytest.mark.parametrize(("path", "sample"), LOOKS.items())
async def test_a_look_has_the_status_the_type_and_the_shape_of_the_real_one(
    path: str, sample: str
) -> None:
    async with fakes.node() as node, client(node.url) as http:
        answer = await http.get(path)
    assert (answer.status_code, answer.headers["Content-Type"]) == head_of(ollama_answer(sample))
    real = ollama_body(sample)
    if real.startswith(b"{"):
        assert shape(answer.json()) == shape(json.loads(real))
        assert list(answer.json()) == list(json.loads(real))
    else:
        assert answer.content == real


async def test_ps_has_the_shape_of_the_real_one_and_is_empty_before_the_first_use() -> None:
    async with (
        fakes.node(models=["qwen3:8b", "mistral:7b"], preload=["mistral:7b"]) as node,
        client(node.url) as http,
    ):
        loaded = (await http.get("/api/ps")).json()
        node.runners.unload(node.model("mistral:7b"))
        empty = (await http.get("/api/ps")).content
    assert shape(loaded) == shape(json.loads(ollama_body("ps_loaded")))
    assert loaded["models"][0]["name"] == "mistral:7b"
    assert empty == ollama_body("ps_empty")


async def test_show_has_the_shape_of_the_real_one() -> None:
    async with fakes.node(models=["llama3.2:3b"]) as node, client(node.url) as http:
        shown = (await http.post("/api/show", json={"model": "llama3.2:3b"})).json()
        missing = await http.post("/api/show", json={"model": "nope"})
    real = json.loads(ollama_body("show"))
    shown_info, real_info = shown.pop("model_info"), real.pop("model_info")
    assert shape(shown) == shape(real)
    told_always = {key for key in real_info if key.startswith("llama.")}
    assert told_always <= set(shown_info)
    assert shown_info["general.parameter_count"] == 3_212_749_888
    assert missing.content == ollama_body("show_missing")


@pytest.mark.parametrize(("sample", "body"), REFUSALS.items())
async def test_a_refusal_is_the_real_one_byte_for_byte(
    sample: str, body: bytes | dict[str, Any]
) -> None:
    async with (
        fakes.node(models=["llama3.2:3b", "smollm2:135m"]) as node,
        client(node.url) as http,
    ):
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = await http.post("/api/chat", content=sent)
    assert answer.content == ollama_body(sample)
    assert (answer.status_code, answer.headers["Content-Type"]) == head_of(ollama_answer(sample))


async def test_a_wrong_method_and_a_slash_too_many_are_told_as_gin_tells_them() -> None:
    async with fakes.node() as node, client(node.url) as http:
        wrong = await http.post("/api/tags")
        slash = await http.get("/api/tags/")
        head = await http.head("/")
    assert (wrong.status_code, wrong.content) == (405, ollama_body("tags_post_405"))
    assert wrong.headers["Allow"] == "HEAD, GET"
    assert (slash.status_code, slash.headers["Location"]) == (301, "/api/tags")
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "17", b"")


@pytest.mark.parametrize(
    ("path", "body", "sample"),
    [
        ("/api/chat", ASK, "chat_stream_warm"),
        ("/api/generate", {"model": "llama3.2:3b", "prompt": "One word:"}, "generate_stream"),
    ],
)
async def test_a_stream_has_the_chunks_of_the_real_one(
    path: str, body: dict[str, Any], sample: str
) -> None:
    async with fakes.node() as node, client(node.url) as http:
        answer = await http.post(path, json=body)
    said, real = lines(answer.content), lines(ollama_body(sample))
    real[-1].pop("context", None)  # deprecated: the demo leaves it out
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert shape(said[0]) == shape(real[0])
    assert list(said[0]) == list(real[0])
    assert shape(said[-1]) == shape(real[-1])
    assert list(said[-1]) == list(real[-1])
    assert said[-1]["eval_count"] == len(said) - 1


async def test_an_answer_without_streaming_has_the_shape_of_the_real_one() -> None:
    async with fakes.node() as node, client(node.url) as http:
        answer = await http.post("/api/chat", json={**ASK, "stream": False})
    assert shape(answer.json()) == shape(json.loads(ollama_body("chat_nonstream")))


@pytest.mark.parametrize(("sample", "more"), [("load_only", {}), ("unload", {"keep_alive": 0})])
async def test_no_messages_load_or_unload_the_model(sample: str, more: dict[str, Any]) -> None:
    async with fakes.node() as node, client(node.url) as http:
        body = {"model": "llama3.2:3b", "messages": [], **more}
        answer = (await http.post("/api/chat", json=body)).json()
        loaded = (await http.get("/api/ps")).json()["models"]
    real = json.loads(ollama_body(sample))
    assert shape(answer) == shape(real)
    assert answer["done_reason"] == real["done_reason"]
    assert len(loaded) == (1 if sample == "load_only" else 0)


async def test_a_cold_model_is_not_listed_while_it_loads_and_the_client_that_leaves_aborts() -> (
    None
):
    async with (
        fakes.node(models=["llama3.2:3b"], load_s=3600.0) as node,
        client(node.url) as http,
    ):
        asking = asyncio.create_task(http.post("/api/chat", json=ASK))
        await node.until(lambda: node.in_flight == 1)
        while_loading = (await http.get("/api/ps")).json()
        asking.cancel()
        await node.until(lambda: node.in_flight == 0)
        node.runners.load_s = 0.0
        answer = await http.post("/api/chat", json=ASK)
    assert while_loading == {"models": []}
    assert lines(answer.content)[-1]["done_reason"] == "stop"


async def test_another_context_length_reloads_the_model() -> None:
    async with fakes.node(limits=Limits(context=2048)) as node, client(node.url) as http:
        seen = []
        for options in ({}, {"num_ctx": 8192}, {"temperature": 0.5}):
            await http.post("/api/chat", json={**ASK, "options": options})
            seen.append((await http.get("/api/ps")).json()["models"][0]["context_length"])
    assert seen == [2048, 8192, 2048]


async def test_requests_for_a_loaded_model_wait_their_turn_and_leave_when_their_client_does() -> (
    None
):
    async with (
        fakes.node(tokens_per_s=0.01, preload=["llama3.2:3b"]) as node,
        client(node.url) as http,
    ):
        first = asyncio.create_task(http.post("/api/chat", json=ASK))
        second = asyncio.create_task(http.post("/api/chat", json=ASK))
        await node.until(lambda: node.in_flight == 2)
        first.cancel()
        second.cancel()
        await node.until(lambda: node.in_flight == 0)


async def test_a_full_load_queue_refuses_further_requests() -> None:
    """One loads, two wait, the others are told that the server is busy (OLLAMA_MAX_QUEUE=2)."""
    async with (
        fakes.node(load_s=3600.0, limits=Limits(max_queue=2)) as node,
        client(node.url) as http,
    ):
        asking = [asyncio.create_task(http.post("/api/chat", json=ASK)) for _ in range(8)]
        first = asyncio.as_completed(asking)
        refused = [await next(first) for _ in range(5)]
        await node.until(lambda: node.in_flight == 3)
        for each in asking:
            each.cancel()
    busy = "server busy, please try again.  maximum pending requests exceeded"
    assert {answer.status_code for answer in refused} == {503}
    assert refused[0].json() == {"error": busy}


async def test_the_least_lasting_model_makes_room_for_a_new_one() -> None:
    models = ["a:1b", "b:1b", "c:1b"]
    async with (
        fakes.node(models=models, limits=Limits(max_loaded=2)) as node,
        client(node.url) as http,
    ):
        for model, keep_alive in (("a:1b", "1h"), ("b:1b", "1m"), ("c:1b", "5m")):
            await http.post("/api/chat", json={**ASK, "model": model, "keep_alive": keep_alive})
        loaded = [m["name"] for m in (await http.get("/api/ps")).json()["models"]]
    assert loaded == ["a:1b", "c:1b"]


@pytest.mark.parametrize(
    ("keep_alive", "status", "lasts"),
    [
        ("10m", 200, True),
        (0, 200, False),
        ("0", 200, False),
        (-1, 200, True),
        ("30", 400, None),
        ("", 400, None),
    ],
)
async def test_keep_alive_is_read_as_go_reads_it(
    keep_alive: str | int, status: int, lasts: bool | None
) -> None:
    async with fakes.node() as node, client(node.url) as http:
        answer = await http.post("/api/chat", json={**ASK, "keep_alive": keep_alive})
        loaded = (await http.get("/api/ps")).json()["models"]
    assert answer.status_code == status
    if lasts is not None:
        assert bool(loaded) == lasts
    for model in loaded:
        assert datetime.fromisoformat(model["expires_at"]).tzinfo is not None


async def test_a_thinking_model_thinks_first_unless_it_is_told_not_to() -> None:
    async with fakes.node(models=["qwen3:8b"]) as node, client(node.url) as http:
        thinking = lines((await http.post("/api/chat", json={**ASK, "model": "qwen3:8b"})).content)
        plain_ask = {**ASK, "model": "qwen3:8b", "think": False}
        plain = lines((await http.post("/api/chat", json=plain_ask)).content)
    assert thinking[0]["message"]["thinking"]
    assert thinking[0]["message"]["content"] == ""
    assert not any("thinking" in line["message"] for line in plain)


async def test_what_a_model_cannot_do_is_refused() -> None:
    models = ["codellama:13b", "nomic-embed-text"]
    async with fakes.node(models=models) as node, client(node.url) as http:
        tools = await http.post("/api/chat", json={**ASK, "model": models[0], "tools": [{}]})
        embed = await http.post("/api/chat", json={**ASK, "model": models[1]})
    name = "registry.ollama.ai/library/codellama:13b"
    assert tools.json() == {"error": f"{name} does not support tools"}
    assert embed.json() == {"error": '"nomic-embed-text" does not support chat'}


async def test_an_answer_is_as_long_as_was_asked_for() -> None:
    async with fakes.node() as node, client(node.url) as http:
        answer = await http.post("/api/chat", json={**ASK, "options": {"num_predict": 4}})
    said = lines(answer.content)
    assert (len(said), said[-1]["done_reason"], said[-1]["eval_count"]) == (5, "length", 4)


async def test_a_continued_answer_repeats_the_text_so_far_in_its_first_chunk() -> None:
    async with fakes.node() as node, client(node.url) as http:
        whole = "".join(said(await http.post("/api/chat", json=ASK)))
        so_far = whole[:57]
        messages = [*ASK["messages"], {"role": "assistant", "content": so_far}]
        rest = said(await http.post("/api/chat", json={**ASK, "messages": messages}))
    assert rest[0].startswith(so_far)
    assert len(rest[0]) > len(so_far)
    assert "".join(rest) == whole


async def test_the_same_conversation_and_seed_give_the_same_tokens_on_every_node() -> None:
    answers: list[list[str]] = []
    for seed in (1, 1, 2):
        async with fakes.node(name=f"node-{len(answers)}") as node, client(node.url) as http:
            body = {**ASK, "options": {"seed": seed}}
            answers.append(said(await http.post("/api/chat", json=body)))
    assert answers[0] == answers[1]
    assert answers[0] != answers[2]


async def test_every_request_is_recorded_as_it_came() -> None:
    async with fakes.node() as node, client(node.url) as http:
        await http.get("/api/tags?x=1", headers={"Authorization": "Bearer key"})
        await http.post("/api/chat", json=ASK)
    looked, asked = node.requests
    assert (looked.method, looked.path, looked.query) == ("GET", "/api/tags", "x=1")
    assert looked.header("authorization") == "Bearer key"
    assert asked.json() == ASK


async def test_one_connection_serves_many_requests() -> None:
    async with fakes.node() as node, client(node.url) as http:
        for _ in range(5):
            await http.get("/api/ps")
            await http.post("/api/chat", json={**ASK, "options": {"num_predict": 3}})
        assert len(node.connections) == 1


def said(answer: httpx.Response) -> list[str]:
    """The text of each chunk."""
    return [line["message"]["content"] for line in lines(answer.content)]
