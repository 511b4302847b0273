"""A llama-server: how it is, what it serves, its answers, and all that can be wrong there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from sollol_tui.core.asks import (
    AskRequest,
    Broken,
    ChatMessage,
    ChatOptions,
    End,
    Progress,
    StreamEvent,
    Thought,
    Token,
    Usage,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.reports import CoordinatorReport
from sollol_tui.core.state import ServerCounters, Slot
from sollol_tui.io import llamacpp
from sollol_tui.io.http import Http, Server
from tests.io.canned import Canned, Play, answer, cut, drip, hang, plays, refusing, serving, silent
from tests.samples import (
    Captured,
    chunk,
    chunked_answer,
    json_bytes,
    llama_answers,
    llama_status,
    llama_stream,
    ollama_answer,
)

SOON_S = 5.0
QUESTION = AskRequest("smol", (ChatMessage("user", "Say hi"),))
HEALTH = llama_answers("http_health")
PROPS = llama_answers("http_props")["GET /props"]
IDLE = llama_answers("http_models_slots_metrics_idle")
BUSY = llama_answers("slots_metrics_busy")


def captured(one: Captured) -> Play:
    return answer(one.status, one.body)


def props(**changed: object) -> Play:
    return answer(200, json_bytes(json.loads(PROPS.body) | changed))


SERVER: Mapping[str, bytes | Play] = {
    "/health": captured(HEALTH["GET /health ready"]),
    "/props": captured(PROPS),
    "/v1/models": captured(IDLE["GET /v1/models"]),
    "/slots": captured(BUSY["GET /slots busy (1.1 ms)"]),
    "/metrics": captured(BUSY["GET /metrics busy 0.7 ms"]),
}
NO_KEY = answer(
    401,
    b'{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}',
)
SWITCHED_OFF = answer(
    501,
    b'{"error":{"code":501,"message":"Not supported here","type":"not_supported_error"}}',
)
UNAUTHORIZED = Fault(FaultKind.UNAUTHORIZED, "Invalid API Key")


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    made = Http()
    yield made
    await made.aclose()


async def look(
    http: Http, script: Mapping[str, bytes | Play], within_s: float = SOON_S, details: bool = True
) -> tuple[CoordinatorReport | Fault, Canned]:
    async with serving(script) as canned, asyncio.timeout(SOON_S):
        result = await llamacpp.look(http, Server(canned.url), within_s, details=details)
    return result, canned


async def looked(http: Http, script: Mapping[str, bytes | Play]) -> CoordinatorReport:
    result, _ = await look(http, script)
    assert isinstance(result, CoordinatorReport), result
    return result


async def ask(http: Http, script: bytes | Play, so_far: str = "") -> list[StreamEvent]:
    async with serving({"/v1/chat/completions": script}) as canned:
        return [e async for e in llamacpp.chat(http, Server(canned.url), QUESTION, so_far)]


async def sent(http: Http, request: AskRequest, so_far: str = "") -> dict[str, object]:
    async with serving(answer(200, b"data: [DONE]\n\n")) as canned:
        assert [e async for e in llamacpp.chat(http, Server(canned.url), request, so_far)]
        [seen] = canned.seen
        assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
        return dict(json.loads(seen.body))


def events(*bodies: object) -> bytes:
    return b"".join(b"data: " + json_bytes(body) + b"\n\n" for body in bodies)


def streamed(body: bytes) -> Play:
    return answer(200, body, "text/event-stream")


# Looking


async def test_a_look_tells_everything_that_the_server_tells(http: Http) -> None:
    report = await looked(http, SERVER)
    assert 0 < report.latency_ms < SOON_S * 1000
    assert report._replace(latency_ms=0) == CoordinatorReport(
        loading=False,
        latency_ms=0,
        model="smol",
        model_path="<models>/SmolLM2-135M-Instruct.Q4_1.gguf",
        model_bytes=96576768,
        parameters=134515008,
        quantization="Q4_1",
        context_tokens=2048,
        slots=(Slot(0, True, 2048, 46, 10), Slot(1, False, 2048, 65, 0)),
        slots_total=2,
        counters=ServerCounters(1597, 74.6717, 44, 1.11144, 1, 0),
        sleeping=False,
        build="b0-unknown",
        sees=False,
    )


async def test_a_slot_that_was_never_used_says_little(http: Http) -> None:
    report = await looked(http, {**SERVER, "/slots": captured(IDLE["GET /slots"])})
    assert report.slots == (Slot(0, False, 2048), Slot(1, False, 2048))


async def test_counters_of_an_idle_server_are_zeros(http: Http) -> None:
    report = await looked(http, {**SERVER, "/metrics": captured(IDLE["GET /metrics"])})
    assert report.counters == ServerCounters(0, 0, 0, 0, 0, 0)


async def test_one_connection_serves_a_whole_look(http: Http) -> None:
    """llama-server ties a thread to each."""
    _, canned = await look(http, SERVER)
    assert canned.paths() == ["/health", "/props", "/v1/models", "/slots", "/metrics"]
    assert canned.connections == 1


async def test_without_details_slots_and_metrics_are_left_alone(http: Http) -> None:
    report, canned = await look(http, SERVER, details=False)
    assert isinstance(report, CoordinatorReport)
    assert (report.slots, report.counters, report.slots_total) == (None, None, 2)
    assert canned.paths() == ["/health", "/props", "/v1/models"]


async def test_a_sleeping_server_is_not_woken(http: Http) -> None:
    report, canned = await look(http, {**SERVER, "/props": props(is_sleeping=True)})
    assert isinstance(report, CoordinatorReport)
    assert report.sleeping
    assert (report.slots, report.counters) == (None, None)
    assert "/slots" not in canned.paths()


async def test_a_server_that_loads_says_so_and_is_asked_no_more(http: Http) -> None:
    loading = captured(HEALTH["GET /health while loading"])
    report, canned = await look(http, {**SERVER, "/health": loading})
    assert isinstance(report, CoordinatorReport)
    assert report.loading
    assert canned.paths() == ["/health"]


async def test_an_older_build_that_loads_says_so_too(http: Http) -> None:
    report = await looked(http, {"/health": answer(503, b'{"status":"loading model"}')})
    assert report.loading


async def test_a_server_that_starts_to_load_between_two_requests_is_loading(http: Http) -> None:
    report = await looked(http, {**SERVER, "/props": captured(HEALTH["GET /props while loading"])})
    assert report.loading


async def test_a_server_with_a_key_is_alive_and_says_what_it_refused(http: Http) -> None:
    protected = dict.fromkeys(["/props", "/v1/models", "/slots", "/metrics"], NO_KEY)
    report, canned = await look(http, {**SERVER, **protected})
    assert isinstance(report, CoordinatorReport)
    assert (report.fault, report.loading, report.model) == (UNAUTHORIZED, False, None)
    assert canned.paths() == ["/health", "/props"]


@pytest.mark.parametrize("path", ["/slots", "/metrics", "/v1/models"])
async def test_a_part_that_is_refused_leaves_the_rest(http: Http, path: str) -> None:
    report = await looked(http, {**SERVER, path: NO_KEY})
    assert report.fault == UNAUTHORIZED
    assert report.context_tokens == 2048
    assert report.model == "smol"


async def test_endpoints_that_are_switched_off_are_unknown_and_no_fault(http: Http) -> None:
    report = await looked(http, {**SERVER, "/slots": SWITCHED_OFF, "/metrics": SWITCHED_OFF})
    assert (report.slots, report.counters, report.fault) == (None, None, None)


async def test_one_deadline_holds_for_the_whole_look(http: Http) -> None:
    slow = drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500, 0.02)
    result, _ = await look(http, {**SERVER, "/health": slow}, within_s=0.2)
    assert result == Fault(FaultKind.TIMEOUT)


async def test_what_answers_health_and_then_hangs_is_alive_with_a_fault(http: Http) -> None:
    result, _ = await look(http, {**SERVER, "/props": hang}, within_s=0.2)
    assert isinstance(result, CoordinatorReport)
    assert result.fault == Fault(FaultKind.TIMEOUT)
    hanging = dict.fromkeys(["/v1/models", "/slots", "/metrics"], hang)
    result, _ = await look(http, {**SERVER, **hanging}, within_s=0.3)
    assert isinstance(result, CoordinatorReport)
    assert (result.model, result.fault) == ("smol", Fault(FaultKind.TIMEOUT))


async def test_a_server_that_is_not_there_is_a_fault(http: Http) -> None:
    with refusing() as url:
        assert await llamacpp.look(http, Server(url)) == Fault(FaultKind.REFUSED)
    with silent() as url:
        assert await llamacpp.look(http, Server(url), 0.1) == Fault(FaultKind.TIMEOUT)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ({"/health": ollama_answer("health_404")}, FaultKind.PROTOCOL),
        ({"/health": answer(200, b"<html>hello</html>")}, FaultKind.PROTOCOL),
        ({"/health": answer(200, b"OK")}, FaultKind.PROTOCOL),
        ({"/health": SERVER["/health"]}, FaultKind.PROTOCOL),  # /props: 404
        ({**SERVER, "/props": answer(200, b'{"name":"another"}')}, FaultKind.PROTOCOL),
        ({**SERVER, "/props": answer(200, b"[]")}, FaultKind.PROTOCOL),
        ({"/health": NO_KEY}, FaultKind.UNAUTHORIZED),
        ({"/health": answer(502, b"bad gateway")}, FaultKind.SERVER),
        ({"/health": cut}, FaultKind.CUT),
        ({"/health": b"SSH-2.0-x\r\n\r\n"}, FaultKind.PROTOCOL),
    ],
)
async def test_another_server_is_told_from_a_llama_server(
    http: Http, script: Mapping[str, bytes | Play], kind: FaultKind
) -> None:
    result, _ = await look(http, script)
    assert isinstance(result, Fault)
    assert result.kind is kind


async def test_a_model_without_an_alias_is_named_by_its_file(http: Http) -> None:
    path = "/models/Llama 70B.gguf"
    listed = answer(200, json_bytes({"data": [{"id": path, "meta": None}]}))
    report = await looked(http, {**SERVER, "/props": props(model_path=path), "/v1/models": listed})
    assert (report.model, report.model_path) == ("Llama 70B.gguf", path)
    assert (report.parameters, report.model_bytes, report.quantization) == (None, None, "Q4_1")


async def test_a_router_tells_the_model_that_it_has_loaded(http: Http) -> None:
    router = answer(
        200,
        json_bytes(
            {
                "role": "router",
                "model_alias": "llama-server",
                "model_path": "none",
                "default_generation_settings": {"params": None, "n_ctx": 0},
                "build_info": "b0-unknown",
            }
        ),
    )
    entries = [
        {"id": "big", "status": {"value": "unloaded"}},
        {"id": "smol", "status": {"value": "loaded"}, "meta": {"n_params": 5}},
    ]
    models = answer(200, json_bytes({"data": entries}))
    report, canned = await look(http, {**SERVER, "/props": router, "/v1/models": models})
    assert isinstance(report, CoordinatorReport)
    assert (report.model, report.parameters, report.model_path) == ("smol", 5, None)
    assert (report.context_tokens, report.slots_total, report.fault) == (None, None, None)
    assert "/slots" not in canned.paths()
    none = answer(200, json_bytes({"data": entries[:1]}))
    assert (await looked(http, {**SERVER, "/props": router, "/v1/models": none})).model is None


@pytest.mark.parametrize(
    "odd",
    [b"", b"null", b"{}", b"[null,5,{}]", b'[{"id":0}]', b'[{"id":"0","is_processing":true}]'],
)
async def test_slots_that_are_none_are_passed_over(http: Http, odd: bytes) -> None:
    report = await looked(http, {**SERVER, "/slots": answer(200, odd)})
    assert report.slots in (None, ())
    assert report.fault is None


async def test_slots_of_an_older_build_are_read(http: Http) -> None:
    older = [{"id": 3, "n_ctx": 512, "is_processing": True, "next_token": {"n_decoded": 7}}]
    report = await looked(http, {**SERVER, "/slots": answer(200, json_bytes(older))})
    assert report.slots == (Slot(3, True, 512, None, 7),)


async def test_counters_that_are_not_all_there_are_unknown(http: Http) -> None:
    report = await looked(
        http, {**SERVER, "/metrics": answer(200, b"llamacpp:prompt_tokens_total 1")}
    )
    assert report.counters is None


async def test_a_base_path_and_the_servers_headers_are_used(http: Http) -> None:
    async with serving({f"/llm{path}": play for path, play in SERVER.items()}) as canned:
        server = Server(f"{canned.url}/llm", headers=(("Authorization", "Bearer k"),))
        assert isinstance(await llamacpp.look(http, server, SOON_S), CoordinatorReport)
        assert {seen.headers["authorization"] for seen in canned.seen} == {"Bearer k"}


def test_a_metrics_page_is_read_sample_by_sample() -> None:
    page = """# HELP a:b Text with 5 words
# TYPE a:b counter
a:b 12
a:c 1.5e3 1700000000
a:d{position="0"} 7
a:e NaN
broken
a:f five
"""
    found = llamacpp.parse_metrics(page)
    assert found.pop("a:e") != found.get("a:e")
    assert found == {"a:b": 12.0, "a:c": 1500.0}


# Asking


async def test_a_request_asks_for_usage_and_progress_and_names_the_model(http: Http) -> None:
    assert await sent(http, QUESTION) == {
        "model": "smol",
        "messages": [{"role": "user", "content": "Say hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }


async def test_everything_that_is_set_is_sent_and_what_only_ollama_knows_is_not(
    http: Http,
) -> None:
    request = QUESTION._replace(
        messages=(
            ChatMessage("user", "u", images=("/9j/x", "iVBORx", "?")),
            ChatMessage("assistant", "a", thinking="t"),
        ),
        options=ChatOptions(0.0, 5, 0, 4096, "10m", False),
    )
    body = await sent(http, request, so_far="It was")
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "u"},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/x"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORx"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,?"}},
            ],
        },
        {"role": "assistant", "content": "a", "reasoning_content": "t"},
        {"role": "assistant", "content": "It was"},
    ]
    assert (body["temperature"], body["max_tokens"], body["seed"]) == (0.0, 5, 0)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert not {"num_ctx", "keep_alive", "think", "options"} & set(body)


async def test_without_a_message_nothing_is_sent(http: Http) -> None:
    """The server would answer 200 and write until it ends."""
    async with serving(streamed(b"")) as canned:
        stream = llamacpp.chat(http, Server(canned.url), AskRequest("m", ()))
        [last] = [event async for event in stream]
        assert isinstance(last, Broken)
        assert last.fault.kind is FaultKind.BAD_REQUEST
        assert canned.seen == []


async def test_an_answer_streams_to_its_end_with_what_was_used(http: Http) -> None:
    *tokens, end = await ask(http, streamed(llama_stream("sse_chat", "stream include_usage")))
    assert tokens == [Token("A"), Token("w"), Token("esome")]
    assert isinstance(end, End)
    assert end.reason == "length"
    assert end.usage.prompt_tokens == 36


async def test_an_answer_is_the_same_however_its_chunks_are_cut(http: Http) -> None:
    body = llama_stream("sse_prompt_progress", "stream return_progress (long prompt)")
    pieces = [chunk(body[at : at + 33]) for at in range(0, len(body), 33)]
    *said, end = await ask(http, plays(chunked_answer(), *pieces, chunk(b"")))
    assert said == [Progress(0, 1531), Progress(1531, 1531), Token("The"), Token(" quick")]
    assert isinstance(end, End)


async def test_a_killed_coordinator_cuts_the_answer_and_the_text_stays(http: Http) -> None:
    body = llama_stream("sse_chat", "stream plain")
    for broken_off in (chunked_answer(body[:700]), chunked_answer(body[:700], b"")):
        *said, last = await ask(http, broken_off)
        assert said == [Token("A")]
        assert isinstance(last, Broken)
        assert last.fault.kind is FaultKind.CUT


async def test_an_error_in_the_middle_breaks_the_answer(http: Http) -> None:
    error = {"error": {"code": 500, "message": "Context size has been exceeded."}}
    body = events({"choices": [{"delta": {"content": "a"}}]}, error)
    assert await ask(http, streamed(body)) == [
        Token("a"),
        Broken(Fault(FaultKind.SERVER, "Context size has been exceeded.")),
    ]


TOO_LONG = llama_stream("sse_prompt_progress", "prompt too long").strip()
WRONG = llama_answers("http_chat_nonstream_and_errors")


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        (
            answer(llama_status("sse_prompt_progress", "prompt too long"), TOO_LONG),
            FaultKind.BAD_REQUEST,
            "exceeds the available context size (2048 tokens)",
        ),
        (
            captured(WRONG["POST /v1/chat/completions malformed"]),
            FaultKind.BAD_REQUEST,
            "parse error",
        ),
        (
            captured(HEALTH["POST /v1/chat/completions while loading"]),
            FaultKind.LOADING,
            "Loading model",
        ),
        (NO_KEY, FaultKind.UNAUTHORIZED, "Invalid API Key"),
        (answer(404, b'{"error":{"message":"File Not Found"}}'), FaultKind.NOT_FOUND, "File"),
        (answer(429, b"{}"), FaultKind.RATE_LIMITED, ""),
        (
            answer(200, b"<html>\n<title>x</title>\n</html>", "text/html"),
            FaultKind.PROTOCOL,
            "html",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", FaultKind.CUT, "finish_reason"),
    ],
)
async def test_an_answer_refused_before_the_first_event_tells_why(
    http: Http, script: bytes | Play, kind: FaultKind, said: str
) -> None:
    [last] = await ask(http, script)
    assert isinstance(last, Broken)
    assert last.fault.kind is kind
    assert said in last.fault.detail


async def test_an_answer_is_continued_without_what_was_handed_over(http: Http) -> None:
    body = events(
        {"choices": [{"delta": {"role": "assistant", "content": None}}]},
        {"choices": [{"delta": {"reasoning_content": "hm"}}]},
        {"choices": [{"delta": {"content": "1. 1\n2. 2\n3."}}]},
        {"choices": [{"delta": {"content": " 3"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
    )
    assert await ask(http, streamed(body), so_far="1. 1\n2. 2\n3") == [
        Thought("hm"),
        Token("."),
        Token(" 3"),
        End("stop", Usage()),
    ]
