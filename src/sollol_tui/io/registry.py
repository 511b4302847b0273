"""The Redis that SOLLOL programs register in, read as a whole at each look; nothing is written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from redis import exceptions as redis_errors
from redis.asyncio import Redis

from sollol_tui.core.faults import Fault
from sollol_tui.core.registry_metadata import redis_is_here
from sollol_tui.core.registry_shapes import (
    GPU_PREFIX,
    GPU_STREAM_KEY,
    METADATA_KEY,
    RPC_BACKEND_PREFIX,
    RPC_NODE_PREFIX,
    RegistryValue,
    Shaped,
    join,
    read_value,
    shortened,
)
from sollol_tui.core.reports import RegistryReport
from sollol_tui.io.redis_link import RedisLink

MAX_KEYS = 10_000
MAX_VALUE_BYTES = 1 << 20
MAX_READ_BYTES = 64 << 20  # of all values together
SCAN_COUNT = 1000
SCAN_STEPS = 50  # at each look, so that a Redis with millions of keys is not kept busy by us
WALK_SHARE = 0.5  # of a look's time
KEYS_PER_COMMAND = 200

_PREFIXES = tuple(p.encode() for p in (RPC_NODE_PREFIX, GPU_PREFIX, RPC_BACKEND_PREFIX))
_PATTERN = "[sr]*:[rgb]*:*"  # sollol:rpc:node:…, sollol:gpu:…, rpc:backend:… in one walk
_NO_SUCH_KEY = -2  # TTL's answer
_HASH_FIELDS = ("host", "port")
_INLINE_BYTES = 1 << 18  # more than this is parsed in a thread


class Registry:
    """One SOLLOL registry. Belongs to one event loop; keeps one connection between looks.

    Args:
        url: `redis://`, `rediss://` or `unix://`, with user, password and database as usual.
        own_instance: our own name there; what we wrote ourselves is not read.
    """

    def __init__(self, url: str, own_instance: str = "") -> None:
        self._url = url
        self._own_instance = own_instance
        self._link = RedisLink(url)
        self._walk = _Walk()

    async def look(self, within_s: float = 2.0) -> RegistryReport | Fault:
        """Everything the registry says, or why it did not within the time.

        A connection that was lost is replaced at the next look. Passwords are in no fault.
        """
        walk_s = within_s * WALK_SHARE
        return await self._link.use(lambda client: self._read(client, walk_s), within_s)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._link.aclose()

    async def _read(self, client: Redis, walk_s: float) -> RegistryReport:
        asked_at_s = time.perf_counter()
        await self._walk.go_on(client, asked_at_s + walk_s)
        latency_ms = (time.perf_counter() - asked_at_s) * 1000 / self._walk.steps
        values, notes = await _values(client, [METADATA_KEY.encode(), *self._walk.keys()])
        if not self._walk.is_whole:
            notes.append("very many keys: not all of them have been looked through yet")
        shape = await self._shape(values)
        return RegistryReport(
            shape.nodes, shape.backends, latency_ms, shape.apps, shortened((*notes, *shape.notes))
        )

    async def _shape(self, values: list[RegistryValue]) -> Shaped:
        now_s = time.time()
        here, own = redis_is_here(self._url), self._own_instance

        def parse() -> Shaped:
            return join(
                read_value(value, now_s, loopback_is_here=here, own_instance=own)
                for value in values
            )

        size = sum(len(value.content) for value in values)
        return parse() if size <= _INLINE_BYTES else await asyncio.to_thread(parse)


class _Walk:
    """Walks over all keys with SCAN, a part of them at each look, and keeps those of SOLLOL.

    In a small Redis each look is a whole walk; in a large one the keys of the last whole walk
    stand until the next is done.
    """

    def __init__(self) -> None:
        self._cursor = 0
        self._found: set[bytes] = set()
        self._before: set[bytes] = set()
        self.is_whole = False
        self.steps = 0  # of the last look

    async def go_on(self, client: Redis, until_s: float) -> None:
        """Walk on, at least one step, until the end, the last step or the time is reached."""
        self.steps = 0
        while self.steps < SCAN_STEPS and (self.steps == 0 or time.perf_counter() < until_s):
            self.steps += 1
            self._cursor, keys = await client.scan(self._cursor, _PATTERN, SCAN_COUNT)
            self._found.update(key for key in keys if isinstance(key, bytes) and _is_known(key))
            if self._cursor == 0:
                self._before, self._found = self._found, set()
                self.is_whole = True
                return

    def keys(self) -> list[bytes]:
        return sorted(self._before | self._found)[:MAX_KEYS]


def _is_known(key: bytes) -> bool:
    return key.startswith(_PREFIXES) and key != GPU_STREAM_KEY.encode()


# Reading values


_Command = tuple[str | bytes, ...]


class _Key(NamedTuple):
    name: bytes
    ttl_s: int | None


async def _values(client: Redis, keys: list[bytes]) -> tuple[list[RegistryValue], list[str]]:
    """The values of strings of a sane size and of hashes, and notes on the others."""
    strings, others, notes = await _sort_out(client, keys)
    values = await _strings(client, strings)
    hashes = [key for key in others if key.name.startswith(RPC_BACKEND_PREFIX.encode())]
    for key, value in zip(hashes, await _hashes(client, hashes), strict=True):
        if value is not None:
            values.append(value)
            others.remove(key)
    notes += [f"{_text(key.name)}: not a kind of value that SOLLOL writes" for key in others]
    return values, notes


async def _sort_out(client: Redis, names: list[bytes]) -> tuple[list[_Key], list[_Key], list[str]]:
    """The keys that are strings, those that are something else, and notes on those too large."""
    strings, others, notes = [], [], []
    left_bytes = MAX_READ_BYTES
    answers = await _ask(client, [(c, name) for name in names for c in ("STRLEN", "TTL")])
    for name, size, ttl in zip(names, answers[::2], answers[1::2], strict=True):
        key = _Key(name, ttl if isinstance(ttl, int) and ttl >= 0 else None)
        if isinstance(size, redis_errors.ResponseError):
            others.append(key)
        elif size > min(MAX_VALUE_BYTES, left_bytes):
            notes.append(f"{_text(name)}: {size} bytes are too many to read")
        elif size > 0 or ttl != _NO_SUCH_KEY:
            left_bytes -= size
            strings.append(key)
    return strings, others, notes


async def _strings(client: Redis, wanted: list[_Key]) -> list[RegistryValue]:
    commands: list[_Command] = [("MGET", *(k.name for k in part)) for part in _parts(wanted)]
    contents = [content for part in await _ask(client, commands) for content in part]
    return [
        RegistryValue(_text(key.name), content, key.ttl_s)
        for key, content in zip(wanted, contents, strict=True)
        if content is not None  # it expired meanwhile
    ]


async def _hashes(client: Redis, wanted: list[_Key]) -> list[RegistryValue | None]:
    """The address in each; None for what is no hash."""
    commands: list[_Command] = [("HMGET", key.name, *_HASH_FIELDS) for key in wanted]
    answers = await _ask(client, commands)
    return [_hash(key, answer) for key, answer in zip(wanted, answers, strict=True)]


def _hash(key: _Key, answer: Any) -> RegistryValue | None:
    if not isinstance(answer, list):
        return None
    fields = zip(_HASH_FIELDS, answer, strict=True)
    told = {name: _text(field) for name, field in fields if field is not None}
    return RegistryValue(_text(key.name), told, key.ttl_s)


async def _ask(client: Redis, commands: list[_Command]) -> list[Any]:
    """The answers to many commands, sent together. A wrong type is an answer, no exception."""
    answers: list[Any] = []
    for start in range(0, len(commands), 2 * SCAN_COUNT):
        async with client.pipeline(transaction=False) as pipeline:
            for command in commands[start : start + 2 * SCAN_COUNT]:
                pipeline.execute_command(*command)
            answers += await pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and not str(answer).startswith("WRONGTYPE"):
            raise answer
    return answers


def _parts(items: list[_Key]) -> Iterator[list[_Key]]:
    for start in range(0, len(items), KEYS_PER_COMMAND):
        yield items[start : start + KEYS_PER_COMMAND]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
