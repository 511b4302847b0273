"""Why something failed: expected failure is a value, a bug stays an exception."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class FaultKind(StrEnum):
    """What went wrong, in the words that decide what happens next."""

    REFUSED = "refused"  # nothing listens there
    TIMEOUT = "timeout"  # no (whole) answer within the deadline
    UNREACHABLE = "unreachable"  # no route, host unknown to the network, SYN unanswered
    NAME = "name"  # the host name does not resolve
    TLS = "tls"  # certificate or handshake
    UNAUTHORIZED = "unauthorized"  # 401, 403
    RATE_LIMITED = "rate_limited"  # 429
    SATURATED = "saturated"  # Ollama's "maximum pending requests exceeded"
    LOADING = "loading"  # llama-server's 503 while it loads
    NOT_FOUND = "not_found"  # 404: no such model (or no such server there)
    BAD_REQUEST = "bad_request"  # 400 and other refusals of what was asked
    SERVER = "server"  # 5xx and errors told in mid-stream
    PROTOCOL = "protocol"  # an answer that is not of the protocol
    CUT = "cut"  # a stream that ended without its proper end
    STALLED = "stalled"  # no progress for the limit while the target claims health
    STOPPED = "stopped"  # the person stopped it


class Fault(NamedTuple):
    """One failure: its kind and one line of evidence (foreign text, shown harmlessly)."""

    kind: FaultKind
    detail: str = ""

    def __str__(self) -> str:
        return f"{_WORDS[self.kind]}: {self.detail}" if self.detail else _WORDS[self.kind]

    @property
    def words(self) -> str:
        """The kind in plain words, without the evidence."""
        return _WORDS[self.kind]


_WORDS = {
    FaultKind.REFUSED: "connection refused",
    FaultKind.TIMEOUT: "no answer in time",
    FaultKind.UNREACHABLE: "host not reachable",
    FaultKind.NAME: "host name not found",
    FaultKind.TLS: "secure connection failed",
    FaultKind.UNAUTHORIZED: "not authorized",
    FaultKind.RATE_LIMITED: "too many requests",
    FaultKind.SATURATED: "queue full",
    FaultKind.LOADING: "model is loading",
    FaultKind.NOT_FOUND: "not found",
    FaultKind.BAD_REQUEST: "request refused",
    FaultKind.SERVER: "server error",
    FaultKind.PROTOCOL: "unexpected answer",
    FaultKind.CUT: "answer broke off",
    FaultKind.STALLED: "no progress",
    FaultKind.STOPPED: "stopped",
}
