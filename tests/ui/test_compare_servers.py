"""Comparing over servers: one that dies in mid-answer costs its own column and nothing else."""

from __future__ import annotations

from sollol_tui.engine.engine import Engine
from sollol_tui.ui.app import SollolApp
from sollol_tui.ui.screens.compare import CompareScreen
from tests import fakes
from tests.engine.support import settings_for
from tests.ui.stand_in import until, until_shown

MODEL = "llama3.2:3b"
STORY = "Once upon a time there was a river. " * 12


async def test_a_node_that_dies_ends_its_column_and_the_other_goes_on_to_its_end() -> None:
    async with (
        fakes.node(models=[MODEL], answer=STORY, tokens_per_s=20) as dying,
        fakes.node(models=[MODEL], answer=STORY, tokens_per_s=400) as living,
    ):
        app = SollolApp(Engine(settings_for((dying.url, living.url))))
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda: app.snapshot.looked)
            await until(pilot, lambda: app.dashboard.panes.chat is not None)
            app.run_line(f"compare {MODEL} {dying.url} {living.url}")
            await until(pilot, lambda: isinstance(app.screen, CompareScreen))
            screen = app.screen
            assert isinstance(screen, CompareScreen)
            await until(pilot, lambda: screen.focused is not None)
            await pilot.press(*"why?", "enter")
            first, second = screen.columns.all
            await until(pilot, lambda: bool(first.session.turns and first.session.turns[-1].answer))
            await dying.stop()
            await until(pilot, lambda: not screen.is_streaming, within_s=20.0)
            assert first.session.turns[-1].outcome == "incomplete"
            assert second.session.turns[-1].outcome == "complete"
            assert second.session.turns[-1].answer.strip() == STORY.strip()
            await until_shown(pilot, "▲ incomplete", "✓ answered", "1 question asked")
            assert app.engine.store.snapshot.requests == ()
