"""What the event log says of a drain."""

from __future__ import annotations

from sollol_tui.core.events import NodeDrained
from sollol_tui.core.ids import NodeUrl
from sollol_tui.core.state import ClusterSnapshot, NodeState, NodeStatus
from sollol_tui.core.telling import tell

URL = NodeUrl("http://10.0.0.7:11434")
NODE = NodeState(URL, "gpu-rig", status=NodeStatus.UP)


def said(before: NodeState, after: NodeState) -> list[str]:
    snapshots = (ClusterSnapshot(nodes=(before,)), ClusterSnapshot(nodes=(after,)))
    return [told.text for told in tell(*snapshots, NodeDrained(URL, after.drained))]


def test_a_drain_says_what_still_runs_and_when_the_last_of_it_has_ended() -> None:
    drained, busy = NODE._replace(drained=True), NODE._replace(in_flight=2)
    assert said(NODE, drained) == ["gpu-rig is drained: takes no new requests"]
    assert said(busy, drained._replace(in_flight=2)) == [
        "gpu-rig is draining: takes no new requests, 2 still running there"
    ]
    assert said(drained._replace(in_flight=2), drained._replace(in_flight=1)) == []
    assert said(drained._replace(in_flight=1), drained) == [
        "gpu-rig is drained: the last request there has ended"
    ]
    assert said(drained, NODE) == ["gpu-rig takes requests again"]


def test_a_request_that_ends_on_a_node_that_is_not_drained_is_no_news() -> None:
    assert said(NODE._replace(in_flight=1), NODE) == []


def test_one_that_named_the_drained_node_begins_without_a_word() -> None:
    drained = NODE._replace(drained=True)
    assert said(drained, drained._replace(in_flight=1)) == []
