"""What the mode picker says of a cluster, and what it gives back."""

from __future__ import annotations

import pytest
from textual.app import App

from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.ui.mode_cards import card_lines, mode_card
from sollol_tui.ui.screens.mode_picker import ModeChoice, ModePicker
from sollol_tui.ui.text import plain
from sollol_tui.ui.theme import semantic_colours, stylesheets
from tests.ui.clusters import BROKEN, EMPTY, FULL, NAS, RIG, SPARK


def told(mode: Mode, snapshot: ClusterSnapshot) -> str:
    lines = card_lines(mode_card(mode, snapshot, "13 B"))
    return " ".join(" ".join(plain(line) for line in lines).split())


@pytest.mark.parametrize(
    ("mode", "snapshot", "there"),
    [
        (Mode.TASK, FULL, "yes"),
        (Mode.TASK, EMPTY, "no"),
        (Mode.TASK, ClusterSnapshot(), "unknown"),
        (Mode.TASK, BROKEN, "no"),
        (Mode.MODEL, FULL, "yes"),
        (Mode.MODEL, EMPTY, "no"),
        (Mode.BOTH, FULL, "yes"),
        (Mode.BOTH, FULL._replace(coordinators=EMPTY.coordinators), "partly"),
        (Mode.BOTH, EMPTY, "no"),
        (Mode.OFF, FULL._replace(pinned=RIG), "yes"),
        (Mode.OFF, BROKEN._replace(pinned=NAS), "no"),
    ],
)
def test_a_mode_says_whether_it_can_work_now(
    mode: Mode, snapshot: ClusterSnapshot, there: str
) -> None:
    assert mode_card(mode, snapshot, "13 B").there == there


def test_a_missing_coordinator_is_named_with_the_reason() -> None:
    text = told(Mode.MODEL, EMPTY)
    assert "✗ coordinator localhost: connection refused" in text
    assert "until a coordinator answers" in text


def test_both_names_the_size_that_parts_it() -> None:
    assert "below 13 B go to the nodes, from 13 B on to the coordinator" in told(Mode.BOTH, FULL)


def test_a_serving_coordinator_is_named_with_its_model() -> None:
    assert "● coordinator 10.0.0.1 serves codellama:34b" in told(Mode.MODEL, FULL)
    assert "3 of 3 there, 2 serving" in told(Mode.MODEL, FULL)


class Host(App[ModeChoice | None]):
    CSS_PATH = stylesheets()

    def __init__(self, picker: ModePicker) -> None:
        super().__init__()
        self.picker = picker
        self.answers: list[ModeChoice | None] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return semantic_colours(self.current_theme)

    def on_mount(self) -> None:
        self.push_screen(self.picker, self.answers.append)


async def test_enter_applies_the_mode_under_the_cursor_and_escape_none() -> None:
    app = Host(ModePicker(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("up", "enter")
        await pilot.pause()
        app.push_screen(ModePicker(FULL), app.answers.append)
        await pilot.press("down", "escape")
        await pilot.pause()
    assert app.answers == [(Mode.MODEL, ""), None]


async def test_off_asks_for_the_node_and_escape_goes_back_to_the_modes() -> None:
    app = Host(ModePicker(FULL._replace(pinned=SPARK)))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("end", "enter")
        assert app.answers == []
        await pilot.press("escape")
        assert app.answers == []
        await pilot.press("enter", "enter")
        await pilot.pause()
    assert app.answers == [(Mode.OFF, SPARK)]


async def test_the_picker_follows_the_cluster_and_keeps_its_cursor() -> None:
    app = Host(ModePicker(EMPTY, Mode.BOTH))
    async with app.run_test(size=(80, 24)) as pilot:
        app.picker.show_snapshot(FULL)
        await pilot.press("enter")
        await pilot.pause()
    assert app.answers == [(Mode.BOTH, "")]
