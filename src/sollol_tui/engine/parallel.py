"""One answer by several writers at the same time, joined in order as it comes (S27)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    Delta,
    Failed,
    Finished,
    PartMoved,
    PartPlanned,
    PartState,
    Routed,
    Said,
    Seam,
    Thinking,
    Usage,
    Waiting,
)
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.parallel import Part, part_request, plan_for

MOVED_EVERY_S = 0.5

Ask = Callable[[AskRequest], AsyncGenerator[AskEvent, None]]


async def ask_parallel(
    ask: Ask, request: AskRequest, wanted: int, clock: Callable[[], float]
) -> AsyncGenerator[Said, None]:
    """Divide the question into `wanted` parts (2–5; 0: as many as suit it), write them at
    the same time, and stream the whole in order: the first part that is not yet whole is live,
    later ones wait for their turn.

    Each part is a request of its own: it is routed, claimed and tried elsewhere like any other.
    One that fails for good is said in its place, and the end is `Failed`: the answer is not
    whole. Else the end is one `Finished` with the sums. Closing the generator stops all.
    """
    parts = plan_for(request.messages[-1].content, wanted)
    joined = Joined(parts, clock)
    heard = asyncio.Queue[tuple[int, AskEvent | None]]()
    tasks = [
        asyncio.create_task(_write(ask, part_request(request, part), index, heard))
        for index, part in enumerate(parts)
    ]
    try:
        yield PartPlanned(tuple(part.title for part in parts))
        while not joined.is_over:
            index, event = await heard.get()
            if event is None:
                await tasks[index]  # raises what a bug has raised there
                event = Failed(Fault(FaultKind.CUT), None, 0)
            for said in joined.take(index, event):
                yield said
        for said in joined.end():
            yield said
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _write(
    ask: Ask, request: AskRequest, index: int, heard: asyncio.Queue[tuple[int, AskEvent | None]]
) -> None:
    try:
        async with aclosing(ask(request)) as events:
            async for event in events:
                heard.put_nowait((index, event))
    finally:
        heard.put_nowait((index, None))


class Written:
    """How far one part is."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.state: PartState = "waiting"
        self.target = ""
        self.tokens = 0
        self.told_s = float("-inf")
        self.buffered: list[AskEvent] = []
        self.begins_at: int | None = None  # in the joined answer, after its heading
        self.end: Finished | Failed | None = None


class Joined:
    """The parts as one answer. `take` gives what may be said now."""

    def __init__(self, parts: tuple[Part, ...], clock: Callable[[], float]) -> None:
        self._written = [Written(part.title) for part in parts]
        self._clock = clock
        self._started_s = clock()
        self._first_s: float | None = None
        self._turn = 0  # the part that is live
        self._chars = 0
        self._missing = ""  # parts that failed before any text: said when some text comes

    @property
    def is_over(self) -> bool:
        """Whether every part has ended and has been said."""
        return self._turn == len(self._written)

    def take(self, index: int, event: AskEvent) -> list[Said]:
        """What one part's event lets be said; nothing after that part's end."""
        part = self._written[index]
        if part.end is not None:
            return []
        said: list[Said] = list(self._moved(index, part, event))
        if not isinstance(event, Waiting) or index == self._turn:
            part.buffered.append(event)
        while not self.is_over:
            live = self._written[self._turn]
            for each in live.buffered:
                said += self._say(live, each)
            live.buffered.clear()
            if live.end is None:
                break
            self._turn += 1
        return said

    def end(self) -> list[AskEvent]:
        """The last words: what is missing, and the sums."""
        total_s = self._clock() - self._started_s
        ends = [part.end for part in self._written if part.end is not None]
        tries = sum(end.tries for end in ends)
        failed = [end for end in ends if isinstance(end, Failed)]
        if failed:
            said: list[AskEvent] = []
            if self._missing and self._chars:
                said += self._text(self._missing.rstrip(), 0)
            target = failed[0].target if len(ends) == len(failed) else None
            return [*said, Failed(failed[0].fault, target, self._chars, tries)]
        whole = [end for end in ends if isinstance(end, Finished)]
        outcome = next((e for e in whole if e.outcome != "complete"), whole[0]).outcome
        ttft_s = None if self._first_s is None else self._first_s - self._started_s
        usage = _summed(whole, total_s - (ttft_s or 0.0))
        one_by_one_s = sum(end.total_s for end in whole)
        return [Finished(outcome, usage, ttft_s, total_s, tries, one_by_one_s)]

    def _moved(self, index: int, part: Written, event: AskEvent) -> list[PartMoved]:
        before = part.state, part.target
        match event:
            case Routed(decision):
                part.target = decision.name if decision.target is not None else ""
            case Delta() | Thinking():
                part.state = "writing"
                part.tokens += event.tokens
            case Finished():
                part.state, part.end = "done", event
                part.tokens = event.usage.completion_tokens or part.tokens
            case Failed():
                part.state, part.end = "failed", event
            case _:
                return []
        now_s = self._clock()
        if (part.state, part.target) == before and now_s - part.told_s < MOVED_EVERY_S:
            return []
        part.told_s = now_s
        return [PartMoved(index, part.state, part.target, part.tokens)]

    def _say(self, part: Written, event: AskEvent) -> list[AskEvent]:
        match event:
            case Delta():
                return [*self._begin(part), *self._text(event.text, event.tokens)]
            case Seam():
                return [event._replace(at_chars=(part.begins_at or 0) + event.at_chars)]
            case Finished():
                return []
            case Failed():
                return self._say_failed(part, event)
            case _:
                return [event]

    def _begin(self, part: Written) -> list[AskEvent]:
        """Its heading, and before it what is missing, once there is text."""
        if part.begins_at is not None:
            return []
        said = self._text(f"{self._gap()}{self._missing}## {part.title}\n\n", 0)
        self._missing = ""
        part.begins_at = self._chars
        return said

    def _say_failed(self, part: Written, event: Failed) -> list[AskEvent]:
        note = f"*({event.fault.words})*"
        if part.begins_at is not None:
            return self._text(f"\n\n{note}", 0)
        self._missing = f"{self._missing}## {part.title}\n\n{note}\n\n"
        if not self._chars:
            return []
        missing, self._missing = f"{self._gap()}{self._missing.rstrip()}", ""
        return self._text(missing, 0)

    def _gap(self) -> str:
        return "\n\n" if self._chars else ""

    def _text(self, text: str, tokens: int) -> list[AskEvent]:
        if self._first_s is None:
            self._first_s = self._clock()
        self._chars += len(text)
        return [Delta(text, tokens)]


def _summed(ends: list[Finished], writing_s: float) -> Usage:
    """All tokens; the rate is that of the whole answer."""
    completion = [e.usage.completion_tokens for e in ends if e.usage.completion_tokens is not None]
    prompt = [e.usage.prompt_tokens for e in ends if e.usage.prompt_tokens is not None]
    tokens = sum(completion) if completion else None
    rate = tokens / writing_s if tokens and writing_s > 0 else None
    return Usage(sum(prompt) if prompt else None, tokens, None, rate)
