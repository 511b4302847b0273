"""The commands about Ollama nodes: bringing one in, forgetting it, draining it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.core.state import ClusterSnapshot, NodeState
from sollol_tui.ui import dialogs
from sollol_tui.ui.arguments import find_node, node_choices
from sollol_tui.ui.command import Command
from sollol_tui.ui.panes.nodes import node_name
from sollol_tui.ui.refused import Refused

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp


def drained_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """The nodes that get nothing new."""
    return _choices(snapshot, drained=True)


def undrained_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """The nodes that can be drained."""
    return _choices(snapshot, drained=False)


def _choices(snapshot: ClusterSnapshot, *, drained: bool) -> tuple[str, ...]:
    nodes = tuple(node for node in snapshot.nodes if node.drained is drained)
    return node_choices(snapshot._replace(nodes=nodes))


def _add(app: SollolApp, argument: str) -> str:
    try:
        return f"Added {app.engine.add_node(argument)}; looking at it now."
    except ValueError as error:
        raise Refused(f"Not added: {error}.") from error


def _remove(app: SollolApp, argument: str) -> None:
    dialogs.ask_to_remove(app, _named(app, argument).url)


def _drain(app: SollolApp, argument: str) -> str:
    return drain(app, _named(app, argument), drained=True)


def _undrain(app: SollolApp, argument: str) -> str:
    return drain(app, _named(app, argument), drained=False)


def _turn(app: SollolApp, _argument: str) -> str:
    subject = app.dashboard.subject()
    node = app.snapshot.node(subject.key) if subject is not None else None
    if node is None:
        raise Refused("There is no node here: “node drain NODE” drains one by its name.")
    return drain(app, node, drained=not node.drained)


def drain(app: SollolApp, node: NodeState, *, drained: bool) -> str:
    """Give a node nothing new from now on, or requests again; and say so."""
    name = node_name(node)
    if node.drained is drained:
        return f"{name} is drained already." if drained else f"{name} is not drained."
    app.engine.drain(node.url, drained)
    if not drained:
        return f"{name} takes requests again."
    running = f" {node.in_flight} still running there will finish." if node.in_flight else ""
    return f"{name} takes no new requests, also in later runs.{running}"


def _named(app: SollolApp, argument: str) -> NodeState:
    url = find_node(app.snapshot, argument)
    node = app.snapshot.node(url) if url is not None else None
    if node is None:
        raise Refused(f"There is no node “{argument}”.")
    return node


NODE_COMMANDS: tuple[Command, ...] = (
    Command(
        "node add",
        "Add a node",
        "Add an Ollama node by its address",
        _add,
        arguments="URL",
        changes=True,
    ),
    Command(
        "node remove",
        "Remove a node",
        "Forget an Ollama node that was added by hand",
        _remove,
        arguments="NODE",
        choices=node_choices,
        changes=True,
    ),
    Command(
        "node drain",
        "Drain a node",
        "Give a node no new requests; what runs there finishes",
        _drain,
        arguments="NODE",
        choices=undrained_choices,
        changes=True,
    ),
    Command(
        "node undrain",
        "Undrain a node",
        "Give a drained node requests again",
        _undrain,
        arguments="NODE",
        choices=drained_choices,
        changes=True,
    ),
    Command(
        "drain",
        "Drain",
        "Send this node nothing new, or requests again",
        _turn,
        words=("undrain",),
        changes=True,
    ),
)
