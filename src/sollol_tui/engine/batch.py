"""Many prompts over the whole pool, so many at a time; each is settled once (S21)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing, suppress

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    ChatMessage,
    Delta,
    Failed,
    Finished,
    Routed,
)
from sollol_tui.core.batch_lines import Prompt, Result
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.model_size import models_on_nodes
from sollol_tui.core.routing import serves
from sollol_tui.core.state import ClusterSnapshot, Mode
from sollol_tui.core.verdict import is_configured

# A prompt that failed on everything is asked again after these rests: a node may be starting again,
# a queue may be full.
RESTS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)

_NEVER_BETTER = {FaultKind.BAD_REQUEST, FaultKind.STOPPED}

Ask = Callable[[AskRequest], AsyncGenerator[AskEvent, None]]


class Batch:
    """Asks prompts. Cancelling `run` stops those that run; what was settled stays.

    Args:
        ask: `Engine.ask`.
        parallel: so many prompts are asked at the same time.
        settled: hears each result as it comes, in any order, once per prompt.
        may_exist: whether anything in the cluster may have that model.
        mode: None: the mode in force.
        refresh: looks again at what is down, before a prompt is asked again.
    """

    def __init__(
        self,
        ask: Ask,
        parallel: int,
        settled: Callable[[Result], None],
        may_exist: Callable[[str], bool],
        mode: Mode | None = None,
        refresh: Callable[[], None] = lambda: None,
    ) -> None:
        self._ask = ask
        self._parallel = parallel
        self._settled = settled
        self._may_exist = may_exist
        self._mode = mode
        self._refresh = refresh
        self._answers = 0
        self._ending = asyncio.Event()
        self.running = 0
        self.given_up: Fault | None = None  # nothing answers any more: the rest was not asked

    async def run(self, prompts: Iterable[Prompt]) -> None:
        """Ask them all. Raises what `settled` raises, when everything else has been stopped."""
        waiting = iter(prompts)
        workers = {
            asyncio.create_task(self._work(waiting), name=f"batch {number}")
            for number in range(self._parallel)
        }
        running = workers
        try:
            while running:
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for worker in ended:
                    worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.wait(workers)

    async def _work(self, waiting: Iterator[Prompt]) -> None:
        for prompt in waiting:
            self.running += 1
            try:
                result = await self._settled_result(prompt)
            finally:
                self.running -= 1
            if result is None:
                return
            self._settled(result)

    async def _settled_result(self, prompt: Prompt) -> Result | None:
        """The result that stands; None when nothing answers any more.

        A prompt that always fails while others are answered has failed; when nothing at all was
        answered meanwhile, it is not the prompt.
        """
        answers_before, tries = self._answers, 0
        for rest_s in (0.0, *RESTS_S):
            await self._rest(rest_s)
            if self.given_up is not None:
                return None
            result = await self._asked(prompt, tries)
            tries = result.tries
            if result.fault is None:
                self._answers += 1
                return result
            if result.fault.kind in _NEVER_BETTER or not self._may_exist(prompt.model):
                return result
        if self._answers > answers_before:
            return result
        self.given_up = result.fault
        self._ending.set()
        return None

    async def _asked(self, prompt: Prompt, tries_before: int) -> Result:
        request = AskRequest(prompt.model, (ChatMessage("user", prompt.prompt),), mode=self._mode)
        target: str | None = None
        text: list[str] = []
        end: AskEvent = Failed(Fault(FaultKind.CUT), None, 0)
        async with aclosing(self._ask(request)) as events:
            async for event in events:
                if isinstance(event, Routed):
                    target = event.decision.target
                elif isinstance(event, Delta):
                    text.append(event.text)
                end = event
        return _result(prompt, target, "".join(text), end, tries_before)

    async def _rest(self, rest_s: float) -> None:
        if rest_s <= 0:
            return
        self._refresh()
        with suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self._ending.wait()


def may_exist(model: str, snapshot: ClusterSnapshot) -> bool:
    """Whether something has that model, or a configured target that never answered may have it."""
    if any(models_on_nodes(model, snapshot)):
        return True
    if any(serves(c, model) for c in snapshot.coordinators):
        return True
    nodes = [n.sources for n in snapshot.nodes if n.seen_at_s is None]
    coordinators = [c.sources for c in snapshot.coordinators if c.seen_at_s is None]
    return any(is_configured(sources) for sources in (*nodes, *coordinators))


def _result(
    prompt: Prompt, target: str | None, text: str, end: AskEvent, tries_before: int
) -> Result:
    if isinstance(end, Finished):
        return Result(
            prompt.id,
            prompt.model,
            target,
            end.outcome,
            text,
            end.tries + tries_before,
            end.usage.prompt_tokens,
            end.usage.completion_tokens,
            end.ttft_s,
            end.usage.decode_tps,
            end.total_s,
        )
    failed = end if isinstance(end, Failed) else Failed(Fault(FaultKind.CUT), None, 0)
    fault, tries = failed.fault, failed.tries + tries_before
    return Result(prompt.id, prompt.model, target, fault.kind.value, text, tries, fault=fault)
