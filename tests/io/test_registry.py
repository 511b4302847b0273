"""The reader of SOLLOL's Redis, against a small Redis on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.plain import without_password
from sollol_tui.core.reports import RegistryReport
from sollol_tui.io import registry as registry_module
from sollol_tui.io.registry import Registry
from tests.io.fake_redis import FakeRedis

LONG_S = 30.0  # no test waits for it
SHORT_S = 0.05  # waited for where a deadline is the point

METADATA = b"sollol:router:metadata"


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Registry]:
    registry = Registry(url)
    try:
        yield registry
    finally:
        await registry.aclose()


async def look(url: str, within_s: float = LONG_S) -> RegistryReport | Fault:
    async with opened(url) as registry:
        return await registry.look(within_s)


async def report(url: str) -> RegistryReport:
    result = await look(url)
    assert isinstance(result, RegistryReport), result
    return result


async def fault(url: str, within_s: float = LONG_S) -> Fault:
    result = await look(url, within_s)
    assert isinstance(result, Fault)
    return result


# What is read


async def test_every_kind_of_key_is_read_with_its_age() -> None:
    redis = FakeRedis(
        {
            METADATA: as_json(
                {
                    "nodes": [{"host": "10.0.0.1", "port": "11434"}],
                    "rpc_backends": [
                        {"host": "10.0.0.2", "port": 50052},
                        {"host": "coordinator", "port": 0},
                    ],
                    "metrics": {"router_type": "ray_hybrid"},
                }
            ),
            b"sollol:rpc:node:10.0.0.3:50052": as_json({"cpu_ram_mb": 12000, "gpu_names": []}),
            b"sollol:gpu:10.0.0.1:11434": as_json(
                {
                    "vendor": "nvidia",
                    "gpus": [{"name": "NVIDIA L4", "memory_total_mb": 1024}],
                    "timestamp": time.time() - 3,
                }
            ),
            b"sollol:gpu:stats": [b"a stream, as far as types go"],
            b"rpc:backend:10.0.0.4:50052": b"",
            b"rpc:backend:five": {b"host": b"10.0.0.5", b"port": b"50053"},
            b"sollol:routing_stream": [b"x"],
            b"sollol:rpc:stats:10.0.0.9:50052": b"{}",
            b"other:app:key": b"{}",
        }
    )
    redis.ttl_s = {METADATA: 3500, b"sollol:rpc:node:10.0.0.3:50052": 3590}
    async with redis.serving():
        result = await report(redis.url)
    assert [(b.address, b.age_s, b.told) for b in result.backends] == [
        ("10.0.0.2:50052", 100.0, ""),
        ("10.0.0.4:50052", None, ""),
        ("10.0.0.3:50052", 10.0, "CPU 11.7 GiB"),
        ("10.0.0.5:50053", None, ""),
    ]
    (node,) = result.nodes
    assert (node.url, node.gpu, node.vram_total_bytes) == ("http://10.0.0.1:11434", "L4", 1 << 30)
    assert node.age_s == pytest.approx(3, abs=2)
    assert result.apps == ("ray_hybrid",)
    assert result.notes == ()
    assert result.latency_ms > 0
    assert {node.source, *(b.source for b in result.backends)} == {"redis"}


async def test_an_empty_redis_says_nothing() -> None:
    async with FakeRedis().serving() as redis:
        result = await report(redis.url)
    assert result._replace(latency_ms=0) == RegistryReport((), (), 0)


async def test_keys_is_never_asked_and_nothing_is_written() -> None:
    redis = FakeRedis({b"rpc:backend:10.0.0.1:50052": b"", b"rpc:backend:h": {}})
    async with redis.serving():
        await report(redis.url)
    asked = {command[0].upper() for command in redis.commands}
    assert asked <= {b"CLIENT", b"SCAN", b"STRLEN", b"TTL", b"MGET", b"HMGET"}


async def test_values_that_cannot_be_read_are_noted_and_the_rest_is_read() -> None:
    redis = FakeRedis(
        {
            METADATA: b"\xff\xfe not JSON",
            b"sollol:rpc:node:10.0.0.1:50052": [b"a", b"list"],
            b"sollol:rpc:node:bad port": b"{}",
            b"rpc:backend:\xff": [b"a list"],
            b"rpc:backend:10.0.0.2:50052": b"\xff",
            b"sollol:gpu:10.0.0.3:11434": b'{"gpus": [' + b" " * registry_module.MAX_VALUE_BYTES,
        }
    )
    async with redis.serving():
        result = await report(redis.url)
    assert [b.address for b in result.backends] == ["10.0.0.2:50052"]
    assert result.notes == (
        "sollol:gpu:10.0.0.3:11434: 1048586 bytes are too many to read",
        "rpc:backend:\ufffd: not a kind of value that SOLLOL writes",
        "sollol:rpc:node:10.0.0.1:50052: not a kind of value that SOLLOL writes",
        "sollol:router:metadata: not a JSON object",
        "sollol:rpc:node:bad port: 'bad port' is not a host name",
    )
    assert not any(b"sollol:gpu:10.0.0.3:11434" in c for c in redis.commands if c[0] == b"MGET")


async def test_thousands_of_keys_are_read_in_a_few_round_trips() -> None:
    keys = [f"rpc:backend:10.0.{n // 250}.{n % 250}:50052".encode() for n in range(3000)]
    async with FakeRedis(dict.fromkeys(keys, b"")).serving() as redis:
        result = await report(redis.url)
    assert len(result.backends) == 3000
    assert redis.asked(b"SCAN") == 3
    assert redis.asked(b"MGET") == 15


async def test_a_large_redis_is_walked_over_in_several_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry_module, "SCAN_COUNT", 10)
    monkeypatch.setattr(registry_module, "SCAN_STEPS", 2)
    keys = [f"rpc:backend:10.0.0.{n}:50052".encode() for n in range(50)]
    async with FakeRedis(dict.fromkeys(keys, b"")).serving() as redis, opened(redis.url) as one:
        seen = []
        for _ in range(4):
            result = await one.look(LONG_S)
            assert isinstance(result, RegistryReport)
            seen.append((len(result.backends), bool(result.notes)))
        assert seen == [(20, True), (40, True), (50, False), (50, False)]
        del redis.data[keys[0]]
        result = await one.look(LONG_S)
        assert isinstance(result, RegistryReport)
        assert len(result.backends) == 49


async def test_a_slow_redis_is_walked_over_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk leaves time for the values: a look ends in time with what it has."""
    monkeypatch.setattr(registry_module, "SCAN_COUNT", 10)
    monkeypatch.setattr(registry_module, "WALK_SHARE", 0.0)
    keys = [f"rpc:backend:10.0.0.{n}:50052".encode() for n in range(20)]
    async with FakeRedis(dict.fromkeys(keys, b"")).serving() as redis, opened(redis.url) as one:
        for found in (10, 20):
            result = await one.look(LONG_S)
            assert isinstance(result, RegistryReport)
            assert len(result.backends) == found


async def test_loopback_addresses_in_a_redis_elsewhere_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redis = FakeRedis({b"rpc:backend:127.0.0.1:50052": b"", b"rpc:backend:10.0.0.1:50052": b""})
    async with redis.serving():
        assert len((await report(redis.url)).backends) == 2
        monkeypatch.setattr(registry_module, "redis_is_here", lambda _: False)
        elsewhere = await report(redis.url)
    assert [b.address for b in elsewhere.backends] == ["10.0.0.1:50052"]
    assert len(elsewhere.notes) == 1


# Connections


async def test_looks_share_one_connection() -> None:
    async with FakeRedis().serving() as redis, opened(redis.url) as registry:
        for _ in range(3):
            assert isinstance(await registry.look(LONG_S), RegistryReport)
        assert redis.connections == 1


async def test_a_connection_that_was_dropped_is_replaced_at_the_next_look() -> None:
    async with FakeRedis().serving() as redis, opened(redis.url) as registry:
        await registry.look(LONG_S)
        redis.drop_connections()
        for _ in range(3):  # the loop hears of the end
            await asyncio.sleep(0)
        assert isinstance(await registry.look(LONG_S), RegistryReport)
        assert redis.connections == 2


async def test_a_redis_that_comes_back_is_read_again() -> None:
    redis = FakeRedis()
    await redis.start()
    async with opened(redis.url) as registry:
        assert isinstance(await registry.look(LONG_S), RegistryReport)
        await redis.stop()
        down = await registry.look(LONG_S)
        assert isinstance(down, Fault)
        assert down.kind in {FaultKind.REFUSED, FaultKind.CUT}
        assert await registry.look(LONG_S) == Fault(FaultKind.REFUSED)
        await redis.start()
        assert isinstance(await registry.look(LONG_S), RegistryReport)
        await redis.stop()


@pytest.mark.parametrize("command", [b"SCAN", b"STRLEN"])
async def test_after_a_silence_the_next_answer_is_not_taken_for_the_last(command: bytes) -> None:
    redis = FakeRedis({b"rpc:backend:10.0.0.1:50052": b""})
    redis.overrides[command] = None
    async with redis.serving(), opened(redis.url) as registry:
        silent = await registry.look(SHORT_S)
        assert silent == Fault(FaultKind.TIMEOUT, "no answer within 0.05 s")
        redis.overrides.clear()
        result = await registry.look(LONG_S)
        assert isinstance(result, RegistryReport)
        assert len(result.backends) == 1
        assert redis.connections == 2


async def test_a_look_that_is_cancelled_leaves_a_registry_that_works() -> None:
    redis = FakeRedis()
    redis.overrides[b"SCAN"] = None
    async with redis.serving(), opened(redis.url) as registry:
        task = asyncio.create_task(registry.look(LONG_S))
        while not redis.asked(b"SCAN"):  # noqa: ASYNC110 - the fake has no event for it
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        redis.overrides.clear()
        assert isinstance(await registry.look(LONG_S), RegistryReport)


async def test_closing_twice_or_unopened_is_nothing() -> None:
    registry = Registry("redis://127.0.0.1:1")
    await registry.aclose()
    await registry.look(LONG_S)
    await registry.aclose()
    await registry.aclose()


# Faults


async def test_nothing_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert await fault(f"redis://127.0.0.1:{port}") == Fault(FaultKind.REFUSED)
    assert (await fault(f"redis://localhost:{port}")).kind is FaultKind.REFUSED


async def test_every_address_of_a_name_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio joins such errors into one that carries no number."""

    async def two_addresses(*_: object, **__: object) -> list[object]:
        places = (("127.0.0.1", 1), ("127.0.0.2", 1))
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", place) for place in places]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two_addresses)
    assert await fault("redis://two.test:1") == Fault(FaultKind.REFUSED)


async def test_no_such_unix_socket() -> None:
    assert (await fault("unix:///nowhere/redis.sock")).kind is FaultKind.REFUSED


async def test_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", unknown)
    assert (await fault("redis://nowhere.invalid")).kind is FaultKind.NAME


async def test_the_right_password_opens_and_a_wrong_one_is_unauthorized_and_never_shown() -> None:
    redis = FakeRedis()
    redis.password = b"pa%40ss"  # written in a URL it is another one
    async with redis.serving():
        assert (await look(f"redis://:pa%2540ss@127.0.0.1:{redis.port}")) is not None
        wrong = await fault(f"redis://:s3cret@127.0.0.1:{redis.port}")
        missing = await fault(f"redis://127.0.0.1:{redis.port}")
    assert (wrong.kind, missing.kind) == (FaultKind.UNAUTHORIZED, FaultKind.UNAUTHORIZED)
    assert "s3cret" not in str(wrong)


async def test_a_server_that_repeats_the_password_does_not_get_it_shown() -> None:
    redis = FakeRedis()
    redis.password = b"x"
    redis.overrides[b"AUTH"] = b"-WRONGPASS not s3cret!\r\n"
    async with redis.serving():
        wrong = await fault(f"redis://:s3cret%21@127.0.0.1:{redis.port}")
    assert "s3cret" not in str(wrong)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"-NOPERM this user has no permissions to run the 'scan' command\r\n", "UNAUTHORIZED"),
        (b"-DENIED Redis is running in protected mode\r\n", "UNAUTHORIZED"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "SERVER"),
        (b"-ERR out of order\r\n", "SERVER"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "PROTOCOL"),
        ("close", "CUT"),
    ],
)
async def test_what_the_server_refuses_is_told(answer: bytes | str, kind: str) -> None:
    redis = FakeRedis()
    redis.overrides[b"SCAN"] = answer
    async with redis.serving():
        assert (await fault(redis.url)).kind is FaultKind[kind]
    assert redis.connections == 1  # nothing is tried again: the next look does that


async def test_a_refusal_after_the_keys_were_listed_is_told() -> None:
    redis = FakeRedis({b"rpc:backend:10.0.0.1:50052": b""})
    redis.overrides[b"MGET"] = b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    async with redis.serving():
        refused = await fault(redis.url)
    assert refused.kind is FaultKind.SERVER
    assert "same slot" in refused.detail


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:6379",
        "http://127.0.0.1:6379",
        "redis://host:port",
        "redis://:pa/ss@host:6379",
        "redis://127.0.0.1?no_such_option=1",
        "redis://[::1",
    ],
)
async def test_a_wrong_url_is_named_without_its_password(url: str) -> None:
    wrong = await fault(url)
    assert wrong.kind is FaultKind.BAD_REQUEST
    assert without_password(url) in wrong.detail
    assert "ss@" not in wrong.detail
