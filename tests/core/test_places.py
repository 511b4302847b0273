"""Where coordinators of ours listen, and which of them a model is for."""

from __future__ import annotations

import pytest

from sollol_tui.core.ids import parse_backend_address, parse_coordinator_url
from sollol_tui.core.orders import Order
from sollol_tui.core.places import managed_url, own_places, place_for, placed
from sollol_tui.core.settings import CoordinatorSetting, Settings


def setting(text: str, **more: object) -> CoordinatorSetting:
    return CoordinatorSetting(parse_coordinator_url(text))._replace(**more)  # type: ignore[arg-type]


HERE, OTHER = setting("127.0.0.1"), setting("127.0.0.1:9000")
REMOTE = setting("10.0.0.9")
BIG = setting("127.0.0.1:18081", model="big:70b")
FILE = setting("127.0.0.1:18082", model="/models/m.gguf")


@pytest.mark.parametrize(
    ("coordinators", "ours"),
    [
        ((), [18080]),
        ((REMOTE,), [18080]),
        ((REMOTE, OTHER, HERE), [9000]),
        ((HERE, BIG), [18081]),
        ((HERE._replace(start=True), BIG), [18080, 18081]),
        ((BIG, HERE._replace(source="flag")), [18080, 18081]),
        ((HERE, BIG._replace(source="flag")), [18081]),
        ((BIG, setting("127.0.0.2:18081", start=True)), [18081]),
    ],
)
def test_those_that_say_how_they_are_run_are_ours_else_the_first_on_this_host(
    coordinators: tuple[CoordinatorSetting, ...], ours: list[int]
) -> None:
    """A flag comes first; what is kept of a run is kept by its port, so a port is there once."""
    places = own_places(Settings(coordinators=coordinators))
    assert [int(p.url.rsplit(":", 1)[1]) for p in places] == ours
    assert managed_url(Settings(coordinators=coordinators)) == places[0].url


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        ("big:70b", BIG),
        ("BIG:70B", BIG),
        ("m", FILE),
        ("/models/m.gguf", FILE),
        ("/other/m.gguf", None),
        ("70b", None),
        ("", None),
    ],
)
def test_a_model_has_the_place_that_is_set_to_run_it(
    asked: str, place: CoordinatorSetting | None
) -> None:
    assert place_for((HERE, BIG, FILE), asked) == place
    settings = Settings(coordinators=(HERE._replace(start=True), BIG, FILE))
    assert managed_url(settings, asked) == (place or HERE).url
    busy_first = settings._replace(coordinators=(BIG, HERE._replace(start=True), FILE))
    assert managed_url(busy_first, asked) == (place or (HERE if asked else BIG)).url
    flagged = settings._replace(coordinators=(OTHER._replace(source="flag"), BIG))
    assert managed_url(flagged, asked) == OTHER.url, "what a flag says is meant"


def test_an_order_takes_from_its_place_what_it_does_not_say() -> None:
    backends = (parse_backend_address("10.0.0.3"),)
    place = BIG._replace(backends=backends, context_tokens=16384)
    order = placed(Order(), place)
    assert (order.host, order.port, order.model) == ("127.0.0.1", 18081, "big:70b")
    assert (order.backends, order.context_tokens) == (backends, 16384)
    assert order.insists, "whatever file model_path names"
    assert not order.strict, "one that is away is left out"
    said = placed(Order("small:1b", (), context_tokens=512), place)
    assert (said.model, said.backends, said.context_tokens) == ("small:1b", (), 512)
    assert (said.insists, said.strict) == (False, True)
    assert placed(Order("m"), FILE).model == "/models/m.gguf"
