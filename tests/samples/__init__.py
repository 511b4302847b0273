"""Captured bytes of real servers, as the tests need them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
CA_FILE = HERE / "tls" / "ca.pem"
CERTIFICATE = HERE / "tls" / "server.pem"
KEY = HERE / "tls" / "server.key"

_STATUS = {200: "OK", 400: "Bad Request", 404: "Not Found", 503: "Service Unavailable"}


class Captured(NamedTuple):
    """One answer of a llama-server."""

    status: int
    body: bytes


def ollama_answer(name: str) -> bytes:
    """A whole HTTP answer of Ollama, byte for byte."""
    raw = (HERE / "ollama" / f"{name}.txt").read_bytes()
    return raw[raw.index(b"HTTP/1.1") :]


def ollama_body(name: str) -> bytes:
    """The body of such an answer, its chunks joined."""
    head, _, body = ollama_answer(name).partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return body
    # Chunk sizes stand alone on a line; every chunk is one line of JSON. (In show.txt a path was
    # replaced, so that the size is no longer true.)
    return b"".join(line + b"\n" for line in body.split(b"\n") if line.startswith(b"{"))


def llama_answers(name: str) -> dict[str, Captured]:
    """The answers in a capture of llama-server, by their titles."""
    return {title: _captured(section) for title, section in _sections(name).items()}


def llama_stream(name: str, title: str) -> bytes:
    """The body of a captured stream: server-sent events with their empty lines."""
    lines = [line for line in _sections(name)[title].splitlines() if line.startswith("(")]
    said = [ast.literal_eval(line) for line in lines if not line.startswith("('hdr'")]
    return b"".join(text.encode() + b"\n\n" for _, text in said)


def llama_status(name: str, title: str) -> int:
    """The status of a captured stream."""
    line = next(line for line in _sections(name)[title].splitlines() if line.startswith("('hdr'"))
    return int(ast.literal_eval(line)[2])


def http_answer(status: int, body: bytes, content_type: str = "application/json") -> bytes:
    """A whole HTTP answer with that body, as llama-server words it."""
    head = (
        f"HTTP/1.1 {status} {_STATUS.get(status, 'Status')}\r\nServer: llama.cpp\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def chunked_answer(*chunks: bytes, content_type: str = "text/event-stream") -> bytes:
    """A whole HTTP answer in chunks, without the last one: it goes on or is cut."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(chunk(c) for c in chunks)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; without data the last one."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def json_bytes(value: object) -> bytes:
    """The value as JSON."""
    return json.dumps(value).encode()


def _captured(section: str) -> Captured:
    status = re.match(r"\s*(HTTP )?(\d{3})\n", section)
    if status is None:  # only the body was kept
        return Captured(200, section.strip().encode())
    rest = section[status.end() :]
    body = rest.partition("\n\n")[2] if status[1] else rest
    return Captured(int(status[2]), body.partition("\n\n")[0].strip().encode())


def _sections(name: str) -> dict[str, str]:
    text = (HERE / "llama-cpp" / f"{name}.txt").read_text()
    parts = re.split(r"^### (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))
