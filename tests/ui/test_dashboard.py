"""The dashboard: layouts at every size, zoom, tabs, filter, detail, what a snapshot does."""

from __future__ import annotations

import pytest
from textual.events import Resize
from textual.geometry import Size
from textual.widget import Widget

from sollol_tui.core.state import ClusterSnapshot
from sollol_tui.ui import arrangement
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.keys import PANES
from tests.ui.clusters import BROKEN, EMPTY, FULL, RIG
from tests.ui.stand_in import StillEngine, shown, until, until_shown

SIZES = [(80, 24), (120, 40), (200, 60)]
OTHERS = [(50, 12), (60, 17), (95, 55), (109, 40), (110, 32), (120, 31), (170, 45), (300, 90)]


def panes_in_sight(app: SollolApp) -> set[str]:
    return {name for name, pane in app.dashboard.panes.by_name.items() if pane.region.area > 0}


def is_whole(app: SollolApp, widget: Widget) -> bool:
    return app.screen.region.contains_region(widget.region)


@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((49, 40), "tiny"),
        ((80, 11), "tiny"),
        ((50, 12), "one"),
        ((80, 24), "one"),
        ((200, 31), "one"),
        ((110, 32), "two"),
        ((120, 40), "two"),
        ((200, 44), "two"),
        ((170, 45), "three"),
        ((200, 60), "three"),
    ],
)
def test_the_number_of_columns_follows_the_size(size: tuple[int, int], name: str) -> None:
    assert arrangement.arrangement(*size) == name


@pytest.mark.parametrize("size", [(120, 40), (200, 60)])
async def test_all_panes_are_in_sight_when_there_is_room(size: tuple[int, int]) -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=size) as pilot:
        await until_shown(pilot, "gpu-rig", "codellama:34b", "10.0.0.12", "first entry")
        assert panes_in_sight(app) == set(PANES)


@pytest.mark.parametrize("size", [*SIZES, *OTHERS], ids=str)
@pytest.mark.parametrize("snapshot", [EMPTY, FULL, BROKEN], ids=["empty", "full", "broken"])
async def test_nothing_overlaps_or_leaves_the_screen_at_any_size(
    size: tuple[int, int], snapshot: ClusterSnapshot
) -> None:
    app = SollolApp(StillEngine(snapshot))
    async with app.run_test(size=size) as pilot:
        await until_shown(pilot, "? Help", "^q Quit")
        children = [child for child in app.dashboard.children if child.region.area > 0]
        assert all(is_whole(app, child) for child in children)
        covered = sum(child.region.area for child in children)
        assert covered <= size[0] * size[1]
        assert not [
            (one, other)
            for at, one in enumerate(children)
            for other in children[at + 1 :]
            if one.region.overlaps(other.region)
        ]


async def test_a_narrow_screen_shows_one_pane_and_the_tail_of_the_events() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "1 Coord", "2 Nodes", "6 Chat", "gpu-rig", "first entry")
        assert panes_in_sight(app) == {"nodes", "events"}
        await pilot.press("3")
        await until_shown(pilot, "10.0.0.12")
        assert panes_in_sight(app) == {"rpc", "events"}
        await pilot.press("4")
        await until(pilot, lambda: panes_in_sight(app) == {"events"})
        await pilot.press("6")
        await until(pilot, lambda: panes_in_sight(app) == {"chat"})
        await pilot.press("escape")
        await until(pilot, lambda: panes_in_sight(app) == {"events"})


async def test_a_narrow_screen_with_many_rows_shows_all_servers_at_once() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(95, 55)) as pilot:
        await until_shown(pilot, "codellama:34b", "gpu-rig", "10.0.0.12", "first entry")
        assert panes_in_sight(app) == {"coordinator", "nodes", "rpc", "events"}
        await pilot.press("6")
        await until(pilot, lambda: panes_in_sight(app) == {"chat"})
        await pilot.press("escape", "z")
        await until(pilot, lambda: panes_in_sight(app) == {"nodes"})


async def test_a_tiny_terminal_says_what_it_needs_and_recovers() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.resize_terminal(40, 10)
        await until_shown(pilot, "need 50×12, have 40×10")
        assert "gpu-rig" not in shown(app)
        assert panes_in_sight(app) == set()
        await pilot.resize_terminal(120, 40)
        await until_shown(pilot, "gpu-rig", "codellama:34b")
        assert panes_in_sight(app) == set(PANES)
        await pilot.press("j")
        assert app.dashboard.panes.nodes.cursor_key != RIG  # the focus came back, too


@pytest.mark.parametrize("key", ["", "m", "ctrl+p"])
async def test_sizes_that_come_faster_than_layouts_are_not_answered_for_ever(key: str) -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "gpu-rig")
        if key:
            await pilot.press(key)
        laid_out: list[Size] = []
        app.screen.screen_layout_refresh_signal.subscribe(
            app.dashboard, lambda screen: laid_out.append(screen.size), immediate=True
        )
        for rows in (25, 24, 25, 30):  # the terminal tells the app, the app tells its screen
            size = Size(80, rows)
            app._size = size
            app.screen.post_message(Resize(size, size))
            app.screen.call_later(lambda: None)  # else the next size replaces this one
        await until(pilot, lambda: app.screen.size.height == 30)
        await pilot.pause()  # until nothing goes on any more
        assert len(laid_out) < 10
        assert app.dashboard.size.height == 30


async def test_zoom_gives_the_pane_the_screen_and_back() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("z")
        await until(pilot, lambda: panes_in_sight(app) == {"nodes"})
        assert app.dashboard.panes.nodes.region.width == 120
        await pilot.press("3")
        await until(pilot, lambda: panes_in_sight(app) == {"rpc"})
        await pilot.press("z")
        await until(pilot, lambda: panes_in_sight(app) == set(PANES))


async def test_the_filter_acts_while_it_is_typed_and_is_shown_in_the_title() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*"/gp")
        await until_shown(pilot, "/gp 1 of 3")
        await pilot.press("escape")
        await until(pilot, lambda: "1 of 3" not in shown(app))
        assert app.screen is app.dashboard
        await pilot.press(*"/spark", "enter")
        await until_shown(pilot, "/spark 1 of 3")
        await pilot.press("slash")
        await until_shown(pilot, "/spark")  # the filter is there to go on with


async def test_a_routing_decision_is_one_key_away_from_its_event() -> None:
    engine = StillEngine(FULL)
    engine.tell_route()
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "llama3.2:3b → gpu-rig")
        await pilot.press("4", "enter")
        await until_shown(pilot, "Routing decision", "shortest wait", "below 13 B")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)


async def test_a_detail_follows_its_subject_until_it_is_gone() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("enter")
        await until_shown(pilot, "Node gpu-rig", "gemma3:27b")
        engine.show(BROKEN)
        await until_shown(pilot, "no token for 64 s")
        engine.show(FULL._replace(nodes=FULL.nodes[1:]))
        await until_shown(pilot, "It is gone")


async def test_a_row_action_is_the_command_it_stands_for() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("a")
        await until_shown(pilot, "Look again")
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: ("refresh", RIG) in engine.calls)


async def test_a_new_snapshot_reaches_every_pane() -> None:
    engine = StillEngine(EMPTY)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "nothing listens there", "No RPC backend is known")
        engine.store.log("warn", "node", RIG, "something happened")
        engine.show(FULL)
        await until_shown(pilot, "codellama:34b", "gpu-rig", "10.0.0.12", "something happened")
        await until_shown(pilot, "BOTH", "running   2")


async def test_ages_get_older_without_a_new_snapshot() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "live")
        engine.now_s += 20
        await until_shown(pilot, "STALE 22 s")


async def test_pausing_is_written_on_the_screen() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "live")
        await pilot.press("p")
        await until_shown(pilot, "PAUSED")
        await pilot.press("p")
        await until(pilot, lambda: "PAUSED" not in shown(app))


async def test_the_demo_is_written_on_the_screen() -> None:
    app = SollolApp(StillEngine(FULL), demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "DEMO")


async def test_a_click_on_a_tab_and_on_a_hint_is_the_key() -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(80, 24)) as pilot:
        await until_shown(pilot, "3 RPC", "m Mode")
        lines = shown(app).splitlines()
        await pilot.click(offset=(lines[1].index("3 RPC") + 2, 1))
        await until(pilot, lambda: app.dashboard.current == "rpc")
        await until_shown(pilot, "m Mode")
        await pilot.click(offset=(shown(app).splitlines()[-1].index("m Mode") + 2, 23))
        await until_shown(pilot, "How are requests spread?")


@pytest.mark.parametrize("theme", ["sollol-dark", "sollol-light", "ansi-dark", "nord"])
async def test_every_theme_can_draw_the_screen(theme: str) -> None:
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press(*f":theme {theme}", "enter")
        await until(pilot, lambda: app.theme == theme)
        await until_shown(pilot, "gpu-rig")


async def test_a_resize_behind_the_end_is_no_bug() -> None:
    """A terminal that is closed may tell a last size when the program is leaving already."""
    app = SollolApp(StillEngine(FULL))
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        app.exit()
        app.dashboard.add_class("-one")
        app.dashboard._bring_lines()


@pytest.mark.parametrize(("shards", "heights"), [(0, "12"), (3, "14"), (40, "20")])
def test_three_columns_have_room_for_the_whole_map(shards: int, heights: str) -> None:
    """A line for the host, a title, the offer, and seven lines of what it does."""
    rows = arrangement.rows_of_three(60, is_serving=True, shards=shards).split()
    assert rows[1] == heights
    assert arrangement.rows_of_three(60, is_serving=False).split()[1] == "10"


async def test_under_a_dialog_the_speed_goes_on() -> None:
    engine = StillEngine(FULL)
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40)) as pilot:
        await until_shown(pilot, "gpu-rig")
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen is not app.dashboard)
        request = FULL.requests[0]
        for tokens in (0, 30, 60):
            engine.now_s += 1.0
            moved = request._replace(tokens=tokens, last_token_at_s=engine.now_s)
            engine.show(FULL._replace(requests=(moved,)))
            await pilot.pause()
            app._tick()
        await until_shown(pilot, "30.0 t/s", "Esc closes")


async def test_a_bug_that_ended_the_engine_stays_in_the_events_when_its_toast_is_gone() -> None:
    engine = StillEngine(FULL)
    engine.failure = RuntimeError("the engine broke")
    app = SollolApp(engine)
    async with app.run_test(size=(120, 40), notifications=False) as pilot:
        await until_shown(pilot, "A bug stopped the engine: RuntimeError('the engine broke')")
        assert "first entry" in shown(app)
