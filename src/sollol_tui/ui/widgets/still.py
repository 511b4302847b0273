"""Widgets that stand still while others move: their lines are asked for once."""

from __future__ import annotations

from typing import Self

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Still(Widget):
    """Keeps its lines until it is refreshed.

    The compositor asks every visible widget for all its lines in every frame, also for those that
    nothing happened to. Textual keeps the single lines as well, but goes through them one by one:
    a third of what a frame costs while an answer streams beside panes that stand still.
    """

    _kept: tuple[Region, list[Strip]] | None = None

    def render_lines(self, crop: Region) -> list[Strip]:
        kept = self._kept
        if kept is None or kept[0] != crop:
            self._kept = kept = crop, self._lines_of(crop)
        return kept[1]

    def _lines_of(self, crop: Region) -> list[Strip]:
        """The lines, when something changed."""
        return super().render_lines(crop)

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        self._kept = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        self._kept = None
        super().notify_style_update()
