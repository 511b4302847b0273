"""What becomes of a coordinator of ours when the program ends: asked once."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.ui.leaving import CANCEL, STAYS, STOPS
from sollol_tui.ui.screens.choice import ChoiceScreen, Item


class LeaveScreen(ChoiceScreen):
    """Ends with `STAYS`, `STOPS`, or anything else for no.

    Args:
        models: what the coordinators of ours run.
        ours: the backends that they hold and that were started from here.
    """

    def __init__(self, models: Sequence[str], ours: Sequence[str] = ()) -> None:
        note = 'The setting on_quit = "stay" or "stop" answers this for good.'
        if ours:
            note = f"What was started for it stays or ends with it: {', '.join(ours)}."
        stay, are = ("They stay", "They are") if len(models) > 1 else ("It stays", "It is")
        finds = "them" if len(models) > 1 else "it"
        items = (
            Item(STAYS, f"{stay} running", f"the next start finds {finds}"),
            Item(STOPS, f"{are} stopped"),
            Item(CANCEL, "Cancel", "go on here"),
        )
        super().__init__(_title(models), items, note)


def _title(models: Sequence[str]) -> str:
    if len(models) > 1:
        return f"{len(models)} coordinators ({', '.join(models)}) are running"
    return f"The coordinator ({models[0]}) is running" if models else "The coordinator is running"
