"""The way out: what is asked before, and what becomes of the coordinator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sollol_tui.ui.coordinator_menu import own_coordinators

if TYPE_CHECKING:
    from sollol_tui.ui.app import SollolApp

STAYS, STOPS, CANCEL = "stays", "stops", "cancel"


def leave(app: SollolApp) -> None:
    """Quit; ask first when something is being done, then what becomes of the coordinator."""
    question, deed, note = _interrupted(app)
    if not question:
        leave_coordinator(app)
        return
    from sollol_tui.ui.screens.confirm import YES, ConfirmScreen

    def quit_for(answer: str | None) -> None:
        if answer == YES:
            leave_coordinator(app)

    app.open(ConfirmScreen(question, deed, note), quit_for)


def _interrupted(app: SollolApp) -> tuple[str, str, str]:
    """What leaving would stop, as a question, its answer and a remark; empty: nothing."""
    if app.batching.is_going:
        note = "What is done stays; /batch with the same files goes on from there."
        what = f"A batch is going on, {app.batching.counted} done"
        return what, "Quit and stop it", note
    if app.dashboard.is_answering:
        return "An answer is being written", "Quit and stop it", ""
    return "", "", ""


def leave_coordinator(app: SollolApp) -> None:
    """Quit; a coordinator of ours stays or is stopped as the settings say, or as is answered.

    Asked for again while the question is open, it leaves at once, and the coordinator stays.
    """
    from sollol_tui.ui.screens.leave import LeaveScreen

    if not app.engine.owns_coordinator or isinstance(app.screen, LeaveScreen) or app.is_leaving:
        app.exit()
    elif app.engine.settings.on_quit == "ask":
        own = own_coordinators(app.snapshot)
        held = {b for c in own for b in c.backends}
        mine = [b for b in app.engine.here.backends if b in held]
        models = [c.model or c.url for c in own]
        app.open(LeaveScreen(models, mine), lambda answer: _leave_as(app, answer))
    else:
        _leave_as(app, STAYS if app.engine.settings.on_quit == "stay" else STOPS)


def _leave_as(app: SollolApp, answer: str | None) -> None:
    if answer not in (STAYS, STOPS):
        return
    app.engine.leave_coordinator(answer == STAYS)
    if answer == STAYS:
        app.exit()
        return
    app.is_leaving = True
    app.tell("Stopping the coordinator, then leaving. ^Q leaves at once.")
    app.run_worker(_stop_and_exit(app), description="leaving", exit_on_error=False)


async def _stop_and_exit(app: SollolApp) -> None:
    try:
        await app.engine.stop_coordinators()
    finally:
        app.exit()
