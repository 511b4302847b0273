"""The switchboard of a server: what is broken in it."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

Break: TypeAlias = Literal["cut", "error", "end", "die"]


class Faults(NamedTuple):
    """What is broken, for as long as it is set; a server takes a new value at any moment.

    The `…_after` switches count the tokens of one answer: 0 means before the first.
    """

    refuse: bool = False  # nothing listens, nothing is connected
    hang: bool = False  # connections are accepted, requests read, nothing is answered
    drip_s: float = 0.0  # every answer comes byte by byte, with this pause between
    status: int | None = None  # 401, 403, 429, 503 instead of an answer
    first_token_s: float = 0.0  # the first token comes so much later
    cut_after: int | None = None  # then the connection breaks off
    error_after: int | None = None  # then an error is told in the stream
    end_after: int | None = None  # then the stream ends properly, without its last word
    stall_after: int | None = None  # then no more tokens; everything else still answers
    die_after: int | None = None  # then the server is gone

    def break_at(self, token: int) -> Break | None:
        """How an answer breaks before its token number `token` (from 0), if it does."""
        for how, after in self._breaks():
            if after is not None and token >= after:
                return how
        return None

    def stalls_at(self, token: int) -> bool:
        """Whether token number `token` is held back."""
        return self.stall_after is not None and token >= self.stall_after

    def _breaks(self) -> tuple[tuple[Break, int | None], ...]:
        return (
            ("die", self.die_after),
            ("cut", self.cut_after),
            ("error", self.error_after),
            ("end", self.end_after),
        )


class Broken(Exception):  # noqa: N818 - it is the word of the product for a stream that failed
    """An answer breaks here, because the switchboard says so."""

    def __init__(self, how: Break) -> None:
        super().__init__(how)
        self.how: Break = how
