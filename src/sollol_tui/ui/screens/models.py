"""The model picker over the cluster as it is now."""

from __future__ import annotations

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.chat.model_picker import ModelPicker
from sollol_tui.ui.chat.models import models_of
from sollol_tui.ui.screens.steady import SteadyScreen
from sollol_tui.ui.theme import LATE_SHEETS, stylesheets


class LiveModelPicker(ModelPicker, SteadyScreen[str | None]):
    """Follows the cluster while it is open."""

    CSS_PATH = stylesheets(*LATE_SHEETS)

    def show_snapshot(self, snapshot: ClusterSnapshot) -> None:
        self.show_choices(models_of(snapshot))
