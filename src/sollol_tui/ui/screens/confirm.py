"""A question before something is lost: the safe answer has the cursor."""

from __future__ import annotations

from sollol_tui.ui.screens.choice import ChoiceScreen, Item

YES = "yes"


class ConfirmScreen(ChoiceScreen):
    """Ends with `YES`, or with anything else for no. `deed` is a verb: “Remove”, “Quit”."""

    def __init__(self, question: str, deed: str, note: str = "") -> None:
        super().__init__(question, (Item("no", "Cancel"), Item(YES, deed)), note)
