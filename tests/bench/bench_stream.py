"""What the engine adds to a stream: time to the first token, throughput, CPU per token.

`python -m tests.bench stream [--short]`. The baseline in the same run reads the same server with
httpx alone, over connections that it keeps. The server runs in a process of its own. The time to
the first token is that of the wall, which a busy machine swings; beside it is the CPU time of the
reader, which it does not.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import httpx

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions, Delta
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.settings import NodeSetting, Settings
from sollol_tui.engine.engine import Engine
from tests.bench.long_node import MODEL
from tests.bench.ptyrun import PYTHON, load_average
from tests.bench.whole import server

PROMPT = "Tell me about rivers."
PARALLEL = 8
TOKENS_PER_S = 100
FIRST_ROUNDS, SHORT_FIRST_ROUNDS = 200, 60
ROUNDS, SHORT_ROUNDS = 5, 2
FEW, MANY, SHORT_MANY = 40, 4000, 1600  # characters of an answer
NODE = (PYTHON, "-m", "tests.bench.long_node")


class Read(NamedTuple):
    """One answer: seconds and CPU seconds to its first token; seconds in all; characters."""

    first_s: float
    first_cpu_s: float
    whole_s: float
    size: int


Reader = Callable[[], Awaitable[Read]]


async def timed(texts: AsyncIterator[str]) -> Read:
    begun, cpu, first, size = time.perf_counter(), time.thread_time(), (0.0, 0.0), 0
    async for text in texts:
        if text and not size:
            first = time.perf_counter() - begun, time.thread_time() - cpu
        size += len(text)
    return Read(*first, time.perf_counter() - begun, size)


async def direct(client: httpx.AsyncClient) -> AsyncIterator[str]:
    """One answer, read with httpx alone."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    async with client.stream("POST", "/api/chat", json=body) as response:
        async for line in response.aiter_lines():
            yield json.loads(line).get("message", {}).get("content", "")


async def routed(engine: Engine) -> AsyncIterator[str]:
    """One answer through the engine."""
    async for event in engine.ask(AskRequest(MODEL, (ChatMessage("user", PROMPT),), ChatOptions())):
        if isinstance(event, Delta):
            yield event.text


async def first_tokens(readers: dict[str, Reader], rounds: int) -> None:
    times: dict[str, list[Read]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            times[name].append(await read())
    shown = {}
    for name, reads in times.items():
        wall = [r.first_s * 1000 for r in reads]
        cpu_ms = statistics.median(r.first_cpu_s for r in reads) * 1000
        shown[name] = statistics.median(wall), statistics.quantiles(wall, n=20)[18], cpu_ms
    for name, (middle, p95, cpu_ms) in shown.items():
        print(f"{name:<7} first token p50 {middle:.2f} ms, p95 {p95:.2f} ms, CPU {cpu_ms:.2f} ms")
    added = [ours - base for ours, base in zip(shown["engine"], shown["httpx"], strict=True)]
    print(
        f"added   p50 {added[0]:.2f} ms, p95 {added[1]:.2f} ms, CPU {added[2]:.2f} ms"
        f" (aims: p50 ≤ 1, p95 ≤ 5; {rounds} rounds)",
        flush=True,
    )


async def throughput(readers: dict[str, Reader], rounds: int) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in readers}
    spent_ms: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            begun, cpu = time.perf_counter(), time.process_time()
            answers = await asyncio.gather(*(read() for _ in range(PARALLEL)))
            passed_s, size = time.perf_counter() - begun, sum(a.size for a in answers)
            speeds[name].append(size / passed_s)
            tokens = sum(a.whole_s for a in answers) * TOKENS_PER_S
            spent_ms[name].append((time.process_time() - cpu) * 1000 / tokens)
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    cpu_ms = {name: statistics.median(values) for name, values in spent_ms.items()}
    loss = 1 - middle["engine"] / middle["httpx"]
    print(
        f"{PARALLEL} streams at once: httpx {middle['httpx']:,.0f} characters/s, "
        f"engine {middle['engine']:,.0f}, loss {loss:.1%} (aim: ≤ 3 %)"
    )
    print(f"CPU per token: httpx {cpu_ms['httpx']:.3f} ms, engine {cpu_ms['engine']:.3f} ms")


async def measure(
    url: str, rounds: int, compare: Callable[[dict[str, Reader], int], Awaitable[None]]
) -> None:
    settings = Settings(
        nodes=(NodeSetting(parse_node_url(url)),), redis_url="", look_at_localhost=False
    )
    engine = Engine(settings)
    async with engine.running(), httpx.AsyncClient(base_url=url, timeout=None) as client:
        readers: dict[str, Reader] = {
            "httpx": lambda: timed(direct(client)),
            "engine": lambda: timed(routed(engine)),
        }
        for read in readers.values():
            await read()
        await compare(readers, rounds)


def main() -> int:
    short, before = "--short" in sys.argv, load_average()
    with server(*NODE, str(FEW), "1000") as url:
        asyncio.run(measure(url, SHORT_FIRST_ROUNDS if short else FIRST_ROUNDS, first_tokens))
    many = str(SHORT_MANY if short else MANY)
    with server(*NODE, many, str(TOKENS_PER_S), str(PARALLEL)) as url:
        asyncio.run(measure(url, SHORT_ROUNDS if short else ROUNDS, throughput))
    print(f"load {before:.1f} → {load_average():.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
