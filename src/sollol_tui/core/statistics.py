"""Figures of our requests: by path, target, RPC backend and model, lately and over all (S10, S11).

Samples go in one by one, figures come out when asked. A request that failed at one target and went
to another counts once in a group that holds both tries, by the last of them.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from math import floor, fsum
from typing import NamedTuple

from sollol_tui.core.ids import model_key
from sollol_tui.core.samples import Sample

KEPT = 5000  # so many samples "over all" means
WINDOW_S = 900.0

TASK, MODEL = "task", "model"
"""The ways of a request: to one of the Ollama nodes, or to a coordinator over RPC backends."""


class Spread(NamedTuple):
    """How values lie; all None while there is none."""

    known: int = 0
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


class Figures(NamedTuple):
    """One group of requests. Those that the person stopped are neither successes nor failures."""

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    stopped: int = 0
    tokens: int = 0
    latency_s: Spread = Spread()  # of whole answers, from the claim of the target to the last token
    ttft_s: Spread = Spread()
    decode_tps: Spread = Spread()
    prefill_tps: Spread = Spread()
    queue_s: Spread = Spread()
    faults: tuple[tuple[str, int], ...] = ()  # kinds of failures, the most frequent first

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None when nothing has succeeded or failed yet."""
        ended = self.succeeded + self.failed
        return self.succeeded / ended if ended else None


class Row(NamedTuple):
    """A group, lately and over all. `key` is a path, a URL, an address or a model's key."""

    key: str
    recent: Figures = Figures()
    overall: Figures = Figures()


class Stats(NamedTuple):
    """All figures. Rows are in order of requests over all, the busiest first."""

    window_s: float  # what `recent` means
    since_s: float | None = None  # when the oldest sample ended; None without any
    all: Row = Row("")
    paths: tuple[Row, Row] = (Row(TASK), Row(MODEL))  # always both: to be seen side by side
    nodes: tuple[Row, ...] = ()
    coordinators: tuple[Row, ...] = ()
    backends: tuple[Row, ...] = ()
    models: tuple[Row, ...] = ()

    def share(self, row: Row, *, overall: bool = False) -> float | None:
        """Which part of all requests a row has, lately, from 0 to 1; None when there were none.

        A request that went to several targets counts in each of their rows.
        """
        whole, part = (self.all.overall, row.overall) if overall else (self.all.recent, row.recent)
        return part.requests / whole.requests if whole.requests else None


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which that share of the ordered values lies, between neighbours linearly.

    One value is every percentile of itself; None when there is no value.
    """
    if not ordered:
        return None
    place = share * (len(ordered) - 1)
    low = floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


class Statistics:
    """Takes samples, oldest first, and knows their figures at any time. Keeps the last ones.

    Args:
        earlier: samples to begin with, oldest first; many are taken at once cheaper than one by
            one, and in another thread if need be.
        now_s: seconds since the epoch, as the samples' own times.
    """

    def __init__(
        self, earlier: Iterable[Sample] = (), now_s: float = 0.0, most: int = KEPT
    ) -> None:
        self._most = most
        self._samples = deque([*earlier][-most:])
        self._overall = _Tally(self._samples)
        self._window_s = WINDOW_S
        self._made: Stats | None = None
        self._look_back(now_s)

    def add(self, sample: Sample) -> None:
        """A request ended at a target."""
        self._made = None
        self._samples.append(sample)
        self._overall.add(sample)
        self._window.append(sample)
        self._recent.add(sample)
        while len(self._samples) > self._most:
            self._overall.remove(self._samples.popleft())

    def stats(self, now_s: float, window_s: float = WINDOW_S) -> Stats:
        """The figures: the same object again until a sample comes or gets too old for the window.

        Args:
            now_s: seconds since the epoch, as the samples' own times.
            window_s: how far back `recent` goes.
        """
        if window_s != self._window_s:
            self._window_s = window_s
            self._look_back(now_s)
        while self._window and self._window[0].at_s < now_s - window_s:
            self._recent.remove(self._window.popleft())
            self._made = None
        if self._made is None:
            self._made = self._stats()
        return self._made

    def _look_back(self, now_s: float) -> None:
        """Fill the window anew."""
        since_s = now_s - self._window_s
        self._window = deque(s for s in self._samples if s.at_s >= since_s)
        self._recent = _Tally(self._window)
        self._made = None

    def _stats(self) -> Stats:
        return Stats(
            window_s=self._window_s,
            since_s=self._samples[0].at_s if self._samples else None,
            all=self._row("all", ""),
            paths=(self._row("path", TASK), self._row("path", MODEL)),
            nodes=self._rows("node"),
            coordinators=self._rows("coordinator"),
            backends=self._rows("backend"),
            models=self._rows("model"),
        )

    def _rows(self, kind: str) -> tuple[Row, ...]:
        # The window may outlive the oldest sample that is kept, so both are asked.
        keys = dict.fromkeys((*self._overall.keys(kind), *self._recent.keys(kind)))
        rows = [self._row(kind, key) for key in keys]
        return tuple(sorted(rows, key=lambda row: (-row.overall.requests, row.key)))

    def _row(self, kind: str, key: str) -> Row:
        return Row(key, self._recent.figures(kind, key), self._overall.figures(kind, key))


_GroupKey = tuple[str, str]
_Put = Callable[[list[float], float], None]


class _Tally:
    """The groups of some samples."""

    def __init__(self, samples: Iterable[Sample] = ()) -> None:
        self._groups: dict[_GroupKey, _Group] = {}
        for sample in samples:
            self._put(sample, list.append)
        for group in self._groups.values():
            group.sort()

    def add(self, sample: Sample) -> None:
        self._put(sample, insort)

    def remove(self, sample: Sample) -> None:
        for key in _groups_of(sample):
            group = self._groups[key]
            group.remove(sample)
            if not group.requests:
                del self._groups[key]

    def _put(self, sample: Sample, put: _Put) -> None:
        for key in _groups_of(sample):
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = _Group()
            group.add(sample, put)

    def keys(self, kind: str) -> list[str]:
        return [key for found, key in self._groups if found == kind]

    def figures(self, kind: str, key: str) -> Figures:
        group = self._groups.get((kind, key))
        return group.figures() if group is not None else Figures()


def _groups_of(sample: Sample) -> list[_GroupKey]:
    keys = [("all", ""), ("model", model_key(sample.model))]
    if sample.kind is not None:
        path = TASK if sample.kind == "node" else MODEL
        keys += [("path", path), (sample.kind, sample.target)]
        keys += [("backend", address) for address in dict.fromkeys(sample.backends)]
    return keys


class _Group:
    """Counts, and values in order, so that percentiles are looked up and not computed."""

    def __init__(self) -> None:
        self.requests = 0
        self._stopped = 0
        self._tokens = 0
        self._faults: Counter[str] = Counter()
        self._values: tuple[list[float], ...] = ([], [], [], [], [])
        self._failed_tries: dict[str, Sample] = {}  # by request: another try may follow
        self._made: Figures | None = None

    def add(self, sample: Sample, put: _Put) -> None:
        if sample.tries > 1 and (before := self._failed_tries.pop(sample.request, None)):
            self._count(before, -1)
        if sample.failed and sample.request:
            self._failed_tries[sample.request] = sample
        self._count(sample, +1)
        for value, ordered in zip(_measured(sample), self._values, strict=True):
            if value is not None:
                put(ordered, value)

    def remove(self, sample: Sample) -> None:
        if sample.failed and sample.request:
            if self._failed_tries.get(sample.request) is not sample:
                return  # another try came after it: it is not counted any more
            del self._failed_tries[sample.request]
        self._count(sample, -1)
        for value, ordered in zip(_measured(sample), self._values, strict=True):
            if value is not None:
                del ordered[bisect_left(ordered, value)]

    def sort(self) -> None:
        """Values were appended: put them in order."""
        for values in self._values:
            values.sort()

    def figures(self) -> Figures:
        if self._made is None:
            failed = sum(self._faults.values())
            latency, ttft, decode, prefill, queue = map(_spread, self._values)
            self._made = Figures(
                requests=self.requests,
                succeeded=self.requests - failed - self._stopped,
                failed=failed,
                stopped=self._stopped,
                tokens=self._tokens,
                latency_s=latency,
                ttft_s=ttft,
                decode_tps=decode,
                prefill_tps=prefill,
                queue_s=queue,
                faults=tuple(sorted(self._faults.items(), key=lambda f: (-f[1], f[0]))),
            )
        return self._made

    def _count(self, sample: Sample, step: int) -> None:
        self._made = None
        self.requests += step
        self._stopped += step * sample.stopped
        self._tokens += step * sample.tokens
        if sample.failed:
            self._faults[sample.outcome] += step
            if not self._faults[sample.outcome]:
                del self._faults[sample.outcome]


def _measured(sample: Sample) -> tuple[float | None, ...]:
    """What a sample tells of speed. A failure tells nothing of how fast a target answers."""
    if sample.failed:
        return (None,) * 5
    latency_s = None if sample.stopped else sample.total_s
    return latency_s, sample.ttft_s, sample.decode_tps, sample.prefill_tps, sample.queue_s


def _spread(ordered: Sequence[float]) -> Spread:
    if not ordered:
        return Spread()
    mean = fsum(ordered) / len(ordered)
    p50, p95, p99 = (percentile(ordered, share) for share in (0.5, 0.95, 0.99))
    return Spread(len(ordered), mean, p50, p95, p99)
