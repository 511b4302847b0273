"""HTTP: one client per server, one deadline per look, every failure a fault."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from sollol_tui.core.asks import Broken, End, StreamEvent, Token, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.streams import OllamaStream
from sollol_tui.io import http as http_module
from sollol_tui.io.http import Http, Reply, Server, fault_of, fault_of_status
from tests.io.canned import (
    Visit,
    answer,
    black_hole,
    cut,
    drip,
    hang,
    plays,
    refusing,
    serving,
    silent,
)
from tests.samples import CA_FILE, CERTIFICATE, KEY, chunk, chunked_answer, http_answer

SOON_S = 5.0  # far more than any answer here takes
TOKEN = b'{"message":{"content":"a"}}\n'
DONE = b'{"done":true}\n'


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    made = Http()
    yield made
    await made.aclose()


async def ask(http: Http, url: str, so_far: str = "") -> list[StreamEvent]:
    stream = http.stream(Server(url), "/api/chat", {}, OllamaStream(), so_far)
    return [event async for event in stream]


def kind_of(result: Reply | Fault) -> FaultKind:
    assert isinstance(result, Fault), result
    return result.kind


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


# What is sent


async def test_a_request_carries_the_servers_own_headers_and_its_base_path(http: Http) -> None:
    async with serving({"/ollama/api/tags": answer(200, b"{}")}) as canned:
        own = (("Authorization", "Bearer abc"), ("host", "localhost:11434"), ("X-Name", "é"))
        server = Server(f"{canned.url}/ollama", headers=own)
        reply = await http.call(server, "/api/tags", SOON_S)
        assert isinstance(reply, Reply)
        [seen] = canned.seen
        assert seen.headers["authorization"] == "Bearer abc"
        assert seen.headers["host"] == "localhost:11434"
        assert seen.headers["x-name"].encode("latin-1").decode() == "é"


async def test_no_request_carries_an_origin_or_asks_for_compression(http: Http) -> None:
    async with serving(answer(200, b"{}")) as canned:
        await http.call(Server(canned.url), "/api/tags", SOON_S)
        await http.call(Server(canned.url), "/api/show", SOON_S, {"model": "m"})
        await ask(http, canned.url)
        for seen in canned.seen:
            assert "origin" not in seen.headers
            assert "x-conversation-id" not in seen.headers
            assert seen.headers["accept-encoding"] == "identity"
            assert seen.headers["user-agent"] == "sollol-tui"


async def test_half_a_surrogate_pair_in_a_body_is_sent_as_a_question_mark(http: Http) -> None:
    async with serving(answer(200, b"{}")) as canned:
        await http.call(Server(canned.url), "/", SOON_S, {"text": "a\ud800é"})
        assert canned.seen[0].body == '{"text":"a?é"}'.encode()
        assert canned.seen[0].headers["content-type"] == "application/json"


async def test_proxies_of_the_environment_are_not_used(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refusing() as nowhere:
        monkeypatch.setenv("HTTP_PROXY", nowhere)
        monkeypatch.setenv("ALL_PROXY", nowhere)
        async with serving(answer(200, b"{}")) as canned:
            assert isinstance(await http.call(Server(canned.url), "/", SOON_S), Reply)


async def test_a_header_that_cannot_be_sent_is_a_fault_that_does_not_show_it(http: Http) -> None:
    async with serving(answer(200, b"{}")) as canned:
        server = Server(canned.url, headers=(("Authorization", "Bearer s3cret\nX: y"),))
        result = await http.call(server, "/", SOON_S)
        assert kind_of(result) is FaultKind.BAD_REQUEST
        assert "s3cret" not in str(result)


# Clients


async def test_a_server_has_one_client_and_another_server_another(http: Http) -> None:
    one, other = Server("http://127.0.0.1:1"), Server("http://127.0.0.1:2")
    assert http.client(one) is http.client(Server("http://127.0.0.1:1"))
    assert http.client(one) is not http.client(other)
    assert http.client(one) is not http.client(one._replace(headers=(("a", "b"),)))


async def test_servers_over_http_share_an_empty_tls_context(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Making the default one costs 20 to 111 ms."""
    made = []
    monkeypatch.setattr(ssl, "create_default_context", lambda **_: made.append(1))
    for port in range(1, 5):
        http.client(Server(f"http://127.0.0.1:{port}"))
    assert made == []


async def test_looks_keep_their_connection(http: Http) -> None:
    async with serving(answer(200, b"{}")) as canned:
        for _ in range(3):
            await http.call(Server(canned.url), "/", SOON_S)
        assert len(canned.seen) == 3
        assert canned.connections == 1


async def test_a_kept_connection_that_the_server_dropped_costs_no_look(http: Http) -> None:
    """llama-server drops idle connections after 5 s: just when the next look comes."""

    async def once(visit: Visit) -> None:
        if visit.number == 0:
            await answer(200, b"{}")(visit)  # and the second request finds it closing

    async with serving(once) as canned:
        for _ in range(3):
            assert isinstance(await http.call(Server(canned.url), "/", SOON_S), Reply)
        assert canned.connections == 3


async def test_streams_never_use_a_kept_connection(http: Http) -> None:
    async with serving(answer(200, TOKEN)) as canned:
        await http.call(Server(canned.url), "/", SOON_S)
        await ask(http, canned.url)
        await ask(http, canned.url)
        assert canned.connections == 3


# Failures to get an answer


async def test_a_refused_connection_is_refused(http: Http) -> None:
    with refusing() as url:
        assert kind_of(await http.call(Server(url), "/", SOON_S)) is FaultKind.REFUSED
        assert await ask(http, url) == [Broken(Fault(FaultKind.REFUSED))]


async def test_a_name_with_two_refused_addresses_is_refused(http: Http) -> None:
    with refusing() as url:
        server = Server(url.replace("127.0.0.1", "localhost"))
        assert kind_of(await http.call(server, "/", SOON_S)) is FaultKind.REFUSED


async def test_an_unanswered_connection_request_is_unreachable(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "_STREAM_TIMEOUT", httpx.Timeout(None, connect=0.1))
    with black_hole() as url:
        assert kind_of(await http.call(Server(url), "/", 0.2)) is FaultKind.UNREACHABLE
        assert isinstance((await ask(http, url))[0], Broken)


async def test_a_connection_without_an_answer_is_a_timeout(http: Http) -> None:
    with silent() as url:
        assert kind_of(await http.call(Server(url), "/", 0.1)) is FaultKind.TIMEOUT


async def test_one_deadline_holds_for_the_whole_answer_however_it_drips(http: Http) -> None:
    """httpx's own limit is per read, and each byte here comes well within it."""
    async with serving(drip(http_answer(200, b"x" * 10_000), 0.02)) as canned:
        assert kind_of(await http.call(Server(canned.url), "/", 0.2)) is FaultKind.TIMEOUT
        await asyncio.wait_for(canned.left.wait(), SOON_S)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", FaultKind.CUT),  # less than a head: just gone
        (b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n", FaultKind.PROTOCOL),
        (b"\x00\x01\x02\x03\r\n\r\n", FaultKind.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", FaultKind.CUT),
        (chunked_answer(b"ab"), FaultKind.CUT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", FaultKind.PROTOCOL),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
            FaultKind.PROTOCOL,
        ),
        (cut, FaultKind.CUT),
        (plays(), FaultKind.CUT),
        (plays(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na", cut), FaultKind.CUT),
    ],
)
async def test_an_answer_that_is_none_tells_why(http: Http, script: bytes, kind: FaultKind) -> None:
    async with serving(script) as canned:
        assert kind_of(await http.call(Server(canned.url), "/", SOON_S)) is kind
        last = (await ask(http, canned.url))[-1]
        assert isinstance(last, Broken)
        assert last.fault.kind is kind


async def test_a_connection_that_ends_too_early_is_told_in_plain_words(http: Http) -> None:
    half, nothing = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", plays()
    for script, words in ((half, "closed the connection in the middle"), (nothing, "connection")):
        async with serving(script) as canned:
            fault = await http.call(Server(canned.url), "/", SOON_S)
            assert isinstance(fault, Fault)
            assert str(fault).startswith("answer broke off: it closed the connection")
            assert str(fault).endswith(words)


async def test_an_answer_too_large_to_hold_is_given_up(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "LARGEST_ANSWER_BYTES", 1000)
    async with serving(plays(chunked_answer(*[b"x" * 600] * 3), hang)) as canned:
        assert kind_of(await http.call(Server(canned.url), "/", SOON_S)) is FaultKind.PROTOCOL


async def test_a_redirect_is_not_followed_and_says_where_to(http: Http) -> None:
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n"
    async with serving(moved) as canned:
        reply = await http.call(Server(canned.url), "/", SOON_S)
        assert isinstance(reply, Reply)
        assert reply.fault == Fault(FaultKind.PROTOCOL, "a redirect to https://elsewhere/")
        assert await ask(http, canned.url) == [Broken(reply.fault)]


async def test_a_bug_is_raised(http: Http) -> None:
    with pytest.raises(TypeError):
        await http.call(Server("http://127.0.0.1:1"), "/", SOON_S, {"no": object()})
    with pytest.raises(KeyError):
        fault_of(KeyError("bug"))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectTimeout("t"), FaultKind.UNREACHABLE),
        (httpx.ReadTimeout("t"), FaultKind.TIMEOUT),
        (TimeoutError(), FaultKind.TIMEOUT),
        (httpx.InvalidURL("no such host"), FaultKind.NAME),
        (OSError(113, "No route to host"), FaultKind.UNREACHABLE),
        (OSError(24, "Too many open files"), FaultKind.UNREACHABLE),
        (ConnectionRefusedError(111, "refused"), FaultKind.REFUSED),
        (ConnectionResetError(104, "reset"), FaultKind.CUT),
        (httpx.ReadError("broken"), FaultKind.CUT),
        (httpx.ConnectError("closed"), FaultKind.TLS),
    ],
)
def test_each_exception_is_one_kind_of_fault(error: Exception, kind: FaultKind) -> None:
    assert fault_of(error).kind is kind


def test_of_several_addresses_that_failed_a_refusal_counts_most() -> None:
    """It proves that the host is there."""
    each = [OSError(101, "Network is unreachable"), ConnectionRefusedError(111, "refused")]
    error = httpx.ConnectError("All connection attempts failed")
    error.__cause__ = ExceptionGroup("multiple connection attempts failed", each)
    assert fault_of(error) == Fault(FaultKind.REFUSED)


def test_a_library_that_is_not_there_is_not_searched_for_with_every_request() -> None:
    """httpcore asks for sniffio six times per request."""
    assert "sniffio" in sys.modules or importlib.util.find_spec("sniffio") is not None


async def test_a_host_name_that_does_not_resolve_is_a_name_fault(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await http.call(Server("http://nowhere.invalid:1"), "/", SOON_S) == Fault(
        FaultKind.NAME, "Name or service not known"
    )


async def test_a_host_name_that_cannot_be_one_is_a_name_fault(http: Http) -> None:
    for url in (f"http://{'a' * 70}.example:1", "http://a..b:1"):
        assert kind_of(await http.call(Server(url), "/", SOON_S)) is FaultKind.NAME


def test_a_retry_after_is_kept_in_the_detail() -> None:
    assert fault_of_status(429, b'{"error":"slow down"}', "20") == Fault(
        FaultKind.RATE_LIMITED, "slow down (retry after 20)"
    )


# TLS


async def test_a_server_with_a_certificate_of_the_given_authority_is_trusted(http: Http) -> None:
    async with serving(answer(200, b"{}"), server_tls()) as canned:
        server = Server(canned.url, ca_file=str(CA_FILE))
        assert isinstance(await http.call(server, "/", SOON_S), Reply)
        stream = http.stream(server, "/", {}, OllamaStream())
        assert isinstance([event async for event in stream][-1], Broken)


async def test_an_unknown_certificate_is_a_tls_fault(http: Http) -> None:
    async with serving(answer(200, b"{}"), server_tls()) as canned:
        result = await http.call(Server(canned.url), "/", SOON_S)
        assert kind_of(result) is FaultKind.TLS
        assert "certificate" in str(result)


async def test_a_certificate_for_another_name_is_a_tls_fault(http: Http) -> None:
    async with serving(answer(200, b"{}"), server_tls()) as canned:
        url = canned.url.replace("127.0.0.1", "127.0.0.2")
        port = canned.url.rsplit(":", 1)[1]
        async with await asyncio.start_server(
            lambda *_: None, "127.0.0.2", 0, ssl=server_tls()
        ) as other:
            url = url.replace(port, str(other.sockets[0].getsockname()[1]))
            result = await http.call(Server(url, ca_file=str(CA_FILE)), "/", SOON_S)
        assert kind_of(result) is FaultKind.TLS


async def test_https_to_a_plain_server_is_a_tls_fault(http: Http) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        result = await http.call(Server(url, ca_file=str(CA_FILE)), "/", SOON_S)
        assert result == Fault(FaultKind.TLS, "wrong version number")


async def test_https_to_a_server_that_never_shakes_hands_is_a_tls_fault(http: Http) -> None:
    with silent() as url:
        server = Server(url.replace("http:", "https:"), ca_file=str(CA_FILE))
        assert kind_of(await http.call(server, "/", 0.2)) is FaultKind.TLS


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_ca_file_that_cannot_be_used_is_a_tls_fault_that_names_it(
    http: Http, tmp_path: Path, content: str | None
) -> None:
    ca_file = tmp_path / "CA.pem"
    if content is not None:
        ca_file.write_text(content)
    result = await http.call(Server("https://127.0.0.1:1", ca_file=str(ca_file)), "/", SOON_S)
    assert kind_of(result) is FaultKind.TLS
    assert str(ca_file) in str(result)


# Streams


async def test_events_come_as_they_are_sent(http: Http) -> None:
    told = asyncio.Event()

    async def second_when_told(visit: Visit) -> None:
        await told.wait()
        await visit.send(chunk(TOKEN) + chunk(DONE) + chunk(b""))

    async with serving(plays(chunked_answer(TOKEN), second_when_told)) as canned:
        stream = http.stream(Server(canned.url), "/api/chat", {}, OllamaStream())
        assert await anext(stream) == Token("a")
        told.set()
        assert [event async for event in stream] == [Token("a"), End("stop", Usage())]


async def test_closing_a_stream_closes_its_connection_at_once(http: Http) -> None:
    async with serving(plays(chunked_answer(TOKEN), hang)) as canned:
        async with aclosing(
            http.stream(Server(canned.url), "/api/chat", {}, OllamaStream())
        ) as stream:
            assert await anext(stream) == Token("a")
            assert not canned.left.is_set()
        await asyncio.wait_for(canned.left.wait(), SOON_S)


async def test_cancelling_whoever_waits_for_the_first_byte_closes_the_connection(
    http: Http,
) -> None:
    async with serving(hang) as canned:
        waiting = asyncio.create_task(ask(http, canned.url))
        await asyncio.wait_for(canned.asked.wait(), SOON_S)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.wait_for(canned.left.wait(), SOON_S)


async def test_a_stream_ends_with_its_last_event_even_when_the_server_goes_on(http: Http) -> None:
    async with serving(plays(chunked_answer(TOKEN, DONE, TOKEN), hang)) as canned:
        assert await ask(http, canned.url) == [Token("a"), End("stop", Usage())]
        await asyncio.wait_for(canned.left.wait(), SOON_S)


@pytest.mark.parametrize("tail", [plays(), cut])
async def test_a_body_that_breaks_off_is_cut_and_what_came_stays(http: Http, tail: object) -> None:
    assert callable(tail)
    sent = asyncio.Event()

    async def break_when_told(visit: Visit) -> None:
        await sent.wait()
        await tail(visit)

    async with serving(plays(chunked_answer(TOKEN, b'{"mess'), break_when_told)) as canned:
        stream = http.stream(Server(canned.url), "/api/chat", {}, OllamaStream())
        assert await anext(stream) == Token("a")
        sent.set()
        [last] = [event async for event in stream]
        assert isinstance(last, Broken)
        assert last.fault.kind is FaultKind.CUT


async def test_a_refusal_whose_reason_never_comes_is_told_without_it(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "REFUSAL_S", 0.05)
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 50\r\nRetry-After: 3\r\n\r\n{"
    async with serving(plays(head, hang)) as canned:
        assert await ask(http, canned.url) == [
            Broken(Fault(FaultKind.SERVER, "HTTP 503 (retry after 3)"))
        ]


async def test_a_stream_goes_on_after_what_was_handed_over(http: Http) -> None:
    body = b'{"message":{"content":"so far, on"}}\n' + DONE
    async with serving(answer(200, body)) as canned:
        assert await ask(http, canned.url, so_far="so far,") == [
            Token(" on"),
            End("stop", Usage()),
        ]
