"""Writing into SOLLOL's Redis, against a small Redis on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress
from sollol_tui.io.registry_write import Registrar
from tests.io.fake_redis import FakeRedis

ADDRESS = BackendAddress("10.0.0.5:50052")
KEY = b"sollol:rpc:node:10.0.0.5:50052"
ENTRY = {"has_gpu": False, "gpu_names": ["é"]}
LONG_S = 30.0


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Registrar]:
    registrar = Registrar(url)
    try:
        yield registrar
    finally:
        await registrar.aclose()


async def test_an_entry_lives_for_thirty_seconds_from_each_writing() -> None:
    async with FakeRedis().serving() as redis, opened(redis.url) as registrar:
        for _ in range(2):
            redis.ttl_s[KEY] = 1
            assert await registrar.register(ADDRESS, ENTRY, LONG_S) is None
            assert json.loads(bytes(redis.data[KEY])) == ENTRY  # type: ignore[arg-type]
            assert redis.ttl_s[KEY] == 30
        assert redis.connections == 1


async def test_an_entry_is_taken_back_and_one_that_is_gone_is_no_fault() -> None:
    async with FakeRedis({KEY: b"{}"}).serving() as redis, opened(redis.url) as registrar:
        assert await registrar.remove(ADDRESS, LONG_S) is None
        assert KEY not in redis.data
        assert await registrar.remove(ADDRESS, LONG_S) is None


async def test_a_lost_connection_is_replaced_at_the_next_call() -> None:
    async with FakeRedis().serving() as redis, opened(redis.url) as registrar:
        await registrar.register(ADDRESS, ENTRY, LONG_S)
        await redis.stop()
        fault = await registrar.register(ADDRESS, ENTRY, LONG_S)
        assert isinstance(fault, Fault)
        assert fault.kind in (FaultKind.CUT, FaultKind.REFUSED)
        await redis.start()
        assert await registrar.register(ADDRESS, ENTRY, LONG_S) is None


async def test_a_silent_redis_costs_no_more_than_the_deadline() -> None:
    redis = FakeRedis()
    redis.overrides[b"SET"] = None
    async with redis.serving(), opened(redis.url) as registrar:
        fault = await registrar.register(ADDRESS, ENTRY, 0.05)
        assert fault == Fault(FaultKind.TIMEOUT, "no answer within 0.05 s")


async def test_a_redis_that_lets_nobody_write_says_so() -> None:
    redis = FakeRedis()
    redis.overrides[b"SET"] = b"-READONLY You can't write against a read only replica.\r\n"
    async with redis.serving(), opened(redis.url) as registrar:
        fault = await registrar.register(ADDRESS, ENTRY, LONG_S)
        assert fault is not None
        assert "read only replica" in fault.detail


async def test_a_wrong_password_is_told_and_not_shown() -> None:
    redis = FakeRedis()
    redis.password = b"right"
    async with redis.serving():
        async with opened(f"redis://:s3cret@127.0.0.1:{redis.port}") as registrar:
            fault = await registrar.register(ADDRESS, ENTRY, LONG_S)
        assert fault is not None
        assert fault.kind is FaultKind.UNAUTHORIZED
        assert "s3cret" not in str(fault)
    async with opened("redis://:s3cret@127.0.0.1:port") as registrar:
        fault = await registrar.remove(ADDRESS, LONG_S)
        assert fault is not None
        assert fault.kind is FaultKind.BAD_REQUEST
        assert "s3cret" not in str(fault)
