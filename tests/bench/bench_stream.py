"""What the engine adds to a stream: time to the first token, throughput, CPU per token.

`python -m tests.bench stream [--short]`. The baseline in the same run reads the same servers with
httpx alone. The servers run in a process of their own.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

import httpx

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions, Delta
from sollol_tui.core.ids import parse_node_url
from sollol_tui.core.settings import NodeSetting, Settings
from sollol_tui.engine.engine import Engine

MODEL = "llama3.2:3b"
PROMPT = "Tell me about rivers."
PARALLEL = 8
SERVER = (sys.executable, "-m", "sollol_tui.demo", "ollama", "--port", "0", "--models", MODEL)

# One stream: seconds to its first token, seconds in all, characters.
Read = tuple[float, float, int]
Reader = Callable[[], Awaitable[Read]]


async def direct(client: httpx.AsyncClient) -> Read:
    """One answer, read with httpx alone."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": PROMPT}]}
    begun, first, size = time.perf_counter(), 0.0, 0
    async with client.stream("POST", "/api/chat", json=body) as response:
        async for line in response.aiter_lines():
            text = json.loads(line).get("message", {}).get("content", "")
            if text and not first:
                first = time.perf_counter() - begun
            size += len(text)
    return first, time.perf_counter() - begun, size


async def routed(engine: Engine) -> Read:
    """One answer through the engine."""
    request = AskRequest(MODEL, (ChatMessage("user", PROMPT),), ChatOptions())
    begun, first, size = time.perf_counter(), 0.0, 0
    async for event in engine.ask(request):
        if isinstance(event, Delta):
            first = first or time.perf_counter() - begun
            size += len(event.text)
    return first, time.perf_counter() - begun, size


async def first_tokens(readers: dict[str, Reader], rounds: int) -> None:
    times: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            times[name].append((await read())[0] * 1000)
    shown = {n: (statistics.median(t), statistics.quantiles(t, n=20)[18]) for n, t in times.items()}
    for name, (middle, p95) in shown.items():
        print(f"{name:<7} first token p50 {middle:.2f} ms, p95 {p95:.2f} ms")
    added = [shown["engine"][i] - shown["httpx"][i] for i in (0, 1)]
    print(f"added   p50 {added[0]:.2f} ms, p95 {added[1]:.2f} ms (aim: ≤ 1 and ≤ 5)")


async def throughput(readers: dict[str, Reader], rounds: int) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            begun = time.perf_counter()
            answers = await asyncio.gather(*(read() for _ in range(PARALLEL)))
            size = sum(size for _, _, size in answers)
            speeds[name].append(size / (time.perf_counter() - begun))
    middle = {name: statistics.median(values) for name, values in speeds.items()}
    loss = 1 - middle["engine"] / middle["httpx"]
    print(
        f"{PARALLEL} streams at once: httpx {middle['httpx']:,.0f} characters/s, "
        f"engine {middle['engine']:,.0f}, loss {loss:.1%} (aim: ≤ 3 %)"
    )


async def cpu_per_token(readers: dict[str, Reader]) -> None:
    for name, read in readers.items():
        before = time.process_time()
        _, _, size = await read()
        tokens = max(1, size // 4)
        print(f"{name:<7} {(time.process_time() - before) * 1000 / tokens:.3f} ms CPU per token")


async def measure(url: str, rounds: int) -> None:
    settings = Settings(
        nodes=(NodeSetting(parse_node_url(url)),), redis_url="", look_at_localhost=False
    )
    engine = Engine(settings)
    async with engine.running(), httpx.AsyncClient(base_url=url, timeout=None) as client:
        readers: dict[str, Reader] = {
            "httpx": lambda: direct(client),
            "engine": lambda: routed(engine),
        }
        for read in readers.values():
            await read()
        await first_tokens(readers, rounds)
        await throughput(readers, max(3, rounds // 10))
        await cpu_per_token(readers)


async def serve(speed: float) -> tuple[asyncio.subprocess.Process, str]:
    words = (*SERVER, "--preload", MODEL, "--tokens-per-s", str(speed))
    server = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    return server, json.loads(await server.stdout.readline())["url"]


async def run(rounds: int) -> None:
    server, url = await serve(100)
    try:
        await measure(url, rounds)
    finally:
        server.kill()
        await server.wait()


def main() -> int:
    asyncio.run(run(12 if "--short" in sys.argv else 60))
    return 0


if __name__ == "__main__":
    sys.exit(main())
