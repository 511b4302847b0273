"""The demo's coordinator answers like a real llama-server, and lives and dies with its backends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from sollol_tui.demo.coordinator import DemoCoordinator
from sollol_tui.demo.faults import Faults
from sollol_tui.demo.link import BackendLink
from sollol_tui.demo.llama_log import split
from sollol_tui.demo.rpc import LinkError
from tests import fakes
from tests.demo.kit import ASK, client, events, read_until_cut, shape
from tests.samples import llama_answers, llama_stream

CHAT = "/v1/chat/completions"
STREAM: dict[str, Any] = {"messages": ASK["messages"], "stream": True}
IDLE = llama_answers("http_models_slots_metrics_idle")
ERRORS = llama_answers("http_chat_nonstream_and_errors")
LOADING = llama_answers("http_health")["GET /health while loading"]


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/health", b'{"status":"ok"}'),
        ("/v1/health", b'{"status":"ok"}'),
        ("/props", llama_answers("http_props")["GET /props"].body),
        ("/slots", IDLE["GET /slots"].body),
        ("/v1/models", IDLE["GET /v1/models"].body),
        ("/api/tags", llama_answers("http_404_api_ollama")["GET /api/tags"].body),
        ("/", llama_answers("http_404_api_ollama")["GET /"].body),
    ],
)
async def test_a_look_has_the_shape_of_the_real_one(path: str, real: bytes) -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        answer = await http.get(path)
    assert shape(answer.json()) == shape(json.loads(real))
    assert answer.headers["Server"] == "llama.cpp"
    assert answer.headers["Keep-Alive"] == "timeout=5, max=100"


async def test_metrics_are_the_real_ones_byte_for_byte_before_the_first_request() -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        answer = await http.get("/metrics")
    assert answer.content.strip() == IDLE["GET /metrics"].body
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4"


async def test_slots_have_the_shape_of_the_real_ones_while_one_works_and_after() -> None:
    busy, after = (llama_answers("slots_metrics_busy")[f"GET /slots {when}"] for when in WHEN)
    async with (
        fakes.coordinator(faults=Faults(stall_after=3)) as server,
        client(server.url) as http,
    ):
        asking = asyncio.create_task(http.post(CHAT, json={**STREAM, "max_tokens": 9}))
        await server.until(lambda: server.slots.all[0].written == 3)
        working = (await http.get("/slots")).json()
        server.faults = Faults()
        await asking
        done = (await http.get("/slots")).json()
    assert shape(working[0]) == shape(json.loads(busy.body)[0])
    assert working[0]["next_token"][0]["n_remain"] == 6
    assert working[0]["n_prompt_tokens"] == working[0]["n_prompt_tokens_processed"] + 3
    assert shape(done[0]) == shape(json.loads(after.body)[0])
    assert shape(done[1]) == shape(json.loads(IDLE["GET /slots"].body)[1])


WHEN = ("busy (1.1 ms)", "after")


@pytest.mark.parametrize(
    ("title", "more"),
    [
        ("stream plain", {}),
        ("stream include_usage", {"stream_options": {"include_usage": True}}),
        ("stream timings_per_token", {"timings_per_token": True}),
    ],
)
async def test_a_stream_has_the_events_of_the_real_one(title: str, more: dict[str, Any]) -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        answer = await http.post(CHAT, json={**STREAM, "max_tokens": 5, **more})
    said, real = events(answer.content), events(llama_stream("sse_chat", title))
    tokens_more = 5 - sum(
        "content" in delta(event) and bool(delta(event)["content"]) for event in real
    )
    shapes = [shape(event) for event in real]
    expected = [shapes[0], *[shapes[1]] * tokens_more, *shapes[1:]]
    assert [shape(event) for event in said] == expected
    assert list(said[-2]) == list(real[-2])
    assert answer.headers["Content-Type"] == "text/event-stream"


async def test_prompt_progress_comes_as_from_the_real_one() -> None:
    real = events(llama_stream("sse_prompt_progress", "same again: cached"))
    body = {**STREAM, "max_tokens": 2, "return_progress": True}
    async with fakes.coordinator() as server, client(server.url) as http:
        first = events((await http.post(CHAT, json=body)).content)
        again = events((await http.post(CHAT, json=body)).content)
    assert [shape(event) for event in again] == [shape(event) for event in real]
    assert first[0]["prompt_progress"]["cache"] == 0
    total = again[0]["prompt_progress"]["total"]
    assert again[0]["prompt_progress"]["processed"] == total - 1
    assert again[1]["prompt_progress"]["processed"] == total


async def test_a_long_prompt_is_read_in_batches() -> None:
    messages = [{"role": "user", "content": "word " * 1200}]
    body = {**STREAM, "messages": messages, "max_tokens": 1, "return_progress": True}
    async with fakes.coordinator() as server, client(server.url) as http:
        said = events((await http.post(CHAT, json=body)).content)
    steps = [e["prompt_progress"]["processed"] for e in said if "prompt_progress" in e]
    assert steps[:3] == [0, 512, 1024]
    assert steps[-1] == said[0]["prompt_progress"]["total"]


async def test_an_answer_without_streaming_has_the_shape_of_the_real_one() -> None:
    real = next(answer.body for title, answer in ERRORS.items() if "Say hi" in title)
    async with fakes.coordinator() as server, client(server.url) as http:
        answer = await http.post(CHAT, json={"messages": ASK["messages"], "max_tokens": 8})
    assert shape(answer.json()) == shape(json.loads(real))
    assert list(answer.json()) == list(json.loads(real))


async def test_refusals_are_the_real_ones() -> None:
    async with fakes.coordinator(context=64) as server, client(server.url) as http:
        no_list = await http.post(CHAT, json={"messages": "nope"})
        not_json = await http.post(CHAT, content=b"{bad")
        too_long = await http.post(
            CHAT, json={"messages": [{"role": "user", "content": "w " * 99}]}
        )
        props = await http.post("/props", json={})
    assert no_list.content == ERRORS[f'POST {CHAT} {{"messages": "nope"}}'].body
    assert shape(not_json.json()) == shape(json.loads(ERRORS[f"POST {CHAT} malformed"].body))
    assert too_long.json()["error"]["type"] == "exceed_context_size_error"
    assert too_long.json()["error"]["n_ctx"] == 64
    assert props.content == ERRORS['POST /props {"x": 1}'].body


async def test_a_full_context_ends_an_answer_with_length() -> None:
    async with fakes.coordinator(context=40) as server, client(server.url) as http:
        answer = (await http.post(CHAT, json={"messages": ASK["messages"]})).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["total_tokens"] == 40


async def test_tokenize_gives_numbers_or_numbers_with_pieces() -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        plain = (await http.post("/tokenize", json={"content": "Hello world"})).json()
        body = {"content": "Hello world", "with_pieces": True}
        pieces = (await http.post("/tokenize", json=body)).json()
    assert shape(plain) == {"tokens": ["int"]}
    assert "".join(token["piece"] for token in pieces["tokens"]) == "Hello world"
    assert [token["id"] for token in pieces["tokens"]] == plain["tokens"]


async def test_a_continued_answer_repeats_the_text_so_far_in_its_first_content() -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        whole = await text_of(http, ASK["messages"])
        messages = [*ASK["messages"], {"role": "assistant", "content": whole[:80]}]
        answer = events((await http.post(CHAT, json={**STREAM, "messages": messages})).content)
    contents = [delta(event)["content"] for event in answer if delta(event).get("content")]
    assert delta(answer[0]) == {"role": "assistant", "content": None}
    assert contents[0].startswith(whole[:80])
    assert "".join(contents) == whole


async def test_a_node_and_a_coordinator_say_the_same_for_the_same_seed() -> None:
    async with (
        fakes.coordinator() as server,
        fakes.node() as node,
        client(server.url) as http,
        client(node.url) as other,
    ):
        body = {**ASK, "stream": False}
        assert (
            await text_of(http, ASK["messages"])
            == ((await other.post("/api/chat", json=body)).json()["message"]["content"])
        )


async def test_a_thinking_model_reasons_first() -> None:
    async with fakes.coordinator(model="deepseek-r1:14b") as server, client(server.url) as http:
        said = events((await http.post(CHAT, json=STREAM)).content)
    assert delta(said[1])["reasoning_content"]
    assert "content" not in delta(said[1])


async def test_everything_says_loading_until_the_model_is_loaded() -> None:
    async with fakes.coordinator(load_s=0.05) as server, client(server.url) as http:
        while_loading = [await http.get(path) for path in ("/health", "/slots", "/nope")]
        root = await http.get("/")
        await server.until(lambda: not server.loading)
        ready = await http.get("/health")
    assert {(a.status_code, a.content) for a in while_loading} == {(503, LOADING.body)}
    assert (root.status_code, ready.status_code) == (404, 200)


async def test_more_requests_than_slots_wait_with_their_headers_already_there() -> None:
    async with (
        fakes.coordinator(slots=1, faults=Faults(stall_after=1)) as server,
        client(server.url) as http,
    ):
        first = asyncio.create_task(http.post(CHAT, json={**STREAM, "max_tokens": 3}))
        await server.until(lambda: server.slots.busy == 1)
        async with http.stream("POST", CHAT, json={**STREAM, "max_tokens": 3}) as second:
            assert second.status_code == 200
            await server.until(lambda: server.slots.deferred == 1)
            deferred = metrics(await http.get("/metrics"))
            server.faults = Faults()
            body, whole = await read_until_cut(second)
        await first
    assert (deferred["requests_processing"], deferred["requests_deferred"]) == (1, 1)
    assert whole
    assert events(body)[-1] == "[DONE]"


async def test_metrics_count_what_was_done() -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        body = {"messages": ASK["messages"], "max_tokens": 7}
        usages = [(await http.post(CHAT, json=body)).json()["usage"] for _ in range(2)]
        counted = metrics(await http.get("/metrics"))
        again = metrics(await http.get("/metrics"))
    prompt = usages[0]["prompt_tokens"]
    assert counted["prompt_tokens_total"] == prompt + 1
    assert counted["prompt_tokens_cached_total"] == prompt - 1
    assert counted["tokens_predicted_total"] == 14
    assert counted["n_tokens_max"] == usages[0]["total_tokens"]
    assert counted["predicted_tokens_seconds"] > 0
    assert again["predicted_tokens_seconds"] == 0  # an average since the last look
    assert again["tokens_predicted_total"] == 14


async def test_a_client_that_leaves_frees_its_slot() -> None:
    async with (
        fakes.coordinator(faults=Faults(stall_after=2)) as server,
        client(server.url) as http,
    ):
        async with http.stream("POST", CHAT, json=STREAM):
            await server.until(lambda: server.slots.busy == 1)
        await server.until(lambda: server.slots.busy == 0 and server.in_flight == 0)


# Its backends.


async def test_it_holds_one_connection_to_each_backend_and_its_end_frees_them() -> None:
    async with fakes.backend() as one, fakes.backend() as two:
        async with fakes.coordinator(backends=[one.address, two.address]):
            assert (one.busy, two.busy) == (True, True)
            assert (one.clients, two.clients) == (1, 1)
        await one.until(lambda: not one.busy)
        await two.until(lambda: not two.busy)
        assert (one.alive, two.alive) == (True, True)


async def test_without_its_backend_it_does_not_start() -> None:
    async with fakes.dead_url() as url:
        address = url.removeprefix("http://")
        with pytest.raises(LinkError, match=f"Failed to connect to {address}"):
            await DemoCoordinator(backends=[address]).start()


@pytest.mark.parametrize("version", [(3, 6, 1), (5, 0, 0), (7, 1, 0), (8, 0, 0)])
async def test_another_protocol_version_is_refused(version: tuple[int, int, int]) -> None:
    async with fakes.backend(version=version) as backend:
        with pytest.raises(LinkError):
            await DemoCoordinator(backends=[backend.address]).start()


async def test_it_waits_silently_for_a_backend_that_serves_another_and_opens_no_port() -> None:
    async with fakes.backend() as backend:
        holder = await BackendLink.connect(backend.address)
        server = DemoCoordinator(backends=[backend.address])
        starting = asyncio.create_task(server.start())
        done, _ = await asyncio.wait([starting], timeout=0.05)
        assert not done
        assert server.port == 0
        holder.close()
        await starting
        await server.stop()
        await holder.closed()


async def test_an_idle_coordinator_does_not_notice_a_lost_backend_until_the_next_request() -> None:
    async with (
        fakes.backend() as backend,
        fakes.coordinator(backends=[backend.address]) as server,
    ):
        async with client(server.url) as http:
            backend.die()
            assert (await http.get("/health")).status_code == 200
            async with http.stream("POST", CHAT, json=STREAM) as answer:
                body, whole = await read_until_cut(answer)
            assert (answer.status_code, body, whole) == (200, b"", False)
            with pytest.raises(httpx.ConnectError):
                await http.get("/health")
        assert "Remote RPC server crashed" in server.last_words


async def test_a_backend_lost_in_mid_answer_takes_the_coordinator_with_it() -> None:
    async with fakes.backend() as lost, fakes.backend() as left:
        backends = [lost.address, left.address]
        async with fakes.coordinator(backends=backends, faults=Faults(stall_after=4)) as server:
            async with client(server.url) as http, http.stream("POST", CHAT, json=STREAM) as answer:
                await server.until(lambda: server.slots.all[0].written == 4)
                lost.die()
                server.faults = Faults()
                body, whole = await read_until_cut(answer)
            assert not server.alive
        await left.until(lambda: not left.busy)
    assert not whole
    assert body.count(b"data: ") >= 5
    assert b"[DONE]" not in body


async def test_a_hung_backend_stops_the_tokens_and_nothing_else() -> None:
    async with (
        fakes.backend() as backend,
        fakes.coordinator(backends=[backend.address]) as server,
        client(server.url) as http,
    ):
        backend.faults = Faults(hang=True)
        asking = asyncio.create_task(http.post(CHAT, json={**STREAM, "max_tokens": 3}))
        await server.until(lambda: server.slots.busy == 1)
        looks = [await http.get(path) for path in ("/health", "/slots", "/metrics")]
        assert not asking.done()
        backend.faults = Faults()
        answer = await asking
    assert {look.status_code for look in looks} == {200}
    assert events(answer.content)[-1] == "[DONE]"


async def test_a_sleeping_coordinator_frees_its_backends_and_a_task_wakes_it() -> None:
    async with (
        fakes.backend() as backend,
        fakes.coordinator(backends=[backend.address]) as server,
        client(server.url) as http,
    ):
        server.doze()
        await backend.until(lambda: not backend.busy)
        quiet = [await http.get(path) for path in ("/health", "/metrics", "/v1/models")]
        asleep = (await http.get("/props")).json()["is_sleeping"]
        assert not backend.busy
        await http.get("/slots")
        awake = (await http.get("/props")).json()["is_sleeping"]
        assert backend.busy
    assert {look.status_code for look in quiet} == {200}
    assert (asleep, awake) == (True, False)


async def test_its_log_tells_devices_and_buffers_per_device() -> None:
    log: list[str] = []
    async with (
        fakes.backend() as one,
        fakes.backend() as two,
        fakes.coordinator(backends=[one.address, two.address], log=log.append),
    ):
        pass
    text = "\n".join(log)
    assert f"common_param:   - RPC1    : {two.address} (24576 MiB, 23552 MiB free)" in text
    assert f"load_tensors: RPC0[{one.address}] model buffer size =" in text
    assert f"llama_kv_cache: RPC0[{two.address}] KV buffer size =" in text
    assert "llama_server: listening on http://127.0.0.1:" in log[-1]


def test_layers_are_split_by_free_memory_as_llama_cpp_splits_them() -> None:
    """Measured: 31 layers with the output layer over equal backends, and over 3 to 1."""
    assert split(30, [1, 1]) == [16, 15]
    assert split(30, [3, 1]) == [24, 7]


async def text_of(http: httpx.AsyncClient, messages: list[dict[str, str]]) -> str:
    """The answer to a conversation."""
    answer = (await http.post(CHAT, json={"messages": messages})).json()
    return str(answer["choices"][0]["message"]["content"])


def delta(event: Any) -> dict[str, Any]:
    """What a chunk adds; the others add nothing."""
    choices = event["choices"] if isinstance(event, dict) else []
    return dict(choices[0]["delta"]) if choices else {}


def metrics(answer: httpx.Response) -> dict[str, float]:
    """Names and values of `/metrics`."""
    rows = [line.split() for line in answer.text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("llamacpp:"): float(value) for name, value in rows}
