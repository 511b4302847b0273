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
from sollol_tui.core.events import RequestClaimed, RequestEnded, RequestMoved
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.ids import model_key
from sollol_tui.core.routing import Circumstances, choose
from sollol_tui.core.samples import Sample, outcome_of, queue_wait_s
from sollol_tui.core.settings import Settings
from sollol_tui.core.streams import Meter
from sollol_tui.engine.comeback import is_back
from sollol_tui.engine.ledger import Ledger
from sollol_tui.engine.pump import Pump
from sollol_tui.engine.store import Store

WAITING_EVERY_S = 1.0
MOVED_EVERY_S = 0.5
MAX_COMEBACKS = 3  # an answer whose coordinator fails each time is given up
LOAD_EXTRA_S = 300.0  # a cold model may take so long, and more the larger it is
LOAD_EXTRA_S_PER_BYTE = 20.0 / 2**30

# The target and the question, and the text so far when another target began the answer.
OpenStream = Callable[[RouteDecision, AskRequest, str], AsyncGenerator[StreamEvent, None]]

# Waits for a coordinator that failed in that process, as long as it may come back.
UntilBack = Callable[[str, int | None], AsyncGenerator[AskEvent, None]]

# What the next candidate may do better. The rest would fail everywhere alike.
_WORTH_ANOTHER_TRY = set(FaultKind) - {FaultKind.BAD_REQUEST, FaultKind.STOPPED}


class _Answer:
    """One question's answer so far, over all targets that wrote at it."""

    def __init__(self, request: AskRequest, request_id: str, started_s: float) -> None:
        self.request = request
        self.id = request_id
        self.started_s = started_s
        self.tries = 0
        self.text: list[str] = []
        self.chars = 0
        self.tokens = 0  # written by targets that failed later
        self.writer = ""  # the target that wrote last
        self.excluded: dict[str, str] = {}
        self.pids: dict[str, int | None] = {}  # of the coordinators that it was given to
        self.comebacks = 0
        self.fault: Fault | None = None
        self.first_token_at_s: float | None = None


class _Attempt:
    """One try at one target: what came of it so far."""

    def __init__(self, answer: _Answer, decision: RouteDecision, started_s: float) -> None:
        self.answer = answer
        self.id = answer.id
        self.decision = decision
        self.target = decision.target or ""
        self.meter = Meter(started_s)
        self.tokens = 0
        self.told_s = started_s
        self.progress: Progress | None = None
        self.end: End | None = None
        self.backends: tuple[str, ...] = ()  # that a coordinator holds
        self.fault: Fault | None = Fault(FaultKind.STOPPED)  # until something else ends it


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
        answer = _Answer(request, f"r{next(self._numbers)}", self._store.now_s())
        while True:
            decision = self._decide(answer)
            if decision.target is None and answer.comebacks < MAX_COMEBACKS:
                async with aclosing(self._until_back(answer)) as waits:
                    async for event in waits:
                        yield event
                if self._has_come_back(answer):
                    continue
            if decision.target is None:
                yield self._given_up(answer, decision)
                return
            answer.tries += 1
            attempt = self._claim(answer, decision)
            yield Routed(decision)
            if answer.chars:
                yield Seam(answer.writer, attempt.target, answer.chars)
            async with aclosing(self._stream(attempt)) as events:
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

    async def _until_back(self, answer: _Answer) -> AsyncGenerator[AskEvent, None]:
        for target, pid in answer.pids.items():
            async with aclosing(self.until_back(target, pid)) as waits:
                async for event in waits:
                    yield event

    def _has_come_back(self, answer: _Answer) -> bool:
        """Whether a coordinator that failed this request serves again: then it may go on there."""
        for target, pid in answer.pids.items():
            if target in answer.excluded and is_back(self._store.snapshot.coordinator(target), pid):
                del answer.excluded[target]
                answer.comebacks += 1
                return True
        return False

    def _given_up(self, answer: _Answer, decision: RouteDecision) -> Failed:
        fault = answer.fault or Fault(FaultKind.NOT_FOUND, decision.reason)
        if not answer.tries:
            self._ledger.add(_refused(answer, decision, fault, self._store.now_s()), decision)
        return Failed(fault, answer.writer or None, answer.chars, answer.tries)

    def _note_failure(self, attempt: _Attempt) -> Fault:
        answer = attempt.answer
        fault = attempt.fault or Fault(FaultKind.CUT)
        answer.fault = fault
        answer.tokens += attempt.tokens
        answer.excluded[attempt.target] = f"failed this request: {fault.words}"
        return fault

    def _decide(self, answer: _Answer) -> RouteDecision:
        now_s = self._store.now_s()
        request = answer.request
        circumstances = Circumstances(
            snapshot=self._store.snapshot,
            now_s=now_s,
            threshold_parameters=self._settings.threshold_parameters,
            records=self._ledger.records,
            served=self._ledger.served,
            excluded=answer.excluded,
            affinity=self._ledger.affinity(request.conversation, now_s),
        )
        decision = choose(request, circumstances, f"{answer.id}.{answer.tries + 1}")
        self._log(decision)
        return decision

    def _log(self, decision: RouteDecision) -> None:
        if decision.target is None:
            text = f"{decision.model}: {decision.reason}"
            self._store.log("error", "route", decision.id, text, decision)
            return
        text = f"{decision.model} → {decision.name} · {decision.reason}"
        self._store.log("info", "route", decision.id, text, decision)

    def _claim(self, answer: _Answer, decision: RouteDecision) -> _Attempt:
        """Count the request at its target before anything is awaited: the next one sees it."""
        now_s = self._store.now_s()
        request = answer.request
        attempt = _Attempt(answer, decision, now_s)
        self._store.apply(RequestClaimed(answer.id, attempt.target, request.model, now_s))
        coordinator = self._store.snapshot.coordinator(attempt.target)
        attempt.backends = coordinator.backends if coordinator is not None else ()
        if coordinator is not None:
            answer.pids[attempt.target] = coordinator.pid
        instead_of = next(reversed(answer.excluded), "")
        self._ledger.claim(decision, answer.tries, instead_of)
        self._ledger.remember(request.conversation, attempt.target, now_s)
        return attempt

    async def _stream(self, attempt: _Attempt) -> AsyncGenerator[AskEvent, None]:
        answer = attempt.answer
        stream = self._open_stream(attempt.decision, answer.request, "".join(answer.text))
        try:
            async with Pump(stream) as pump, aclosing(self._events(attempt, pump)) as events:
                async for event in events:
                    yield event
        finally:
            self._ended(attempt)

    async def _events(self, attempt: _Attempt, pump: Pump) -> AsyncGenerator[AskEvent, None]:
        started_s = moved_s = self._store.now_s()
        while True:
            events = await pump.take(min(WAITING_EVERY_S, self._limit_s(attempt)))
            now_s = self._store.now_s()
            for event in self._read(attempt, events, now_s):
                yield event
            if any(isinstance(event, (End, Broken)) for event in events):
                return
            moved_s = now_s if events else moved_s
            if not events and pump.ended:
                attempt.fault = Fault(FaultKind.CUT)
                return
            if now_s - moved_s >= self._limit_s(attempt):
                attempt.fault = Fault(FaultKind.STALLED, f"nothing for {now_s - moved_s:.0f} s")
                return
            if not events and not attempt.tokens:
                yield self._waiting(attempt, now_s - started_s)

    def _read(self, attempt: _Attempt, events: list[StreamEvent], now_s: float) -> list[AskEvent]:
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
            said.append(_written(attempt, text))
        self._count(attempt, sum(isinstance(e, (Token, Thought)) for e in events), now_s)
        return said

    def _count(self, attempt: _Attempt, tokens: int, now_s: float) -> None:
        if not tokens:
            return
        first = not attempt.tokens
        attempt.tokens += tokens
        if attempt.answer.first_token_at_s is None:
            attempt.answer.first_token_at_s = now_s
        for _ in range(tokens):
            attempt.meter.stamp(now_s)
        if first or now_s - attempt.told_s >= MOVED_EVERY_S:
            attempt.told_s = now_s
            self._store.apply(RequestMoved(attempt.id, now_s, attempt.tokens))

    def _waiting(self, attempt: _Attempt, age_s: float) -> Waiting:
        ahead = sum(
            r.target == attempt.target and r.id != attempt.id for r in self._store.snapshot.requests
        )
        return Waiting(ahead, age_s, self._is_cold(attempt), attempt.progress)

    def _is_cold(self, attempt: _Attempt) -> bool:
        node = self._store.snapshot.node(attempt.target)
        key = model_key(attempt.decision.model)
        return node is not None and all(model_key(m.name) != key for m in node.loaded)

    def _limit_s(self, attempt: _Attempt) -> float:
        """How long silence is no stall: longer before the first token, longest while cold."""
        if attempt.tokens:
            return self._settings.token_gap_limit_s
        limit_s = self._settings.first_token_limit_s
        if not self._is_cold(attempt):
            return limit_s
        node = self._store.snapshot.node(attempt.target)
        key = model_key(attempt.decision.model)
        models = node.models if node is not None else ()
        size = next((m.size_bytes for m in models if model_key(m.name) == key), None)
        return limit_s + LOAD_EXTRA_S + LOAD_EXTRA_S_PER_BYTE * (size or 0)

    def _ended(self, attempt: _Attempt) -> None:
        now_s = self._store.now_s()
        fault = attempt.fault
        self._store.apply(RequestEnded(attempt.id, attempt.target, now_s, attempt.tokens, fault))
        self._ledger.add(_sample(attempt, now_s), attempt.decision)
        if fault is not None and fault.kind is not FaultKind.STOPPED:
            name = attempt.decision.name
            self._store.log("warn", "route", attempt.decision.id, f"{name}: {fault}")
            self.on_failure(attempt.target)

    def _finished(self, attempt: _Attempt, end: End) -> Finished:
        answer, usage = attempt.answer, end.usage
        if usage.decode_tps is None:
            usage = usage._replace(decode_tps=attempt.meter.decode_tps)
        if answer.tokens and usage.completion_tokens is not None:
            usage = usage._replace(completion_tokens=usage.completion_tokens + answer.tokens)
        outcome: Literal["complete", "length"] = "length" if end.reason == "length" else "complete"
        first_at_s = answer.first_token_at_s
        ttft_s = None if first_at_s is None else first_at_s - answer.started_s
        total_s = self._store.now_s() - answer.started_s
        return Finished(outcome, usage, ttft_s, total_s, answer.tries)


def _sample(attempt: _Attempt, now_s: float) -> Sample:
    """What the record keeps of a try that ended."""
    usage = attempt.end.usage if attempt.end else None
    return Sample(
        at_s=now_s,
        model=attempt.decision.model,
        mode=attempt.decision.mode,
        kind=attempt.decision.kind,
        target=attempt.target,
        tries=attempt.answer.tries,
        ttft_s=attempt.meter.ttft_s,
        total_s=now_s - attempt.meter.started_at_s,
        decode_tps=(usage.decode_tps if usage else None) or attempt.meter.decode_tps,
        prefill_tps=usage.prefill_tps if usage else None,
        tokens=(usage.completion_tokens if usage else None) or attempt.tokens,
        fault=attempt.fault,
        request=attempt.id,
        outcome=outcome_of(attempt.end, attempt.fault),
        prompt_tokens=usage.prompt_tokens if usage else None,
        load_s=usage.load_s if usage else None,
        queue_s=queue_wait_s(attempt.meter.ttft_s, usage),
        backends=attempt.backends,
    )


def _refused(answer: _Answer, decision: RouteDecision, fault: Fault, now_s: float) -> Sample:
    """What the record keeps of a request that nothing could take."""
    return Sample(
        at_s=now_s,
        model=decision.model,
        mode=decision.mode,
        kind=None,
        target="",
        tries=0,
        ttft_s=None,
        total_s=now_s - answer.started_s,
        decode_tps=None,
        prefill_tps=None,
        tokens=0,
        fault=fault,
        request=answer.id,
        outcome=fault.kind.value,
    )


async def _never_back(_target: str, _pid: int | None) -> AsyncGenerator[AskEvent, None]:
    return
    yield  # a generator of nothing


def _written(attempt: _Attempt, pieces: list[str]) -> Delta:
    answer, text = attempt.answer, "".join(pieces)
    answer.text.append(text)
    answer.chars += len(text)
    answer.writer = attempt.target
    return Delta(text, len(pieces))


def _failure_words(name: str, fault: Fault, kept_chars: int) -> str:
    if kept_chars:
        return f"{name}: {fault}. The answer goes on elsewhere, if anything has the model."
    return f"{name}: {fault}. Trying the next one."
