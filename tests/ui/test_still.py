"""What stands still is not asked for its lines again; what changes is."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

from sollol_tui.ui.text import Line
from sollol_tui.ui.theme import DARK, LIGHT, semantic_colours
from sollol_tui.ui.widgets.still import Still
from sollol_tui.ui.widgets.strip import OneLine, Segment
from tests.ui.chat_host import resize


class Counted(Still):
    """Counts how often its lines are asked for."""

    asked = 0

    def _lines_of(self, crop: Region) -> list[Strip]:
        self.asked += 1
        return super()._lines_of(crop)


class Beside(App[None]):
    """A widget of many lines, and one line that changes."""

    def __init__(self) -> None:
        super().__init__()
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = DARK.name
        self.still = Counted()
        self.moving = OneLine()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def compose(self) -> ComposeResult:
        self.still.styles.height = 5
        self.moving.styles.height = 1
        yield from (self.still, self.moving)


def line(text: str) -> list[Segment]:
    spans: Line = ((text, ""),)
    return [Segment(spans)]


def shown(app: App[None]) -> str:
    return app.export_screenshot()


async def test_a_frame_of_another_widget_does_not_ask_a_still_one_for_its_lines() -> None:
    app = Beside()
    async with app.run_test(size=(20, 8)) as pilot:
        await pilot.pause()
        before = app.still.asked
        for number in range(3):
            app.moving.show(line(f"number {number}"))
            await pilot.pause()
        assert "number" in shown(app)
        assert app.still.asked == before


async def test_a_refresh_a_new_size_and_new_colours_ask_for_the_lines_again() -> None:
    app = Beside()
    async with app.run_test(size=(20, 8)) as pilot:
        await pilot.pause()
        counts = [app.still.asked]
        app.still.refresh(Region(0, 0, 4, 1))
        await pilot.pause()
        counts.append(app.still.asked)
        await resize(pilot, 30, 8)
        counts.append(app.still.asked)
        app.theme = LIGHT.name
        await pilot.pause()
        counts.append(app.still.asked)
        assert counts == sorted(set(counts))


async def test_a_line_that_changes_is_painted_however_often() -> None:
    app = Beside()
    async with app.run_test(size=(20, 8)) as pilot:
        for word in ("one", "two", "three"):
            app.moving.show(line(word))
            await pilot.pause()
            assert word in shown(app)
