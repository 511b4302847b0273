"""The coordinator's log as entries: when, how bad, what; foreign text made harmless."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Protocol

from sollol_tui.core.llama_log import FOR_THE_STARTER, parse_line
from sollol_tui.ui.text import Line, clean
from sollol_tui.ui.widgets.event_log import LogLine

_STYLES = {"error": "bad", "warn": "warn", "debug": "muted"}
_FAULTS = ("error", "warn")
_LETTERS = 2000
AT_ONCE = 1500
"""Lines taken at a time: a flood is shown by its end, and keys still answer."""


class Log(Protocol):
    """A log that grows: its last lines, and how many there were in all."""

    @property
    def lines(self) -> deque[str]: ...
    @property
    def number(self) -> int: ...


class LogFeed:
    """What was written since the last look. Another log object is another run."""

    def __init__(self) -> None:
        self._log: Log | None = None
        self._read = 0
        self._said = ""

    def is_another(self, log: Log | None) -> bool:
        """Whether this is the log of another run than the last time."""
        return log is not self._log

    def fresh(self, log: Log | None) -> list[LogLine]:
        """The new lines as entries; of too many only the last."""
        if log is not self._log:
            self._log, self._read, self._said = log, 0, ""
        if log is None or log.number == self._read:
            return []
        kept = len(log.lines)
        new = min(log.number - self._read, kept)
        taken = min(new, AT_ONCE) if self._read else new
        first = log.number - taken
        lost = first - self._read if self._read else 0
        self._read = log.number
        entries = log_entries(islice(log.lines, kept - taken, None), first, self._said)
        if entries:
            self._said = _words(entries[-1])
        return [_left_out(lost, first), *entries] if lost else entries


def log_entries(lines: Iterable[str], first: int = 0, said: str = "") -> list[LogLine]:
    """Lines of llama-server as entries; `first` is the number of the first line.

    Lines without words are left out, and those that only repeat the words before them (`said`
    before the first one): each look at a server at rest makes it say that all slots are idle.
    """
    entries = []
    for number, line in enumerate(lines, start=first):
        entry = _entry(line, number)
        if entry is not None and _words(entry) != said:
            entries.append(entry)
            said = _words(entry)
    return entries


def _words(entry: LogLine) -> str:
    return entry.line[-1][0]


def _entry(line: str, number: int) -> LogLine | None:
    at_s, level, text, _ = parse_line(line)
    if not text.strip() or line.startswith(FOR_THE_STARTER):
        return None
    moment = f"{at_s:9.2f} " if at_s is not None else " " * 10
    shown: Line = ((moment, "muted"), (clean(text.rstrip(), _LETTERS), _STYLES.get(level, "")))
    return LogLine(str(number), shown, level in _FAULTS)


def _left_out(count: int, first: int) -> LogLine:
    return LogLine(f"{first}-", (((f"… {count} lines left out: they came too fast …"), "warn"),))
