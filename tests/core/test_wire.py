"""What servers say, read leniently: nothing raises, unknown stays unknown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sollol_tui.core import wire
from sollol_tui.core.faults import Fault, FaultKind
from tests.samples import llama_answers, ollama_body

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("told", "parameters"),
    [
        ("134.52M", 134.52e6),
        ("8.0B", 8.0e9),
        ("8x7B", 56e9),
        ("140K", 140e3),
        ("1.5T", 1.5e12),
        (" 7b ", 7e9),
        ("512", 512),
        ("", None),
        ("0B", None),
        ("large", None),
        ("8.0 billion", None),
        ("-3B", None),
    ],
)
def test_a_displayed_size_is_a_number_of_weights(told: str, parameters: float | None) -> None:
    assert wire.parameters_of(told) == (None if parameters is None else pytest.approx(parameters))


@pytest.mark.parametrize(
    ("value", "number", "count"),
    [
        (3, 3.0, 3),
        (3.0, 3.0, 3),
        (3.5, 3.5, None),
        (-1, -1.0, None),
        (0, 0.0, 0),
        (True, None, None),
        ("3", None, None),
        (None, None, None),
        ([3], None, None),
        (float("nan"), None, None),
        (float("inf"), None, None),
        (10**400, None, None),
        (2**63, float(2**63), None),
        (2**53 + 1, float(2**53), 2**53 + 1),
    ],
)
def test_only_real_numbers_are_numbers(
    value: object, number: float | None, count: int | None
) -> None:
    assert wire.number(value) == number
    assert wire.count(value) == count


def test_zero_is_unknown_where_servers_write_it_for_that() -> None:
    assert wire.positive(0) is None
    assert wire.positive(5) == 5


def test_a_text_can_always_be_written() -> None:
    assert wire.text("naïve 🙂") == "naïve 🙂"
    assert wire.text("\ud800a").encode() == b"?a"
    assert wire.text(5) == ""
    assert wire.texts(["a", None, 5, "", "b"]) == ("a", "b")
    assert wire.texts("ab") == ()


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe{\x00}\x00", b"[" * 99_999, b"9" * 9999])
def test_what_is_no_json_is_none(raw: bytes) -> None:
    assert wire.parse_json(raw) is None


@given(JSON)
def test_readers_take_anything(value: object) -> None:
    wire.fields(value), wire.items(value), wire.text(value), wire.texts(value)
    wire.number(value), wire.count(value), wire.positive(value)
    said, code = wire.error_of(value)
    assert said.encode() is not None
    assert code is None or code >= 0


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error":"model \'nope\' not found"}', "model 'nope' not found"),
        (b'{"error":{"message":"Loading model","code":503}}', "Loading model"),
        (b'{"detail":"Not authenticated"}', "Not authenticated"),
        (b"404 page not found", "404 page not found"),
        (
            b"<html><head><title>502 Bad\n Gateway</title></head></html>",
            "a web page: 502 Bad Gateway",
        ),
        (b"<h1>Sign in</h1>", "Sign in"),
        (b"", ""),
        (b'{"error":""}', '{"error":""}'),
        (b"\x1b[31mred\x1b[0m \xff", "[31mred[0m �"),
    ],
)
def test_an_error_page_says_one_line_however_it_is_wrapped(body: bytes, said: str) -> None:
    assert wire.said_by(body) == said


def test_a_long_error_is_cut() -> None:
    assert len(wire.said_by(json.dumps({"error": "x" * 10_000}).encode())) == wire.DETAIL_CHARS


def test_an_error_nested_for_ever_ends() -> None:
    inner = "deep"
    for _ in range(12):
        inner = json.dumps({"error": inner})
    assert isinstance(wire.said_by(inner.encode()), str)


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (400, "model is required", FaultKind.BAD_REQUEST),
        (401, "", FaultKind.UNAUTHORIZED),
        (403, "", FaultKind.UNAUTHORIZED),
        (404, "model 'nope' not found", FaultKind.NOT_FOUND),
        (405, "405 method not allowed", FaultKind.PROTOCOL),
        (413, "too large", FaultKind.BAD_REQUEST),
        (429, "slow down", FaultKind.RATE_LIMITED),
        (500, "cudaMalloc failed: out of memory", FaultKind.SERVER),
        (502, "", FaultKind.SERVER),
        (503, "Loading model", FaultKind.LOADING),
        (503, "no healthy upstream", FaultKind.SERVER),
        (
            503,
            "server busy, please try again.  maximum pending requests exceeded",
            FaultKind.SATURATED,
        ),
        (302, "", FaultKind.PROTOCOL),
    ],
)
def test_a_status_and_its_sentence_mean_one_kind_of_fault(
    code: int, said: str, kind: FaultKind
) -> None:
    assert wire.fault_of_code(code, said) == Fault(kind, said or f"HTTP {code}")


def test_captured_errors_of_both_servers_are_read() -> None:
    assert wire.said_by(ollama_body("chat_bad_json")).startswith("invalid character 'b'")
    assert wire.said_by(ollama_body("chat_no_model")) == "model is required"
    captured = llama_answers("http_chat_nonstream_and_errors")
    wrong = captured['POST /v1/chat/completions {"messages": "nope"}']
    assert wrong.status == 400
    assert wire.said_by(wrong.body) == "Expected 'messages' to be an array"
