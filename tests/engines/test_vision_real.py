"""Real servers say whether their model sees, and how large its context is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from sollol_tui.core.asks import AskRequest, ChatMessage, ChatOptions, Failed, Finished
from sollol_tui.core.orders import Order
from sollol_tui.core.problems import Cause
from sollol_tui.core.state import Mode
from tests.engine.lives import living
from tests.engine.support import running, settings_for

from .lab import Lab, library_path
from .places import PATIENCE_S, SMALL, Place
from .servers import Coordinator, OllamaNode, free_port, make_store

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("engine"),
]

MODEL, SERVED, HOST = "smol:135m", "smol-served", "127.0.0.7"
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAAB"
CONTEXT = 2048


class Servers(NamedTuple):
    node: OllamaNode
    coordinator: Coordinator


@pytest.fixture(scope="module")
def servers(ollama_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    store = make_store(tmp_path_factory.mktemp("store"), {MODEL: ollama_lab.model_small})
    serve = Coordinator(ollama_lab, ollama_lab.model_small, [], extra_args=["--alias", SERVED])
    with ExitStack() as stack:
        node = stack.enter_context(OllamaNode(ollama_lab, store, HOST, free_port(HOST)))
        yield Servers(node, stack.enter_context(serve))


async def test_who_sees_and_how_large_a_context_is_are_told_by_the_servers(
    servers: Servers,
) -> None:
    settings = settings_for((servers.node.url,), (servers.coordinator.url,), timeout_s=5.0)
    async with running(settings) as engine:
        assert await engine.sees(MODEL) is False
        assert await engine.sees(SERVED) is False
        assert await engine.sees("nobody:has-it") is None
        for model, mode in ((MODEL, Mode.TASK), (SERVED, Mode.MODEL)):
            question = AskRequest(model, (ChatMessage("user", "Say hi."),), mode=mode)
            request = question._replace(options=ChatOptions(max_tokens=4))
            finished = [event async for event in engine.ask(request)][-1]
            assert isinstance(finished, Finished)
            assert finished.usage.context_tokens == CONTEXT
            seen = request._replace(messages=(ChatMessage("user", "What is it?", (PICTURE,)),))
            failed = [event async for event in engine.ask(seen)][-1]
            assert isinstance(failed, Failed)
            assert "does not see images" in failed.fault.detail


async def test_a_projector_that_the_server_refuses_costs_the_sight_and_not_the_answer(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**library_path(lab.lib_dir), "LLAMA_ARG_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    place = Place(lab, tmp_path)
    eye = tmp_path / "eye.gguf"
    eye.write_bytes(b"GGUF, or so it says")
    async with living(place.settings([]), place.state_dir, PATIENCE_S) as lived:
        planned = await lived.engine.plan_coordinator(Order(SMALL, projector=str(eye)))
        assert planned.plan is not None
        assert "--mmproj" in planned.plan.argv
        await lived.engine.start_coordinator(Order(SMALL, projector=str(eye)))
        ready = await lived.until_ready()
        told = next(p for s in lived.states for p in s.problems)
        assert (told.cause, told.subject) == (Cause.MODEL_REFUSED, str(eye))
        assert ready.plan is not None
        assert "--mmproj" not in ready.plan.argv
    assert not place.servers()
