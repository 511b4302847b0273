"""Every switch of the switchboard breaks what it says, and nothing else, until it is taken back."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from sollol_tui.demo.coordinator import DemoCoordinator
from sollol_tui.demo.faults import Faults
from sollol_tui.demo.http import HttpServer
from tests import fakes
from tests.demo.kit import ASK, client, events, lines, read_until_cut
from tests.samples import llama_stream, ollama_body

SERVERS = (fakes.node, fakes.coordinator)
NODE_CHAT = ("/api/chat", ASK)
COORDINATOR_CHAT = ("/v1/chat/completions", {"messages": ASK["messages"], "stream": True})


def chat_of(server: HttpServer) -> tuple[str, dict[str, Any]]:
    """The request for a streamed answer of that server, and a look at it."""
    return COORDINATOR_CHAT if isinstance(server, DemoCoordinator) else NODE_CHAT


def look_of(server: HttpServer) -> str:
    """A path that needs no model."""
    return "/slots" if isinstance(server, DemoCoordinator) else "/api/ps"


async def stream(http: httpx.AsyncClient, server: HttpServer) -> tuple[int, bytes, bool]:
    """Status and body of a streamed answer, and whether it ended properly."""
    path, body = chat_of(server)
    async with http.stream("POST", path, json=body) as answer:
        return (answer.status_code, *await read_until_cut(answer))


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_refusing_server_has_no_port_and_comes_back_on_the_same_one(kind: Any) -> None:
    async with kind() as server, client(server.url) as http:
        path = look_of(server)
        await http.get(path)
        server.faults = Faults(refuse=True)
        with pytest.raises(httpx.ConnectError):
            await http.get(path)
        server.faults = Faults()
        assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_server_may_refuse_from_the_start(kind: Any) -> None:
    async with kind(faults=Faults(refuse=True)) as server, client(server.url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_refusal_in_mid_answer_cuts_it(kind: Any) -> None:
    async with kind(faults=Faults(stall_after=2)) as server, client(server.url) as http:
        path, body = chat_of(server)
        async with http.stream("POST", path, json=body) as answer:
            server.faults = Faults(refuse=True)
            _, whole = await read_until_cut(answer)
        assert not whole
        await server.until(lambda: server.in_flight == 0)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_hanging_server_takes_requests_and_answers_them_when_it_is_mended(
    kind: Any,
) -> None:
    async with kind(faults=Faults(hang=True)) as server, client(server.url) as http:
        asking = asyncio.create_task(http.get(look_of(server)))
        await server.until(lambda: len(server.requests) == 1)
        assert not asking.done()
        server.faults = Faults()
        assert (await asking).status_code == 200


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_dripping_server_sends_byte_by_byte(kind: Any) -> None:
    """No read ever waits long, and still a whole answer is not there in time."""
    async with kind(faults=Faults(drip_s=0.005)) as server, client(server.url) as http:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await http.get(look_of(server))
        server.faults = Faults(drip_s=0.00001)
        assert (await http.get("/")).status_code in (200, 404)


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_status_is_told_instead_of_any_answer(kind: Any, status: int) -> None:
    async with kind(faults=Faults(status=status)) as server, client(server.url) as http:
        path, body = chat_of(server)
        answers = [await http.get(look_of(server)), await http.post(path, json=body)]
    assert {answer.status_code for answer in answers} == {status}


async def test_a_node_with_a_full_queue_refuses_answers_and_nothing_else() -> None:
    async with fakes.node(faults=Faults(status=503)) as node, client(node.url) as http:
        looks = [await http.get(path) for path in ("/", "/api/tags", "/api/ps")]
        refused = await http.post("/api/chat", json=ASK)
    assert {look.status_code for look in looks} == {200}
    assert refused.status_code == 503
    assert "maximum pending requests exceeded" in refused.json()["error"]


async def test_a_coordinator_without_its_key_still_tells_its_health() -> None:
    async with fakes.coordinator(faults=Faults(status=401)) as server, client(server.url) as http:
        health = await http.get("/health")
        slots = await http.get("/slots")
    assert health.status_code == 200
    told = {"message": "Invalid API Key", "type": "authentication_error", "code": 401}
    assert slots.json() == {"error": told}


async def test_a_coordinator_can_be_told_to_load_for_ever() -> None:
    async with fakes.coordinator(faults=Faults(status=503)) as server, client(server.url) as http:
        answer = await http.get("/health")
    assert (answer.status_code, answer.json()["error"]["message"]) == (503, "Loading model")


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_cut_breaks_the_body_after_its_tokens(kind: Any) -> None:
    async with kind(faults=Faults(cut_after=3)) as server, client(server.url) as http:
        status, body, whole = await stream(http, server)
        assert (await http.get(look_of(server))).status_code == 200
    assert (status, whole) == (200, False)
    assert told(body) == 3


async def test_an_error_of_a_node_is_the_last_line_of_a_proper_body() -> None:
    async with fakes.node(faults=Faults(error_after=7)) as node, client(node.url) as http:
        status, body, whole = await stream(http, node)
    said, real = lines(body), lines(ollama_body("chat_runner_killed_midstream"))
    assert (status, whole, len(said)) == (200, True, len(real))
    assert said[-1] == real[-1]


async def test_an_error_of_a_node_before_the_first_token_is_a_status() -> None:
    async with fakes.node(faults=Faults(error_after=0)) as node, client(node.url) as http:
        status, body, whole = await stream(http, node)
        whole_answer = await http.post("/api/chat", json={**ASK, "stream": False})
    assert (status, whole) == (500, True)
    assert "error" in json.loads(body)
    assert whole_answer.status_code == 500


async def test_an_error_of_a_coordinator_is_the_last_event_without_done() -> None:
    sample = "error in the middle of a stream (-c 256, 4 automatic slots share the KV pool, "
    title = sample + "3 requests at once): last 3 lines, then EOF, no [DONE]"
    real = events(llama_stream("sse_reasoning_and_midstream_error", title))[-1]
    async with (
        fakes.coordinator(faults=Faults(error_after=3)) as server,
        client(server.url) as http,
    ):
        _, body, whole = await stream(http, server)
    assert whole
    assert events(body)[-1] == real


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_silent_end_is_a_proper_body_without_its_last_word(kind: Any) -> None:
    async with kind(faults=Faults(end_after=3)) as server, client(server.url) as http:
        _, body, whole = await stream(http, server)
    assert whole
    assert told(body) == 3
    assert b'"done":true' not in body
    assert b"[DONE]" not in body


async def test_a_silent_end_without_streaming_says_that_it_is_not_done() -> None:
    async with fakes.node(faults=Faults(end_after=3)) as node, client(node.url) as http:
        answer = await http.post("/api/chat", json={**ASK, "stream": False})
    assert (answer.status_code, answer.json()["done"]) == (200, False)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_stalled_answer_goes_on_when_mended_while_everything_else_answers(
    kind: Any,
) -> None:
    async with kind(faults=Faults(stall_after=2)) as server, client(server.url) as http:
        asking = asyncio.create_task(stream(http, server))
        await server.until(lambda: server.in_flight == 1)
        for _ in range(5):
            assert (await http.get(look_of(server))).status_code == 200
        assert not asking.done()
        server.faults = Faults()
        _, body, whole = await asking
    assert whole
    assert b'"done":true' in body or b"[DONE]" in body


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_first_token_can_be_slow_while_everything_else_answers(kind: Any) -> None:
    async with kind(faults=Faults(first_token_s=3600.0)) as server, client(server.url) as http:
        asking = asyncio.create_task(stream(http, server))
        await server.until(lambda: server.in_flight == 1)
        assert (await http.get(look_of(server))).status_code == 200
        assert not asking.done()
        asking.cancel()
        await server.until(lambda: server.in_flight == 0)


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_server_can_die_in_mid_answer(kind: Any) -> None:
    async with kind(faults=Faults(die_after=3)) as server, client(server.url) as http:
        _, body, whole = await stream(http, server)
        with pytest.raises(httpx.ConnectError):
            await http.get("/")
        assert not server.alive
    assert told(body) == 3
    assert not whole


async def test_a_bug_of_a_handler_is_raised_when_the_server_stops() -> None:
    class Broken(DemoCoordinator):
        async def handle(self, exchange: Any) -> None:
            raise ZeroDivisionError

    told_of: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told_of.append(context))
    server = Broken()
    await server.start()
    async with client(server.url) as http:
        with pytest.raises(httpx.HTTPError):
            await http.get("/health")
    with pytest.raises(ZeroDivisionError):
        await server.stop()
    assert len(told_of) == 1


async def test_what_is_not_http_is_refused() -> None:
    async with fakes.node() as node:
        reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
        writer.write(b"\x16\x03\x01 nothing of HTTP\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")


async def test_a_connection_is_closed_after_as_many_requests_as_llama_server_serves() -> None:
    async with fakes.coordinator() as server, client(server.url) as http:
        answers = [await http.get("/health") for _ in range(101)]
    closed = [n for n, answer in enumerate(answers) if answer.headers.get("Connection") == "close"]
    assert closed == [99]


def told(body: bytes) -> int:
    """How many tokens of an answer are in a body."""
    if body.startswith(b"data: "):
        return body.count(b'"delta":{"content":"')
    return len(lines(body))
