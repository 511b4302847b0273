"""`sollol-tui coordinator`: plan, run, status, stop. What each needs, brought together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sollol_tui.core.ids import CoordinatorUrl
from sollol_tui.core.places import managed_url, own_places
from sollol_tui.core.settings import CoordinatorSetting, Settings
from sollol_tui.core.settings_merge import Resolved
from sollol_tui.engine.engine import Engine
from sollol_tui.verbs.coordinator_options import CoordinatorOptions, with_model
from sollol_tui.verbs.voice import Voice

if TYPE_CHECKING:
    from sollol_tui.core.coordinator_json import Life
    from sollol_tui.core.state import ClusterSnapshot

EXIT_USAGE = 2


class CoordinatorCall(NamedTuple):
    """Everything the verb is called with."""

    options: CoordinatorOptions
    resolved: Resolved
    state_dir: Path
    as_json: bool = False


def coordinator(call: CoordinatorCall, voice: Voice) -> int:
    """Do what was asked for; the exit codes are those of its parts."""
    options, settings = call.options, call.resolved.settings
    if settings.read_only and options.what in ("run", "stop"):
        voice.tell("sollol-tui coordinator: read_only is set: nothing is started or stopped")
        return EXIT_USAGE
    voice = voice._replace(ascii=settings.ascii)
    for note in call.resolved.notes:
        voice.tell(note)
    return _DOERS[options.what](call, voice)


def _plan(call: CoordinatorCall, voice: Voice) -> int:
    from sollol_tui.verbs.coordinator_plan import show_plan

    options = call.options
    settings = with_model(call.resolved.settings, options.model)
    url = managed_url(settings, options.model)
    return show_plan(lambda: _looking(settings, call, url), options, voice, as_json=call.as_json)


def _run(call: CoordinatorCall, voice: Voice) -> int:
    from sollol_tui.verbs.coordinator_run import run

    options = call.options
    settings = with_model(call.resolved.settings, options.model)
    url = managed_url(settings, options.model)
    if not options.model:
        _tell_others(own_places(settings), url, voice)
    engine = partial(Engine, settings, call.state_dir, only=url)
    return run(engine, options, voice, as_json=call.as_json)


def _tell_others(places: Sequence[CoordinatorSetting], url: CoordinatorUrl, voice: Voice) -> None:
    """Which of several this is: each has a program of its own to keep it up."""
    others = [p.url for p in places if p.url != url]
    if others and places[0].source != "flag":
        voice.tell(
            f"sollol-tui: this is the coordinator at {url}; --coordinator URL runs another: "
            f"{', '.join(others)}"
        )


def _status(call: CoordinatorCall, voice: Voice) -> int:
    from sollol_tui.engine.found_run import FoundRun, life_of
    from sollol_tui.verbs.coordinator_status import only_coordinators, show_status

    url = managed_url(call.resolved.settings)
    settings = only_coordinators(call.resolved.settings, url)
    found = FoundRun(call.state_dir, url)
    places = (p.url for p in own_places(settings) if p.url != url)
    kept = [FoundRun(call.state_dir, place) for place in places]

    def others(snapshot: ClusterSnapshot) -> list[Life]:
        running = (f for f in kept if f.record() is not None or f.keeper() is not None)
        return [life_of(run, snapshot.coordinator(run.url)) for run in running]

    return show_status(
        lambda: _looking(settings, call),
        lambda state: life_of(found, state),
        url,
        voice,
        as_json=call.as_json,
        others=others,
    )


def _stop(call: CoordinatorCall, voice: Voice) -> int:
    from sollol_tui.verbs.coordinator_stop import stop

    return stop(managed_url(call.resolved.settings), call.state_dir, voice)


def _looking(
    settings: Settings, call: CoordinatorCall, only: CoordinatorUrl | None = None
) -> Engine:
    return Engine(settings, call.state_dir, supervises=False, only=only)


_DOERS: dict[str, Callable[[CoordinatorCall, Voice], int]] = {
    "plan": _plan,
    "run": _run,
    "status": _status,
    "stop": _stop,
}
