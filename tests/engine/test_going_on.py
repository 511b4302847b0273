"""An answer that is continued on request, and one that another target is asked for."""

from __future__ import annotations

from sollol_tui.core.asks import Failed, Finished, Notice, Routed, Seam
from sollol_tui.core.faults import FaultKind
from tests import fakes
from tests.engine.support import running, settings_for
from tests.engine.test_requests import asked, at_rest, question, text, those

WHOLE = "Rivers run down to the sea, all of them."


async def test_an_answer_goes_on_from_the_text_so_far_and_only_the_rest_is_said() -> None:
    so_far = "Rivers run down "
    async with (
        fakes.node(answer=WHOLE) as node,
        running(settings_for((node.url,))) as engine,
    ):
        events = await asked(engine, question(so_far=so_far))
        assert so_far + text(events) == WHOLE
        assert [seam.at_chars for seam in those(events, Seam)] == [len(so_far)]
        assert those(events, Seam)[0].to_target == node.url
        assert isinstance(events[-1], Finished)
        assert at_rest(engine)


async def test_when_nobody_can_go_on_the_text_so_far_is_told_as_kept() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        await node.stop()
        failed = (await asked(engine, question(so_far="Rivers")))[-1]
        assert isinstance(failed, Failed)
        assert failed.kept_chars == len("Rivers")


async def test_a_target_that_is_to_be_avoided_is_not_asked_and_the_record_says_so() -> None:
    async with (
        fakes.node(answer="one") as one,
        fakes.node(answer="two") as two,
        running(settings_for((one.url, two.url))) as engine,
    ):
        for avoided, other in ((one, two), (two, one)):
            events = await asked(engine, question(avoid=(avoided.url,)))
            (routed,) = those(events, Routed)
            assert routed.decision.target == other.url
            reasons = {c.target: c.rejected for c in routed.decision.candidates}
            assert reasons[avoided.url] == "another one was asked for"
            assert not those(events, Notice)


async def test_when_only_the_avoided_target_is_there_nothing_is_asked() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        failed = (await asked(engine, question(avoid=(node.url,))))[-1]
        assert isinstance(failed, Failed)
        assert failed.fault.kind is FaultKind.NOT_FOUND
        assert failed.tries == 0
