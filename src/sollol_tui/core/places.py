"""Where coordinators of ours listen on this host, and which of them is for a model."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.core.ids import (
    CoordinatorUrl,
    host_of,
    is_called,
    is_loopback,
    is_model_path,
    parse_coordinator_url,
    port_of,
)
from sollol_tui.core.orders import Order
from sollol_tui.core.settings import CoordinatorSetting, Settings


def own_places(settings: Settings) -> tuple[CoordinatorSetting, ...]:
    """The places of ours, the usual one first.

    Those that say how they are to be run; where none does, the first one on this host, else 18080.
    One that a flag names comes first: that is what is meant now.
    """
    here = [c for c in settings.coordinators if is_loopback(host_of(c.url))]
    flagged = [c for c in here if c.source == "flag"]
    ours = flagged + [c for c in here if c.says_how and c not in flagged]
    if not ours:
        ours = here[:1] or [CoordinatorSetting(parse_coordinator_url("127.0.0.1"))]
    by_port: dict[int | None, CoordinatorSetting] = {}
    for place in ours:  # what is kept of a run is kept by its port
        by_port.setdefault(port_of(place.url), place)
    return tuple(by_port.values())


def managed_url(settings: Settings, model: str = "") -> CoordinatorUrl:
    """Where a coordinator of ours is meant: where a flag says, where that model is run, where no
    other is, or the usual place."""
    places = own_places(settings)
    if not model or places[0].source == "flag":
        return places[0].url
    free = next((p for p in places if not p.model), places[0])
    return (place_for(places, model) or free).url


def place_for(places: Sequence[CoordinatorSetting], model: str) -> CoordinatorSetting | None:
    """The place that is set to run a model."""
    return next((p for p in places if is_set_for(p, model)), None)


def placed(order: Order, place: CoordinatorSetting) -> Order:
    """The order for a place, with what that says itself where the order says nothing.

    Of the backends that the place names, those that are away are left out.
    """
    named = order.backends is None and place.backends is not None
    takes_its_model = bool(place.model) and (not order.model or is_set_for(place, order.model))
    return order._replace(
        host=host_of(place.url),
        port=port_of(place.url) or order.port,
        model=place.model if takes_its_model else order.model,
        insists=order.insists or takes_its_model,
        backends=place.backends if named else order.backends,
        strict=order.strict and not named,
        context_tokens=order.context_tokens or place.context_tokens,
    )


def is_set_for(place: CoordinatorSetting, model: str) -> bool:
    """Whether a place is set to run that model."""
    path = place.model if is_model_path(place.model) else ""
    return bool(place.model and model) and is_called(model, place.model, path)
