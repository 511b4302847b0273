"""The palette says a look for every style name, in colours that every theme has."""

from __future__ import annotations

from sollol_tui.ui.markdown import styles
from sollol_tui.ui.palette import MESSAGES, PANES, find, mix
from sollol_tui.ui.text import STYLES
from sollol_tui.ui.theme import DARK, LIGHT
from sollol_tui.ui.widgets.transcript import Transcript
from tests.ui.chat_host import Host


def test_every_style_name_has_an_ink() -> None:
    markdown = {*styles.HEADINGS, *styles.INLINE, *styles.BLOCKS, *styles.CODE}
    assert set(STYLES) <= PANES.keys() <= MESSAGES.keys()
    assert markdown <= MESSAGES.keys()


async def test_every_colour_is_one_of_the_theme_and_another_theme_is_taken_over_at_once() -> None:
    transcript = Transcript()
    async with Host(transcript).run_test(size=(40, 8)) as pilot:
        app = pilot.app
        for ink in MESSAGES.values():
            assert {ink.colour, ink.ground} - {""} <= app.theme_variables.keys()
        for theme in (LIGHT, DARK):
            app.theme = theme.name
            await pilot.pause()
            colour = mix(MESSAGES["good"], app.theme_variables).colour
            assert colour is not None
            assert transcript._looks.style("good").color == colour.rich_color


def test_where_it_has_the_focus_or_the_terminal_its_own_colours_a_name_may_look_otherwise() -> None:
    looks = [
        find(PANES, "cursor", is_ansi=is_ansi, has_focus=has_focus)
        for is_ansi in (False, True)
        for has_focus in (False, True)
    ]
    assert len(set(looks)) == 4
    assert find(PANES, "no such name", is_ansi=True, has_focus=True) is None
