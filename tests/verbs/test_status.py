"""`sollol-tui status`: one look, a table or JSON, and an exit code that a script can trust."""

from __future__ import annotations

import json

import pytest

from sollol_tui.core.devices import Device
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import BackendAddress, CoordinatorUrl, NodeUrl
from sollol_tui.core.plain import cell_width
from sollol_tui.core.settings_merge import Resolved, state
from sollol_tui.core.state import (
    BackendState,
    BackendStatus,
    ClusterSnapshot,
    CoordinatorState,
    CoordinatorStatus,
    LoadedModel,
    Mode,
    NodeModel,
    NodeState,
    NodeStatus,
    Owner,
    RegistryState,
    RegistryStatus,
)
from sollol_tui.core.status_json import status_json
from sollol_tui.verbs.status import status
from sollol_tui.verbs.voice import Voice

from .fakes import FakeEngine, heard, resolved, voice

GIB = 2**30
NODE = NodeState(
    NodeUrl("http://gpu-box:11434"),
    "gpu-box",
    ("config", "redis"),
    NodeStatus.UP,
    "0.12.3",
    (NodeModel("llama3.2:3b"), NodeModel("qwen3:8b")),
    (LoadedModel("qwen3:8b", int(5.1 * GIB)),),
    latency_ms=12.3,
    seen_at_s=99.0,
)
DEAD = NodeState(
    NodeUrl("http://attic:11434"),
    "attic",
    ("env",),
    NodeStatus.DOWN,
    fault=Fault(FaultKind.REFUSED),
)
USUAL = DEAD._replace(url=NodeUrl("http://127.0.0.1:11434"), sources=("localhost",))
COORDINATOR = CoordinatorState(
    CoordinatorUrl("http://127.0.0.1:18080"),
    "127.0.0.1",
    ("localhost",),
    CoordinatorStatus.READY,
    Owner.ADOPTED,
    4711,
    "llama-2-13b.Q4_K_M",
    context_tokens=8192,
    slots_total=4,
    slots_busy=1,
    backends=(BackendAddress("10.0.0.2:50052"),),
)
BACKEND = BackendState(
    BackendAddress("10.0.0.2:50052"),
    ("redis",),
    BackendStatus.ATTACHED,
    "7.0.0",
    (Device(24 * GIB, 19 * GIB),),
    attached_to=COORDINATOR.url,
)
CLUSTER = ClusterSnapshot(
    Mode.BOTH,
    nodes=(NODE, DEAD),
    coordinators=(COORDINATOR,),
    backends=(BACKEND,),
    registry=RegistryState("redis://:hunter2@10.0.0.1:6379", RegistryStatus.UP),
)


TABLE = """\
mode both   registry up redis://:•••@10.0.0.1:6379

COORDINATOR      STATUS  MODEL               SLOTS  CONTEXT  SOURCE
127.0.0.1:18080  ready   llama-2-13b.Q4_K_M  1/4    8192     localhost
  adopted · pid 4711 · backends 10.0.0.2:50052

NODE           STATUS  VERSION  MODELS  LOADED            LATENCY  SOURCE
gpu-box:11434  up      0.12.3   2       qwen3:8b 5.1 GiB  12 ms    config, redis
attic:11434    down    –        –       –                 –        env
  connection refused

BACKEND         STATUS    PROTOCOL  FREE MEMORY           SOURCE
10.0.0.2:50052  attached  7.0.0     19.0 GiB of 24.0 GiB  redis
  serves 127.0.0.1:18080

1 of 3 configured do not answer: http://attic:11434
"""


def run(
    snapshot: ClusterSnapshot,
    settings: Resolved | None = None,
    spoken: Voice | None = None,
    *,
    as_json: bool = False,
) -> tuple[int, str, str]:
    spoken = spoken or voice()
    code = status(
        lambda: FakeEngine(snapshot),
        settings or resolved(),
        spoken,
        as_json=as_json,
        clock=lambda: 1_790_000_000.5,
    )
    return code, *heard(spoken)


def test_the_table_says_what_there_is_and_what_is_wrong() -> None:
    code, out, err = run(CLUSTER)
    assert code == 1
    assert err == ""
    assert out == TABLE


def test_the_table_fits_in_eighty_cells_whatever_comes() -> None:
    long = NODE._replace(
        url=NodeUrl("http://" + "x" * 200 + ":1"),
        models=(),
        loaded=(LoadedModel("模型" * 60, 1),),
        fault=Fault(FaultKind.SERVER, "y" * 300),
    )
    _, out, _ = run(ClusterSnapshot(nodes=(long, NODE)))
    table = out.splitlines()[2:-2]
    assert max(cell_width(line) for line in table) <= 80
    assert any("…" in line for line in table)


def test_foreign_text_cannot_command_the_terminal() -> None:
    hostile = NODE._replace(
        version="1\x1b[2J\n\u202e2",
        loaded=(LoadedModel("a\x07b"),),
        fault=Fault(FaultKind.SERVER, "x\r\x9b31my"),
    )
    _, out, _ = run(ClusterSnapshot(nodes=(hostile,)), spoken=voice(colours=False))
    assert not any(c in out for c in "\x1b\x07\r\x9b\u202e")


def test_whoever_wants_ascii_gets_nothing_else() -> None:
    long = NODE._replace(loaded=(LoadedModel("x" * 99),))
    _, out, _ = run(ClusterSnapshot(nodes=(long, DEAD)), spoken=voice()._replace(ascii=True))
    assert "~" in out
    assert out.isascii()


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b" not in run(CLUSTER)[1]
    coloured = run(CLUSTER, spoken=voice(colours=True))[1]
    assert "\x1b[31mdown" in coloured
    assert "\x1b[32mready" in coloured


def test_all_that_is_configured_answers() -> None:
    code, out, _ = run(CLUSTER._replace(nodes=(NODE, USUAL)))
    assert code == 0
    assert out.splitlines()[-1] == "All that is configured answers (2)."


def test_the_usual_place_may_be_empty_and_is_shown_as_what_it_is() -> None:
    code, out, _ = run(ClusterSnapshot(nodes=(USUAL,)))
    assert code == 0
    assert "connection refused (not configured: looked at unasked)" in out
    assert out.splitlines()[-1].startswith("Nothing is configured")


def test_a_dead_registry_counts_when_somebody_named_it() -> None:
    dead = RegistryState("redis://h:1", RegistryStatus.DOWN, Fault(FaultKind.REFUSED))
    snapshot = ClusterSnapshot(nodes=(NODE,), registry=dead)
    assert run(snapshot)[0] == 0
    named = resolved(state("redis_url", "redis://h:1", "REDIS_URL", "env"))
    code, out, _ = run(snapshot, named)
    assert code == 1
    assert "registry down redis://h:1 (connection refused)" in out
    off = resolved(state("redis_url", "off", "--redis", "flag"))
    without = snapshot._replace(registry=RegistryState("", RegistryStatus.OFF))
    assert run(without, off)[0] == 0


def test_the_json_is_one_line_of_ascii_as_promised() -> None:
    code, out, err = run(CLUSTER, as_json=True)
    assert (code, err) == (1, "")
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == status_json(CLUSTER, 1_790_000_000.5)


@pytest.mark.parametrize("as_json", [False, True])
def test_notes_about_the_settings_go_to_stderr(as_json: bool) -> None:
    _, out, err = run(ClusterSnapshot(), resolved(notes=["REDIS_URL is odd"]), as_json=as_json)
    assert "odd" not in out
    assert err == "REDIS_URL is odd\n"
