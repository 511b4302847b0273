"""A question's way through the cluster: route, claim, stream, and the next one on failure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from itertools import count
from typing import Literal

from sollol_tui.core.asks import (
    AskEvent,
    AskRequest,
    Broken,
    Delta,
    End,
    Failed,
    Finished,
    Notice,
    Progress,
    Routed,
    RouteDecision,
    Seam,
    StreamEvent,
    Thinking,
    Thought,
    Token,
    Waiting,
)
from sollol_tui.core.contexts import context_of
from sollol_tui.core.events import RequestClaimed, RequestEnded, RequestMoved
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.patience import first_token_limit_s, is_cold, others_moved_at_s
from sollol_tui.core.route_words import nobodys_fault
from sollol_tui.core.settings import Settings
from sollol_tui.engine.attempts import Answer, Attempt, refused, sample_of
from sollol_tui.engine.comeback import is_back
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.pump import Pump
from sollol_tui.engine.store import Store
from sollol_tui.engine.weighing import weigh

WAITING_EVERY_S = 1.0
MOVED_EVERY_S = 0.5
MAX_COMEBACKS = 3  # an answer whose coordinator fails each time is given up

# The target and the question, and the text so far when another target began the answer.
OpenStream = Callable[[RouteDecision, AskRequest, str], AsyncGenerator[StreamEvent, None]]

# Waits for a coordinator that failed in that process, as long as it may come back.
UntilBack = Callable[[str, int | None], AsyncGenerator[AskEvent, None]]

# What the next candidate may do better. The rest would fail everywhere alike.
_WORTH_ANOTHER_TRY = set(FaultKind) - {FaultKind.BAD_REQUEST, FaultKind.STOPPED}


class Requests:
    """Asks the cluster. One instance per engine; every request runs in its caller's task."""

    def __init__(
        self, settings: Settings, store: Store, ledger: Ledger, open_stream: OpenStream
    ) -> None:
        self._settings = settings
        self._store = store
        self._ledger = ledger
        self._open_stream = open_stream
        self._numbers = count(1)
        self.on_failure: Callable[[str], None] = lambda _: None  # look at that target now
        self.until_back: UntilBack = _never_back

    async def ask(self, request: AskRequest) -> AsyncGenerator[AskEvent, None]:
        """Route the question and stream the answer (see `core.asks` for the events).

        A failure before the first token goes to the next candidate; after it another target that
        has the same model goes on with the text so far, and a `Seam` marks where. The joined
        deltas are the answer, seams and all. Closing the generator stops the answer.
        """
        answer = Answer(request, f"r{next(self._numbers)}", self._store.now_s())
        while True:
            decision = self._decide(answer)
            if decision.target is None and answer.comebacks < MAX_COMEBACKS:
                async with aclosing(self._until_back(answer)) as waits:
                    async for event in waits:
                        yield event
                if self._has_come_back(answer):
                    continue
            if decision.target is None:
                if answer.tries:
                    yield Notice(f"{decision.reason[:1].upper()}{decision.reason[1:]}.")
                yield self._given_up(answer, decision)
                return
            attempt = self._claim(answer, decision)
            async with aclosing(self._claimed(attempt)) as events:
                async for event in events:
                    yield event
            if attempt.end is not None:
                yield self._finished(attempt, attempt.end)
                return
            fault = self._note_failure(attempt)
            if fault.kind not in _WORTH_ANOTHER_TRY and not answer.chars:
                yield Failed(fault, attempt.target, 0, answer.tries)
                return
            yield Notice(_failure_words(decision.name, fault, answer.chars))

    async def _until_back(self, answer: Answer) -> AsyncGenerator[AskEvent, None]:
        for target, pid in answer.pids.items():
            async with aclosing(self.until_back(target, pid)) as waits:
                async for event in waits:
                    yield event

    def _has_come_back(self, answer: Answer) -> bool:
        """Whether a coordinator that failed this request serves again: then it may go on there."""
        for target, pid in answer.pids.items():
            if target in answer.excluded and is_back(self._store.snapshot.coordinator(target), pid):
                del answer.excluded[target]
                answer.comebacks += 1
                return True
        return False

    def _given_up(self, answer: Answer, decision: RouteDecision) -> Failed:
        fault = answer.fault or nobodys_fault(decision, self._store.snapshot)
        for candidate in decision.candidates:  # who asks again soon shall see who is back
            self.on_failure(candidate.target)
        if not answer.tries:
            self._ledger.add(refused(answer, decision, fault, self._store.now_s()), decision)
        return Failed(fault, answer.writer or None, answer.chars, answer.tries)

    def _note_failure(self, attempt: Attempt) -> Fault:
        answer = attempt.answer
        fault = attempt.fault or Fault(FaultKind.CUT)
        answer.fault = fault
        if answer.chars:  # else the next one begins anew
            answer.tokens += attempt.tokens
        answer.excluded[attempt.target] = f"failed this request: {fault.words}"
        return fault

    def _decide(self, answer: Answer) -> RouteDecision:
        decision = weigh(
            answer.request,
            self._settings,
            self._store,
            self._ledger,
            excluded=answer.excluded,
            decision_id=f"{answer.id}.{answer.tries + 1}",
        )
        self._log(decision)
        return decision

    def _log(self, decision: RouteDecision) -> None:
        if decision.target is None:
            text = f"{decision.model}: {decision.reason}"
            self._store.log("error", "route", decision.id, text, decision)
            return
        text = f"{decision.model} → {decision.name} · {decision.reason}"
        self._store.log("info", "route", decision.id, text, decision)

    def _claim(self, answer: Answer, decision: RouteDecision) -> Attempt:
        """Count the request at its target before anything is awaited: the next one sees it."""
        now_s = self._store.now_s()
        request = answer.request
        answer.tries += 1
        attempt = Attempt(answer, decision, now_s)
        self._store.apply(RequestClaimed(answer.id, attempt.target, request.model, now_s))
        coordinator = self._store.snapshot.coordinator(attempt.target)
        attempt.backends = coordinator.backends if coordinator is not None else ()
        if coordinator is not None:
            answer.pids[attempt.target] = coordinator.pid
        instead_of = next(reversed(answer.excluded), "") if answer.tries > 1 else ""
        self._ledger.claim(decision, answer.tries, instead_of)
        self._ledger.remember(request.conversation, attempt.target, now_s)
        return attempt

    async def _claimed(self, attempt: Attempt) -> AsyncGenerator[AskEvent, None]:
        """One try. Whatever ends it, also at its first word, ends its claim."""
        try:
            if attempt.answer.tries == 1 and attempt.decision.stands_in:
                yield Notice(attempt.decision.stands_in)
            yield Routed(attempt.decision)
            request, so_far = attempt.handed_over()
            stream = self._open_stream(attempt.decision, request, so_far)
            async with Pump(stream) as pump, aclosing(self._events(attempt, pump)) as events:
                async for event in events:
                    yield event
        finally:
            self._ended(attempt)

    async def _events(self, attempt: Attempt, pump: Pump) -> AsyncGenerator[AskEvent, None]:
        while True:
            events = await pump.take(min(WAITING_EVERY_S, self._limit_s(attempt)))
            now_s = self._store.now_s()
            for event in self._read(attempt, events, now_s):
                yield event
            if any(isinstance(event, (End, Broken)) for event in events):
                return
            if not events and pump.ended:
                attempt.fault = Fault(FaultKind.CUT)
                return
            still_s = now_s - self._moved_s(attempt, bool(events), now_s)
            if still_s >= self._limit_s(attempt):
                attempt.fault = Fault(FaultKind.STALLED, f"nothing for {still_s:.0f} s")
                return
            if not attempt.tokens:
                yield self._waiting(attempt, now_s - attempt.meter.started_at_s)

    def _read(self, attempt: Attempt, events: list[StreamEvent], now_s: float) -> list[AskEvent]:
        """What came, joined: text that came together is one delta."""
        said: list[AskEvent] = []
        text: list[str] = []
        for event in events:
            match event:
                case Token():
                    text.append(event.text)
                case Thought():
                    said.append(Thinking(event.text))
                case Progress():
                    attempt.progress = event
                case End():
                    attempt.end, attempt.fault = event, None
                case Broken():
                    attempt.fault = event.fault
        if text:
            said += _written(attempt, text)
        self._count(attempt, sum(isinstance(e, (Token, Thought)) for e in events), now_s)
        if attempt.end is not None and not attempt.tokens and not attempt.answer.chars:
            attempt.end, attempt.fault = None, Fault(FaultKind.PROTOCOL, "an empty answer")
        return said

    def _count(self, attempt: Attempt, tokens: int, now_s: float) -> None:
        if not tokens:
            return
        first = not attempt.tokens
        attempt.tokens += tokens
        if attempt.answer.first_token_at_s is None:
            attempt.answer.first_token_at_s = now_s
        if first and self._is_cold(attempt):  # it has just been loaded: the next one shall know
            self.on_failure(attempt.target)
        for _ in range(tokens):
            attempt.meter.stamp(now_s)
        if first or now_s - attempt.told_s >= MOVED_EVERY_S:
            attempt.told_s = now_s
            self._store.apply(RequestMoved(attempt.id, now_s, attempt.tokens))

    def _waiting(self, attempt: Attempt, age_s: float) -> Waiting:
        ahead = sum(
            r.target == attempt.target and r.id != attempt.id for r in self._store.snapshot.requests
        )
        return Waiting(
            ahead,
            age_s,
            self._is_cold(attempt),
            attempt.progress,
            last_load_s=self._ledger.last_load_s(attempt.target, attempt.decision.model),
        )

    def _is_cold(self, attempt: Attempt) -> bool:
        wanted = attempt.answer.request.options.context_tokens
        return is_cold(self._store.snapshot, attempt.target, attempt.decision.model, wanted)

    def _moved_s(self, attempt: Attempt, came: bool, now_s: float) -> float:
        """Since when it is silent: a load that ended moved it, and so do those before it."""
        was_cold, attempt.cold = attempt.cold, self._is_cold(attempt)
        if came or (was_cold and not attempt.cold):
            attempt.moved_s = now_s
        if attempt.tokens:
            return attempt.moved_s
        others_s = others_moved_at_s(self._store.snapshot, attempt.target, attempt.id)
        return max(attempt.moved_s, others_s)

    def _limit_s(self, attempt: Attempt) -> float:
        """How long silence is no stall: longer before the first token, longest while cold."""
        snapshot = self._store.snapshot
        if attempt.tokens:
            return snapshot.rules.token_gap_limit_s
        wanted = attempt.answer.request.options.context_tokens
        return first_token_limit_s(snapshot, attempt.target, attempt.decision.model, wanted)

    def _ended(self, attempt: Attempt) -> None:
        now_s = self._store.now_s()
        fault = attempt.fault
        self._store.apply(RequestEnded(attempt.id, attempt.target, now_s, attempt.tokens, fault))
        self._ledger.add(sample_of(attempt, now_s), attempt.decision)
        if fault is not None and fault.kind is not FaultKind.STOPPED:
            name = attempt.decision.name
            self._store.log("warn", "route", attempt.decision.id, f"{name}: {fault}")
            self.on_failure(attempt.target)

    def _finished(self, attempt: Attempt, end: End) -> Finished:
        answer, usage = attempt.answer, end.usage
        if usage.decode_tps is None:
            usage = usage._replace(decode_tps=attempt.meter.decode_tps)
        if not answer.tokens:
            context = context_of(self._store.snapshot, attempt.target, attempt.decision.model)
            usage = usage._replace(context_tokens=context)
        elif usage.completion_tokens is not None:  # the prompt held what others wrote, too
            usage = usage._replace(completion_tokens=usage.completion_tokens + answer.tokens)
        outcome: Literal["complete", "length"] = "length" if end.reason == "length" else "complete"
        first_at_s = answer.first_token_at_s
        ttft_s = None if first_at_s is None else first_at_s - answer.started_s
        total_s = self._store.now_s() - answer.started_s
        return Finished(outcome, usage, ttft_s, total_s, answer.tries)


async def _never_back(_target: str, _pid: int | None) -> AsyncGenerator[AskEvent, None]:
    return
    yield  # a generator of nothing


def _written(attempt: Attempt, pieces: list[str]) -> list[AskEvent]:
    """The text, and before the first of a target that goes on, where it takes over."""
    answer, text = attempt.answer, "".join(pieces)
    said: list[AskEvent] = [Delta(text, len(pieces))]
    if answer.chars and not attempt.writes:
        said.insert(0, Seam(answer.writer, attempt.target, answer.chars))
    attempt.writes = True
    answer.text.append(text)
    answer.chars += len(text)
    answer.writer = attempt.target
    return said


def _failure_words(name: str, fault: Fault, kept_chars: int) -> str:
    if kept_chars:
        return f"{name}: {fault}. Looking for another one that can go on with the answer."
    return f"{name}: {fault}. Looking for another one."
