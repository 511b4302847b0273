"""What becomes of a coordinator of ours when the program ends: asked once."""

from __future__ import annotations

from collections.abc import Sequence

from sollol_tui.ui.leaving import CANCEL, STAYS, STOPS
from sollol_tui.ui.screens.choice import ChoiceScreen, Item


class LeaveScreen(ChoiceScreen):
    """Ends with `STAYS`, `STOPS`, or anything else for no.

    Args:
        model: what it runs.
        ours: the backends that it holds and that end with this program.
    """

    def __init__(self, model: str, ours: Sequence[str] = ()) -> None:
        what = f"The coordinator ({model})" if model else "The coordinator"
        note = 'The setting on_quit = "stay" or "stop" answers this for good.'
        if ours:
            note = f"It holds {', '.join(ours)}, which ends with this program: it would be lost."
        items = (
            Item(STAYS, "It stays running", "the next start finds it"),
            Item(STOPS, "It is stopped"),
            Item(CANCEL, "Cancel", "go on here"),
        )
        super().__init__(f"{what} is running", items, note)
