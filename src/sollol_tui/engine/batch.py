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
    Thinking,
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
MORE_RESTS = 20  # the last of them, while others are still waiting for their first token

_NEVER_BETTER = {FaultKind.BAD_REQUEST, FaultKind.STOPPED}

Ask = Callable[[AskRequest], AsyncGenerator[AskEvent, None]]


class _Case:
    """One prompt on its way to its result."""

    def __init__(self, prompt: Prompt, moves_before: int) -> None:
        self.prompt = prompt
        self.moves_before = moves_before
        self.own_moves = 0
        self.tries = 0


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
        self._moves = 0  # of all prompts: a piece of an answer each
        self._asking = 0  # prompts that wait for a target just now, or are written at
        self._ending = asyncio.Event()
        self._going = asyncio.Event()  # not paused
        self._going.set()
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

    def pause(self, paused: bool) -> None:
        """Begin no prompt more, or go on; those that were begun come to their end."""
        if paused:
            self._going.clear()
        else:
            self._going.set()

    async def _work(self, waiting: Iterator[Prompt]) -> None:
        await self._going.wait()
        for prompt in waiting:
            self.running += 1
            try:
                result = await self._settled_result(prompt)
            finally:
                self.running -= 1
            if result is None:
                return
            self._settled(result)
            await self._going.wait()

    async def _settled_result(self, prompt: Prompt) -> Result | None:
        """The result that stands; None when nothing answers any more.

        A prompt that always fails while others are written at has failed. When nothing else moves
        and nothing else is being asked, it is not the prompt.
        """
        case = _Case(prompt, self._moves)
        for number, rest_s in enumerate((0.0, *RESTS_S, *RESTS_S[-1:] * MORE_RESTS)):
            await self._rest(rest_s)
            if self.given_up is not None:
                return None
            result = await self._asked(case)
            if result.fault is None or self._is_final(prompt, result.fault):
                return result
            if number < len(RESTS_S):
                continue
            if self._moves - case.own_moves > case.moves_before:
                return result
            if not self._asking:
                break
        self.given_up = result.fault
        self._ending.set()
        return None

    def _is_final(self, prompt: Prompt, fault: Fault) -> bool:
        return fault.kind in _NEVER_BETTER or not self._may_exist(prompt.model)

    async def _asked(self, case: _Case) -> Result:
        prompt = case.prompt
        request = AskRequest(prompt.model, (ChatMessage("user", prompt.prompt),), mode=self._mode)
        target: str | None = None
        text: list[str] = []
        end: AskEvent = Failed(Fault(FaultKind.CUT), None, 0)
        self._asking += 1
        try:
            async with aclosing(self._ask(request)) as events:
                async for event in events:
                    if isinstance(event, Routed):
                        target = event.decision.target
                    elif isinstance(event, Delta):
                        text.append(event.text)
                    if isinstance(event, Delta | Thinking | Finished):
                        self._moves += 1
                        case.own_moves += 1
                    end = event
        finally:
            self._asking -= 1
        result = _result(prompt, target, "".join(text), end, case.tries)
        case.tries = result.tries
        return result

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
