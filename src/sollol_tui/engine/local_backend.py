"""An RPC backend on this machine for this machine: what the app starts when asked to."""

from __future__ import annotations

from sollol_tui.core.ids import RPC_PORT
from sollol_tui.core.problems import Problem
from sollol_tui.core.settings import Settings
from sollol_tui.core.worker import WorkerOrder
from sollol_tui.io.binaries import find_rpc_server
from sollol_tui.io.listening import free_port

LOCAL_HOST = "127.0.0.1"


def local_order(settings: Settings) -> WorkerOrder | Problem:
    """The order for `Worker`: loopback only, on the usual port or a free one, registered nowhere.

    It outlives this program where a coordinator that uses it does.

    Blocks while the program is looked for: call it in a thread.
    """
    binary = find_rpc_server(settings)
    if isinstance(binary, Problem):
        return binary
    return WorkerOrder(
        str(binary.path), LOCAL_HOST, free_port(LOCAL_HOST, RPC_PORT), ends_with_us=False
    )
