"""Streamed answers: what every line means, however the bytes arrive."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core.asks import Broken, End, Progress, StreamEvent, Thought, Token, Usage
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.streams import (
    AnswerReader,
    LineParser,
    LineSplitter,
    LlamaStream,
    Meter,
    OllamaStream,
    strip_handed_over,
)
from tests.samples import json_bytes, llama_stream, ollama_body

HELLO = ("Hello", ",", " welcome", " to", " my", " little", " corner", " of", " the", " world", "!")


def read(parser: LineParser, *chunks: bytes, so_far: str = "") -> list[StreamEvent]:
    """All events of a body that ended properly."""
    reader = AnswerReader(parser, so_far)
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    events += reader.finish()
    assert reader.last is not None
    return [*events, reader.last]


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def fault_of(events: list[StreamEvent]) -> Fault:
    assert isinstance(events[-1], Broken), events[-1]
    return events[-1].fault


def ollama_lines(*objects: object) -> bytes:
    return b"".join(json_bytes(one) + b"\n" for one in objects)


def sse(*objects: object) -> bytes:
    return b"".join(b"data: " + json_bytes(one) + b"\n\n" for one in objects)


def delta(**fields: object) -> dict[str, object]:
    return {"choices": [{"index": 0, "finish_reason": None, "delta": fields}]}


def finish(reason: str = "stop") -> dict[str, object]:
    return {"choices": [{"index": 0, "finish_reason": reason, "delta": {}}]}


# Lines


def test_lines_come_out_whole_and_without_their_ends() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.feed(b"o") == []
    assert splitter.feed(b"\n\nthree") == [b"two", b""]
    assert splitter.rest() == [b"three"]
    assert splitter.rest() == []


@given(st.binary(max_size=60).map(lambda b: b.replace(b"\x00", b"\n")), st.data())
def test_lines_do_not_depend_on_how_the_bytes_arrive(body: bytes, data: st.DataObject) -> None:
    splitter, lines, at = LineSplitter(), [], 0
    while at < len(body):
        size = data.draw(st.integers(1, 7))
        lines += splitter.feed(body[at : at + size])
        at += size
    *whole, rest = body.split(b"\n")
    assert lines == whole
    assert splitter.rest() == ([rest] if rest else [])


@pytest.mark.parametrize(
    "chunks",
    [
        [b"12345678901\n"],
        [b"123456", b"78901"],
        [b"ok\n12345678901"],
        [b"ok\n12345678901\nlater\n"],
    ],
)
def test_a_line_over_the_limit_is_a_fault_and_ends_the_lines(chunks: list[bytes]) -> None:
    splitter = LineSplitter(longest_bytes=10)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert lines == ([b"ok"] if chunks[0].startswith(b"ok") else [])
    assert splitter.fault is not None
    assert splitter.fault.kind is FaultKind.PROTOCOL
    assert splitter.feed(b"more\n") == []
    assert splitter.rest() == []


def test_a_line_of_exactly_the_limit_passes() -> None:
    splitter = LineSplitter(longest_bytes=3)
    assert splitter.feed(b"abc\nabc") == [b"abc"]
    assert splitter.fault is None


def test_an_answer_with_a_huge_line_breaks_with_what_came_before_it() -> None:
    reader = AnswerReader(OllamaStream())
    first = ollama_lines({"message": {"content": "before"}})
    assert reader.feed(first + b"x" * 100) == [Token("before")]
    mebibyte = b"x" * (1 << 20)
    events = [event for _ in range(9) for event in reader.feed(mebibyte)]
    assert events == []
    assert fault_of([reader.last] if reader.last else []).kind is FaultKind.PROTOCOL


def test_what_comes_after_the_end_changes_nothing() -> None:
    reader = AnswerReader(OllamaStream())
    reader.feed(b'{"done":true}\n' + b"x" * (9 << 20))
    reader.break_off(Fault(FaultKind.CUT))
    assert reader.last == End("stop", Usage())


# Ollama


def test_an_ollama_answer_is_its_tokens_and_its_end_with_what_was_used() -> None:
    *tokens, end = read(OllamaStream(), ollama_body("chat_stream_cold"))
    assert tokens == [Token(word) for word in HELLO]
    assert isinstance(end, End)
    assert end.reason == "stop"
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (36, 12)
    assert end.usage.decode_tps == pytest.approx(12 / 0.093771)
    assert end.usage.load_s == pytest.approx(0.544042738)
    assert end.usage.queue_s is not None
    assert 0 <= end.usage.queue_s < 0.1
    assert end.usage.prefill_tps is None  # the count holds cached tokens, the duration does not


@pytest.mark.parametrize("name", ["load_only", "unload"])
def test_an_ollama_answer_to_no_messages_ends_with_what_was_done(name: str) -> None:
    [end] = read(OllamaStream(), ollama_body(name))
    assert isinstance(end, End)
    assert end.reason == name.removesuffix("_only")
    assert end.usage == Usage()


def test_an_ollama_error_line_in_mid_answer_breaks_it_and_keeps_the_text() -> None:
    events = read(OllamaStream(), ollama_body("chat_runner_killed_midstream"))
    assert text_of(events) == "In the early 20th"
    assert fault_of(events) == Fault(
        FaultKind.SERVER, "an error was encountered while running the model: unexpected EOF"
    )


def test_an_ollama_answer_that_just_stops_is_cut_however_cleanly_it_ends() -> None:
    events = read(OllamaStream(), ollama_body("chat_server_killed_midstream"))
    assert text_of(events) == "It was a typical Monday afternoon in"
    assert fault_of(events).kind is FaultKind.CUT


def test_half_a_line_is_a_cut_answer_after_whole_ones_and_else_no_answer() -> None:
    first = ollama_lines({"message": {"content": "a"}})
    assert fault_of(read(OllamaStream(), first + b'{"mess')).kind is FaultKind.CUT
    assert fault_of(read(OllamaStream(), b"<html>")).kind is FaultKind.PROTOCOL


def test_an_empty_ollama_answer_is_cut() -> None:
    assert fault_of(read(OllamaStream())).kind is FaultKind.CUT


def test_ollama_thinking_comes_before_the_content_of_the_same_line() -> None:
    events = read(
        OllamaStream(),
        ollama_lines(
            {"message": {"content": "", "thinking": "Let"}, "done": False},
            {"message": {"content": "Hi", "thinking": " me", "tool_calls": [{}]}, "done": False},
            {"message": {"content": "!"}, "done": True, "done_reason": "length"},
        ),
    )
    assert events == [
        Thought("Let"),
        Thought(" me"),
        Token("Hi"),
        Token("!"),
        End("length", Usage()),
    ]


def test_an_ollama_end_without_a_reason_is_a_stop() -> None:
    assert read(OllamaStream(), ollama_lines({"done": True})) == [End("stop", Usage())]


def test_the_last_ollama_line_needs_no_line_end() -> None:
    assert read(OllamaStream(), b'{"done":true}') == [End("stop", Usage())]


def test_nothing_is_said_after_the_end() -> None:
    stream = OllamaStream()
    assert stream.feed(b'{"done":true}') == [End("stop", Usage())]
    assert stream.feed(b'{"message":{"content":"more"}}') == []
    assert stream.feed(b'{"error":"late"}') == []
    assert stream.finish() == []


def test_an_error_that_is_json_in_a_string_is_unwrapped_with_its_code() -> None:
    inner = json.dumps({"error": {"code": 400, "message": "request (9000 tokens) exceeds"}})
    events = read(OllamaStream(), ollama_lines({"error": inner}))
    assert fault_of(events) == Fault(FaultKind.BAD_REQUEST, "request (9000 tokens) exceeds")


@pytest.mark.parametrize(
    "line",
    [
        b"<html><body>502 Bad Gateway</body></html>",
        b"[1, 2]",
        b'"text"',
        b'{"message":',
        b"[" * 100_000,
        b"\xff\xfe\x00",
        b"1" * 5000,
    ],
)
def test_a_line_that_is_no_object_is_not_of_the_protocol(line: bytes) -> None:
    fault = fault_of(read(OllamaStream(), line + b"\n"))
    assert fault.kind is FaultKind.PROTOCOL
    assert len(fault.detail) < 200


@pytest.mark.parametrize(
    "odd",
    [
        {"message": None, "done": False},
        {"message": "text", "done": False},
        {"message": {"content": None, "thinking": 5}, "done": "yes"},
        {"message": {"content": ["a"]}, "done": 1},
        {"error": None, "done": False},
        {},
    ],
)
def test_ollama_fields_of_the_wrong_type_say_nothing(odd: object) -> None:
    assert read(OllamaStream(), ollama_lines(odd, {"done": True})) == [End("stop", Usage())]


@pytest.mark.parametrize("duration", [0, None, -1, "1", float("inf"), 10**400, True])
def test_a_rate_needs_a_real_duration(duration: object) -> None:
    [end] = read(
        OllamaStream(), ollama_lines({"done": True, "eval_count": 5, "eval_duration": duration})
    )
    assert isinstance(end, End)
    assert end.usage.decode_tps is None
    assert end.usage.completion_tokens == 5


def test_bytes_that_are_no_utf8_and_half_surrogates_are_replaced() -> None:
    line = b'{"message":{"content":"a\xffb\\ud800c"}}\n'
    text = text_of(read(OllamaStream(), line))
    assert text == "a�b?c"
    assert text.encode()


# llama-server


@pytest.mark.parametrize(
    ("title", "words", "reason"),
    [
        ("stream plain", "Awesome! I", "length"),
        ("stream include_usage", "Awesome", "length"),
        ("stream include_usage=false", "Aw", "length"),
        ("stream timings_per_token", "Aw", "length"),
        ("stream stop naturally", " today?", "stop"),
    ],
)
def test_a_llama_answer_is_its_text_and_its_end(title: str, words: str, reason: str) -> None:
    events = read(LlamaStream(), llama_stream("sse_chat", title))
    assert text_of(events) == words
    assert isinstance(events[-1], End)
    assert events[-1].reason == reason
    assert all(isinstance(event, Token) for event in events[:-1])


def test_llama_usage_counts_the_whole_prompt_and_tells_what_was_cached() -> None:
    end = read(LlamaStream(), llama_stream("sse_chat", "stream include_usage"))[-1]
    assert isinstance(end, End)
    assert end.usage.prompt_tokens == 36
    assert end.usage.completion_tokens == 3
    assert end.usage.cached_tokens == 35
    assert end.usage.prefill_tps == pytest.approx(47.68489819274236)
    assert end.usage.decode_tps is not None
    assert end.usage.load_s is None


def test_llama_timings_alone_tell_the_same() -> None:
    end = read(LlamaStream(), llama_stream("sse_chat", "stream include_usage=false"))[-1]
    assert isinstance(end, End)
    assert (end.usage.prompt_tokens, end.usage.completion_tokens) == (36, 2)
    assert end.usage.cached_tokens == 35


def test_a_llama_rate_of_zero_after_one_token_is_unknown() -> None:
    timings = {"predicted_n": 1, "predicted_per_second": 0.0}
    end = read(LlamaStream(), sse(finish() | {"timings": timings}))[-1]
    assert end == End("stop", Usage(completion_tokens=1))


def test_prompt_progress_is_told_and_pings_are_passed_over() -> None:
    body = llama_stream("sse_prompt_progress", "stream return_progress (long prompt)")
    assert body.count(b"\n:\n") == 2
    events = read(LlamaStream(), body)
    assert events[:-1] == [
        Progress(0, 1531),
        Progress(1531, 1531),
        Token("The"),
        Token(" quick"),
    ]


def test_llama_reasoning_is_thought() -> None:
    title = "reasoning_content (a chat template whose generation prompt ends in <think>, "
    title += "--reasoning-budget 6)"
    events = read(LlamaStream(), llama_stream("sse_reasoning_and_midstream_error", title))
    assert events[:-1] == [Thought("\nThe"), Thought(" answer"), Thought(" is"), Thought(" ")]
    assert isinstance(events[-1], End)


def test_a_llama_error_in_mid_answer_breaks_it_and_keeps_the_text() -> None:
    title = "error in the middle of a stream (-c 256, 4 automatic slots share the KV pool, "
    title += "3 requests at once): last 3 lines, then EOF, no [DONE]"
    events = read(LlamaStream(), llama_stream("sse_reasoning_and_midstream_error", title))
    assert text_of(events) == " cunning and"
    assert fault_of(events) == Fault(FaultKind.SERVER, "Context size has been exceeded.")


def test_a_llama_answer_without_finish_reason_is_cut() -> None:
    assert fault_of(read(LlamaStream(), sse(delta(content="a")))).kind is FaultKind.CUT


def test_a_done_without_a_finish_reason_is_cut_too() -> None:
    events = read(LlamaStream(), sse(delta(content="a")) + b"data: [DONE]\n\n")
    assert fault_of(events).kind is FaultKind.CUT


def test_a_finish_reason_is_an_end_without_a_done() -> None:
    assert read(LlamaStream(), sse(delta(content="a"), finish())) == [
        Token("a"),
        End("stop", Usage()),
    ]


def test_a_connection_that_breaks_after_the_finish_reason_loses_nothing() -> None:
    reader = AnswerReader(LlamaStream())
    reader.feed(sse(delta(content="a"), finish()))
    reader.break_off(Fault(FaultKind.CUT, "reset"))
    assert reader.last == End("stop", Usage())


def test_a_connection_that_breaks_before_it_breaks_the_answer_with_the_cause() -> None:
    reader = AnswerReader(LlamaStream())
    reader.feed(sse(delta(content="a")))
    reader.break_off(Fault(FaultKind.CUT, "reset"))
    assert reader.last == Broken(Fault(FaultKind.CUT, "reset"))


def test_the_router_says_bare_why_it_stops() -> None:
    body = sse(delta(content="a")) + b"proxy error: Failed to read connection"
    assert fault_of(read(LlamaStream(), body)) == Fault(
        FaultKind.CUT, "proxy error: Failed to read connection"
    )


def test_an_old_build_tells_errors_under_their_own_name() -> None:
    body = sse(delta(content="a")) + b'error: {"code":500,"message":"slot unavailable"}\n\n'
    assert fault_of(read(LlamaStream(), body)) == Fault(FaultKind.SERVER, "slot unavailable")


def test_a_page_instead_of_events_is_not_of_the_protocol() -> None:
    body = b"<html>\n<body>Sign in</body>\n</html>\n"
    assert fault_of(read(LlamaStream(), body)).kind is FaultKind.PROTOCOL


def test_event_data_that_is_not_json_is_not_of_the_protocol() -> None:
    assert fault_of(read(LlamaStream(), b"data: {oops\n\n")).kind is FaultKind.PROTOCOL


def test_sse_lines_with_carriage_returns_names_and_no_space_are_read() -> None:
    body = b'event: message\r\nid: 1\r\ndata:{"choices":[{"delta":{"content":"a"}}]}\r\n\r\n'
    assert read(LlamaStream(), body + sse(finish())) == [Token("a"), End("stop", Usage())]


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"choices": [None]},
        {"choices": [{"delta": None, "finish_reason": None}]},
        {"choices": [{"delta": {"content": None}}], "usage": None, "error": None},
        {"choices": [{"delta": {"content": 5}}]},
        {"prompt_progress": {"processed": "x", "total": 0}},
    ],
)
def test_llama_fields_of_the_wrong_type_say_nothing(odd: object) -> None:
    assert read(LlamaStream(), sse(odd, finish())) == [End("stop", Usage())]


def test_usage_of_null_does_not_wipe_what_was_told() -> None:
    events = read(
        LlamaStream(),
        sse(finish(), {"choices": [], "usage": {"completion_tokens": 7}}, {"usage": None}),
    )
    assert events == [End("stop", Usage(completion_tokens=7))]


# However the bytes arrive

BODIES = [
    (OllamaStream, ollama_body("chat_stream_cold")),
    (OllamaStream, ollama_body("chat_runner_killed_midstream")),
    (LlamaStream, llama_stream("sse_chat", "stream include_usage")),
    (LlamaStream, llama_stream("sse_prompt_progress", "stream return_progress (long prompt)")),
    (LlamaStream, sse(delta(content="naïve 🙂 漢字"), finish())),
]


@pytest.mark.parametrize(("parser", "body"), BODIES)
def test_an_answer_cut_in_two_at_any_byte_says_the_same(
    parser: type[OllamaStream | LlamaStream], body: bytes
) -> None:
    whole = read(parser(), body)
    for at in range(len(body)):
        assert read(parser(), body[:at], body[at:]) == whole


@pytest.mark.parametrize(("parser", "body"), BODIES)
def test_an_answer_byte_by_byte_says_the_same(
    parser: type[OllamaStream | LlamaStream], body: bytes
) -> None:
    bytewise = [body[at : at + 1] for at in range(len(body))]
    assert read(parser(), *bytewise) == read(parser(), body)


@pytest.mark.parametrize(("parser", "body"), BODIES[::2])
def test_an_answer_that_ends_early_at_any_byte_never_says_more_than_the_whole(
    parser: type[OllamaStream | LlamaStream], body: bytes
) -> None:
    whole = read(parser(), body)
    for at in range(0, len(body), 7):
        *said, last = read(parser(), body[:at])
        assert said == whole[: len(said)]
        assert isinstance(last, Broken) or text_of([*said]) == text_of(whole)


@given(st.lists(st.binary(max_size=40), max_size=8), st.booleans())
def test_garbage_never_raises_and_always_ends_once(chunks: list[bytes], llama: bool) -> None:
    events = read(LlamaStream() if llama else OllamaStream(), *chunks)
    assert [isinstance(event, End | Broken) for event in events].count(True) == 1


# Going on with an answer


@pytest.mark.parametrize(
    ("so_far", "first", "new"),
    [
        ("1. 1\n2. 2\n3", "1. 1\n2. 2\n3.", "."),
        ("1. 1\n2. 2\n3", "1. 1\n2. 2\n3", ""),
        ("Hello", " there", " there"),  # a server that repeats nothing
        ("Hello", "", ""),
        ("Hello ", "Hello there", "there"),  # the template trimmed: our space stays
        ("Hello ", "Hello  there", " there"),
        ("1. 1\n", "1. 12", "2"),  # and a digit glued on goes on after our line end
        ("1. 1\n", "1. 1\n2", "2"),
        ("1. 1\n\n", "1. 1\n2", "2"),
        ("\n Hello ", "Hello there", "there"),
        ("Hello", "Help", "Help"),
        (" \n", "new", "new"),
        ("", "new", "new"),
    ],
)
def test_what_was_handed_over_is_taken_off_the_first_content(
    so_far: str, first: str, new: str
) -> None:
    assert strip_handed_over(so_far, first) == new


def test_only_the_first_content_is_stripped_and_thoughts_are_not() -> None:
    events = read(
        LlamaStream(),
        sse(
            delta(role="assistant", content=None),
            delta(reasoning_content="so far"),
            delta(content="so far, "),
            delta(content="so far"),
            finish(),
        ),
        so_far="so far",
    )
    assert events[:-1] == [Thought("so far"), Token(", "), Token("so far")]


def test_a_first_content_that_only_repeats_is_no_token() -> None:
    events = read(
        OllamaStream(),
        ollama_lines({"message": {"content": "ab"}}, {"message": {"content": "c"}}, {"done": True}),
        so_far="ab",
    )
    assert events == [Token("c"), End("stop", Usage())]


# Measuring


def test_the_meter_tells_when_the_first_token_came_and_the_rate_after_it() -> None:
    meter = Meter(started_at_s=100.0)
    assert (meter.ttft_s, meter.decode_tps, meter.tokens) == (None, None, 0)
    meter.stamp(100.5)
    assert (meter.ttft_s, meter.decode_tps, meter.tokens) == (0.5, None, 1)
    for step in range(1, 11):
        meter.stamp(100.5 + step * 0.1)
    assert meter.ttft_s == 0.5
    assert meter.decode_tps == pytest.approx(10.0)
    assert meter.last_token_at_s == pytest.approx(101.5)


def test_tokens_that_came_at_one_moment_have_no_rate() -> None:
    meter = Meter(0.0)
    meter.stamp(1.0)
    meter.stamp(1.0)
    assert meter.decode_tps is None
