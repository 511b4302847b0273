"""An Ollama node: its lists, its metadata, its answers, and everything that can be wrong there."""

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
    StreamEvent,
    Token,
    Usage,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.reports import ModelDetails, NodeReport
from sollol_tui.core.state import LoadedModel, NodeModel
from sollol_tui.io import ollama
from sollol_tui.io.http import Http, Server
from tests.io.canned import Play, answer, cut, drip, hang, plays, refusing, serving, silent
from tests.samples import (
    chunk,
    chunked_answer,
    http_answer,
    json_bytes,
    llama_answers,
    ollama_answer,
    ollama_body,
)

SOON_S = 5.0
QUESTION = AskRequest("smollm2:135m", (ChatMessage("user", "Say hello in five words."),))
NODE: Mapping[str, bytes | Play] = {
    "/api/version": ollama_answer("version"),
    "/api/tags": ollama_answer("tags"),
    "/api/ps": ollama_answer("ps_loaded"),
}
CLOUD_STUB = {
    "name": "gpt-oss:120b-cloud",
    "model": "gpt-oss:120b-cloud",
    "remote_model": "gpt-oss:120b",
    "remote_host": "https://ollama.com:443",
    "size": 338,
    "digest": "83a8",
    "details": {
        "family": "gptoss",
        "families": ["gptoss"],
        "parameter_size": "120B",
        "quantization_level": "MXFP4",
        "context_length": 131072,
    },
    "capabilities": ["completion", "tools", "thinking"],
}
BROKEN = {
    "name": "broken:latest",
    "model": "broken:latest",
    "size": 166,
    "details": {"families": None, "parameter_size": "", "quantization_level": ""},
}


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    made = Http()
    yield made
    await made.aclose()


def models(*entries: object) -> Play:
    return answer(200, json_bytes({"models": list(entries)}))


async def looked(http: Http, script: Mapping[str, bytes | Play], **more: float) -> NodeReport:
    async with serving(script) as canned:
        report = await ollama.look(http, Server(canned.url), **more)
    assert isinstance(report, NodeReport), report
    return report


async def ask(http: Http, script: bytes | Play, so_far: str = "") -> list[StreamEvent]:
    async with serving({"/api/chat": script}) as canned:
        return [event async for event in ollama.chat(http, Server(canned.url), QUESTION, so_far)]


async def sent(http: Http, request: AskRequest, so_far: str = "") -> dict[str, object]:
    async with serving(answer(200, b'{"done":true}')) as canned:
        assert [e async for e in ollama.chat(http, Server(canned.url), request, so_far)]
        [seen] = canned.seen
        assert (seen.method, seen.path) == ("POST", "/api/chat")
        return dict(json.loads(seen.body))


# Looking


async def test_a_look_tells_version_models_and_what_is_loaded(http: Http) -> None:
    report = await looked(http, NODE)
    assert report.version == "0.32.15"
    assert [model.name for model in report.models] == ["namespace-less:latest", "smollm2:135m"]
    assert report.models[1] == NodeModel(
        name="smollm2:135m",
        size_bytes=98362596,
        parameters=134.52e6,
        quantization="Q4_1",
        family="llama",
        trained_context_tokens=8192,
        capabilities=("completion",),
        digest="e5b527dc431c23e258a77af174046d645b06205fda3289d8f6d5afc6e657c827",
    )
    assert 0 < report.latency_ms < SOON_S * 1000


async def test_a_loaded_models_memory_of_zero_is_unknown(http: Http) -> None:
    """Ollama says 0 when it could not read the figure from its runner's log."""
    report = await looked(http, NODE)
    assert report.loaded is not None
    [loaded] = report.loaded
    assert loaded.expires_at_s == pytest.approx(1795558239.001466739, abs=0.001)
    assert loaded._replace(expires_at_s=None) == LoadedModel("smollm2:135m", context_tokens=2048)


async def test_a_loaded_model_without_a_part_on_the_gpu_runs_on_the_cpu(http: Http) -> None:
    entry = {"name": "tiny:8b", "size": 808020640, "size_vram": 0, "context_length": 4096}
    report = await looked(http, {**NODE, "/api/ps": models(entry)})
    assert report.loaded == (LoadedModel("tiny:8b", 808020640, 0, 4096),)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("2026-11-24T00:29:07.901237925Z", 1795480147.901238),
        ("2026-11-24T01:29:07.9+01:00", 1795480147.9),
        ("2319-03-06T12:00:00Z", 11018894400.0),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59.999999999-14:00", 253402351200.0),
        ("soon", None),
        ("", None),
        (5, None),
    ],
)
async def test_an_expiry_is_a_moment_or_unknown(
    http: Http, told: object, seconds: float | None
) -> None:
    report = await looked(http, {**NODE, "/api/ps": models({"name": "m:1", "expires_at": told})})
    assert report.loaded is not None
    assert report.loaded[0].expires_at_s == (
        None if seconds is None else pytest.approx(seconds, abs=0.001)
    )


async def test_a_cloud_stub_says_where_it_runs_and_that_nothing_lies_here(http: Http) -> None:
    report = await looked(http, {**NODE, "/api/tags": models(CLOUD_STUB, BROKEN)})
    stub, broken = report.models
    assert stub.remote_host == "https://ollama.com:443"
    assert stub.size_bytes is None
    assert stub.parameters == 120e9
    assert stub.capabilities == ("completion", "tools", "thinking")
    assert broken == NodeModel("broken:latest", size_bytes=166)


@pytest.mark.parametrize("nothing", [b'{"models":null}', b'{"models":[]}'])
async def test_an_empty_node_has_no_models(http: Http, nothing: bytes) -> None:
    empty = answer(200, nothing)
    report = await looked(http, {**NODE, "/api/tags": empty, "/api/ps": empty})
    assert (report.models, report.loaded) == ((), ())


async def test_entries_that_are_none_are_passed_over(http: Http) -> None:
    odd = models(None, 5, [], {}, {"name": 5}, {"model": "only:model"}, {"name": "a", "details": 3})
    report = await looked(http, {**NODE, "/api/tags": odd, "/api/ps": odd})
    assert [model.name for model in report.models] == ["only:model", "a"]
    assert report.loaded is not None
    assert [model.name for model in report.loaded] == ["only:model", "a"]


@pytest.mark.parametrize(
    "odd", [hang, cut, answer(500, b'{"error":"x"}'), answer(200, b"[]"), answer(405, b"no")]
)
async def test_what_is_loaded_is_unknown_when_ps_does_not_answer(http: Http, odd: Play) -> None:
    """It waits behind the runner's locks while a model is switched."""
    report = await looked(http, {**NODE, "/api/ps": odd}, within_s=0.3)
    assert report.loaded is None
    assert len(report.models) == 2


async def test_a_version_that_does_not_answer_is_unknown(http: Http) -> None:
    report = await looked(http, {**NODE, "/api/version": answer(404, b"no")})
    assert report.version is None
    assert report.latency_ms > 0


async def test_one_deadline_holds_for_the_whole_look(http: Http) -> None:
    slow = drip(ollama_answer("tags"), 0.02)
    async with serving(dict.fromkeys(NODE, slow)) as canned, asyncio.timeout(SOON_S):
        result = await ollama.look(http, Server(canned.url), within_s=0.2)
        assert result == Fault(FaultKind.TIMEOUT)


async def test_a_node_that_is_not_there_is_a_fault(http: Http) -> None:
    with refusing() as url:
        assert await ollama.look(http, Server(url)) == Fault(FaultKind.REFUSED)
    with silent() as url:  # what a starting Ollama does while it looks for GPUs
        assert await ollama.look(http, Server(url), 0.1) == Fault(FaultKind.TIMEOUT)


FILE_NOT_FOUND = llama_answers("http_404_api_ollama")["GET /api/tags"]
LOADING = llama_answers("http_health")["GET /health while loading"]


@pytest.mark.parametrize(
    ("tags", "kind"),
    [
        (answer(401, b'{"error":"no key"}'), FaultKind.UNAUTHORIZED),
        (answer(403, b""), FaultKind.UNAUTHORIZED),
        (answer(429, b"slow down"), FaultKind.RATE_LIMITED),
        (answer(502, b"<html><title>502 Bad Gateway</title></html>"), FaultKind.SERVER),
        (answer(FILE_NOT_FOUND.status, FILE_NOT_FOUND.body), FaultKind.PROTOCOL),
        (answer(LOADING.status, LOADING.body), FaultKind.LOADING),
        (ollama_answer("tags_post_405"), FaultKind.PROTOCOL),
        (ollama_answer("root"), FaultKind.PROTOCOL),
        (answer(200, b"<html><title>Sign in</title></html>", "text/html"), FaultKind.PROTOCOL),
        (answer(200, b""), FaultKind.PROTOCOL),
        (answer(200, b'{"models":{}}'), FaultKind.PROTOCOL),
        (answer(200, b'{"data":[]}'), FaultKind.PROTOCOL),
        (answer(200, b"[" * 99_999), FaultKind.PROTOCOL),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
            FaultKind.PROTOCOL,
        ),
    ],
)
async def test_another_answer_than_a_model_list_tells_what_it_is(
    http: Http, tags: bytes | Play, kind: FaultKind
) -> None:
    async with serving({**NODE, "/api/tags": tags}) as canned:
        result = await ollama.look(http, Server(canned.url), SOON_S)
        assert isinstance(result, Fault)
        assert result.kind is kind


async def test_a_base_path_and_the_nodes_headers_are_used_for_every_request(http: Http) -> None:
    script = {f"/ollama{path}": play for path, play in NODE.items()}
    async with serving(script) as canned:
        server = Server(f"{canned.url}/ollama", headers=(("Authorization", "Basic x"),))
        assert isinstance(await ollama.look(http, server, SOON_S), NodeReport)
        assert sorted(canned.paths()) == sorted(script)
        assert {seen.headers["authorization"] for seen in canned.seen} == {"Basic x"}


# Metadata


async def test_show_tells_what_memory_and_routing_need(http: Http) -> None:
    shown = http_answer(200, ollama_body("show"))
    async with serving({"/api/show": shown}) as canned:
        details = await ollama.show(http, Server(canned.url), "smollm2:135m")
        assert json.loads(canned.seen[0].body) == {"model": "smollm2:135m"}
    digest = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
    assert details == ModelDetails(
        name="smollm2:135m",
        parameters=134515008,
        layers=30,
        trained_context_tokens=8192,
        embedding_length=576,
        heads=9,
        kv_heads=3,
        experts=None,
        capabilities=("completion",),
        architecture="llama",
        quantization="Q4_1",
        blob_path=f"<dir>/models0/blobs/sha256-{digest}",
    )


@pytest.mark.parametrize(
    ("heads", "expected"),
    [([8, 4, 8], 8), ([0, None, 2], 2), (None, None), ([], None), ("4", None)],
)
async def test_heads_may_be_one_figure_one_per_layer_or_unknown(
    http: Http, heads: object, expected: int | None
) -> None:
    info = {"general.architecture": "x", "x.attention.head_count_kv": heads, "x.expert_count": 8}
    async with serving(answer(200, json_bytes({"model_info": info}))) as canned:
        details = await ollama.show(http, Server(canned.url), "m")
        assert isinstance(details, ModelDetails)
        assert (details.kv_heads, details.experts) == (expected, 8)
        assert (details.layers, details.parameters, details.blob_path) == (None, None, "")


@pytest.mark.parametrize(
    ("modelfile", "path"),
    [
        ("FROM C:\\Users\\a b\\blobs\\sha256-aa\nFROM x", "C:\\Users\\a b\\blobs\\sha256-aa"),
        ("# FROM tiny\n\nfrom /s/sha256:aa", "/s/sha256:aa"),
        ("FROM mlx-model", ""),
        ("TEMPLATE x", ""),
        (None, ""),
    ],
)
async def test_the_blob_is_the_first_from_of_the_modelfile(
    http: Http, modelfile: object, path: str
) -> None:
    async with serving(answer(200, json_bytes({"modelfile": modelfile}))) as canned:
        details = await ollama.show(http, Server(canned.url), "m")
        assert isinstance(details, ModelDetails)
        assert details.blob_path == path


async def test_a_model_that_is_not_there_is_not_found(http: Http) -> None:
    async with serving({"/api/show": ollama_answer("show_missing")}) as canned:
        fault = await ollama.show(http, Server(canned.url), "nope")
        assert isinstance(fault, Fault)
        assert fault.kind is FaultKind.NOT_FOUND
    with silent() as url:
        assert await ollama.show(http, Server(url), "m", 0.1) == Fault(FaultKind.TIMEOUT)


# Asking


async def test_only_what_is_set_is_sent(http: Http) -> None:
    """Another context than the loaded one would make the node reload the model."""
    assert await sent(http, QUESTION) == {
        "model": "smollm2:135m",
        "messages": [{"role": "user", "content": "Say hello in five words."}],
        "stream": True,
    }


async def test_everything_that_is_set_is_sent(http: Http) -> None:
    request = AskRequest(
        "m",
        (
            ChatMessage("system", "s"),
            ChatMessage("user", "u", images=("aGk=",)),
            ChatMessage("assistant", "a", thinking="t"),
        ),
        ChatOptions(0.0, 5, 0, 4096, "10m", False),
    )
    assert await sent(http, request, so_far="It was") == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "u", "images": ["aGk="]},
            {"role": "assistant", "content": "a", "thinking": "t"},
            {"role": "assistant", "content": "It was"},
        ],
        "stream": True,
        "options": {"temperature": 0.0, "num_predict": 5, "seed": 0, "num_ctx": 4096},
        "keep_alive": "10m",
        "think": False,
    }


@pytest.mark.parametrize(("told", "value"), [("30", 30), ("-1", -1), ("0", 0), ("24h", "24h")])
async def test_seconds_to_keep_a_model_go_as_a_number(http: Http, told: str, value: object) -> None:
    request = QUESTION._replace(options=ChatOptions(keep_alive=told))
    assert (await sent(http, request))["keep_alive"] == value


async def test_without_a_message_nothing_is_sent(http: Http) -> None:
    async with serving(answer(200, b"{}")) as canned:
        stream = ollama.chat(http, Server(canned.url), AskRequest("m", ()))
        [last] = [event async for event in stream]
        assert isinstance(last, Broken)
        assert last.fault.kind is FaultKind.BAD_REQUEST
        assert canned.seen == []


@pytest.mark.parametrize(
    "name", ["chat_stream_cold", "chat_stream_warm", "chat_after_runner_killed"]
)
async def test_an_answer_streams_to_its_end(http: Http, name: str) -> None:
    events = await ask(http, ollama_answer(name))
    words = "".join(event.text for event in events if isinstance(event, Token))
    assert words == "Hello, welcome to my little corner of the world!"
    assert isinstance(events[-1], End)
    assert events[-1].usage.completion_tokens == 12


async def test_an_answer_arrives_whole_however_slowly_it_drips(http: Http) -> None:
    body = ollama_body("chat_stream_warm")
    pieces = [chunk(body[at : at + 40]) for at in range(0, len(body), 40)]
    events = await ask(http, plays(chunked_answer(), *pieces, chunk(b"")))
    assert len(events) == 12


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("chat_runner_killed_midstream", FaultKind.SERVER),
        ("chat_server_killed_midstream", FaultKind.CUT),
    ],
)
async def test_an_answer_that_fails_in_the_middle_keeps_its_text(
    http: Http, name: str, kind: FaultKind
) -> None:
    *tokens, last = await ask(http, ollama_answer(name))
    assert len(tokens) == 7
    assert isinstance(last, Broken)
    assert last.fault.kind is kind


async def test_an_answer_that_ends_cleanly_without_done_is_cut(http: Http) -> None:
    silent_end = chunked_answer(b'{"message":{"content":"a"},"done":false}\n', b"")
    *tokens, last = await ask(http, silent_end)
    assert tokens == [Token("a")]
    assert isinstance(last, Broken)
    assert last.fault.kind is FaultKind.CUT


QUEUE_FULL = b'{"error":"server busy, please try again.  maximum pending requests exceeded"}'
TOO_LONG = json_bytes(
    {"error": json.dumps({"error": {"code": 400, "message": "request (9000 tokens) exceeds"}})}
)


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        (ollama_answer("chat_missing_model"), FaultKind.NOT_FOUND, "model 'nope' not found"),
        (ollama_answer("chat_bad_json"), FaultKind.BAD_REQUEST, "invalid character"),
        (ollama_answer("chat_no_model"), FaultKind.BAD_REQUEST, "model is required"),
        (ollama_answer("chat_options_wrong"), FaultKind.SERVER, "must be of type integer"),
        (ollama_answer("chat_think_refused"), FaultKind.BAD_REQUEST, "does not support thinking"),
        (answer(503, QUEUE_FULL), FaultKind.SATURATED, "maximum pending requests exceeded"),
        (answer(400, TOO_LONG), FaultKind.BAD_REQUEST, "request (9000 tokens) exceeds"),
        (answer(401, b'{"error":"unauthorized"}'), FaultKind.UNAUTHORIZED, "unauthorized"),
        (answer(403, b'{"error":"ollama cloud is disabled"}'), FaultKind.UNAUTHORIZED, "disabled"),
        (
            b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
            FaultKind.RATE_LIMITED,
            "retry after 7",
        ),
        (answer(200, b"<html>Sign in</html>", "text/html"), FaultKind.PROTOCOL, "Sign in"),
    ],
)
async def test_an_answer_refused_before_the_first_byte_tells_why(
    http: Http, script: bytes | Play, kind: FaultKind, said: str
) -> None:
    [last] = await ask(http, script)
    assert isinstance(last, Broken)
    assert last.fault.kind is kind
    assert said in last.fault.detail


async def test_an_answer_is_continued_without_what_was_handed_over(http: Http) -> None:
    body = b'{"message":{"content":"Hello, wor"}}\n{"message":{"content":"ld"}}\n{"done":true}\n'
    assert await ask(http, answer(200, body), so_far="Hello, ") == [
        Token("wor"),
        Token("ld"),
        End("stop", Usage()),
    ]


# Loading


async def test_loading_sends_no_message_and_waits_until_it_is_done(http: Http) -> None:
    async with serving({"/api/chat": ollama_answer("load_only")}) as canned:
        assert await ollama.load(http, Server(canned.url), "m") is None
        assert await ollama.load(http, Server(canned.url), "m", "1h") is None
        first, second = (json.loads(seen.body) for seen in canned.seen)
        assert first == {"model": "m", "messages": [], "stream": False}
        assert second == {**first, "keep_alive": "1h"}


async def test_unloading_keeps_the_model_for_no_time(http: Http) -> None:
    async with serving({"/api/chat": ollama_answer("unload")}) as canned:
        assert await ollama.unload(http, Server(canned.url), "m") is None
        assert json.loads(canned.seen[0].body)["keep_alive"] == 0


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (ollama_answer("chat_missing_model"), FaultKind.NOT_FOUND),
        (answer(200, b'{"done":false}'), FaultKind.CUT),
        (answer(200, b'{"error":"out of memory"}'), FaultKind.SERVER),
        (answer(500, b'{"error":"out of memory"}'), FaultKind.SERVER),
        (cut, FaultKind.CUT),
    ],
)
async def test_a_load_that_failed_tells_why(
    http: Http, script: bytes | Play, kind: FaultKind
) -> None:
    async with serving({"/api/chat": script}) as canned:
        fault = await ollama.load(http, Server(canned.url), "m")
        assert fault is not None
        assert fault.kind is kind


async def test_giving_up_a_load_closes_the_connection_which_aborts_it(http: Http) -> None:
    async with serving(hang) as canned:
        loading = asyncio.create_task(ollama.load(http, Server(canned.url), "m"))
        await asyncio.wait_for(canned.asked.wait(), SOON_S)
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await asyncio.wait_for(canned.left.wait(), SOON_S)
