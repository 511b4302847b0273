"""What we tell a Redis: beside what others wrote there, and taken back at the end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sollol_tui.core.faults import FaultKind
from sollol_tui.core.registry_events import EVENTS_STREAM, Message, Origin
from sollol_tui.core.registry_metadata import LASTING_TTL_S, OUR_TTL_S, OurPart
from sollol_tui.core.registry_shapes import METADATA_KEY
from sollol_tui.io.registry_publish import RegistryPublisher
from tests.io.fake_redis import FakeRedis

KEY = METADATA_KEY.encode()
ORIGIN = Origin("here_1_aa", "here", 1)
PART = OurPart(nodes=({"url": "http://gpu1:11434", "host": "gpu1:11434"},))
FOREIGN = {"rpc_backends": [{"host": "10.9.66.48", "port": 50052}], "extra": 1.5}


@asynccontextmanager
async def publishing(redis: FakeRedis) -> AsyncIterator[RegistryPublisher]:
    async with redis.serving():
        publisher = RegistryPublisher(redis.url)
        yield publisher
        await publisher.aclose()


def held(redis: FakeRedis) -> dict[str, object]:
    content = redis.data[KEY]
    assert isinstance(content, bytes)
    return dict(json.loads(content))


async def test_messages_go_to_their_channels_and_kept_ones_to_the_bounded_stream() -> None:
    redis = FakeRedis()
    async with publishing(redis) as publisher:
        messages = [Message("a", '{"n":1}', kept=True), Message("b", '{"n":2}')]
        assert await publisher.send(messages) is None
    assert redis.published == [(b"a", b'{"n":1}'), (b"b", b'{"n":2}')]
    assert redis.streams == {EVENTS_STREAM.encode(): [{b"event": b'{"n":1}'}]}
    (added,) = [c for c in redis.commands if c[0] == b"XADD"]
    assert added[2:5] == [b"MAXLEN", b"~", b"10000"]


async def test_a_key_of_our_own_lives_shortly_and_is_deleted_at_the_end() -> None:
    redis = FakeRedis()
    async with publishing(redis) as publisher:
        assert await publisher.renew(ORIGIN, PART) is None
        assert redis.ttl_s[KEY] == OUR_TTL_S
        assert held(redis)["app_name"] == "sollol-tui"
        assert await publisher.withdraw(ORIGIN.instance_id) is None
        assert KEY not in redis.data


@pytest.mark.parametrize(("ttl_s", "given_s"), [(3000, 3000), (None, LASTING_TTL_S)])
async def test_what_others_wrote_stays_with_its_life_and_after_us(
    ttl_s: int | None, given_s: int
) -> None:
    redis = FakeRedis({KEY: json.dumps(FOREIGN).encode()})
    redis.ttl_s = {} if ttl_s is None else {KEY: ttl_s}
    async with publishing(redis) as publisher:
        for _ in range(3):
            assert await publisher.renew(ORIGIN, PART) is None
            assert held(redis).items() >= FOREIGN.items()
            assert redis.ttl_s[KEY] == given_s
        await publisher.withdraw(ORIGIN.instance_id)
        assert held(redis) == FOREIGN
        assert redis.ttl_s.get(KEY) == ttl_s


@pytest.mark.parametrize("content", [b"no json", b"[1]", b"x" * (2 << 20)])
async def test_what_sollol_would_not_write_is_left_alone(content: bytes) -> None:
    redis = FakeRedis({KEY: content})
    async with publishing(redis) as publisher:
        assert await publisher.renew(ORIGIN, PART) is None
        await publisher.withdraw(ORIGIN.instance_id)
    assert redis.data[KEY] == content


async def test_a_key_of_another_kind_is_a_fault_and_left_alone() -> None:
    redis = FakeRedis({KEY: {b"a": b"b"}})
    async with publishing(redis) as publisher:
        fault = await publisher.renew(ORIGIN, PART)
        assert fault is not None
        assert fault.kind is FaultKind.SERVER
    assert redis.data[KEY] == {b"a": b"b"}


async def test_a_write_that_lost_a_race_is_made_again_on_what_is_there_now() -> None:
    redis = FakeRedis()
    redis.overrides[b"EXEC"] = b"*-1\r\n"  # somebody wrote meanwhile
    async with publishing(redis) as publisher:
        assert await publisher.renew(ORIGIN, PART) is None
        assert redis.asked(b"EXEC") == 3
        assert redis.asked(b"GET") == 3
        assert KEY not in redis.data


async def test_a_redis_that_is_away_or_refuses_is_a_fault_and_the_next_call_is_a_new_try() -> None:
    redis = FakeRedis()
    async with publishing(redis) as publisher:
        await redis.stop()
        fault = await publisher.send([Message("a", "1")])
        assert fault is not None
        assert fault.kind is FaultKind.REFUSED
        await redis.start()
        assert await publisher.send([Message("a", "1")]) is None
        redis.overrides[b"PUBLISH"] = b"-NOPERM no permissions to access a channel\r\n"
        fault = await publisher.send([Message("a", "1")])
        assert fault is not None
        assert fault.kind is FaultKind.UNAUTHORIZED
        redis.overrides[b"PUBLISH"] = None
        fault = await publisher.send([Message("a", "1")], within_s=0.05)
        assert fault is not None
        assert fault.kind is FaultKind.TIMEOUT
