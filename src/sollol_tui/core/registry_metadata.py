"""Our part of `sollol:router:metadata`, which several programs write whole, the last one winning.

What others wrote stays, and lives as long as it would have without us; what we add is marked, so
that it can be renewed and taken back. Entries of a start of this program that ended without taking
them back go when somebody writes after `OUR_TTL_S`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import ceil
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from sollol_tui.core import wire
from sollol_tui.core.ids import (
    host_of,
    is_loopback,
    parse_backend_address,
    parse_node_url,
    port_of,
)
from sollol_tui.core.registry_events import Origin, place_of
from sollol_tui.core.registry_mark import LISTS, MARK, is_of
from sollol_tui.core.registry_shapes import (
    COORDINATOR_STAND_IN,
    SOURCE,
    backend_text,
    node_text,
)
from sollol_tui.core.state import BackendStatus, ClusterSnapshot, NodeState, NodeStatus
from sollol_tui.core.statistics import Figures, Row, Stats

APP = "sollol-tui"
HEARTBEAT_S = 10.0
OUR_TTL_S = 30
# What had no time to live was meant to stay: not even a machine that sleeps over a weekend with
# this program open may cost it. An orderly end takes our limit away again.
LASTING_TTL_S = 7 * 86_400

_HEAD = ("source", "app_name", "timestamp")
_HOUR_S = 3600  # RayHybridRouter's time to live, who writes no time
_MIB = 1 << 20
_PRIORITY = 999  # SOLLOL's for nodes without one


class OurPart(NamedTuple):
    """What this program has to say."""

    nodes: tuple[dict[str, object], ...] = ()
    backends: tuple[dict[str, object], ...] = ()
    metrics: Mapping[str, object] = {}
    analytics: Mapping[str, object] = {}


class Metadata(NamedTuple):
    """The key as it is, or as it shall be. `ttl_s` None: it never expires."""

    document: dict[str, object]
    ttl_s: int | None


def our_part(snapshot: ClusterSnapshot, stats: Stats, *, loopback_is_here: bool) -> OurPart:
    """What is known otherwise than from Redis, and has answered.

    `loopback_is_here`: whether 127.0.0.1 there may mean this machine, because Redis runs here.
    """
    rows = {row.key: row.overall for row in stats.nodes}
    nodes = [n for n in snapshot.nodes if n.seen_at_s is not None and _is_ours_to_tell(n.sources)]
    backends = [
        b.address
        for b in snapshot.backends
        if b.status in (BackendStatus.IDLE, BackendStatus.ATTACHED) and _is_ours_to_tell(b.sources)
    ]

    def reachable(target: str) -> bool:
        return loopback_is_here or not is_loopback(host_of(target))

    return OurPart(
        tuple(_node(n, rows.get(n.url, Figures())) for n in nodes if reachable(n.url)),
        tuple({"host": host_of(a), "port": port_of(a)} for a in backends if reachable(a)),
        _metrics(snapshot, stats),
        _analytics(stats.all.overall),
    )


def renewed(found: Metadata | None, origin: Origin, part: OurPart, now_s: float) -> Metadata:
    """The key with our part in it, in place of what it said of us before. `found` None: no key.

    `now_s` is Redis' own clock: the starts of this program on several machines share that one.
    """
    others = _others(found, origin.instance_id, now_s)
    document = dict(others.document)
    _add(document, "nodes", part.nodes, _node_key, origin)
    _add(document, "rpc_backends", part.backends, _backend_key, origin)
    _add(document, "applications", [_application(origin, now_s)], _app_key, origin)
    metrics = document.get("metrics", {})
    if isinstance(metrics, dict):
        ours = {"analytics": {**part.analytics, MARK: origin.instance_id}}
        document["metrics"] = ours | metrics | {MARK: part.metrics}
    head = dict(zip(_HEAD, (APP, APP, others.written_at_s), strict=True))
    added = {key: value for key, value in head.items() if key not in document}
    instances = {**others.instances, origin.instance_id: now_s}
    return Metadata(
        document | added | {MARK: _mark(others, instances, added)}, _ttl_s(others, now_s)
    )


def withdrawn(found: Metadata, instance_id: str, now_s: float) -> Metadata | None:
    """The key without our part; None when nothing is left of it.

    When nobody else of ours is there, what others wrote gets back the time that it had to live.
    """
    others = _others(found, instance_id, now_s)
    document = dict(others.document)
    if others.instances:
        document[MARK] = _mark(others, others.instances, ())
        return Metadata(document, _ttl_s(others, now_s))
    if not document:
        return None
    left_s = None if others.until_s is None else max(1, ceil(others.until_s - now_s))
    return Metadata(document, left_s)


class _Others(NamedTuple):
    """What is there without us."""

    document: dict[str, object]
    are_foreign: bool  # not all of it is of other starts of this program
    until_s: float | None  # when what foreign programs wrote ends; None: never
    written_at_s: float  # when they wrote it, as far as that can be told
    instances: dict[str, float]  # other starts of this program, and when each wrote last


def _others(found: Metadata | None, instance_id: str, now_s: float) -> _Others:
    if found is None:
        return _Others({}, False, now_s, now_s, {})
    document = dict(found.document)
    is_marked = isinstance(document.get(MARK), dict)
    mark = wire.fields(document.pop(MARK, None))
    until_s = _until_s(mark, found.ttl_s, now_s) if is_marked else _end_s(found.ttl_s, now_s)
    for field in wire.texts(mark.get("fields")):
        if field in _HEAD:
            document.pop(field, None)
    instances = _living(wire.fields(mark.get("instances")), instance_id, now_s)
    if until_s is not None and until_s < now_s:
        document = _only_marked(document)
    foreign = _stripped(document, lambda _: True)
    written_at_s = wire.number(mark.get("others_at")) if is_marked else None
    if written_at_s is None:
        age_s = 0 if is_marked or found.ttl_s is None else max(0, _HOUR_S - found.ttl_s)
        written_at_s = now_s - age_s
    left = _stripped(document, lambda name: name not in instances)
    return _Others(left, bool(foreign), until_s, written_at_s, instances)


def _mark(
    others: _Others, instances: Mapping[str, float], fields: Iterable[str]
) -> dict[str, object]:
    """What the next writer of ours has to know."""
    return {
        "instances": dict(instances),
        "others_until": others.until_s,
        "others_at": others.written_at_s,
        "fields": list(fields),
    }


def _living(told: Mapping[str, object], instance_id: str, now_s: float) -> dict[str, float]:
    """The other starts of this program that wrote lately."""
    at = {name: wire.number(said) for name, said in told.items() if name != instance_id}
    return {n: s for n, s in at.items() if s is not None and abs(now_s - s) < OUR_TTL_S}


def _until_s(mark: Mapping[str, object], ttl_s: int | None, now_s: float) -> float | None:
    """When foreign programs' words end, as we noted it, unless one of them wrote since.

    That shows in the time to live: without one, or with more than we gave.
    """
    noted_s = wire.number(mark.get("others_until"))
    if ttl_s is None or noted_s is None:
        return None
    given_s = max(OUR_TTL_S, noted_s - now_s) + 2
    return now_s + ttl_s if ttl_s > given_s else noted_s


def _end_s(ttl_s: int | None, now_s: float) -> float | None:
    return None if ttl_s is None else now_s + ttl_s


def _ttl_s(others: _Others, now_s: float) -> int:
    if not others.are_foreign:
        return OUR_TTL_S
    if others.until_s is None:
        return LASTING_TTL_S
    return max(OUR_TTL_S, ceil(others.until_s - now_s))


def _stripped(document: Mapping[str, object], is_gone: Callable[[str], bool]) -> dict[str, object]:
    """The document without what the starts of this program for which `is_gone` holds put there."""
    left = dict(document)
    for key in LISTS:
        there = wire.items(left.get(key))
        _replace(left, key, there, [e for e in there if not is_of(e, is_gone)])
    metrics = left.get("metrics")
    if isinstance(metrics, dict):
        kept = {key: value for key, value in metrics.items() if key != MARK}
        if is_of(kept.get("analytics"), is_gone):
            del kept["analytics"]
        _replace(left, "metrics", metrics, kept)
    return left


Part = TypeVar("Part", list[object], dict[str, object])


def _replace(document: dict[str, object], key: str, there: Part, kept: Part) -> None:
    """Put what is kept in the place of what was there; what only we had filled goes."""
    if kept:
        document[key] = kept
    elif there:
        del document[key]


def _only_marked(document: Mapping[str, object]) -> dict[str, object]:
    """Only what starts of this program put there."""
    lists = {key: [e for e in wire.items(document.get(key)) if is_of(e, bool)] for key in LISTS}
    return {key: entries for key, entries in lists.items() if entries}


def _add(
    document: dict[str, object],
    key: str,
    ours: Iterable[dict[str, object]],
    key_of: Callable[[object], str],
    origin: Origin,
) -> None:
    """Put those of our entries that nobody names beside what is there, if that is a list."""
    there = document.get(key, [])
    if not isinstance(there, list):
        return
    known = {key_of(entry) for entry in there}
    added = [{**e, MARK: origin.instance_id} for e in ours if key_of(e) not in known]
    if added:
        document[key] = [*there, *added]


def _node_key(entry: object) -> str:
    try:
        return parse_node_url(node_text(entry))
    except ValueError:
        return ""


def _backend_key(entry: object) -> str:
    text = backend_text(entry)
    try:
        return text if text == COORDINATOR_STAND_IN else parse_backend_address(text)
    except ValueError:
        return ""


def _app_key(entry: object) -> str:
    return wire.text(wire.fields(entry).get("app_id"))


# Our own words


def redis_is_here(url: str) -> bool:
    """Whether a Redis runs on this machine: then 127.0.0.1 means the same to all who read there."""
    parts = urlsplit(url)
    return parts.scheme == "unix" or is_loopback(parts.hostname or "localhost")


def _is_ours_to_tell(sources: tuple[str, ...]) -> bool:
    """What only Redis knows of is not told back to it: it could never be forgotten."""
    return any(source != SOURCE for source in sources)


def _application(origin: Origin, now_s: float) -> dict[str, object]:
    return {
        "app_id": origin.instance_id,
        "name": APP,
        "version": "unknown",
        "last_heartbeat": now_s,
    }


def _node(node: NodeState, figures: Figures) -> dict[str, object]:
    """As SOLLOL's OllamaPool writes a node."""
    rate = figures.success_rate
    return {
        "url": node.url,
        "host": place_of(node.url),
        "available": node.status is NodeStatus.UP and not node.drained,
        "latency_ms": round(node.latency_ms or 0.0, 2),
        "success_rate": 1.0 if rate is None else round(rate, 4),
        "total_requests": figures.requests,
        "failed_requests": figures.failed,
        "gpu_free_mem": (node.vram_free_bytes or 0) // _MIB,
        "active_requests": node.in_flight,
        "priority": _PRIORITY,
    }


def _analytics(figures: Figures) -> dict[str, object]:
    """As SOLLOL writes it: milliseconds, 0 for nothing."""
    latency, rate = figures.latency_s, figures.success_rate
    return {
        "p50_latency_ms": _ms(latency.p50),
        "p95_latency_ms": _ms(latency.p95),
        "p99_latency_ms": _ms(latency.p99),
        "avg_duration_ms": _ms(latency.mean),
        "success_rate": 1.0 if rate is None else round(rate, 4),
        "total_requests": figures.requests,
        "successful_requests": figures.succeeded,
    }


def _metrics(snapshot: ClusterSnapshot, stats: Stats) -> dict[str, object]:
    return {
        "mode": snapshot.mode.value,
        "nodes": len(snapshot.nodes),
        "coordinators": len(snapshot.coordinators),
        "rpc_backends": len(snapshot.backends),
        "in_flight": len(snapshot.requests),
        **{row.key: _path(row) for row in stats.paths},
    }


def _path(row: Row) -> dict[str, object]:
    figures = row.overall
    return {
        "requests": figures.requests,
        "errors": figures.failed,
        "avg_latency_ms": _ms(figures.latency_s.mean),
    }


def _ms(seconds: float | None) -> float:
    return round((seconds or 0.0) * 1000, 2)
