"""Which models see, as their servers say; and how large a context is, at the end of an answer."""

from __future__ import annotations

from sollol_tui.core.asks import AskRequest, ChatMessage, Finished
from tests import fakes
from tests.engine.support import running, settings_for, until
from tests.engine.test_requests import asked, question, text, those

MODELS = ("llama3.2:3b", "gemma3:12b")
PNG = "iVBORw0KGgo="


async def test_a_node_is_asked_whether_its_model_sees() -> None:
    async with fakes.node(models=MODELS) as node, running(settings_for((node.url,))) as engine:
        assert await engine.sees("gemma3:12b") is True
        assert await engine.sees("GEMMA3:12b") is True
        assert await engine.sees("llama3.2:3b") is False
        assert await engine.sees("nobody:has-it") is None


async def test_a_coordinator_tells_it_among_its_properties() -> None:
    async with (
        fakes.coordinator() as coordinator,
        running(settings_for((), (coordinator.url,))) as engine,
    ):
        snapshot = await until(engine, lambda s: s.coordinators[0].model is not None)
        model = snapshot.coordinators[0].model or ""
        assert snapshot.coordinators[0].sees is False
        assert await engine.sees(model) is False


async def test_a_picture_reaches_the_one_node_whose_model_sees() -> None:
    async with (
        fakes.node(models=MODELS, answer="A cat.") as node,
        running(settings_for((node.url,))) as engine,
    ):
        request = AskRequest("gemma3:12b", (ChatMessage("user", "what?", (PNG,)),))
        assert text(await asked(engine, request)) == "A cat."
        blind = request._replace(model="llama3.2:3b")
        assert "does not see images" in str(await asked(engine, blind))


async def test_an_answer_ends_with_the_context_its_model_is_loaded_with() -> None:
    async with fakes.node() as node, running(settings_for((node.url,))) as engine:
        await asked(engine)
        snapshot = await until(engine, lambda s: bool(s.nodes[0].loaded))
        (finished,) = those(await asked(engine), Finished)
        assert finished.usage.context_tokens == snapshot.nodes[0].loaded[0].context_tokens
        assert finished.usage.context_tokens


async def test_how_long_a_load_took_is_remembered_for_the_next_one() -> None:
    async with (
        fakes.node(load_s=0.4) as node,
        running(settings_for((node.url,))) as engine,
    ):
        assert engine.ledger.last_load_s(node.url, question().model) is None
        (finished,) = those(await asked(engine), Finished)
        took_s = engine.ledger.last_load_s(node.url, question().model)
        assert took_s == finished.usage.load_s
        assert took_s
