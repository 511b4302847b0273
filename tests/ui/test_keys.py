"""The keys: each does what its tooltip says, none is one that terminals swallow."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.binding import Binding

from sollol_tui.core.settings import Settings
from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.commands import BY_NAME
from sollol_tui.ui.keys import APP_KEYS, DASHBOARD_KEYS, DIALOG_KEYS, MESSAGE_KEYS, PANES
from sollol_tui.ui.widgets.cursor_pane import CursorPane
from sollol_tui.ui.widgets.live_table import LiveTable
from tests.ui.clusters import COORDINATOR, FULL, RIG
from tests.ui.stand_in import StillEngine, shown, until, until_shown

ALL = [*APP_KEYS, *DASHBOARD_KEYS, *MESSAGE_KEYS, *DIALOG_KEYS]
SWALLOWED = {"ctrl+i", "ctrl+m", "ctrl+h", "ctrl+b", "ctrl+a", "ctrl+s", "ctrl+z", "ctrl+["}


def is_at(pane: str) -> Callable[[SollolApp], bool]:
    return lambda app: app.dashboard.current == pane and app.focused is not None


def opened(name: str) -> Callable[[SollolApp], bool]:
    return lambda app: type(app.screen).__name__ == name


def nodes(app: SollolApp) -> LiveTable:
    return app.dashboard.panes.nodes


def asked(*call: str) -> Callable[[SollolApp], bool]:
    def is_asked(app: SollolApp) -> bool:
        assert isinstance(app.engine, StillEngine)
        return call in app.engine.calls

    return is_asked


def is_drained(name: str, drained: bool) -> Callable[[SollolApp], bool]:
    def is_so(app: SollolApp) -> bool:
        said = any(f"{name} takes" in note.message for note in app._notifications)
        (node,) = [node for node in app.snapshot.nodes if node.name == name]
        return said and node.drained is drained

    return is_so


# id of the binding → key, and what is so after it
DEEDS: dict[str, list[tuple[str, Callable[[SollolApp], bool]]]] = {
    "help": [("question_mark", opened("HelpScreen"))],
    "help.anywhere": [("f1", opened("HelpScreen"))],
    "command": [("colon", opened("CommandLine"))],
    "filter": [("slash", opened("FilterLine"))],
    "mode": [("m", opened("ModePicker"))],
    "mode.anywhere": [("ctrl+o", opened("ModePicker"))],
    "sessions": [("ctrl+r", lambda app: any("kept" in n.message for n in app._notifications))],
    "sort": [("s", lambda app: nodes(app).sort[0] == "status")],
    "reverse": [("s,S", lambda app: nodes(app).sort == ("status", True))],
    "zoom": [("z", lambda app: app.dashboard.has_class("-zoomed"))],
    "pause": [("p", asked("pause", "True")), ("p,p", asked("pause", "False"))],
    "refresh": [("r", asked("refresh", "everything"))],
    "copy": [("y", lambda app: app.clipboard == RIG)],
    "actions": [("a", opened("ChoiceScreen"))],
    "log": [("1,l", opened("LogScreen"))],
    "drain": [("d", is_drained("gpu-rig", True)), ("d,d", is_drained("gpu-rig", False))],
    "errors": [("4,e", lambda app: app.dashboard.panes.events.errors_only)],
    "again": [
        ("f5", lambda app: any("Nothing was asked" in n.message for n in app._notifications))
    ],
    "answer": [("4,g", lambda app: any("No answer" in n.message for n in app._notifications))],
    "detail": [("1,enter", opened("DetailScreen")), ("2,enter", opened("DetailScreen"))],
    "palette": [("ctrl+p", opened("Palette"))],
    "theme": [("T", opened("Palette"))],
    **{pane: [(str(number), is_at(pane))] for number, pane in enumerate(PANES, start=1)},
    "next": [("tab", is_at("rpc"))],
    "previous": [("shift+tab", is_at("coordinator"))],
    "back": [("z,escape", lambda app: not app.dashboard.has_class("-zoomed"))],
    "quit": [("q", lambda app: app.return_code == 0)],
    "quit.always": [("ctrl+q", lambda app: app.return_code == 0)],
}


@pytest.mark.parametrize(
    ("keys", "is_done"),
    [pytest.param(*deed, id=deed[0]) for deeds in DEEDS.values() for deed in deeds],
)
async def test_a_key_does_what_it_says(keys: str, is_done: Callable[[SollolApp], bool]) -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*keys.split(","))
        await until(pilot, lambda: is_done(app))


def test_every_key_is_tried_here() -> None:
    hints = {"quit.hint"}
    assert {binding.id for binding in [*APP_KEYS, *DASHBOARD_KEYS]} - hints == set(DEEDS)


@pytest.mark.parametrize("binding", ALL, ids=lambda binding: str(binding.id))
def test_every_binding_has_an_id_and_says_what_it_does(binding: Binding) -> None:
    assert binding.id
    assert binding.system or binding.tooltip


def test_no_id_names_two_bindings() -> None:
    ids = [binding.id for binding in ALL]
    assert len(ids) == len(set(ids))


def test_no_key_is_one_that_terminals_swallow_or_turn_into_another() -> None:
    keys = {key.strip() for binding in ALL for key in binding.key.split(",")}
    assert not keys & SWALLOWED
    assert not {key for key in keys if key.startswith("alt+")}
    assert not {key for key in keys if key in ("ctrl+enter", "shift+enter", "ctrl+tab")}


def test_the_help_of_a_key_is_the_help_of_its_command() -> None:
    for binding in DASHBOARD_KEYS:
        assert binding.tooltip == BY_NAME[str(binding.id).removesuffix(".anywhere")].help


async def test_arrows_and_letters_move_the_cursor() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        table = nodes(app)
        seen = []
        for key in ("j", "down", "k", "up", "G", "g"):
            await pilot.press(key)
            seen.append(table.cursor_key)
    first, second, third = (node.url for node in FULL.nodes)
    assert seen == [second, third, second, first, third, first]


async def test_tab_goes_through_all_panes_in_the_order_of_their_numbers() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1")
        seen = []
        for _ in PANES:
            seen.append(app.dashboard.current)
            await pilot.press("tab")
        assert app.dashboard.current == PANES[0]
    assert tuple(seen) == PANES


async def test_a_remapped_key_works_and_is_the_one_that_is_shown() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(200, 60)) as pilot:
        await until_shown(pilot, "z Zoom")
        app.set_keymap({"zoom": "f5"})
        await until_shown(pilot, "F5 Zoom")
        await pilot.press("f5")
        assert app.dashboard.has_class("-zoomed")


async def test_keys_that_mean_nothing_in_a_pane_are_not_offered_there() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "s Sort")
        await pilot.press("5")
        await until(pilot, lambda: "s Sort" not in shown(app))
        assert "/ Filter" not in shown(app)
        assert "? Help" in shown(app)


async def test_the_key_line_keeps_help_and_quit_when_it_is_narrow() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(50, 20)) as pilot:
        await until_shown(pilot, "? Help", "^q Quit")
        line = shown(app).splitlines()[-1]
        assert line.split()[:4] == ["?", "Help", "Enter", "Detail"]
        assert "Palette" not in line


async def test_escape_clears_the_filter_before_it_does_anything_else() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("z", *"/gpu", "enter")
        await until_shown(pilot, "1 of 3")
        await pilot.press("escape")
        await until(pilot, lambda: "1 of 3" not in shown(app))
        assert app.dashboard.has_class("-zoomed")


async def test_read_only_offers_no_command_that_changes_anything() -> None:
    app = SollolApp(StillEngine(FULL, Settings(read_only=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig", "RO")
        titles = {entry.title for entry in app.get_system_commands(app.screen)}
        assert "Add a node" not in titles
        await pilot.press(*":rpc add 10.0.0.9", "enter")
        await until_shown(pilot, "“rpc add” changes something")


async def test_a_pane_without_rows_has_nothing_to_open_and_nothing_happens() -> None:
    app = SollolApp(StillEngine(ClusterSnapshot(looked=True)))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "No Ollama node is known")
        for key in ("enter", "a", "y"):
            await pilot.press(key)
        assert app.screen is app.dashboard
        assert isinstance(app.dashboard.pane, CursorPane)


async def test_the_coordinator_pane_opens_the_coordinator() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("1", "y")
        await until(pilot, lambda: app.clipboard == COORDINATOR)
