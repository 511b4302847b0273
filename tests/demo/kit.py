"""What the tests of the demo share: a client, and the shape of a JSON value."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

ASK: dict[str, Any] = {
    "model": "llama3.2:3b",
    "messages": [{"role": "user", "content": "Explain how a model is split."}],
}


@asynccontextmanager
async def client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that waits five seconds at most."""
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=5.0) as opened:
        yield opened


def shape(value: Any) -> Any:
    """Keys and types of a JSON value; a list has the shape of its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def lines(body: bytes) -> list[Any]:
    """The objects of a body with one per line."""
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def events(body: bytes) -> list[Any]:
    """The objects of server-sent events, and `[DONE]` as it stands."""
    data = [part.removeprefix(b"data: ") for part in body.split(b"\n\n") if part]
    return [part.decode() if part == b"[DONE]" else json.loads(part) for part in data]


async def read_until_cut(response: httpx.Response) -> tuple[bytes, bool]:
    """What came of a streamed body, and whether it ended properly."""
    body = b""
    try:
        async for data in response.aiter_bytes():
            body += data
    except httpx.RemoteProtocolError:
        return body, False
    return body, True
