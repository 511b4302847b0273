"""What a command's argument can be: completion, and from a name to the thing it means."""

from __future__ import annotations

from sollol_tui.core.ids import (
    COORDINATOR_PORT,
    OLLAMA_PORT,
    RPC_PORT,
    parse_node_url,
    short_name,
)
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.refused import Refused
from sollol_tui.ui.text import clean

_NAMED = 6  # in a sentence

STARTED_HERE = "app"
"""The source of backends that were started from this program (`engine.here`)."""


def node_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return tuple(node.name or short_name(node.url, OLLAMA_PORT) for node in snapshot.nodes)


def answerer_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """Nodes and coordinators: those that answer."""
    coordinators = (c.name or short_name(c.url, COORDINATOR_PORT) for c in snapshot.coordinators)
    return (*node_choices(snapshot), *coordinators)


def nobody(snapshot: ClusterSnapshot, text: str) -> Refused:
    """That nobody who answers is called so, and who there is."""
    names = [clean(name, 30) for name in answerer_choices(snapshot)]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    there_is = f"There is: {', '.join(names[:_NAMED])}{more}." if names else "There is none yet."
    return Refused(f"There is no node and no coordinator “{clean(text, 60)}”. {there_is}")


def backend_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return tuple(backend.address for backend in snapshot.backends)


def own_backend_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """The backends that were started from here."""
    return tuple(b.address for b in snapshot.backends if STARTED_HERE in b.sources)


def own_coordinator_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    """The coordinators that this program looks after."""
    own = (c for c in snapshot.coordinators if c.supervised)
    return tuple(c.name or short_name(c.url, COORDINATOR_PORT) for c in own)


def target_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return (*node_choices(snapshot), *backend_choices(snapshot))


def mode_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    return (*Mode, *(f"off {name}" for name in node_choices(snapshot)))


def model_choices(snapshot: ClusterSnapshot) -> tuple[str, ...]:
    from sollol_tui.ui.chat.models import models_of

    return tuple(choice.name for choice in models_of(snapshot) if choice.is_usable)


def theme_choices(_snapshot: ClusterSnapshot) -> tuple[str, ...]:
    from textual.theme import BUILTIN_THEMES

    from sollol_tui.ui.theme import THEMES

    return (*(theme.name for theme in THEMES), *sorted(BUILTIN_THEMES))


def find_node(snapshot: ClusterSnapshot, text: str) -> str | None:
    """The URL of the node that a name, a short name or a URL means."""
    wanted = text.strip().casefold()
    for node in snapshot.nodes:
        if wanted in (node.url, node.name.casefold(), short_name(node.url, OLLAMA_PORT)):
            return node.url
    try:
        url = parse_node_url(text)
    except ValueError:
        return None
    return url if snapshot.node(url) else None


def find_target(snapshot: ClusterSnapshot, text: str) -> str | None:
    """The URL or address of the node, coordinator or backend that a text means."""
    wanted = text.strip().casefold()
    for coordinator in snapshot.coordinators:
        short = short_name(coordinator.url, COORDINATOR_PORT)
        if wanted in (coordinator.url, coordinator.name.casefold(), short):
            return coordinator.url
    for backend in snapshot.backends:
        if wanted in (backend.address, short_name(backend.address, RPC_PORT)):
            return backend.address
    return find_node(snapshot, text)
