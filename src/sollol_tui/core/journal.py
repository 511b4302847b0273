"""What happened, line by line: the event log's entries."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["info", "good", "warn", "error"]
Area = Literal["route", "node", "coordinator", "backend", "registry", "mode", "app", "sollol"]


class Entry(NamedTuple):
    """One line of the event log. `subject` is a URL, address or request id; `text` one sentence.

    Routing entries carry the decision's id, with which its record is found.
    """

    number: int  # counts up by one, never reused
    at_s: float
    level: Level
    area: Area
    subject: str
    text: str
    decision_id: str | None = None
