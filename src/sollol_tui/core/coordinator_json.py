"""What `coordinator status --json` prints: the coordinators of `status`, and the life of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.phases import Phase
from sollol_tui.core.problems import Problem, problem_json
from sollol_tui.core.shard_map import Shard, ShardMap
from sollol_tui.core.state import ClusterSnapshot, CoordinatorState
from sollol_tui.core.status_json import coordinator_json, finite


class Life(NamedTuple):
    """What is known of a coordinator of ours beyond a look at it."""

    url: CoordinatorUrl
    phase: Phase
    progress: float | None = None
    retry_at_s: float | None = None
    keeper_pid: int | None = None  # the program that looks after it
    shards: ShardMap | None = None
    problem: Problem | None = None  # the last one, also when it is over
    problem_at_s: float | None = None


def coordinators_json(
    snapshot: ClusterSnapshot, lives: Iterable[Life], at_s: float
) -> dict[str, object]:
    """All coordinators, as values that `json.dumps` takes; `lives` are those of ours.

    `at_s` is when it was looked.
    """
    told = {life.url: life for life in lives}
    return {
        "schema": 1,
        "at": finite(at_s),
        "coordinators": [_coordinator(c, told.get(c.url)) for c in snapshot.coordinators],
    }


def _coordinator(state: CoordinatorState, told: Life | None) -> dict[str, object]:
    return {
        **coordinator_json(state),
        "phase": told.phase.value if told else None,
        "progress": finite(told.progress) if told else None,
        "retry_at": finite(told.retry_at_s) if told else None,
        "kept_up_by": told.keeper_pid if told else None,
        "shards": _shards(told.shards) if told and told.shards else None,
        "problem": _problem(told) if told else None,
    }


def _shards(shards: ShardMap) -> dict[str, object]:
    devices = [_shard(shard) for shard in (*shards.devices, shards.host)]
    return {"layers": shards.layers, "devices": devices}


def _shard(shard: Shard) -> dict[str, object]:
    return {
        "name": shard.name,
        "address": shard.address or None,
        "layers": None if shard.layers is None else len(shard.layers),
        "weights_bytes": shard.weights_bytes,
        "kv_bytes": shard.kv_bytes,
        "compute_bytes": shard.compute_bytes,
    }


def _problem(life: Life) -> dict[str, object] | None:
    if life.problem is None:
        return None
    return {"at": finite(life.problem_at_s), **problem_json(life.problem)}
