"""What a row stands for: its title, its detail, what `y` copies and what `a` offers."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from sollol_tui.core.ids import RPC_PORT, short_name
from sollol_tui.core.journal import Entry
from sollol_tui.core.state import BackendState, ClusterSnapshot, CoordinatorState, NodeState
from sollol_tui.engine.engine import Engine
from sollol_tui.engine.store import Store
from sollol_tui.ui.arguments import STARTED_HERE
from sollol_tui.ui.coordinator_menu import Action, coordinator_actions, whose
from sollol_tui.ui.panes.coordinator import coordinator_name, main_coordinator
from sollol_tui.ui.panes.nodes import node_name
from sollol_tui.ui.text import Line
from sollol_tui.ui.widgets.lines_pane import Lines

BY_HAND = "hand"


class Subject(NamedTuple):
    """The thing under the cursor. `key` is its URL, address or number; `pane` where it lies."""

    pane: str
    key: str
    title: str
    copied: str
    actions: tuple[Action, ...] = ()
    note: str = ""  # what a person should know before choosing


def subject_of(pane: str, key: str | None, store: Store) -> Subject | None:
    """What the cursor of a pane is on; None where there is nothing, or nothing more to know."""
    snapshot = store.snapshot
    if pane == "coordinator":
        return _coordinator(snapshot)
    if key is None:
        return None
    if pane == "nodes":
        return _node(snapshot, key)
    if pane == "rpc":
        return _backend(snapshot, key)
    return _entry(store, key) if pane == "events" else None


def describe(
    subject: Subject, engine: Engine, snapshot: ClusterSnapshot, now_s: float
) -> Lines | None:
    """Everything known of a subject now; None when it is gone."""
    from sollol_tui.ui.panes import events

    if subject.pane in ("nodes", "rpc", "coordinator"):
        return _target_lines(subject, engine, snapshot, now_s)
    store, ascii_only = engine.store, engine.settings.ascii
    entry = _find_entry(store, subject.key)
    if entry is None:
        return None
    decision = store.decision(entry.decision_id) if entry.decision_id else None
    if decision is None:
        return events.entry_lines(entry, ascii_only)
    return events.decision_lines(decision, ascii_only)


def _target_lines(
    subject: Subject, engine: Engine, snapshot: ClusterSnapshot, now_s: float
) -> Lines | None:
    from sollol_tui.ui.panes import detail
    from sollol_tui.ui.panes.queues import queues

    key, ascii_only = subject.key, engine.settings.ascii
    wait = queues(snapshot.requests).get(key)
    if node := snapshot.node(key):
        record = _record(engine, node, now_s)
        return detail.node_detail_lines(
            node, now_s, wait=wait, record=record, ascii_only=ascii_only
        )
    if backend := snapshot.backend(key):
        record = _record(engine, backend, now_s)
        return detail.backend_detail_lines(backend, now_s, record=record, ascii_only=ascii_only)
    if coordinator := snapshot.coordinator(key):
        return partial(
            detail.coordinator_detail_lines,
            coordinator,
            now_s=now_s,
            backends=snapshot.backends,
            wait=wait,
            record=_record(engine, coordinator, now_s),
            ascii_only=ascii_only,
        )
    return None


def _record(
    engine: Engine, target: NodeState | BackendState | CoordinatorState, now_s: float
) -> list[Line]:
    """What our requests to it were like, and what the router expects of it now."""
    from sollol_tui.ui.panes.record import record_lines, score_lines

    stats = engine.stats(now_s)
    rows = {row.key: row for row in (*stats.nodes, *stats.coordinators, *stats.backends)}
    lines = record_lines(rows.get(target[0]), stats)
    if isinstance(target, BackendState):
        return lines
    scores = score_lines(target, stats, engine.weigh, ascii_only=engine.settings.ascii)
    return [*lines, (), *scores] if scores else lines


def _coordinator(snapshot: ClusterSnapshot) -> Subject:
    shown = main_coordinator(snapshot.coordinators)
    actions = coordinator_actions(snapshot, shown)
    if shown is None:
        return Subject("coordinator", "", "Coordinator", "", actions)
    title = f"Coordinator {coordinator_name(shown)}"
    return Subject("coordinator", shown.url, title, shown.url, actions, whose(shown))


def _node(snapshot: ClusterSnapshot, key: str) -> Subject | None:
    node = snapshot.node(key)
    if node is None:
        return None
    actions = [
        Action(f"refresh {node.url}", "Look again"),
        Action(f"mode off {node.url}", "Send every request here (mode off)"),
        Action(f"node undrain {node.url}", "Give it new requests again", changes=True)
        if node.drained
        else Action(f"node drain {node.url}", "Drain it: nothing new goes there", changes=True),
    ]
    if BY_HAND in node.sources:
        actions.append(Action(f"node remove {node.url}", "Forget it", changes=True))
    return Subject("nodes", node.url, f"Node {node_name(node)}", node.url, tuple(actions))


def _backend(snapshot: ClusterSnapshot, key: str) -> Subject | None:
    backend = snapshot.backend(key)
    if backend is None:
        return None
    actions = [Action(f"refresh {backend.address}", "Look again")]
    if BY_HAND in backend.sources:
        actions.append(Action(f"rpc remove {backend.address}", "Forget it", changes=True))
    if STARTED_HERE in backend.sources:
        actions.append(Action(f"rpc stop {backend.address}", "Stop it", changes=True))
    title = f"RPC backend {short_name(backend.address, RPC_PORT)}"
    return Subject("rpc", backend.address, title, backend.address, tuple(actions))


def _entry(store: Store, key: str) -> Subject | None:
    entry = _find_entry(store, key)
    if entry is None:
        return None
    title = "Routing decision" if entry.decision_id else "Event"
    return Subject("events", key, title, f"{entry.subject} {entry.text}".strip())


def _find_entry(store: Store, key: str) -> Entry | None:
    entries = store.entries_after(int(key) - 1)
    return entries[0] if entries and entries[0].number == int(key) else None
