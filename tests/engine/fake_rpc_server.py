"""A program that plays ggml-rpc-server: its arguments, its words, its exit codes, its protocol.

`install` makes it executable under the real name. The variable FAKE_RPC changes what it does:
`crash` ends it with exit code 3, `mute` accepts nobody, `old` speaks protocol 3.6. Each client
finds 1 MiB less free than the one before.
"""

from __future__ import annotations

import itertools
import os
import signal
import socket
import struct
import sys
from pathlib import Path

GIB = 1 << 30
MIB = 1 << 20
TOTAL, FREE = 24 * GIB, 20 * GIB
HELP = """\
Usage: ggml-rpc-server [options]

options:
  -h, --help                       show this help message and exit
  -t, --threads N                  number of threads for the CPU device (default: 1)
  -d, --device <dev1,dev2,...>     comma-separated list of devices
  -H, --host HOST                  host to bind to (default: 127.0.0.1)
  -p, --port PORT                  port to bind to (default: 50052)
  -c, --cache                      enable local file cache"""


def install(folder: Path) -> Path:
    """The program, as a file that can be started."""
    path = folder / "ggml-rpc-server"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -SE\n{Path(__file__).read_text()}")
    path.chmod(0o755)
    return path


def main(arguments: list[str]) -> int:
    """What the real one does."""
    how = os.environ.get("FAKE_RPC", "")
    if "--help" in arguments:
        print(HELP)
        return 0
    said = dict(zip(arguments[::2], arguments[1::2], strict=False))
    if said.get("--device", "CUDA0") != "CUDA0":
        print(f"error: unknown device: {said['--device']}\navailable devices:")
        print("  CUDA0: NVIDIA GeForce RTX 3090 (24576 MiB, 23000 MiB free)")
        return 1
    if how == "crash":
        print("GGML_ASSERT(false) failed")
        return 3
    host, port = said["--host"], int(said["--port"])
    print(f"Starting RPC server v7.0.0\n  endpoint       : {host}:{port}\nDevices:")
    print("  CUDA0: NVIDIA GeForce RTX 3090 (24576 MiB, 23000 MiB free)")
    try:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        print("Failed to create server socket")
        return 0
    listening.listen(1)
    if how == "mute":
        signal.pause()
    for clients in itertools.count():
        client, _ = listening.accept()
        print("Accepted client connection", flush=True)
        with client:
            serve(client, how == "old", FREE - clients * MIB)
        print("Client connection closed", flush=True)
    return 0


def serve(client: socket.socket, old: bool, free: int) -> None:
    """One client, until it leaves."""
    caps = b"" if old else bytes(24)
    version = bytes([3, 6, 0] if old else [7, 0, 0, 0])
    answers = {14: version + caps, 15: struct.pack("<I", 1), 11: struct.pack("<QQ", free, TOTAL)}
    try:
        while head := client.recv(9, socket.MSG_WAITALL):
            command, size = struct.unpack("<BQ", head)
            client.recv(size, socket.MSG_WAITALL)
            if command == 14 and size != len(caps):
                return
            client.sendall(struct.pack("<Q", len(answers[command])) + answers[command])
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
