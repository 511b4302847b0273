"""The words of the RPC protocol that coordinator and backend of the demo exchange."""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import NamedTuple

CAPS_BYTES = 24  # transport abilities in HELLO: all zero means plain TCP
ALIGNMENT = 32
MAX_SIZE = 2**64 - 1

HEAD = struct.Struct("<BQ")  # a request: command, size of what follows
SIZE = struct.Struct("<Q")  # an answer: size of what follows
DEVICE = struct.Struct("<I")
NUMBER = struct.Struct("<Q")
MEMORY = struct.Struct("<QQ")  # free, total


class Command(IntEnum):
    """The commands that only look."""

    GET_ALIGNMENT = 1
    GET_MAX_SIZE = 2
    GET_DEVICE_MEMORY = 11
    HELLO = 14  # always the first
    DEVICE_COUNT = 15


class RpcDevice(NamedTuple):
    """A device of a backend, in bytes."""

    total_bytes: int
    free_bytes: int


class Version(NamedTuple):
    """A protocol version."""

    major: int
    minor: int
    patch: int

    @property
    def has_caps(self) -> bool:
        """Whether HELLO carries transport abilities (from 4.0 on)."""
        return self.major >= 4


class LinkError(Exception):
    """What llama-server aborts with, in its words."""


VERSION = Version(7, 0, 0)


def request(command: Command, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    return HEAD.pack(command, len(body)) + body
