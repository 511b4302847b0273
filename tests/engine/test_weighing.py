"""What the router would decide: the very numbers that the next request goes by."""

from __future__ import annotations

from sollol_tui.core.asks import Routed
from sollol_tui.engine.engine import Engine
from tests import fakes
from tests.engine.support import running, settings_for
from tests.engine.test_requests import asked, question, those


def state(engine: Engine) -> tuple[object, ...]:
    entries = engine.store.entries_after(0)
    return engine.store.snapshot, len(entries), dict(engine.ledger.served)


async def test_a_weighed_question_has_the_scores_that_decide_and_changes_nothing() -> None:
    async with (
        fakes.node() as one,
        fakes.node() as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        await asked(engine)  # so that there is a record
        before = (
            engine.store.snapshot,
            len(engine.store.entries_after(0)),
            dict(engine.ledger.served),
        )
        weighed = engine.weigh(question().model)
        after = (
            engine.store.snapshot,
            len(engine.store.entries_after(0)),
            dict(engine.ledger.served),
        )
        assert after == before
        (routed,) = those(await asked(engine), Routed)
        assert weighed.target == routed.decision.target
        assert weighed.candidates == routed.decision.candidates
        assert any(candidate.score for candidate in weighed.candidates)
