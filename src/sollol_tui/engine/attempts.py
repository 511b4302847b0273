"""An answer in the making: what came of it so far, and of each try at it."""

from __future__ import annotations

from sollol_tui.core.asks import AskRequest, End, Progress, RouteDecision
from sollol_tui.core.faults import Fault, FaultKind
from sollol_tui.core.samples import Sample, outcome_of, queue_wait_s
from sollol_tui.core.streams import Meter

AVOIDED = "another one was asked for"


class Answer:
    """One question's answer so far, over all targets that wrote at it."""

    def __init__(self, request: AskRequest, request_id: str, started_s: float) -> None:
        self.request = request
        self.id = request_id
        self.started_s = started_s
        self.tries = 0
        self.text: list[str] = [request.so_far] if request.so_far else []
        self.chars = len(request.so_far)
        self.tokens = 0  # written by targets that failed later
        self.writer = ""  # the target that wrote last
        self.excluded: dict[str, str] = dict.fromkeys(request.avoid, AVOIDED)
        self.pids: dict[str, int | None] = {}  # of the coordinators that it was given to
        self.comebacks = 0
        self.fault: Fault | None = None
        self.first_token_at_s: float | None = None


class Attempt:
    """One try at one target: what came of it so far."""

    def __init__(self, answer: Answer, decision: RouteDecision, started_s: float) -> None:
        self.answer = answer
        self.id = answer.id
        self.decision = decision
        self.target = decision.target or ""
        self.meter = Meter(started_s)
        self.tokens = 0
        self.told_s = started_s
        self.moved_s = started_s  # when something last came, or the model was loaded
        self.cold = False
        self.progress: Progress | None = None
        self.end: End | None = None
        self.backends: tuple[str, ...] = ()  # that a coordinator holds
        self.fault: Fault | None = Fault(FaultKind.STOPPED)  # until something else ends it
        self.writes = False  # text came from here

    def handed_over(self) -> tuple[AskRequest, str]:
        """The request as its target gets it, and the text that it is to go on with.

        What was written counts against the limit of tokens that was asked for.
        """
        request, written = self.answer.request, self.answer.tokens
        if written and request.options.max_tokens is not None:
            left = max(1, request.options.max_tokens - written)
            request = request._replace(options=request.options._replace(max_tokens=left))
        return request, "".join(self.answer.text)


def sample_of(attempt: Attempt, now_s: float) -> Sample:
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


def refused(answer: Answer, decision: RouteDecision, fault: Fault, now_s: float) -> Sample:
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
