"""The demo's cluster: servers as processes, which end with whoever started them."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

import httpx
import psutil
import pytest

from sollol_tui.core.state import Mode
from sollol_tui.demo.cluster import BACKENDS, NODES, Cluster, DemoError
from sollol_tui.demo.faults import Faults
from sollol_tui.demo.link import BackendLink
from tests.demo.kit import ASK, client, events, lines, read_until_cut

LIMIT_S = 20.0
CHAT = "/v1/chat/completions"
STREAM = {"messages": ASK["messages"], "stream": True}

PARENT = """
import asyncio, json, os
from sollol_tui.demo.cluster import Cluster

async def main():
    async with Cluster() as cluster:
        cluster.stop("studio")
        os.waitid(os.P_PID, cluster.pid("studio"), os.WSTOPPED | os.WNOWAIT)
        print(json.dumps([cluster.pid(name) for name in cluster.names]), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

HEAVY = """
import sys
import sollol_tui.demo.__main__, sollol_tui.demo.ollama
import sollol_tui.demo.coordinator, sollol_tui.demo.backend
print(sorted({"httpx", "textual", "rich", "psutil", "redis", "sollol_tui.core"} & set(sys.modules)))
"""


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A Python process with pipes, killed at the end if it still lives."""
    pipe = asyncio.subprocess.PIPE
    run = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            yield run
    finally:
        if run.returncode is None:
            run.kill()
        await run.communicate()


def server(*arguments: str) -> tuple[str, ...]:
    """The arguments that run one server."""
    return ("-m", "sollol_tui.demo", *arguments)


async def url_of(run: asyncio.subprocess.Process) -> str:
    """What a server says when it listens."""
    assert run.stdout is not None
    return str(json.loads(await run.stdout.readline())["url"])


def all_end(pids: Iterable[int]) -> bool:
    """Whether all these processes end within the limit, whoever has to reap them."""
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            ended, _, _ = select.select([handle], [], [], LIMIT_S)
        finally:
            os.close(handle)
        if not ended:
            return False
    return True


def kill(pids: Iterable[int]) -> None:
    """End what is left of these processes."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


async def test_the_cluster_is_what_its_settings_say_and_leaves_no_process() -> None:
    async with Cluster() as cluster:
        settings = cluster.settings()
        pids = [cluster.pid(name) for name in cluster.names]
        for node in settings.nodes:
            async with client(node.url) as http:
                assert (await http.get("/api/tags")).json()["models"]
        async with client(settings.coordinators[0].url) as http:
            assert (await http.get("/health")).json() == {"status": "ok"}
            answer = await http.post(CHAT, json={**STREAM, "max_tokens": 2})
            assert events(answer.content)[-1] == "[DONE]"
        free = await BackendLink.connect(cluster.url("rpc-3"))  # the others would not answer
        free.close()
        await free.closed()
    assert [node.name for node in settings.nodes] == [plan.name for plan in NODES]
    assert len(settings.backends) == len(BACKENDS)
    sources = [node.source for node in settings.nodes] + [b.source for b in settings.backends]
    assert set(sources) == {"demo"}
    assert settings.mode is Mode.BOTH
    assert (settings.redis_url, settings.look_at_localhost) == ("", False)
    assert not settings.read_sollol_files
    assert len(pids) == 7
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_some_models_lie_on_two_nodes_and_some_on_one() -> None:
    models = [set(plan.options[plan.options.index("--models") + 1].split(",")) for plan in NODES]
    assert all("llama3.2:3b" in each for each in models)
    assert models[0] - models[1]
    assert models[1] - models[0]


async def test_the_process_table_shows_a_llama_server_with_its_backends() -> None:
    async with Cluster() as cluster:
        found = psutil.Process(cluster.pid("coordinator"))
        words = found.cmdline()
        sockets = found.net_connections("tcp4")
        held = {"{}:{}".format(*s.raddr) for s in sockets if s.status == psutil.CONN_ESTABLISHED}
        attached = {cluster.url("rpc-1"), cluster.url("rpc-2")}
        port = int(cluster.url("coordinator").rpartition(":")[2])
        assert found.name() == "llama-server"
        assert set(words[words.index("--rpc") + 1].split(",")) == attached
        assert words[words.index("--port") + 1] == str(port)
        assert words[words.index("--alias") + 1] == "llama3.3:70b"
        assert held == attached


async def test_servers_can_be_killed_frozen_broken_and_brought_back() -> None:
    async with Cluster() as cluster, client(cluster.url("attic")) as attic:
        await cluster.kill("attic")
        assert not cluster.running("attic")
        with pytest.raises(httpx.ConnectError):
            await attic.get("/")
        url = cluster.url("attic")
        await cluster.restart("attic")
        assert cluster.url("attic") == url
        assert (await attic.get("/")).status_code == 200

        await cluster.set_faults("attic", Faults(status=429))
        async with client(url) as other:
            while (await other.get("/")).status_code == 200:
                pass  # the line is on its way
        await cluster.set_faults("attic", Faults(refuse=True))

        cluster.stop("studio")
        async with client(cluster.url("studio")) as studio:
            with pytest.raises(httpx.TimeoutException):
                await studio.get("/", timeout=0.1)
            cluster.cont("studio")
            assert (await studio.get("/")).status_code == 200


async def test_a_killed_backend_aborts_the_coordinator_at_its_next_request() -> None:
    async with Cluster() as cluster, client(cluster.url("coordinator")) as http:
        await cluster.kill("rpc-2")
        assert (await http.get("/health")).status_code == 200
        async with http.stream("POST", CHAT, json=STREAM) as answer:
            _, whole = await read_until_cut(answer)
        assert not whole
        await asyncio.to_thread(all_end, [cluster.pid("coordinator")])
        with pytest.raises(DemoError, match=f"Failed to connect to {cluster.url('rpc-2')}"):
            await cluster.restart("coordinator")
        await cluster.restart("rpc-2")
        await cluster.restart("coordinator")
        answer = await http.post(CHAT, json={**STREAM, "max_tokens": 1})
        assert events(answer.content)[-1] == "[DONE]"
        assert any("listening on" in line for line in cluster.log("coordinator"))


async def test_when_its_parent_is_killed_every_server_ends_even_a_frozen_one() -> None:
    async with process("-c", PARENT) as parent:
        assert parent.stdout is not None
        pids = json.loads(await parent.stdout.readline())
        parent.kill()
        ended = await asyncio.to_thread(all_end, pids)
        if not ended:
            kill(pids)
        assert ended


@pytest.mark.parametrize("kind", ["ollama", "ggml-rpc-server"])
async def test_a_server_ends_with_its_input(kind: str) -> None:
    async with process(*server(kind)) as run:
        await url_of(run)
        assert run.stdin is not None
        run.stdin.close()
        assert await run.wait() == 0


async def test_a_server_ends_at_sigterm() -> None:
    async with process(*server("ollama", "--models", "tiny:1b")) as run:
        async with client(await url_of(run)) as http:
            body = {**ASK, "model": "tiny:1b", "options": {"num_predict": 3}}
            assert len(lines((await http.post("/api/chat", json=body)).content)) == 4
        run.send_signal(signal.SIGTERM)
        assert await run.wait() == 0


async def test_a_coordinator_that_waits_for_a_backend_ends_with_its_input_too() -> None:
    async with process(*server("ggml-rpc-server")) as backend:
        address = await url_of(backend)
        holder = await BackendLink.connect(address)
        words = ("llama-server", "-m", "x.gguf", "--alias", "x:1b", "--rpc", address)
        async with process(*server(*words)) as run:
            assert run.stdin is not None
            run.stdin.close()
            assert await run.wait() == 0
        holder.close()
        await holder.closed()


async def test_without_its_backend_a_coordinator_aborts_with_llama_cpps_words() -> None:
    words = ("llama-server", "-m", "x.gguf", "--alias", "x:1b", "--rpc", "127.0.0.1:1")
    async with process(*server(*words)) as run:
        said, log = await run.communicate()
    assert (run.returncode, said) == (-signal.SIGABRT, b"")
    assert log == b"ggml-rpc.cpp:547: Failed to connect to 127.0.0.1:1\n"


async def test_a_taken_port_is_told_and_nothing_starts() -> None:
    async with process(*server("ollama")) as first:
        port = (await url_of(first)).rpartition(":")[2]
        async with process(*server("ollama", "--port", port)) as second:
            said, log = await second.communicate()
    assert (second.returncode, said) == (1, b"")
    assert f"cannot listen on port {port}" in log.decode()


async def test_the_servers_import_nothing_heavy() -> None:
    async with process("-c", HEAVY) as run:
        said, _ = await run.communicate()
    assert said == b"[]\n"
