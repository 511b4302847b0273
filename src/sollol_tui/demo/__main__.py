"""One server of the demo as a process: `python -m sollol_tui.demo KIND --port N …`.

It prints one line `{"url": …}` when it listens, takes lines `{"faults": {…}}` from its standard
input, and ends with that input, so that it never outlives whoever started it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from sollol_tui.demo.faults import Faults
from sollol_tui.demo.rpc import LinkError

MIB = 1024**2


class Server(Protocol):
    """What every server of the demo can do."""

    faults: Faults
    on_death: Callable[[], None] | None

    @property
    def url(self) -> str:
        """Where it listens."""

    async def start(self, port: int = 0) -> None:
        """Listen."""

    async def stop(self) -> None:
        """Close everything."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server that the arguments describe, until standard input ends or SIGTERM comes."""
    options = _parser().parse_args(arguments)
    _be_called(options.kind)
    with suppress(asyncio.CancelledError, KeyboardInterrupt):
        return asyncio.run(_run(options.make(options), options.port))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sollol_tui.demo", allow_abbrev=False)
    kinds = parser.add_subparsers(dest="kind", required=True)
    _ollama_options(_kind(kinds, "ollama", _ollama))
    _llama_options(_kind(kinds, "llama-server", _llama_server))
    backend = _kind(kinds, "ggml-rpc-server", _rpc_server)
    backend.add_argument("--device", action="append", default=[], metavar="TOTAL:FREE", help="MiB")
    return parser


def _kind(kinds: Any, name: str, make: Callable[..., Server]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, allow_abbrev=False)
    parser.set_defaults(make=make)
    parser.add_argument("--port", type=int, default=0)
    return parser


def _ollama_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="node")
    parser.add_argument("--models", default="llama3.2:3b,qwen3:8b")
    parser.add_argument("--preload", default="")
    parser.add_argument("--gpu-share", type=float, default=1.0)
    _speed(parser)


def _llama_options(parser: argparse.ArgumentParser) -> None:
    """The words of llama-server itself, so that a reader of the process table knows them."""
    parser.add_argument("-m", "--model", required=True)
    parser.add_argument("-a", "--alias", required=True)
    parser.add_argument("--rpc", default="")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("-c", "--ctx-size", type=int, default=16384)
    parser.add_argument("-np", "--parallel", type=int, default=2)
    parser.add_argument("--metrics", action="store_true")
    _speed(parser)


def _speed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens-per-s", type=float)
    parser.add_argument("--load-s", type=float, default=0.0)


def _ollama(options: argparse.Namespace) -> Server:
    from sollol_tui.demo.ollama import DemoNode

    return DemoNode(
        _words(options.models),
        options.name,
        options.tokens_per_s,
        preload=_words(options.preload),
        load_s=options.load_s,
        gpu_share=options.gpu_share,
    )


def _llama_server(options: argparse.Namespace) -> Server:
    from sollol_tui.demo.coordinator import DemoCoordinator

    return DemoCoordinator(
        options.alias,
        tokens_per_s=options.tokens_per_s,
        context=options.ctx_size // options.parallel,
        slots=options.parallel,
        backends=_words(options.rpc),
        load_s=options.load_s,
        path=options.model,
        log=_log,
    )


def _rpc_server(options: argparse.Namespace) -> Server:
    from sollol_tui.demo.backend import DEVICES, DemoBackend
    from sollol_tui.demo.rpc import RpcDevice

    sizes = [[int(part) * MIB for part in device.split(":")] for device in options.device]
    # Python ignores SIGPIPE, as whoever starts the real server should have it do.
    return DemoBackend([RpcDevice(*size) for size in sizes] or DEVICES, sigpipe=False)


async def _run(server: Server, port: int) -> int:
    _end_with_input(server)
    server.on_death = _abort
    try:
        await server.start(port)
    except OSError as error:
        _log(f"cannot listen on port {port}: {error.strerror}")
        return 1
    except LinkError:  # the log has it
        _abort()
    sys.stdout.write(json.dumps({"url": server.url}) + "\n")
    sys.stdout.flush()
    try:
        await asyncio.Event().wait()
    finally:
        await server.stop()
    return 0


def _end_with_input(server: Server) -> None:
    """Cancel the running task when standard input ends or SIGTERM comes; obey its lines."""
    loop = asyncio.get_running_loop()
    running = asyncio.current_task()
    assert running is not None
    loop.add_signal_handler(signal.SIGTERM, running.cancel)
    unread = bytearray()

    def read() -> None:
        data = os.read(0, 65536)
        if not data:
            loop.remove_reader(0)
            running.cancel()
        unread.extend(data)
        while b"\n" in unread:
            line, _, rest = bytes(unread).partition(b"\n")
            unread[:] = rest
            server.faults = Faults(**json.loads(line)["faults"])

    try:
        loop.add_reader(0, read)
    except OSError:  # a file or nothing: it is at its end already
        running.cancel()


def _be_called(name: str) -> None:
    """Show the name of the real program in the process table, where that can be done."""
    with suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write(name)


def _abort() -> None:
    """Die as the real servers die, without a file to remember it by."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGABRT)


def _log(line: str) -> None:
    with suppress(OSError):  # nobody reads any more
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


if __name__ == "__main__":
    sys.exit(main())
