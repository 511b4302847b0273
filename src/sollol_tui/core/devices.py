"""What an RPC backend computes on."""

from __future__ import annotations

from typing import NamedTuple


class Device(NamedTuple):
    """A device behind an RPC backend. For CPU devices free equals total: llama.cpp assumes so."""

    total_bytes: int
    free_bytes: int
